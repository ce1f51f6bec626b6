"""What Spark can do at most with a backlog: read it, and read and parse it, to nowhere, in the job's own session."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from functools import reduce
from pathlib import Path

import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F  # noqa: N812 - the name everyone uses

from bench.inside.task import Task, given, report
from job import session, settings
from job.documents import actions
from job.match import Bounds, Match, decode

SETTINGS = Path("/opt/job/bench.yaml")
TASKS = 8
"""In how many tasks the backlog is read: so many that no core waits long for the other's last one."""
TIMES = 3
"""How often the backlog is read in one Spark job, so that starting the job counts little."""


class Decode:
    """A function for `mapInArrow`: messages → how many participants they have. With `index`, makes the bodies of their
    `_bulk` requests too."""

    def __init__(self, bounds: Bounds, index: str = "") -> None:
        self._bounds = bounds
        self._index = index

    def __call__(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        participants = 0
        for batch in batches:
            values, arrivals = batch.column("value").to_pylist(), batch.column("arrived").to_pylist()
            for value, arrived in zip(values, arrivals, strict=True):
                match = decode(value, arrived, self._bounds)
                assert isinstance(match, Match), match
                participants += len(actions(match, arrived, self._index) if self._index else match.participants)
        yield pa.RecordBatch.from_pydict({"participants": [participants]})


def main() -> None:
    """Report each stage once a round, after one round to get warm."""
    task = given()
    options = settings.load(SETTINGS)
    bounds = Bounds.of(options.event_time.earliest, options.event_time.ahead_seconds)
    spark = session.start(options)
    messages = reduce(DataFrame.unionAll, [backlog(spark, task)] * TIMES)
    counts = "participants long"
    stages: dict[str, DataFrame] = {
        "read": messages,
        "parse": messages.mapInArrow(Decode(bounds), counts),
        "make": messages.mapInArrow(Decode(bounds, options.elasticsearch.matches), counts),
    }
    for number in range(1 + task.rounds):
        for name, frame in stages.items():
            begun = time.perf_counter()
            frame.write.format("noop").mode("overwrite").save()
            if number:
                report(name, TIMES * task.messages, time.perf_counter() - begun)
    spark.stop()


def backlog(spark: SparkSession, task: Task) -> DataFrame:
    """The messages: value, arrived (Kafka's timestamp in milliseconds)."""

    def offsets(by_partition: dict[int, int]) -> str:
        return json.dumps({task.topic: {str(partition): offset for partition, offset in by_partition.items()}})

    return (
        spark.read.format("kafka")
        .option("kafka.bootstrap.servers", task.bootstrap_servers)
        .option("subscribe", task.topic)
        .option("startingOffsets", offsets(task.starts))
        .option("endingOffsets", offsets(task.ends))
        .option("minPartitions", TASKS)
        # As the job reads, and for its reasons (job/queries.py).
        .option("kafka.fetch.max.wait.ms", 5)
        .option("kafka.max.partition.fetch.bytes", 8 * 2**20)
        .load()
        .select("value", F.unix_millis("timestamp").alias("arrived"))
    )


if __name__ == "__main__":
    main()
