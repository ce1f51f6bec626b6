"""Adaptive batch size: follows the duration of full batches, and applies to a running query."""

import pytest

from job.driver.batch_size import AdaptiveBatchSize
from job.driver.query import statistics_batch_size
from job.settings import with_overrides


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


@pytest.mark.parametrize(("size_seconds", "windows"), [(300, 5), (3600, 60), (86_400, 1440)])
@pytest.mark.parametrize("partitions", [3, 24, 128])
@pytest.mark.parametrize(("memory", "rows"), [("2g", 2**21), ("512m", 2**19)])
def test_batch_of_statistics_fits_into_the_heap_whatever_messages_follow_cheap_ones(
    size_seconds: int, windows: int, partitions: int, memory: str, rows: int
) -> None:
    """Late matches and dead letters create no row, a match that is alone in its windows 15 in each."""
    window = {"size_seconds": size_seconds, "watermark_seconds": size_seconds}
    size = statistics_batch_size(with_overrides({"window": window, "executor": {"memory": memory}}), partitions)
    for _ in range(5):
        size.observe(size.messages, 0.5 + size.messages / 10_000)
    assert size.messages * windows * 15 <= rows
    size.observe(size.messages, 1000)
    assert 1 <= size.messages <= max(1, rows // (windows * 15 * 8)), "the state still has the rows of the batch before"


def test_maximum_leaves_the_statistics_of_a_dense_backlog_their_throughput() -> None:
    """A batch every ten seconds, so 2,700 matches and 27,000 documents a second."""
    size = statistics_batch_size(with_overrides({}), partitions=3)
    assert size.messages == 3000
    for _ in range(5):
        size.observe(size.messages, 2)
    assert size.messages > 27_000
