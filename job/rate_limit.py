"""Rate limit: throttles the backfill and the archive to a number of messages per second."""

import time


class RateLimiter:
    """Throttles to `rate` messages per second, without a burst after idle time."""

    def __init__(self, rate: int) -> None:
        self._rate = rate
        self._free_at = time.monotonic()

    def acquire(self, messages: int) -> None:
        """Block until the rate limit allows the given number of messages."""
        time.sleep(max(0.0, self._free_at - time.monotonic()))
        self._free_at = time.monotonic() + messages / self._rate
