"""The time range of charts."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Self

STEPS = 60
"""The number of equal steps of a time range."""
FRESHNESS_SECONDS = 10
"""How long a match may take from its end until it is searchable: a minute younger than that could still grow."""


@dataclass(frozen=True)
class TimeRange:
    """`STEPS` steps of `step_seconds` from `start` to `end`, both UTC."""

    end: datetime
    step_seconds: int
    is_last: bool = True
    """Whether it ends now."""

    @classmethod
    def last(cls, duration: timedelta, now: datetime) -> Self:
        """The last `duration`, up to the newest whole minute or step whose matches are all searchable."""
        complete = int(now.timestamp()) - FRESHNESS_SECONDS
        step_seconds = int(duration.total_seconds()) // STEPS
        return cls(datetime.fromtimestamp(complete - complete % min(step_seconds, 60), UTC), step_seconds)

    @classmethod
    def between(cls, start: datetime, end: datetime, now: datetime) -> Self:
        """From the minute of `start` to that of `end`, at most to the newest minute whose matches are all searchable,
        but at least one minute."""
        first = start.astimezone(UTC).replace(second=0, microsecond=0)
        last = min(end, now - timedelta(seconds=FRESHNESS_SECONDS))
        minutes = max(int((last - first).total_seconds()) // 60, 1)
        return cls(first + timedelta(minutes=minutes), minutes * 60 // STEPS, is_last=False)

    @property
    def start(self) -> datetime:
        return self.end - timedelta(seconds=STEPS * self.step_seconds)

    @property
    def step_times(self) -> list[datetime]:
        """The start, and the end of each step: `STEPS` + 1 times."""
        return [self.start + timedelta(seconds=step * self.step_seconds) for step in range(STEPS + 1)]

    @property
    def words(self) -> str:
        """The time range in words."""
        if not self.is_last:
            return "in this time range"
        count, unit = STEPS * self.step_seconds // 60, "minute"
        for size, larger in ((60, "hour"), (24, "day")):
            if count % size == 0 and (unit == "minute" or count >= 2 * size):
                count, unit = count // size, larger
        return f"in the last {unit}" if count == 1 else f"in the last {count:,} {unit}s"
