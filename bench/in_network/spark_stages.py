"""Spark's ceilings: reads, parses and serializes a backlog in the job's own Spark session, with a no-op sink."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from functools import reduce

import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession

from bench.in_network.workload import SETTINGS_FILE, SparkStage, Timing, Workload, load_workload, print_timing
from job import settings
from job.documents import MatchAliases, actions
from job.driver import session
from job.kafka_client import client_settings
from job.match import Match, PlausibleTimes, decode
from job.tasks.kafka_rows import arrival_times

MIN_PARTITIONS = 8
"""Spark tasks that read the backlog: enough that no core idles for long while another finishes the last task."""
REPEATS = 3
"""How often one Spark job reads the backlog, so that the job's start-up time hardly counts."""


class ParseMatches:
    """A function for `mapInArrow`: parses messages and counts their participants.

    With `aliases`, it also serializes the documents as the lines of `_bulk` requests for their indices.
    """

    def __init__(self, plausible_times: PlausibleTimes, aliases: MatchAliases | None = None) -> None:
        self._plausible_times = plausible_times
        self._aliases = aliases

    def __call__(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        participants = 0
        for batch in batches:
            for value, arrived_at in zip(batch.column("value").to_pylist(), arrival_times(batch), strict=True):
                match = decode(value, arrived_at, self._plausible_times)
                assert isinstance(match, Match), match
                participants += len(
                    actions(match, arrived_at, 0, self._aliases) if self._aliases else match.participants
                )
        yield pa.RecordBatch.from_pydict({"participants": [participants]})


def main() -> None:
    """Print the time of each stage and round, after one round of warm-up."""
    workload = load_workload()
    options = settings.load(SETTINGS_FILE)
    plausible_times = PlausibleTimes.of_settings(options.event_time)
    aliases = MatchAliases.of_settings(options.elasticsearch)
    spark = session.start(options)
    messages = reduce(DataFrame.unionAll, [read_backlog(spark, workload, options.kafka)] * REPEATS)
    schema = "participants long"
    stages: dict[SparkStage, DataFrame] = {
        "read": messages,
        "parse": messages.mapInArrow(ParseMatches(plausible_times), schema),
        "build_documents": messages.mapInArrow(ParseMatches(plausible_times, aliases), schema),
    }
    for number in range(1 + workload.rounds):
        for stage, frame in stages.items():
            started = time.perf_counter()
            frame.write.format("noop").mode("overwrite").save()
            if number:
                print_timing(Timing(stage, REPEATS * workload.messages, time.perf_counter() - started))
    spark.stop()


def read_backlog(spark: SparkSession, workload: Workload, kafka: settings.Kafka) -> DataFrame:
    """The workload's messages."""

    def offsets(by_partition: dict[int, int]) -> str:
        return json.dumps({workload.topic: {str(partition): offset for partition, offset in by_partition.items()}})

    return (
        spark.read.format("kafka")
        .options(**{f"kafka.{key}": value for key, value in client_settings(kafka).java().items()})
        .option("subscribe", workload.topic)
        .option("startingOffsets", offsets(workload.start_offsets))
        .option("endingOffsets", offsets(workload.end_offsets))
        .option("minPartitions", MIN_PARTITIONS)
        # The same consumer settings as the job's; job/driver/query.py has the reasons.
        .option("kafka.fetch.max.wait.ms", 5)
        .option("kafka.max.partition.fetch.bytes", 8 * 2**20)
        .load()
    )


if __name__ == "__main__":
    main()
