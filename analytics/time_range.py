"""The time range of charts."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Self

STEPS = 60
"""The number of equal steps of a time range, unless a chart needs longer ones."""
FRESHNESS_SECONDS = 10
"""How long a match may take from its end until it is searchable: a minute younger than that could still grow."""


class FutureTimeRangeError(ValueError):
    """A time range that begins after now."""


@dataclass(frozen=True)
class TimeRange:
    """`steps` steps of `step_seconds` from `start` to `end`, both UTC."""

    end: datetime
    step_seconds: int
    is_last: bool = True
    """Whether it ends now."""
    steps: int = STEPS

    @classmethod
    def last(cls, duration: timedelta, now: datetime) -> Self:
        """The last `duration`, up to the newest whole minute or step whose matches are all searchable."""
        complete = int(now.timestamp()) - FRESHNESS_SECONDS
        step_seconds = int(duration.total_seconds()) // STEPS
        return cls(datetime.fromtimestamp(complete - complete % min(step_seconds, 60), UTC), step_seconds)

    @classmethod
    def between(cls, start: datetime, end: datetime, now: datetime) -> Self:
        """From the minute of `start` to that of `end`, at most to the newest minute whose matches are all searchable,
        but at least one minute. Raises FutureTimeRangeError if it begins after `now`."""
        if start > now:
            raise FutureTimeRangeError(
                f"The time range begins in the future: now is {now.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
            )
        first = start.astimezone(UTC).replace(second=0, microsecond=0)
        last = min(end, now - timedelta(seconds=FRESHNESS_SECONDS))
        minutes = max(int((last - first).total_seconds()) // 60, 1)
        return cls(first + timedelta(minutes=minutes), minutes * 60 // STEPS, is_last=False)

    @property
    def start(self) -> datetime:
        return self.end - timedelta(seconds=self.steps * self.step_seconds)

    @property
    def step_times(self) -> list[datetime]:
        """The start, and the end of each step: `steps` + 1 times."""
        return [self.start + timedelta(seconds=step * self.step_seconds) for step in range(self.steps + 1)]

    def in_multiples_of(self, seconds: int) -> Self:
        """The time range with steps of a multiple of `seconds`, no shorter than its own. It ends at a multiple, and can
        begin up to a step earlier."""
        step_seconds = -(-self.step_seconds // seconds) * seconds
        end = self.end - timedelta(seconds=self.end.timestamp() % seconds)
        steps = max(-((self.start - end) // timedelta(seconds=step_seconds)), 1)
        return replace(self, end=end, step_seconds=step_seconds, steps=steps)

    @property
    def words(self) -> str:
        """The time range in words."""
        if not self.is_last:
            return "in this time range"
        minutes = self.steps * self.step_seconds // 60
        if minutes % 60:
            count, unit = minutes, "minute"
        elif minutes % 1440 or minutes < 2880:
            count, unit = minutes // 60, "hour"  # a single day is "24 hours"
        else:
            count, unit = minutes // 1440, "day"
        return f"in the last {unit}" if count == 1 else f"in the last {count:,} {unit}s"
