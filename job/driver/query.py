"""The streaming query: Kafka → documents or dead letters, and on the way windowed statistics. Graceful shutdown."""

import logging
import threading
import time
from dataclasses import dataclass

import msgspec
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F  # noqa: N812 - the usual name
from pyspark.sql.streaming.query import StreamingQuery

from job.documents import MatchAliases
from job.driver.checkpoints import Checkpoints, StartingOffsets
from job.driver.late_matches import LateMatches
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
    """A micro-batch was rejected because the job is stopping. It has had no effect and runs at the next start."""


class BatchError(Exception):
    """A micro-batch failed; the message is its root cause in one line."""


class ShutdownGate:
    """Graceful shutdown: a closed gate lets the current micro-batch finish and rejects every later one."""

    def __init__(self) -> None:
        self._closed = threading.Event()

    def close(self) -> None:
        self._closed.set()

    def enter(self) -> None:
        """Called at the start of each micro-batch. Raises JobStoppingError if the gate is closed."""
        if self._closed.is_set():
            raise JobStoppingError("the job is stopping")


@dataclass(frozen=True)
class MatchQuery:
    """The streaming query with its dependencies."""

    spark: SparkSession
    settings: Settings
    sinks: SinkConfig
    checkpoints: Checkpoints
    metrics: Metrics
    gate: ShutdownGate

    def start(self, start: StartingOffsets) -> StreamingQuery:
        """Start the query at these offsets, or where its checkpoint has committed.

        Indexing runs inside the map: IndexMatches writes to Elasticsearch as a side effect of `mapInArrow`, and returns
        the matches for the statistics. So one pass over Kafka serves both outputs; reading and decoding is half of the
        work. The side effect is idempotent (fixed document ids), so a task or micro-batch that is retried is safe.
        """
        settings = self.settings
        plausible_times = PlausibleTimes.of(settings.event_time.earliest, settings.event_time.ahead_seconds)
        aliases = {"champion": settings.elasticsearch.champions, "position": settings.elasticsearch.positions}
        outcomes = CountsAccumulator(self.spark.sparkContext)
        aliases_of_matches = MatchAliases(settings.elasticsearch.matches, settings.elasticsearch.teams)
        queue_ids = settings.statistics.counted_queue_ids
        index_matches = IndexMatches(self.sinks, plausible_times, aliases_of_matches, queue_ids, outcomes)
        index_statistics = IndexStatistics(self.sinks, aliases)
        late_matches = LateMatches(self.checkpoints, MATCHES)
        counts = (
            self._read_topic(start)
            .mapInArrow(index_matches, MATCH_SCHEMA)
            .transform(statistics, settings.window)
            .mapInArrow(index_statistics, COUNTS_SCHEMA)
        )
        return (
            counts.writeStream.queryName(MATCHES)
            .outputMode("update")
            .trigger(processingTime=f"{settings.batch.interval_milliseconds} milliseconds")
            .option("checkpointLocation", self.checkpoints.path(MATCHES))
            .foreachBatch(lambda batch, number: self._run_batch(batch, number, outcomes, late_matches))
            .start()
        )

    def _read_topic(self, start: StartingOffsets) -> DataFrame:
        """The topic as a stream: topic, partition, offset, arrived_at (Kafka's timestamp in ms), key, value, headers.

        Data loss (messages deleted before they were read) fails the query: Spark's default `failOnDataLoss`.
        """
        offsets = {start.topic: {str(partition): offset for partition, offset in start.offsets.items()}}
        return (
            self.spark.readStream.format("kafka")
            .option("kafka.bootstrap.servers", self.settings.kafka.bootstrap_servers)
            .option("subscribe", start.topic)
            .option("startingOffsets", msgspec.json.encode(offsets).decode())
            .option("maxOffsetsPerTrigger", self.settings.batch.initial_size(len(start.offsets)))
            .option("includeHeaders", True)
            # Messages of an aborted transaction were never sent.
            .option("kafka.isolation.level", "read_committed")
            # Spark requests a partition's offsets right after each fetch, on the same connection, where the broker
            # delays the response until the consumer's next fetch ends: 0.5 s by default at the end of a partition. That
            # wait is useless here, because Spark fetches only messages that it knows to exist.
            .option("kafka.fetch.max.wait.ms", 5)
            # Large fetches, because each is followed by such requests; and more tasks than cores for a backlog, so that
            # no core is idle while the last task runs.
            .option("kafka.max.partition.fetch.bytes", 8 * 2**20)
            .option("maxRecordsPerPartition", 500)
            .load()
            .withColumn("arrived_at", F.unix_millis("timestamp"))
            .select("topic", "partition", "offset", "arrived_at", "key", "value", "headers")
        )

    def _run_batch(self, batch: DataFrame, number: int, outcomes: CountsAccumulator, late_matches: LateMatches) -> None:
        """Run a micro-batch and record its outcome counts. Its rows are the counts of indexed statistics.

        A rejected statistics document is logged as an error and does not end the job: it is indexed again with the
        window's next change.
        """
        try:
            self.gate.enter()
            rows = batch.collect()
            counts = outcomes.drain()
            late = late_matches.count(number, counts.event_times)
        except Exception as error:
            # One line and without the cause: Spark searches the text of this exception with a regular expression that
            # recurses for each character, so that a JVM stack trace overflows the stack.
            raise BatchError(root_cause(str(error))) from None
        self.metrics.record_outcomes(number, counts)
        self.metrics.record_late_matches(number, late)
        for row in rows:
            self.metrics.indexed.labels(row.alias).inc(row.indexed)
            if row.rejected:
                self.metrics.rejected.labels(row.alias).inc(row.rejected)
                log.error("%d documents of %s were rejected, the first: %s", row.rejected, row.alias, row.rejection)


def stop_gracefully(query: StreamingQuery, gate: ShutdownGate, grace_seconds: float) -> bool:
    """Graceful shutdown after SIGTERM: let the current micro-batch finish, start no other, and stop the query.

    Returns False if the grace period ended first. No message is lost then: the batch was not committed, so it runs
    again at the next start, with the same document ids.
    """
    gate.close()
    deadline = time.monotonic() + grace_seconds
    while _is_busy(query) and time.monotonic() < deadline:
        time.sleep(0.05)
    in_time = not _is_busy(query)
    query.stop()
    return in_time


def _is_busy(query: StreamingQuery) -> bool:
    return query.isActive and bool(query.status["isTriggerActive"])
