"""The streaming query over the topic: messages → documents or dead letters, and on the way statistics in windows."""

import logging
import threading
import time
from dataclasses import dataclass

import msgspec
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F  # noqa: N812 - the name everyone uses
from pyspark.sql.streaming.query import StreamingQuery

from job.checkpoints import Checkpoints, Start
from job.errors import one_line
from job.match import REASONS, Bounds
from job.metrics import AGE_SECONDS, FATES, Metrics
from job.participants import FATE_SCHEMA, INDEXED, IndexParticipants, Sinks
from job.settings import Settings
from job.statistics import statistics
from job.windows import COUNTS_SCHEMA, IndexStatistics

log = logging.getLogger(__name__)

MATCHES = "matches"
"""The query's name."""


class ClosedError(Exception):
    """A batch was turned away because the job is stopping: it has done nothing, and the next start begins with it."""


class BatchError(Exception):
    """A batch failed; the message is its cause in one line."""


class Gate:
    """Every batch must pass it before it does anything; once closed, none does."""

    def __init__(self) -> None:
        self._closed = threading.Event()

    def close(self) -> None:
        self._closed.set()

    def enter(self) -> None:
        """Raises ClosedError if the gate is."""
        if self._closed.is_set():
            raise ClosedError("the job is stopping")


@dataclass(frozen=True)
class Flow:
    """What the query needs."""

    spark: SparkSession
    settings: Settings
    sinks: Sinks
    checkpoints: Checkpoints
    metrics: Metrics
    gate: Gate

    def start(self, start: Start) -> StreamingQuery:
        """Start the query. One pass over the topic serves both outputs: reading and decoding is half of the work."""
        settings = self.settings
        bounds = Bounds.of(settings.event_time.earliest, settings.event_time.ahead_seconds)
        names = {"champion": settings.elasticsearch.champions, "position": settings.elasticsearch.positions}
        counts = (
            self._messages(start)
            .mapInArrow(IndexParticipants(self.sinks, bounds, settings.elasticsearch.matches), FATE_SCHEMA)
            .observe(FATES, *_counts_of_fates())
            .where(F.col("match").isNotNull())
            .select("match.*")
            .transform(statistics, settings.window)
            .mapInArrow(IndexStatistics(self.sinks, names), COUNTS_SCHEMA)
        )
        return (
            counts.writeStream.queryName(MATCHES)
            .outputMode("update")
            .trigger(processingTime=f"{settings.batch.interval_milliseconds} milliseconds")
            .option("checkpointLocation", self.checkpoints.path(MATCHES))
            .foreachBatch(self._run)
            .start()
        )

    def _messages(self, start: Start) -> DataFrame:
        """The topic as a stream: topic, partition, offset, arrived (Kafka's timestamp in ms), key, value, headers.

        A loss of messages that were not read yet fails the query: Spark's default, and never changed here.
        """
        offsets = {start.topic: {str(partition): offset for partition, offset in start.offsets.items()}}
        return (
            self.spark.readStream.format("kafka")
            .option("kafka.bootstrap.servers", self.settings.kafka.bootstrap_servers)
            .option("subscribe", start.topic)
            .option("startingOffsets", msgspec.json.encode(offsets).decode())
            .option("maxOffsetsPerTrigger", self.settings.batch.first_bound(len(start.offsets)))
            .option("includeHeaders", True)
            # What a producer has taken back in a transaction was never sent.
            .option("kafka.isolation.level", "read_committed")
            # Spark asks a partition for its offsets right behind each fetch, on the same connection, where the broker
            # lets it wait for the consumer's next fetch to end: half a second at the end of a partition by default.
            # There is nothing to wait for here: Spark reads only what it knows to be there.
            .option("kafka.fetch.max.wait.ms", 5)
            # After each fetch come these questions, so fetches are large; and a backlog is read in more tasks than
            # there are cores, so that none of them waits for the last.
            .option("kafka.max.partition.fetch.bytes", 8 * 2**20)
            .option("maxRecordsPerPartition", 500)
            .load()
            .withColumn("arrived", F.unix_millis("timestamp"))
            .select("topic", "partition", "offset", "arrived", "key", "value", "headers")
        )

    def _run(self, batch: DataFrame, _number: int) -> None:
        """Run a batch, which tells here what became of the statistics; what became of the messages is observed.

        A refused row of statistics is an error, but no reason to stop: it is written again with its next change.
        """
        try:
            self.gate.enter()
            rows = batch.collect()
        except Exception as error:
            # Short, and without its cause: Spark searches the text of what comes from here with a regular
            # expression that recurses for each character, and overflows its stack on a JVM's stack trace.
            raise BatchError(one_line(str(error))) from None
        for row in rows:
            self.metrics.indexed.labels(row.name).inc(row.indexed)
            if row.rejected:
                self.metrics.rejected.labels(row.name).inc(row.rejected)
                log.error("%d documents of %s were refused, the first: %s", row.rejected, row.name, row.rejection)


def _counts_of_fates() -> list[Column]:
    """What is counted of the rows of FATE_SCHEMA in each batch, by the names that job.metrics.Metrics reads."""
    indexed = F.col("fate") == INDEXED
    return [
        F.count(F.lit(1)).alias("messages"),
        F.sum("participants").alias("participants"),
        F.sum("indexed").alias("indexed"),
        *(F.count_if(F.col("fate") == fate).alias(fate) for fate in REASONS),
        F.sum(F.when(indexed, F.col("age"))).alias("age_sum"),
        *(F.count_if(indexed & (F.col("age") <= bound * 1000)).alias(f"age_{bound}") for bound in AGE_SECONDS),
    ]


def stop(query: StreamingQuery, gate: Gate, grace: float) -> bool:
    """Let the batch in hand finish, start no other, and stop the query; False if the grace ended before it did.

    Nothing is lost when it did: a batch that is not committed is done again at the next start, into the same ids.
    """
    gate.close()
    deadline = time.monotonic() + grace
    while _busy(query) and time.monotonic() < deadline:
        time.sleep(0.05)
    in_time = not _busy(query)
    query.stop()
    return in_time


def _busy(query: StreamingQuery) -> bool:
    return query.isActive and bool(query.status["isTriggerActive"])
