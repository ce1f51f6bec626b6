"""The time that charts are about."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Self

STEPS = 60
"""In how many equal steps charts over time show a period."""
ARRIVAL_SECONDS = 10
"""What a match may take from its end to being found: a minute that is younger could still grow."""


@dataclass(frozen=True)
class Period:
    """`STEPS` steps of `step_seconds` from `start` to `end`, both UTC."""

    end: datetime
    step_seconds: int

    @classmethod
    def last(cls, hours: int, now: datetime) -> Self:
        """The newest period of `hours`, to the minute, of which all has arrived."""
        arrived = int(now.timestamp()) - ARRIVAL_SECONDS
        return cls(datetime.fromtimestamp(arrived - arrived % 60, UTC), hours * 3600 // STEPS)

    @property
    def start(self) -> datetime:
        return self.end - timedelta(seconds=STEPS * self.step_seconds)

    @property
    def moments(self) -> list[datetime]:
        """The ends of all steps, and the start."""
        return [self.start + timedelta(seconds=step * self.step_seconds) for step in range(STEPS + 1)]

    @property
    def hours(self) -> int:
        return STEPS * self.step_seconds // 3600
