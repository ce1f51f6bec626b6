"""The rate limit of the backfill and the archive."""

import threading
import time

from job.rate_limit import RateLimiter
from tests.unit.conftest import Clock


def test_rate_limit_throttles_without_a_burst_after_idle_time(clock: Clock) -> None:
    rate_limiter = RateLimiter(rate=50)
    for _ in range(3):
        rate_limiter.acquire(50)
    assert clock.now == 102.0
    clock.now = 110.0  # after an outage of Elasticsearch
    rate_limiter.acquire(50)
    rate_limiter.acquire(50)
    assert clock.now == 111.0


def test_rate_limit_ends_when_the_process_is_stopped() -> None:
    """A chunk of the archive has 200 messages: at one a second, SIGTERM would have no effect for minutes."""
    stopping = threading.Event()
    rate_limiter = RateLimiter(1, stopping)
    rate_limiter.acquire(3)
    stopping.set()
    started_at = time.monotonic()
    rate_limiter.acquire(3)
    assert time.monotonic() - started_at < 2
