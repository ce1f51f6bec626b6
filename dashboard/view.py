"""What a viewer has selected: a time range and filters. All of it is in the page's URL (query parameters), so that a
view can be sent."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from analytics.match_statistics import MatchFilter
from analytics.time_range import TimeRange

RANGES = {
    "15 min": timedelta(minutes=15),
    "1 h": timedelta(hours=1),
    "6 h": timedelta(hours=6),
    "24 h": timedelta(hours=24),
    "7 days": timedelta(days=7),
    "30 days": timedelta(days=30),
}
DEFAULT_RANGE = "1 h"
FROM_TO = "from-to"


@dataclass(frozen=True)
class View:
    """A time range by its name, or from and to; and filters."""

    range_name: str = DEFAULT_RANGE
    begin: datetime | None = None
    end: datetime | None = None
    filter: MatchFilter = field(default_factory=MatchFilter)

    def time_range(self, now: datetime) -> TimeRange:
        """The time range, seen from `now`. Raises FutureTimeRangeError if it begins after `now`."""
        if self.range_name in RANGES:
            return TimeRange.last(RANGES[self.range_name], now)
        if self.begin and self.end:
            return TimeRange.between(min(self.begin, self.end), max(self.begin, self.end), now)
        end = self.end or now
        return TimeRange.between(self.begin or end - RANGES[DEFAULT_RANGE], end, now)


def utc(time: datetime | None) -> datetime | None:
    """A time that a viewer has entered: all times of the pages are UTC."""
    return time and time.replace(tzinfo=UTC)
