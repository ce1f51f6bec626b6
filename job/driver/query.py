"""The streaming query over the topic: messages → documents or dead letters, and on the way statistics in windows."""

import logging
import threading
import time
from dataclasses import dataclass

import msgspec
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F  # noqa: N812 - the name everyone uses
from pyspark.sql.streaming.query import StreamingQuery

from job.driver.checkpoints import Checkpoints, StartingOffsets
from job.driver.metrics import Metrics
from job.driver.statistics import statistics
from job.errors import root_cause
from job.match import PlausibleTimes
from job.settings import Settings
from job.tasks.index_matches import IndexMatches, SinkConfig
from job.tasks.index_statistics import COUNTS_SCHEMA, IndexStatistics
from job.tasks.match_rows import MATCH_SCHEMA
from job.tasks.outcomes import CountsAccumulator

log = logging.getLogger(__name__)

MATCHES = "matches"
"""The query's name."""


class JobStoppingError(Exception):
    """A batch was turned away because the job is stopping: it has done nothing, and the next start begins with it."""


class BatchError(Exception):
    """A batch failed; the message is its cause in one line."""


class ShutdownGate:
    """Every batch must pass it before it does anything; once closed, none does."""

    def __init__(self) -> None:
        self._closed = threading.Event()

    def close(self) -> None:
        self._closed.set()

    def enter(self) -> None:
        """Raises JobStoppingError if the gate is."""
        if self._closed.is_set():
            raise JobStoppingError("the job is stopping")


@dataclass(frozen=True)
class MatchQuery:
    """What the query needs."""

    spark: SparkSession
    settings: Settings
    sinks: SinkConfig
    checkpoints: Checkpoints
    metrics: Metrics
    gate: ShutdownGate

    def start(self, start: StartingOffsets) -> StreamingQuery:
        """Start the query. One pass over the topic serves both outputs: reading and decoding is half of the work."""
        settings = self.settings
        bounds = PlausibleTimes.of(settings.event_time.earliest, settings.event_time.ahead_seconds)
        names = {"champion": settings.elasticsearch.champions, "position": settings.elasticsearch.positions}
        tallies = CountsAccumulator(self.spark.sparkContext)
        index = IndexMatches(self.sinks, bounds, settings.elasticsearch.matches, tallies)
        counts = (
            self._messages(start)
            .mapInArrow(index, MATCH_SCHEMA)
            .transform(statistics, settings.window)
            .mapInArrow(IndexStatistics(self.sinks, names), COUNTS_SCHEMA)
        )
        return (
            counts.writeStream.queryName(MATCHES)
            .outputMode("update")
            .trigger(processingTime=f"{settings.batch.interval_milliseconds} milliseconds")
            .option("checkpointLocation", self.checkpoints.path(MATCHES))
            .foreachBatch(lambda batch, number: self._run(batch, number, tallies))
            .start()
        )

    def _messages(self, start: StartingOffsets) -> DataFrame:
        """The topic as a stream: topic, partition, offset, arrived_at (Kafka's timestamp in ms), key, value, headers.

        A loss of messages that were not read yet fails the query: Spark's default, and never changed here.
        """
        offsets = {start.topic: {str(partition): offset for partition, offset in start.offsets.items()}}
        return (
            self.spark.readStream.format("kafka")
            .option("kafka.bootstrap.servers", self.settings.kafka.bootstrap_servers)
            .option("subscribe", start.topic)
            .option("startingOffsets", msgspec.json.encode(offsets).decode())
            .option("maxOffsetsPerTrigger", self.settings.batch.initial_size(len(start.offsets)))
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
            .withColumn("arrived_at", F.unix_millis("timestamp"))
            .select("topic", "partition", "offset", "arrived_at", "key", "value", "headers")
        )

    def _run(self, batch: DataFrame, number: int, tallies: CountsAccumulator) -> None:
        """Run a batch, whose rows say what became of the statistics, and whose tasks what became of the messages.

        A refused row of statistics is an error, but no reason to stop: it is written again with its next change.
        """
        try:
            self.gate.enter()
            rows = batch.collect()
        except Exception as error:
            # Short, and without its cause: Spark searches the text of what comes from here with a regular
            # expression that recurses for each character, and overflows its stack on a JVM's stack trace.
            raise BatchError(root_cause(str(error))) from None
        self.metrics.count(number, tallies.drain())
        for row in rows:
            self.metrics.indexed.labels(row.alias).inc(row.indexed)
            if row.rejected:
                self.metrics.rejected.labels(row.alias).inc(row.rejected)
                log.error("%d documents of %s were refused, the first: %s", row.rejected, row.alias, row.rejection)


def stop(query: StreamingQuery, gate: ShutdownGate, grace: float) -> bool:
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
