"""Outcome counts of a batch's tasks, in a real Spark session."""

from collections.abc import Iterable, Iterator

import pyarrow as pa
import pytest
from pyspark.sql import DataFrame, SparkSession

from job.tasks.outcomes import AGE_BUCKETS, BatchCounts, CountsAccumulator


class CountRows:
    """A function for mapInArrow: each row counts as a match of one participant, every tenth as a dead letter."""

    def __init__(self, accumulator: CountsAccumulator) -> None:
        self._accumulator = accumulator

    def __call__(self, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        counts = BatchCounts()
        for batch in batches:
            for number in batch.column("id").to_pylist():
                counts.add(participants=1, indexed=1, reason=None if number % 10 else "not_json", age_seconds=0.5)
            yield batch
        self._accumulator.add(counts)


@pytest.fixture
def accumulator(spark: SparkSession) -> CountsAccumulator:
    return CountsAccumulator(spark.sparkContext)


@pytest.fixture
def batch(spark: SparkSession, accumulator: CountsAccumulator) -> DataFrame:
    return spark.range(100, numPartitions=4).mapInArrow(CountRows(accumulator), "id long")


def test_counts_of_a_batch_are_summed_over_its_tasks_and_drained(
    batch: DataFrame, accumulator: CountsAccumulator
) -> None:
    batch.collect()
    counts = accumulator.drain()
    assert (counts.messages, counts.matches, counts.participants, counts.indexed) == (100, 90, 100, 100)
    assert counts.dead_letters == {"not_json": 10}
    assert (counts.age_counts[1], counts.age_seconds) == (90, 45)
    assert accumulator.drain() == BatchCounts(), "the counts of one batch are still there in the next"


def test_retried_tasks_are_counted_once(batch: DataFrame, accumulator: CountsAccumulator) -> None:
    batch.collect()
    batch.collect()
    assert accumulator.drain().messages == 100


@pytest.mark.parametrize(("age", "bucket"), [(0.0, 0), (0.25, 0), (0.26, 1), (3600, 13), (3601, 14)])
def test_latency_histogram_buckets_include_their_upper_bound(age: float, bucket: int) -> None:
    counts = BatchCounts()
    counts.add(participants=10, indexed=10, reason=None, age_seconds=age)
    assert len(counts.age_counts) == len(AGE_BUCKETS) + 1
    assert [index for index, count in enumerate(counts.age_counts) if count] == [bucket]
