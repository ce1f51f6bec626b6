"""The tallies of a batch's tasks, over a real Spark."""

from collections.abc import Iterable, Iterator

import pyarrow as pa
import pytest
from pyspark.sql import DataFrame, SparkSession

from job.tasks.outcomes import BatchCounts, CountsAccumulator


class Counting:
    """For mapInArrow: each row is a match of one participant; every tenth is a dead letter."""

    def __init__(self, tallies: CountsAccumulator) -> None:
        self._tallies = tallies

    def __call__(self, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        tally = BatchCounts()
        for batch in batches:
            for number in batch.column("id").to_pylist():
                tally.add(participants=1, indexed=1, reason=None if number % 10 else "not_json", age_seconds=0.5)
            yield batch
        self._tallies.leave(tally)


@pytest.fixture
def tallies(spark: SparkSession) -> CountsAccumulator:
    return CountsAccumulator(spark.sparkContext)


@pytest.fixture
def batch(spark: SparkSession, tallies: CountsAccumulator) -> DataFrame:
    return spark.range(100, numPartitions=4).mapInArrow(Counting(tallies), "id long")


def test_the_tasks_of_a_batch_are_added_up(batch: DataFrame, tallies: CountsAccumulator) -> None:
    batch.collect()
    tally = tallies.take()
    assert (tally.messages, tally.matches, tally.letters["not_json"], tally.participants) == (100, 90, 10, 100)
    assert (tally.ages[1], tally.age_seconds) == (90, 45)
    assert tallies.take() == BatchCounts(), "the counts of one batch are there in the next"


def test_tasks_that_are_done_again_are_counted_once(batch: DataFrame, tallies: CountsAccumulator) -> None:
    batch.collect()
    batch.collect()
    assert tallies.take().messages == 100
