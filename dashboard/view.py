"""What a viewer has selected: a time range and filters. All of it is in the page's URL (query parameters), so that a
view can be sent."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from analytics.match_statistics import MatchFilter
from analytics.time_range import TimeRange
from dashboard import url

RANGES = {
    "15 min": timedelta(minutes=15),
    "1 h": timedelta(hours=1),
    "6 h": timedelta(hours=6),
    "24 h": timedelta(hours=24),
    "7 days": timedelta(days=7),
    "30 days": timedelta(days=30),
}
DEFAULT_RANGE = url.DEFAULTS["range"]
FROM_TO = "from-to"
EARLIEST, LATEST = datetime(1970, 1, 1), datetime(2199, 12, 31, 23, 59)
"""The limits of from and to."""


@dataclass(frozen=True)
class View:
    """A time range by its name, or from and to; and filters."""

    range_name: str = DEFAULT_RANGE
    begin: datetime | None = None
    end: datetime | None = None
    filter: MatchFilter = field(default_factory=MatchFilter)

    @property
    def missing(self) -> tuple[str, ...]:
        """Which of from and to is to be entered."""
        times = (("From", self.begin), ("To", self.end))
        return tuple(name for name, time in times if time is None) if self.range_name == FROM_TO else ()

    def time_range(self, now: datetime) -> TimeRange:
        """The time range, seen from `now`. Raises FutureTimeRangeError if it begins after `now`."""
        if self.range_name in RANGES:
            return TimeRange.last(RANGES[self.range_name], now)
        if self.begin and self.end:
            return TimeRange.between(min(self.begin, self.end), max(self.begin, self.end), now)
        end = self.end or now
        return TimeRange.between(self.begin or end - RANGES[DEFAULT_RANGE], end, now)


def parse_time(text: str) -> datetime | None:
    """A minute in UTC, without a zone as Streamlit's controls have it; None if the text is no time of the control."""
    try:
        time = datetime.fromisoformat(text)
        moment = time.astimezone(UTC).replace(tzinfo=None) if time.tzinfo else time
    except (ValueError, OverflowError):
        return None
    return moment.replace(second=0, microsecond=0) if EARLIEST <= moment <= LATEST else None
