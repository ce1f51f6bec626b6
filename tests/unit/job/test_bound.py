"""A batch's bound follows from how long the last full batches took, and a running query keeps to it."""

from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import SparkSession

from job.bound import BatchBound, set_bound


@pytest.mark.parametrize(
    ("messages", "seconds", "bound"),
    [
        (1000, 10.0, 500),  # as slow as it may be at most: half as many
        (1000, 20.0, 250),  # slower
        (1000, 4.0, 1250),  # faster
        (1000, 0.1, 4000),  # ten times as fast: not at once
        (600, 5.0, 600),  # not full, but enough to judge
        (499, 10.0, 1000),  # too little to judge
        (0, 0.0, 1000),
    ],
)
def test_the_bound_follows_the_time_of_full_batches(messages: int, seconds: float, bound: int) -> None:
    batches = BatchBound(first=1000, max_seconds=10)
    assert batches.measured(messages, seconds) == (bound != 1000)
    assert batches.messages == bound


def test_the_bound_never_stops_the_stream() -> None:
    batches = BatchBound(first=1, max_seconds=10)
    batches.measured(1, 3600)
    assert batches.messages == 1


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
        set_bound(spark, query, 5)
        execution: Any = query._jsq.streamingQuery()
        assert execution.uniqueSources().toString().endswith("-> MaxRows: 5)")
        before = query.lastProgress["batchId"]
        while query.lastProgress["batchId"] < before + 2:
            assert query.isActive, query.exception()
    finally:
        query.stop()
