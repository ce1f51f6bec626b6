"""A bound on how many messages a second a process beside the job takes."""

import time


class RateLimiter:
    """Lets no more than `rate` messages through in a second, without catching up on time that was lost."""

    def __init__(self, rate: int) -> None:
        self._rate = rate
        self._free_at = time.monotonic()

    def wait(self, messages: int) -> None:
        """Wait until so many messages more may be sent."""
        time.sleep(max(0.0, self._free_at - time.monotonic()))
        self._free_at = time.monotonic() + messages / self._rate
