"""Rate limit: throttles the backfill and the archive to a number of messages per second."""

import threading
import time


class RateLimiter:
    """Throttles to `rate` messages per second, without a burst after idle time."""

    def __init__(self, rate: int, stopping: threading.Event | None = None) -> None:
        """Where `stopping` is given and becomes set, nothing is throttled any more."""
        self._rate = rate
        self._sleep = time.sleep if stopping is None else stopping.wait
        self._free_at = time.monotonic()

    def acquire(self, messages: int) -> None:
        """Block until the rate limit allows the given number of messages."""
        if (seconds := self._free_at - time.monotonic()) > 0:
            self._sleep(seconds)
        self._free_at = time.monotonic() + messages / self._rate
