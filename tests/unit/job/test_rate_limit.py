"""The rate limit of the backfill and the archive."""

import time

import pytest

from job.rate_limit import RateLimiter


def test_rate_limit_throttles_without_a_burst_after_idle_time(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    monkeypatch.setattr(time, "sleep", lambda seconds: now.__setitem__(0, now[0] + seconds))
    rate_limiter = RateLimiter(rate=50)
    for _ in range(3):
        rate_limiter.acquire(50)
    assert now[0] == 102.0
    now[0] = 110.0  # after an outage of Elasticsearch
    rate_limiter.acquire(50)
    rate_limiter.acquire(50)
    assert now[0] == 111.0
