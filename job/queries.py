"""The two streaming queries over the topic: documents of participants, and statistics in windows."""

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

import msgspec
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F  # noqa: N812 - the name everyone uses
from pyspark.sql.streaming.query import StreamingQuery

from job.checkpoints import Checkpoints, Start
from job.errors import one_line
from job.match import Bounds
from job.metrics import Metrics
from job.participants import COUNTS_SCHEMA as PARTICIPANT_COUNTS
from job.participants import IndexParticipants, Sinks
from job.settings import Settings
from job.statistics import MATCH_SCHEMA, MatchRows, statistics
from job.topic import Incarnation
from job.windows import COUNTS_SCHEMA as WINDOW_COUNTS
from job.windows import IndexStatistics

log = logging.getLogger(__name__)

PARTICIPANTS, STATISTICS = "participants", "statistics"

Count = Callable[[DataFrame, int], None]
"""Runs a batch, given its rows of counts and its number."""


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
    """What both queries need."""

    spark: SparkSession
    settings: Settings
    sinks: Sinks
    checkpoints: Checkpoints
    metrics: Metrics
    gate: Gate

    @property
    def bounds(self) -> Bounds:
        return Bounds.of(self.settings.event_time.earliest, self.settings.event_time.ahead_seconds)

    def messages(self, incarnation: Incarnation, start: Start) -> DataFrame:
        """The topic as a stream: topic, partition, offset, arrived (Kafka's timestamp in ms), key, value, headers.

        A loss of messages that were not read yet fails the query: Spark's default, and never changed here.
        """
        offsets = {start.topic: {str(partition): offset for partition, offset in start.offsets.items()}}
        return (
            self.spark.readStream.format("kafka")
            .option("kafka.bootstrap.servers", self.settings.kafka.bootstrap_servers)
            .option("subscribe", start.topic)
            .option("startingOffsets", msgspec.json.encode(offsets).decode())
            .option("maxOffsetsPerTrigger", self.settings.batch.max_messages(len(incarnation.partitions)))
            .option("includeHeaders", True)
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

    def start_participants(self, messages: DataFrame) -> StreamingQuery:
        """Messages → documents or dead letters, on the executors; the driver only counts."""
        index = IndexParticipants(self.sinks, self.bounds, self.settings.elasticsearch.matches)
        counts = messages.mapInArrow(index, PARTICIPANT_COUNTS)
        return self._start(PARTICIPANTS, counts, self._count_participants, self.settings.batch.interval_milliseconds)

    def start_statistics(self, messages: DataFrame) -> StreamingQuery:
        """Messages → statistics in windows → documents that replace their earlier figures."""
        names = {"champion": self.settings.elasticsearch.champions, "position": self.settings.elasticsearch.positions}
        counts = (
            messages.select("value", "arrived")
            .mapInArrow(MatchRows(self.bounds), MATCH_SCHEMA)
            .transform(statistics, self.settings.window)
            .mapInArrow(IndexStatistics(self.sinks, names), WINDOW_COUNTS)
        )
        return self._start(STATISTICS, counts, self._count_statistics, self.settings.window.interval_milliseconds)

    def _start(self, name: str, counts: DataFrame, count: Count, interval: int) -> StreamingQuery:
        def run(batch: DataFrame, number: int) -> None:
            try:
                self.gate.enter()
                count(batch, number)
            except Exception as error:
                # Short, and without its cause: Spark searches the text of what comes from here with a regular
                # expression that recurses for each character, and overflows its stack on a JVM's stack trace.
                raise BatchError(one_line(str(error))) from None

        self.spark.sparkContext.setLocalProperty("spark.scheduler.pool", name)
        return (
            counts.writeStream.queryName(name)
            .outputMode("update")
            .trigger(processingTime=f"{interval} milliseconds")
            .option("checkpointLocation", self.checkpoints.path(name))
            .foreachBatch(run)
            .start()
        )

    def _count_participants(self, batch: DataFrame, number: int) -> None:
        """Run the batch and say what became of it."""
        rows = batch.collect()
        if not rows:
            return
        participants, indexed = sum(row.participants for row in rows), sum(row.indexed for row in rows)
        failed = participants - indexed
        log.info("Batch %d: %d participants, %d indexed, %d failed", number, participants, indexed, failed)
        name = self.settings.elasticsearch.matches
        self.metrics.messages.inc(sum(row.messages for row in rows))
        self.metrics.participants.inc(participants)
        self.metrics.indexed.labels(name).inc(indexed)
        self.metrics.rejected.labels(name).inc(failed)
        self.metrics.message_age.set(time.time() - min(row.oldest for row in rows) / 1000)
        reasons: dict[str, int] = {}
        for row in rows:
            for reason, letters in row.dead_letters.items():
                reasons[reason] = reasons.get(reason, 0) + letters
                self.metrics.dead_letters.labels(reason).inc(letters)
        if reasons:
            words = ", ".join(f"{reason} {letters}" for reason, letters in sorted(reasons.items()))
            log.info("Batch %d: %d dead letters (%s)", number, sum(reasons.values()), words)

    def _count_statistics(self, batch: DataFrame, _number: int) -> None:
        """Run the batch. A refused row is an error, but no reason to stop: it is written again with its next change."""
        for row in batch.collect():
            self.metrics.indexed.labels(row.name).inc(row.indexed)
            if row.rejected:
                self.metrics.rejected.labels(row.name).inc(row.rejected)
                log.error("%d documents of %s were refused, the first: %s", row.rejected, row.name, row.rejection)


def stop(queries: list[StreamingQuery], gate: Gate, grace: float) -> bool:
    """Let the batches in hand finish, start no others, and stop the queries; False if the grace ended before they did.

    Nothing is lost when it did: a batch that is not committed is done again at the next start, into the same ids.
    """
    gate.close()
    deadline = time.monotonic() + grace
    while any(_busy(query) for query in queries) and time.monotonic() < deadline:
        time.sleep(0.05)
    in_time = not any(_busy(query) for query in queries)
    for query in queries:
        query.stop()
    return in_time


def _busy(query: StreamingQuery) -> bool:
    return query.isActive and bool(query.status["isTriggerActive"])
