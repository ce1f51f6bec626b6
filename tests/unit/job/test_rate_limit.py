"""The rate limit of the backfill and the archive."""

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
