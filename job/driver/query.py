"""The two streaming queries: Kafka → documents or dead letters, and Kafka → windowed statistics. Graceful shutdown."""

import logging
import re
import time
from collections.abc import Iterable, Set
from dataclasses import dataclass

import msgspec
from py4j.protocol import Py4JError
from pyspark.errors import PySparkException
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.streaming.query import StreamingQuery

from job.documents import MatchAliases
from job.driver.batch_size import AdaptiveBatchSize, set_max_offsets
from job.driver.checkpoints import Checkpoints, StartingOffsets
from job.driver.health import JobHealth
from job.driver.late_matches import LateMatches
from job.driver.metrics import Metrics, QueryMetrics
from job.driver.query_listener import FinishedBatch, OnEnd, QueryListener
from job.driver.statistics import statistics
from job.errors import JobError, first_line, root_cause
from job.kafka_client import client_settings
from job.match import PlausibleTimes
from job.settings import Settings
from job.sinks import elasticsearch
from job.tasks.index_matches import NO_ROWS, QUERY_PROPERTY, IndexMatches, SinkConfig
from job.tasks.index_statistics import IndexStatistics, StatisticsCounts
from job.tasks.match_rows import MATCH_SCHEMA, DecodeMatches, EventTimes
from job.tasks.outcomes import BatchCounts, CountsAccumulator

log = logging.getLogger(__name__)

MATCHES = "matches"
"""The name of the query that indexes the documents of matches."""
STATISTICS = "statistics"
"""The name of the query that indexes the statistics."""
_LIVE_MESSAGES = 200
"""A batch of at most this number of offsets is one of a live stream."""

_UNREADABLE_STATE = re.compile(
    r"CANNOT_LOAD_STATE_STORE(?!\.\w*OUT_OF_MEMORY)"
    r"|StateSchemaCompatibilityChecker\$?\.readSchemaFile"
    r"|STREAMING_STATEFUL_OPERATOR_(MISSING_STATE_DIRECTORY|NOT_MATCH_IN_STATE_METADATA)"
)
"""In Spark's error, with its stack trace. An operator that is not in the state: its folder is missing."""

_TEMPORARY_CAUSE = re.compile(
    r"[\w.$(]*(?:Access|Connect|Host|Interrupt|Retriable|SafeMode|SdkClient|Socket|Standby|Timeout)\w*Exception"
    r"|.*(?:Too many open files|Permission denied|Connection (?:refused|reset)|timed out)"
)
"""The root cause of an error that says nothing about the file: the machine's limits, or an outage of HDFS or S3. The
exception's class, but not its message, because that has the file's path."""

_OUTAGE_MILLISECONDS = 86_400_000
"""A day: the longest outage of Kafka that does not end the queries."""


@dataclass(frozen=True)
class Queries:
    """The streaming queries with their dependencies.

    Both write to Elasticsearch in a function of `mapInArrow`, not in a sink of Spark: Spark has none that can return
    what was rejected. The side effect is idempotent (fixed document ids), so a retry is safe: of a task
    (`spark.task.maxFailures`), or of a micro-batch. The counts of a task reach the driver through an accumulator.
    """

    spark: SparkSession
    settings: Settings
    sinks: SinkConfig
    checkpoints: Checkpoints
    health: JobHealth
    metrics: Metrics
    on_end: OnEnd

    def start_matches(self, start: StartingOffsets, metrics: QueryMetrics) -> StreamingQuery:
        """Start the query that indexes documents, at these offsets or where its checkpoint has committed.

        It is stateless: one stage, and nothing to commit but offsets, so that short trigger intervals cost little.
        """
        batch = self.settings.batch
        size = AdaptiveBatchSize(batch.initial_size(len(start.offsets)), batch.max_seconds)
        outcomes = CountsAccumulator(self.spark.sparkContext, BatchCounts, self.health.matches.made_progress)
        aliases = MatchAliases.of_settings(self.settings.elasticsearch)
        queue_ids = self.settings.statistics.counted_queue_ids
        plausible_times = PlausibleTimes.of_settings(self.settings.event_time)
        index = IndexMatches(self.sinks, plausible_times, aliases, queue_ids, outcomes)
        self.metrics.batch_limit.set(size.messages)

        def on_batch(finished: FinishedBatch) -> None:
            counts = outcomes.drain(finished.number)
            self.metrics.record_outcomes(finished.number, counts)
            refresh_small_batch(self.sinks.elasticsearch_connection, finished.offsets, counts.indices)
            if size.observe(finished.offsets, finished.seconds):
                set_max_offsets(self.spark, query, size.messages)
                self.metrics.batch_limit.set(size.messages)

        session = self._session(MATCHES, QueryListener(self.health.matches, metrics, on_batch, self.on_end))
        messages = self._read_topic(session, start, size.messages, headers=True)
        query = self._start(messages.mapInArrow(index, NO_ROWS), MATCHES, batch.interval_milliseconds)
        return query

    def start_statistics(self, start: StartingOffsets, metrics: QueryMetrics) -> StreamingQuery:
        """Start the query that indexes the statistics, at these offsets or where its checkpoint has committed.

        Its state is committed and searched for expired entries at each batch, whatever the batch has. So its trigger
        interval is longer, and its batches are as long as the interval if it lags behind.
        """
        window, aliases = self.settings.window, self.settings.elasticsearch
        size = statistics_batch_size(self.settings, len(start.offsets))
        event_times = CountsAccumulator(self.spark.sparkContext, EventTimes, self.health.statistics.made_progress)
        counts = CountsAccumulator(self.spark.sparkContext, StatisticsCounts, self.health.statistics.made_progress)
        late_matches = LateMatches(self.checkpoints, STATISTICS)
        plausible_times = PlausibleTimes.of_settings(self.settings.event_time)
        decode = DecodeMatches(plausible_times, self.settings.statistics.counted_queue_ids, event_times)
        index = IndexStatistics(self.sinks, {"champion": aliases.champions, "position": aliases.positions}, counts)

        def on_batch(finished: FinishedBatch) -> None:
            self.metrics.record_statistics(counts.drain(finished.number))
            late = late_matches.count(finished.number, event_times.drain(finished.number).by_match)
            self.metrics.record_late_matches(finished.number, late)
            if size.observe(finished.offsets, finished.seconds):
                set_max_offsets(self.spark, query, size.messages)

        def on_end(error: str) -> None:
            try:
                if is_state_unreadable(error):
                    # The next start drops the checkpoint of the statistics: each one would fail in the same way.
                    self.checkpoints.mark_corrupt(STATISTICS, root_cause(error))
            except JobError as problem:
                log.warning("%s", problem)
            finally:
                self.on_end(error)

        session = self._session(STATISTICS, QueryListener(self.health.statistics, metrics, on_batch, on_end))
        windows = (
            self._read_topic(session, start, size.messages, headers=False)  # of which a message can have a million
            .mapInArrow(decode, MATCH_SCHEMA)
            .transform(statistics, window)
            .coalesce(1)  # one task: several that wait for an index would leave no core for the documents
            .mapInArrow(index, NO_ROWS)
        )
        query = self._start(windows, STATISTICS, 1000 * window.update_seconds)
        return query

    def _session(self, query: str, listener: QueryListener) -> SparkSession:
        """A session of the query's own, whose listener receives the events of this query only.

        The query's tasks are in a pool of their own (conf/fairscheduler.xml), so that no document waits until a batch
        of the statistics has ended.
        """
        session = self.spark.newSession()
        listener.register(session)
        session.sparkContext.setLocalProperty(QUERY_PROPERTY, query)
        return session

    def _start(self, frame: DataFrame, name: str, interval_milliseconds: int) -> StreamingQuery:
        """Start a query whose rows nobody reads."""
        return (
            frame.writeStream.queryName(name)
            .format("noop")
            .outputMode("update")
            .trigger(processingTime=f"{interval_milliseconds} milliseconds")
            .option("checkpointLocation", self.checkpoints.path(name))
            .start()
        )

    def _read_topic(self, session: SparkSession, start: StartingOffsets, max_messages: int, headers: bool) -> DataFrame:
        """The topic as a stream, with or without the messages' headers. A projection of its columns would be compiled
        again for each batch.

        Data loss (messages deleted before they were read) fails the query: Spark's default `failOnDataLoss`.
        """
        offsets = {start.topic: {str(partition): offset for partition, offset in start.offsets.items()}}
        return (
            session.readStream.format("kafka")
            .options(**{f"kafka.{key}": value for key, value in client_settings(self.settings.kafka).java().items()})
            .option("subscribe", start.topic)
            .option("startingOffsets", msgspec.json.encode(offsets).decode())
            .option("maxOffsetsPerTrigger", max_messages)
            .option("includeHeaders", headers)
            # The driver and the tasks wait while Kafka is not available. By default they fail after a minute or two.
            .option("kafka.default.api.timeout.ms", _OUTAGE_MILLISECONDS)
            .option("kafkaConsumer.pollTimeoutMs", _OUTAGE_MILLISECONDS)
            # A second apart. Not many, because Spark also waits so for offsets that Kafka has lost.
            .option("fetchOffset.numRetries", 30)
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
        )


def refresh_small_batch(connection: elasticsearch.Connection, offsets: int, indices: Set[str]) -> None:
    """Make the documents of a live stream's batch searchable at once, in the indices that it has written.

    All others are searchable after the refresh interval: a refresh after each batch of a backlog would only slow it
    down.
    """
    if indices and offsets <= _LIVE_MESSAGES:
        elasticsearch.refresh(connection, sorted(indices))


def statistics_batch_size(settings: Settings, partitions: int) -> AdaptiveBatchSize:
    """The batch size of the statistics, whose batches are as long as their trigger interval if they lag behind.

    The duration of the last batches says nothing about the rows of the next one: a message that does not count has
    none. So there is a maximum.
    """
    seconds = settings.window.update_seconds
    first = settings.batch.initial_size(partitions) * seconds
    return AdaptiveBatchSize(first, 2 * seconds, settings.max_statistics_messages)


def is_state_unreadable(error: str) -> bool:
    """Whether the error that ended a query, with its stack trace, is a missing or damaged file of the query's state.

    An unknown cause is taken for damage: otherwise a damaged file could end each start for ever.
    """
    return bool(_UNREADABLE_STATE.search(error)) and not _TEMPORARY_CAUSE.match(root_cause(error))


def stop_gracefully(spark: SparkSession, queries: Iterable[StreamingQuery], grace_seconds: float) -> bool:
    """Graceful shutdown after SIGTERM: let the current micro-batches finish, start no other, and stop the queries.

    Returns False if the grace period ended first. No message is lost then: the batch was not committed, so it runs
    again at the next start, with the same document ids.
    """
    running = list(queries)
    deadline = time.monotonic() + grace_seconds
    while True:
        for query in running:  # each time, because the size that follows from the last batch replaces it
            set_max_offsets(spark, query, 0)
        busy = any(_is_busy(query) for query in running)
        if not busy or time.monotonic() > deadline:
            break
        time.sleep(0.05)
    for query in running:
        try:
            query.stop()
        except (Py4JError, PySparkException) as error:  # it waits for a service: the process ends all the same
            log.warning("The query %s does not stop: %s", query.name, first_line(error))
    return not busy


def _is_busy(query: StreamingQuery) -> bool:
    return query.isActive and bool(query.status["isTriggerActive"])
