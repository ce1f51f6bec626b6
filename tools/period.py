"""The time that charts are about."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Self

STEPS = 60
"""In how many equal steps charts over time show a period."""
ARRIVAL_SECONDS = 10
"""What a match may take from its end to being found: a step that is younger could still grow."""


@dataclass(frozen=True)
class Period:
    """`STEPS` whole steps of `step_seconds` from `start` to `end`, both UTC."""

    end: datetime
    step_seconds: int

    @classmethod
    def last(cls, hours: int, now: datetime) -> Self:
        """The newest period of `hours` of which all has arrived."""
        step = hours * 3600 // STEPS
        arrived = int(now.timestamp()) - ARRIVAL_SECONDS
        return cls(datetime.fromtimestamp(arrived - arrived % step, UTC), step)

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
