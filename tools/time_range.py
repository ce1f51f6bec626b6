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

    @classmethod
    def last(cls, hours: int, now: datetime) -> Self:
        """The last `hours`, up to the newest whole minute whose matches are all searchable."""
        complete = int(now.timestamp()) - FRESHNESS_SECONDS
        return cls(datetime.fromtimestamp(complete - complete % 60, UTC), hours * 3600 // STEPS)

    @property
    def start(self) -> datetime:
        return self.end - timedelta(seconds=STEPS * self.step_seconds)

    @property
    def step_times(self) -> list[datetime]:
        """The start, and the end of each step: `STEPS` + 1 times."""
        return [self.start + timedelta(seconds=step * self.step_seconds) for step in range(STEPS + 1)]

    @property
    def hours(self) -> int:
        return STEPS * self.step_seconds // 3600
