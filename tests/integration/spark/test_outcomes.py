"""Outcome counts of a batch's tasks, in a real Spark session."""

import threading
from collections.abc import Iterable, Iterator

import pyarrow as pa
import pytest
from pyspark.sql import SparkSession

from job.tasks.outcomes import BatchCounts, CountsAccumulator


class CountRows:
    """A function for mapInArrow: each row counts as a match of one participant, every tenth as a dead letter."""

    def __init__(self, accumulator: CountsAccumulator[BatchCounts]) -> None:
        self._accumulator = accumulator

    def __call__(self, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        counts = BatchCounts()
        for batch in batches:
            for number in batch.column("id").to_pylist():
                counts.add(participants=1, indexed=1, reason=None if number % 10 else "not_json", age_seconds=0.5)
            yield batch
        self._accumulator.add(counts)


@pytest.fixture
def accumulator(spark: SparkSession) -> CountsAccumulator[BatchCounts]:
    return CountsAccumulator(spark.sparkContext, BatchCounts)


def run_batch(spark: SparkSession, accumulator: CountsAccumulator[BatchCounts], number: int) -> None:
    """Count 100 rows in four tasks that belong to a streaming query's micro-batch."""
    spark.sparkContext.setLocalProperty("streaming.sql.batchId", str(number))
    try:
        spark.range(100, numPartitions=4).mapInArrow(CountRows(accumulator), "id long").collect()
    finally:
        spark.sparkContext.setLocalProperty("streaming.sql.batchId", None)  # type: ignore[arg-type]


def test_counts_of_a_batch_are_summed_over_its_tasks_and_drained(
    spark: SparkSession, accumulator: CountsAccumulator[BatchCounts]
) -> None:
    """Counts of the next batch may arrive before those of a batch are drained."""
    for number in (7, 8):
        run_batch(spark, accumulator, number)
    counts = accumulator.drain(7)
    assert (counts.messages, counts.matches, counts.participants, counts.indexed) == (100, 90, 100, 100)
    assert counts.dead_letters == {"not_json": 10}
    assert (counts.age_counts[1], counts.age_seconds) == (90, 45)
    assert accumulator.drain(7) == BatchCounts(), "the counts are still there after they were drained"
    assert accumulator.drain(8).messages == 100


def test_driver_is_told_of_the_end_of_each_task(spark: SparkSession) -> None:
    """A batch that takes minutes makes progress, so its query does not hang. The callback stays on the driver: like
    its metrics, it cannot be pickled for the tasks."""
    ended: list[None] = []
    lock = threading.Lock()

    def on_task_end() -> None:
        with lock:
            ended.append(None)

    run_batch(spark, CountsAccumulator(spark.sparkContext, BatchCounts, on_task_end), 7)
    assert len(ended) == 4


def test_counts_of_a_failed_batch_are_forgotten(
    spark: SparkSession, accumulator: CountsAccumulator[BatchCounts]
) -> None:
    run_batch(spark, accumulator, 7)
    assert accumulator.drain(8) == BatchCounts()
    assert accumulator.drain(7) == BatchCounts()


def test_retried_tasks_are_counted_once(spark: SparkSession, accumulator: CountsAccumulator[BatchCounts]) -> None:
    for _ in range(2):
        run_batch(spark, accumulator, 7)
    assert accumulator.drain(7).messages == 100
