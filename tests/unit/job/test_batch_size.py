"""A batch's bound follows from how long the last full batches took, and a running query keeps to it."""

from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import SparkSession

from job.driver.batch_size import AdaptiveBatchSize, set_max_offsets


@pytest.mark.parametrize(
    ("messages", "seconds", "bound"),
    [
        (8000, 10.0, 4000),  # as slow as it may be at most: half as many
        (8000, 16.0, 2500),  # slower
        (8000, 4.0, 10_000),  # faster
        (8000, 0.1, 32_000),  # fifty times as fast: not at once
        (5000, 5.0, 5000),  # not full, but enough to judge
        (3999, 10.0, 8000),  # too little to judge
        (0, 0.0, 8000),
    ],
)
def test_the_bound_follows_the_time_of_full_batches(messages: int, seconds: float, bound: int) -> None:
    batches = AdaptiveBatchSize(first=2000, max_seconds=10)
    batches.measured(2000, 1.25)
    assert batches.messages == 8000
    assert batches.measured(messages, seconds) == (bound != 8000)
    assert batches.messages == bound


def test_a_machine_that_plans_slowly_does_not_end_at_one_message_a_batch() -> None:
    batches = AdaptiveBatchSize(first=300, max_seconds=10)
    for _ in range(10):
        batches.measured(300, 12)
    assert batches.messages == 300


def test_a_running_query_takes_the_new_bound(spark: SparkSession, tmp_path: Path) -> None:
    """That Kafka's source keeps to it is tests/stack's to say: this one of Spark's own has no bound."""
    query = (
        spark.readStream.format("rate-micro-batch")
        .option("rowsPerBatch", 10)
        .load()
        .writeStream.format("noop")
        .option("checkpointLocation", str(tmp_path))
        .start()
    )
    try:
        while not query.lastProgress:
            assert query.isActive, query.exception()
        set_max_offsets(spark, query, 5)
        execution: Any = query._jsq.streamingQuery()
        assert execution.uniqueSources().toString().endswith("-> MaxRows: 5)")
        before = query.lastProgress["batchId"]
        while query.lastProgress["batchId"] < before + 2:
            assert query.isActive, query.exception()
    finally:
        query.stop()
