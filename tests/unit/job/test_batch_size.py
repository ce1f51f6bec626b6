"""Adaptive batch size: follows the duration of full batches, and applies to a running query."""

import pytest

from job.driver.batch_size import AdaptiveBatchSize


@pytest.mark.parametrize(
    ("messages", "seconds", "expected"),
    [
        pytest.param(8000, 10.0, 4000, id="as long as allowed: half the size"),
        pytest.param(8000, 16.0, 2500, id="longer than allowed"),
        pytest.param(8000, 4.0, 10_000, id="faster than the target"),
        pytest.param(8000, 0.1, 32_000, id="fifty times as fast: growth is limited"),
        pytest.param(5000, 5.0, 5000, id="more than half full: observed"),
        pytest.param(3999, 10.0, 7840, id="less than half full: its duration is ignored, and the size falls a little"),
        pytest.param(0, 0.0, 7840, id="empty: the same"),
    ],
)
def test_batch_size_adapts_to_the_duration_of_full_batches(messages: int, seconds: float, expected: int) -> None:
    size = AdaptiveBatchSize(first=2000, max_seconds=10)
    size.observe(2000, 1.25)
    assert size.messages == 8000
    assert size.observe(messages, seconds) == (expected != 8000)
    assert size.messages == expected


def test_batch_size_forgets_a_backlog_of_cheap_messages() -> None:
    """Of a later backlog of full-size matches, the first batch would take longer than the limit of a query that
    hangs."""
    size = AdaptiveBatchSize(first=300, max_seconds=10)
    for _ in range(4):
        size.observe(size.messages, 0.2)
    assert size.messages == 76_800
    for _ in range(300):  # minutes of the live stream
        size.observe(messages=2, seconds=0.3)
    assert size.messages == 300


def test_batch_size_never_falls_below_the_initial_size() -> None:
    """On a machine where planning alone takes longer than allowed."""
    size = AdaptiveBatchSize(first=300, max_seconds=10)
    for _ in range(10):
        size.observe(300, 12)
    assert size.messages == 300
