"""The job's Prometheus metrics and its health, from Spark's progress events and the tasks' outcome counts."""

import logging
import threading
import time
from collections.abc import Iterable
from datetime import datetime
from functools import partial
from itertools import accumulate
from typing import Any

from prometheus_client import REGISTRY, CollectorRegistry, Counter, Gauge, Histogram, Info
from prometheus_client.metrics_core import HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from job import __version__
from job.documents import MatchAliases
from job.lag import ConsumerLag, OpenTransactions
from job.match import REASONS, UNCOUNTED_REASONS
from job.printable import escape
from job.sinks.sink_wait import SinkProgress, SinkWait
from job.tasks.index_statistics import StatisticsCounts
from job.tasks.outcomes import AGE_BUCKETS, BatchCounts
from job.topic import Offsets, TopicOffsets

log = logging.getLogger(__name__)

_SERVICES = ("Elasticsearch", "Kafka")
"""Those that a query can wait for."""
_SINK_WAIT_LOG_INTERVAL_SECONDS = 10
_SINK_WAIT_MARGIN_SECONDS = 5
_BATCH_DURATION_BUCKETS = (0.1, 0.2, 0.3, 0.5, 0.75, 1, 1.5, 2, 3, 5, 10, 30, 60, 300)


def freshness_goal(interval_seconds: float) -> float:
    """The goal for the p99 latency, which FreshnessOverGoal compares: a message waits for an interval at most, and then
    for its batch. It is a bound of the histogram, whose quantiles are exact nowhere else."""
    return next(bound for bound in AGE_BUCKETS if bound >= max(2.5, interval_seconds + 1.5))


class Metrics:
    """The job's metrics, and the health check that follows from them. Thread-safe.

    Label cardinality is bounded: values are queries, state operators, aliases, reasons, services, partitions and field
    names of the schema, never text of a message.
    """

    def __init__(
        self,
        aliases: MatchAliases,
        max_batch_age: float,
        attempt_seconds: float,
        registry: CollectorRegistry = REGISTRY,
    ) -> None:
        """`aliases` are those of the matches' documents, `max_batch_age` (seconds) is the time without progress
        after which a query, and with it the job, is unhealthy. `attempt_seconds` is how long a sink's attempt takes at
        most.
        """
        self._aliases = aliases
        self.max_batch_age = max_batch_age
        self._attempt_seconds = attempt_seconds
        self._registry = registry
        self._queries: list[QueryMetrics] = []
        self._sink_wait_logged_at = 0.0
        self._kafka_wait: SinkWait | None = None
        self._kafka_waited_at = 0.0

        def counter(name: str, text: str, *labels: str) -> Counter:
            return Counter(f"lol_job_{name}", text, labels, registry=registry)

        def gauge(name: str, text: str, *labels: str) -> Gauge:
            return Gauge(f"lol_job_{name}", text, labels, registry=registry)

        Info("lol_job", "The job", registry=registry).info({"version": __version__})
        self.active = gauge("query_active", "1 while the query runs", "query")
        self.input_rows = counter("input_rows", "Messages read from Kafka", "query")
        self.input_rate = gauge("input_rows_per_second", "Arrival rate since the last trigger, messages/s", "query")
        self.processed_rate = gauge(
            "processed_rows_per_second", "Processing rate of the last batch, messages/s", "query"
        )
        self.batch_duration = Histogram(
            "lol_job_batch_duration_seconds",
            "Duration of a batch with input",
            ["query"],
            buckets=_BATCH_DURATION_BUCKETS,
            registry=registry,
        )
        self.last_batch = gauge(
            "last_batch_timestamp_seconds",
            "When the last batch finished; before the first, when the query started",
            "query",
        )
        self.batch_id = gauge("last_batch_id", "Number of the last batch", "query")
        self._open_transactions = OpenTransactions()
        registry.register(self._open_transactions)
        self.watermark_delay = gauge("watermark_delay_seconds", "How far the watermark is behind the clock", "query")
        self.state_rows = gauge("state_rows", "Rows in an operator's state store", "query", "operator")
        self.state_memory = gauge("state_memory_bytes", "Memory of an operator's state store", "query", "operator")
        self.late_rows = counter("rows_dropped_by_watermark", "Late rows that were dropped", "query", "operator")
        self.late_matches = counter("late_matches", "Matches too late for the windows: older than the watermark")
        self.uncounted_matches = counter(
            "uncounted_matches", "Messages of matches that do not count in the windows", "reason"
        )
        self.lost_statistics = counter(
            "statistics_lost_messages",
            "Messages that the statistics skipped: Kafka has lost messages, or their checkpoint was damaged",
        )
        self.statistics_reset = gauge(
            "statistics_reset_timestamp_seconds",
            "When this process dropped the windows of the statistics, for the same reasons; 0 if it did not",
        )
        for reason in UNCOUNTED_REASONS:
            self.uncounted_matches.labels(reason)
        self.dropped_fields = counter("dropped_fields", "Optional fields dropped because of a wrong type", "field")
        self.batch_limit = gauge("batch_limit_messages", "Batch size: the most messages that the next batch takes")

        self.messages = counter("messages", "Messages that are indexed or dead letters")
        self.matches = counter("matches", "Messages that are indexed, with all of their documents")
        self.dead_letters = counter("dead_letters", "Messages sent to the dead-letter topic", "reason")
        for reason in REASONS:
            self.dead_letters.labels(reason)  # a counter exists before its first event, or Prometheus misses that one
        self.participants = counter("participants", "Participants of decoded matches")
        self.indexed = counter("indexed_documents", "Documents that Elasticsearch acknowledged", "name")
        self.rejected = counter("rejected_documents", "Documents that Elasticsearch rejected permanently", "name")
        self.freshness_goal = gauge("freshness_goal_seconds", "The goal for the p99 of message_age_seconds")
        self._message_age = _MessageAgeHistogram()
        registry.register(self._message_age)
        self.sink_waits = counter("sink_waits", "Retries while a service was not available", "service")
        sink_waiting = gauge("sink_waiting", "1 while the job waits for a service")
        sink_waiting.set_function(lambda: float(self.current_wait() is not None))
        self._query_waiting = gauge("query_waiting", "1 while the query waits for the service", "query", "service")

    def add_query(self, name: str, lag: ConsumerLag) -> "QueryMetrics":
        """Add a streaming query. The job is healthy while the first query and all others that were started are."""
        self._registry.register(lag)
        query = QueryMetrics(self, name, lag)
        self._queries.append(query)
        for service in _SERVICES:
            self._query_waiting.labels(name, service).set_function(partial(self._waits_for, query, service))
        return query

    def _started_queries(self) -> "list[QueryMetrics]":
        """The first query, and of the others those that were started: they are started after its first batch."""
        return [query for query in self._queries if query.was_started or query is self._queries[0]]

    def set_topic_offsets(self, offsets: TopicOffsets) -> None:
        """Record the topic's present offsets, for the lags and open transactions; empty if they are unknown."""
        if offsets:
            self._kafka_wait = None
        for query in self._queries:
            query.lag.set_topic_offsets(offsets)
        self._open_transactions.set_topic_offsets(offsets)

    def record_outcomes(self, batch: int, counts: BatchCounts) -> None:
        """Record and log the outcome counts of a micro-batch; a batch without messages is not logged."""
        if not counts.messages:
            return
        failed = counts.participants - counts.indexed
        log.info("Batch %d: %d participants, %d indexed, %d failed", batch, counts.participants, counts.indexed, failed)
        if counts.dead_letters:
            reasons = ", ".join(f"{reason} {number}" for reason, number in sorted(counts.dead_letters.items()))
            log.info("Batch %d: %d dead letters (%s)", batch, counts.dead_letters.total(), reasons)
        self.messages.inc(counts.messages)
        self.matches.inc(counts.matches)
        self.participants.inc(counts.participants)
        self.indexed.labels(self._aliases.participants).inc(counts.indexed)
        self.rejected.labels(self._aliases.participants).inc(failed)
        self.indexed.labels(self._aliases.teams).inc(counts.indexed_teams)
        self.rejected.labels(self._aliases.teams).inc(counts.teams - counts.indexed_teams)
        for name, number in counts.dropped_details.items():
            self.dropped_fields.labels(name).inc(number)
        for reason, number in counts.uncounted.items():
            self.uncounted_matches.labels(reason).inc(number)
        for reason, number in counts.dead_letters.items():
            self.dead_letters.labels(reason).inc(number)
        self._message_age.add(counts)

    def record_late_matches(self, batch: int, matches: int) -> None:
        """Record and log how many matches of a micro-batch came too late for the windows of the statistics."""
        if matches:
            log.info(
                "Batch %d of the statistics: %d matches too late for the windows (older than the watermark)",
                batch,
                matches,
            )
        self.late_matches.inc(matches)

    def record_lost_statistics(self, messages: int) -> None:
        """Record that the windows of the statistics start from zero, and how many messages they skip."""
        self.statistics_reset.set_to_current_time()
        self.lost_statistics.inc(messages)

    def record_statistics(self, counts: StatisticsCounts) -> None:
        """Record how many statistics documents of a micro-batch were indexed."""
        for alias, number in counts.indexed.items():
            self.indexed.labels(alias).inc(number)

    def record_sink_wait(self, wait: SinkWait) -> None:
        """Record that a sink waits before a retry. Several tasks wait at once, so the log line is rate limited.

        The wait lasts until the attempt that follows must have ended, or the query finishes a batch.
        """
        self._count_wait(wait)
        until = time.monotonic() + wait.seconds + self._attempt_seconds + _SINK_WAIT_MARGIN_SECONDS
        for query in self._queries:
            if wait.query in (query.name, ""):
                query.record_sink_wait(wait, until)

    def record_sink_progress(self, progress: SinkProgress) -> None:
        """Record that a service has acknowledged a request of a task: a query whose task takes long does not hang."""
        for query in self._queries:
            if progress.query in (query.name, ""):
                query.last_activity_at = time.monotonic()

    def record_kafka_wait(self, reason: str) -> None:
        """Record that the topic cannot be read, until its offsets are known again."""
        wait = SinkWait("Kafka", reason, 0, 0)
        self._count_wait(wait)
        self._kafka_wait, self._kafka_waited_at = wait, time.monotonic()

    def waits_for_kafka(self) -> bool:
        """Whether the topic cannot be read at present."""
        return self._kafka_wait is not None

    def _count_wait(self, wait: SinkWait) -> None:
        now = time.monotonic()
        is_new = wait.service not in {current.service for current in self._current_waits()}
        if is_new or now > self._sink_wait_logged_at + _SINK_WAIT_LOG_INTERVAL_SECONDS:
            log.warning("Waiting for %s: %s; retrying", wait.service, wait.reason)
            self._sink_wait_logged_at = now
        self.sink_waits.labels(wait.service).inc()

    def current_wait(self) -> SinkWait | None:
        """The wait for a service that is not available at present; None if all are."""
        return next(iter(self._current_waits()), None)

    def _current_waits(self) -> list[SinkWait]:
        """The wait of each query that waits for a service, then that of the job for the topic."""
        waits = (*(query.sink_wait() for query in self._queries), self._kafka_wait)
        return [wait for wait in waits if wait is not None]

    def _wait_of(self, query: "QueryMetrics") -> SinkWait | None:
        return query.sink_wait() or self._kafka_wait

    def _waits_for(self, query: "QueryMetrics", service: str) -> bool:
        wait = self._wait_of(query)
        return wait is not None and wait.service == service

    def unhealthy_reason(self) -> str:
        """Why the job is unhealthy, with the service that its query waits for; empty while it is healthy."""
        for query in self._started_queries():
            if reason := query.unhealthy_reason():
                return "; ".join(filter(None, (reason, _describe(self._wait_of(query)))))
        return ""

    def wait_reason(self) -> str:
        """Which service the job waits for at present, and why, in one line; empty if all are available."""
        return _describe(self.current_wait())

    def hanging_reason(self) -> str:
        """Why a query hangs: it has made no progress although it has not waited for a service. Empty if none does.

        The statistics' wait is no excuse for the documents. The documents' wait is one for the statistics: tasks that
        wait can hold every core.
        """
        now, waited_at = time.monotonic(), self._kafka_waited_at
        for query in self._started_queries():  # that of the documents is the first
            waited_at = max(waited_at, query.sink_wait_until)
            if now - max(query.last_activity_at, waited_at) > self.max_batch_age:
                return query.unhealthy_reason()
        return ""


class QueryMetrics:
    """The metrics of one streaming query, and its health. Thread-safe."""

    def __init__(self, metrics: Metrics, name: str, lag: ConsumerLag) -> None:
        self._metrics = metrics
        self.name = name
        self.lag = lag
        self._sink_wait: SinkWait | None = None
        self.sink_wait_until = 0.0
        self.last_activity_at = time.monotonic()
        self.was_started = False
        self._is_running = False
        self.first_batch = threading.Event()
        """Set once a batch has finished, or the query has been idle."""

    def query_started(self) -> None:
        """Record that the query runs; it is healthy from its first batch on."""
        self.was_started = self._is_running = True
        self.first_batch.clear()
        self.last_activity_at = time.monotonic()
        self._metrics.active.labels(self.name).set(1)
        # A query that hangs in its first batch must have a time for the alerts.
        self._metrics.last_batch.labels(self.name).set_to_current_time()

    def query_idle(self) -> None:
        """Record that the query has processed everything in the topic, which is as healthy as a finished batch."""
        self._record_activity()
        self._metrics.input_rate.labels(self.name).set(0)

    def task_ended(self) -> None:
        """Record that a task of a batch has ended: a query whose batch takes long does not hang."""
        self.last_activity_at = time.monotonic()

    def record_sink_wait(self, wait: SinkWait, until: float) -> None:
        """Record that a sink of the query waits until this time of the monotonic clock."""
        self._sink_wait, self.sink_wait_until = wait, until

    def sink_wait(self) -> SinkWait | None:
        """The wait of a sink of the query; None if none waits."""
        return self._sink_wait if time.monotonic() < self.sink_wait_until else None

    def _record_activity(self) -> None:
        self.sink_wait_until = min(self.sink_wait_until, time.monotonic())  # the wait is over
        self.first_batch.set()
        self.last_activity_at = time.monotonic()

    def query_terminated(self) -> None:
        """Record that the query has ended."""
        self._is_running = False
        self._metrics.active.labels(self.name).set(0)

    def record_progress(self, event: dict[str, Any]) -> None:
        """Record a Spark progress event (decoded JSON): rows, rates, batch duration, lag, watermark, state."""
        metrics, query = self._metrics, self.name
        self._record_activity()
        metrics.last_batch.labels(query).set_to_current_time()
        metrics.batch_id.labels(query).set(event["batchId"])
        rows = event.get("numInputRows") or 0
        metrics.input_rows.labels(query).inc(rows)
        for rate, gauge in (
            ("inputRowsPerSecond", metrics.input_rate),
            ("processedRowsPerSecond", metrics.processed_rate),
        ):
            if event.get(rate) is not None:  # Spark leaves out a rate that it does not know
                gauge.labels(query).set(event[rate])
        log.debug("Query %s, batch %d: %d rows, milliseconds: %s", query, event["batchId"], rows, event["durationMs"])
        if rows:
            metrics.batch_duration.labels(query).observe(event["durationMs"].get("triggerExecution", 0) / 1000)
        for source in event["sources"]:
            # A batch that is repeated after a restart has no latest offset.
            self.lag.set_end_offsets(_by_partition(source.get("latestOffset")))
            self.lag.set_processed_offsets(_by_partition(source.get("endOffset")))
        watermark = (event.get("eventTime") or {}).get("watermark")
        if watermark and not watermark.startswith("1970"):  # Spark's initial watermark
            # Computed at each scrape: an idle query reports no progress.
            metrics.watermark_delay.labels(query).set_function(
                partial(_seconds_since, datetime.fromisoformat(watermark).timestamp())
            )
        for state in event["stateOperators"]:
            labels = (query, state["operatorName"])
            metrics.state_rows.labels(*labels).set(state["numRowsTotal"])
            metrics.state_memory.labels(*labels).set(state["memoryUsedBytes"])
            metrics.late_rows.labels(*labels).inc(state["numRowsDroppedByWatermark"])

    def unhealthy_reason(self) -> str:
        """Why the query is unhealthy; empty while it is healthy."""
        age = time.monotonic() - self.last_activity_at
        if not self._is_running:
            return f"query {self.name} is not running"
        if not self.first_batch.is_set():
            return f"query {self.name} has not finished its first batch"
        if age > self._metrics.max_batch_age:
            return f"query {self.name} has made no progress for {age:.0f} s"
        return ""


class _MessageAgeHistogram(Collector):
    """Latency (freshness) histogram, from observations that the tasks have already counted into buckets.

    prometheus_client's Histogram accepts single observations only.
    """

    def __init__(self) -> None:
        self._counts = [0] * (len(AGE_BUCKETS) + 1)
        self._seconds = 0.0

    def add(self, counts: BatchCounts) -> None:
        """Add the message ages of a batch."""
        self._counts = [count + more for count, more in zip(self._counts, counts.age_counts, strict=True)]
        self._seconds += counts.age_seconds

    def collect(self) -> Iterable[Metric]:
        bounds = [*(str(float(bound)) for bound in AGE_BUCKETS), "+Inf"]
        yield HistogramMetricFamily(
            "lol_job_message_age_seconds",
            "Latency from a message's arrival in Kafka until Elasticsearch acknowledged its documents",
            buckets=list(zip(bounds, accumulate(self._counts), strict=True)),
            sum_value=self._seconds,
        )


def _seconds_since(timestamp: float) -> float:
    return time.time() - timestamp


def _describe(wait: SinkWait | None) -> str:
    """The service and the reason of a wait in one line; empty without a wait."""
    return f"waiting for {wait.service}: {escape(wait.reason)}" if wait else ""


def _by_partition(offsets: dict[str, Any] | None) -> Offsets:
    """The offsets of Spark's source for Kafka, which are by topic and partition; none for any other source."""
    topics = [topic for topic in (offsets or {}).values() if isinstance(topic, dict)]
    return {int(partition): offset for topic in topics for partition, offset in topic.items()}
