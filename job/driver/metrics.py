"""The job's Prometheus metrics, from Spark's progress events, the tasks' outcome counts and the job's health."""

import logging
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
from job.dead_letter import REASONS
from job.documents import MatchAliases
from job.driver.health import JobHealth
from job.lag import ConsumerLag, OpenTransactions
from job.match import UNCOUNTED_REASONS
from job.tasks.index_statistics import StatisticsCounts
from job.tasks.outcomes import AGE_BUCKETS, BatchCounts
from job.topic import Offsets, TopicOffsets

log = logging.getLogger(__name__)

_SERVICES = ("Elasticsearch", "Kafka")
"""Those that a query can wait for."""
_BATCH_DURATION_BUCKETS = (0.1, 0.2, 0.3, 0.5, 0.75, 1, 1.5, 2, 3, 5, 10, 30, 60, 300)


def freshness_goal(interval_seconds: float) -> float:
    """The goal for the p99 latency, which FreshnessOverGoal compares: a message waits for an interval at most, and then
    for its batch. It is a bound of the histogram, whose quantiles are exact nowhere else."""
    return next(bound for bound in AGE_BUCKETS if bound >= max(2.5, interval_seconds + 1.5))


class Metrics:
    """The job's metrics. Thread-safe.

    Label cardinality is bounded: values are queries, state operators, aliases, reasons, services, partitions and field
    names of the schema, never text of a message.
    """

    def __init__(self, aliases: MatchAliases, registry: CollectorRegistry = REGISTRY) -> None:
        """`aliases` are those of the matches' documents."""
        self._aliases = aliases
        self._registry = registry
        self._lags: list[ConsumerLag] = []
        self._of_queries = _OfQueries(registry)

        def counter(name: str, text: str, *labels: str) -> Counter:
            return Counter(f"lol_job_{name}", text, labels, registry=registry)

        def gauge(name: str, text: str, *labels: str) -> Gauge:
            return Gauge(f"lol_job_{name}", text, labels, registry=registry)

        Info("lol_job", "The job", registry=registry).info({"version": __version__})
        self._open_transactions = OpenTransactions()
        registry.register(self._open_transactions)
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
        self.dropped_fields = counter("dropped_fields", "Invalid optional fields that were dropped", "field")
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
        self._sink_waiting = gauge("sink_waiting", "1 while the job waits for a service")

    def add_query(self, name: str, lag: ConsumerLag) -> "QueryMetrics":
        """Add a streaming query, with its lag."""
        self._registry.register(lag)
        self._lags.append(lag)
        return QueryMetrics(self._of_queries, name, lag)

    def export_waits(self, health: JobHealth) -> None:
        """Export for which services the job and its queries wait, computed at each scrape."""
        self._sink_waiting.set_function(lambda: float(health.current_wait() is not None))
        for query in (health.matches, health.statistics):
            for service in _SERVICES:
                waits = partial(health.waits_for, query, service)
                self._of_queries.waiting.labels(query.name, service).set_function(waits)

    def count_wait(self, service: str) -> None:
        """Count a retry while the service is not available."""
        self.sink_waits.labels(service).inc()

    def set_topic_offsets(self, offsets: TopicOffsets) -> None:
        """Record the topic's present offsets, for the lags and open transactions; empty if they are unknown."""
        for lag in self._lags:
            lag.set_topic_offsets(offsets)
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


class _OfQueries:
    """The metrics of the streaming queries, with the query's name as a label."""

    def __init__(self, registry: CollectorRegistry) -> None:
        def counter(name: str, text: str, *labels: str) -> Counter:
            return Counter(f"lol_job_{name}", text, ("query", *labels), registry=registry)

        def gauge(name: str, text: str, *labels: str) -> Gauge:
            return Gauge(f"lol_job_{name}", text, ("query", *labels), registry=registry)

        self.active = gauge("query_active", "1 while the query runs")
        self.input_rows = counter("input_rows", "Messages read from Kafka")
        self.input_rate = gauge("input_rows_per_second", "Arrival rate since the last trigger, messages/s")
        self.processed_rate = gauge("processed_rows_per_second", "Processing rate of the last batch, messages/s")
        self.batch_duration = Histogram(
            "lol_job_batch_duration_seconds",
            "Duration of a batch with input",
            ["query"],
            buckets=_BATCH_DURATION_BUCKETS,
            registry=registry,
        )
        self.last_batch = gauge(
            "last_batch_timestamp_seconds", "When the last batch finished; before the first, when the query started"
        )
        self.batch_id = gauge("last_batch_id", "Number of the last batch")
        self.watermark_delay = gauge("watermark_delay_seconds", "How far the watermark is behind the clock")
        self.state_rows = gauge("state_rows", "Rows in an operator's state store", "operator")
        self.state_memory = gauge("state_memory_bytes", "Memory of an operator's state store", "operator")
        self.late_rows = counter("rows_dropped_by_watermark", "Late rows that were dropped", "operator")
        self.waiting = gauge("query_waiting", "1 while the query waits for the service", "service")


class QueryMetrics:
    """The metrics of one streaming query. Thread-safe."""

    def __init__(self, metrics: _OfQueries, name: str, lag: ConsumerLag) -> None:
        self._metrics = metrics
        self._name = name
        self.lag = lag

    def query_started(self) -> None:
        """Record that the query runs."""
        self._metrics.active.labels(self._name).set(1)
        # A query that hangs in its first batch must have a time for the alerts.
        self._metrics.last_batch.labels(self._name).set_to_current_time()

    def query_idle(self) -> None:
        """Record that the query has processed everything in the topic."""
        self._metrics.input_rate.labels(self._name).set(0)

    def query_terminated(self) -> None:
        """Record that the query has ended."""
        self._metrics.active.labels(self._name).set(0)

    def record_progress(self, event: dict[str, Any]) -> None:
        """Record a Spark progress event (decoded JSON): rows, rates, batch duration, lag, watermark, state."""
        metrics, query = self._metrics, self._name
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


def _by_partition(offsets: dict[str, Any] | None) -> Offsets:
    """The offsets of Spark's source for Kafka, which are by topic and partition; none for any other source."""
    topics = [topic for topic in (offsets or {}).values() if isinstance(topic, dict)]
    return {int(partition): offset for topic in topics for partition, offset in topic.items()}
