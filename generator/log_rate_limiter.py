"""Rate limiter (throttle) for log lines."""

import time
from collections.abc import Callable


class LogRateLimiter:
    """Allows one log line per `period` (seconds) and counts the suppressed ones."""

    def __init__(self, period: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._period = period
        self._clock = clock
        self._next_allowed = float("-inf")
        self._suppressed = 0

    def acquire(self) -> int | None:
        """The number of lines suppressed since the last allowed one; None if this line is suppressed too."""
        now = self._clock()
        if now < self._next_allowed:
            self._suppressed += 1
            return None
        suppressed, self._suppressed, self._next_allowed = self._suppressed, 0, now + self._period
        return suppressed
