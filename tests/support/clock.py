"""A clock for code that reads the time with `datetime.now`: replace the module's `datetime` by it."""

from __future__ import annotations

from datetime import datetime, tzinfo
from typing import Self


def stopped_at(moment: datetime) -> type[datetime]:
    """A `datetime` whose `now` is always `moment`."""

    class StoppedClock(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> Self:
            return cls.fromtimestamp(moment.timestamp(), tz)

    return StoppedClock
