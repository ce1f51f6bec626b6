"""What the job tells of itself, from Spark's query progress and the tasks' tallies: metrics, health, log lines."""

import json
import logging
import threading
import time
from collections.abc import Callable, Iterable
from datetime import datetime
from itertools import accumulate
from socketserver import ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from prometheus_client import REGISTRY, CollectorRegistry, Counter, Gauge, Histogram, Info, make_wsgi_app
from prometheus_client.metrics_core import HistogramMetricFamily, Metric
from prometheus_client.registry import Collector
from pyspark.java_gateway import ensure_callback_server_started
from pyspark.sql import SparkSession

from job import __version__
from job.lag import ConsumerLag
from job.sinks.sink_wait import SinkWait
from job.tasks.outcomes import AGE_BUCKETS, BatchCounts
from job.topic import Offsets

log = logging.getLogger(__name__)

_SAY_SECONDS = 10
_BATCH_SECONDS = (0.1, 0.2, 0.3, 0.5, 0.75, 1, 1.5, 2, 3, 5, 10, 30, 60, 300)


class Metrics:
    """The job's metrics, and what they say about its health. Safe to use from any thread."""

    def __init__(
        self, query: str, documents: str, max_batch_age: float, registry: CollectorRegistry = REGISTRY
    ) -> None:
        """`query` is the name of the job's query, `documents` that of the index of its documents."""
        self._query = query
        self._documents = documents
        self._max_batch_age = max_batch_age
        self._alive_at = time.monotonic()
        self._running = False
        self._reported = False
        self._waiting_until = 0.0
        self._waiting: SinkWait | None = None
        self._said_at = 0.0

        def counter(name: str, text: str, *labels: str) -> Counter:
            return Counter(f"lol_job_{name}", text, labels, registry=registry)

        def gauge(name: str, text: str, *labels: str) -> Gauge:
            return Gauge(f"lol_job_{name}", text, labels, registry=registry)

        Info("lol_job", "The job", registry=registry).info({"version": __version__})
        self.active = gauge("query_active", "1 while the query runs", "query")
        self.input_rows = counter("input_rows", "Messages read from Kafka", "query")
        self.input_rate = gauge("input_rows_per_second", "Messages that came in the last trigger", "query")
        self.processed_rate = gauge("processed_rows_per_second", "Messages processed in the last batch", "query")
        self.batch_duration = Histogram(
            "lol_job_batch_duration_seconds",
            "Time a batch with input took",
            ["query"],
            buckets=_BATCH_SECONDS,
            registry=registry,
        )
        self.last_batch = gauge("last_batch_timestamp_seconds", "When the last batch finished", "query")
        self.batch_id = gauge("last_batch_id", "Number of the last batch", "query")
        self.lag = ConsumerLag("lol_job_kafka_lag_messages", query=query)
        registry.register(self.lag)
        self.watermark_delay = gauge("watermark_delay_seconds", "How far the watermark is behind the clock", "query")
        self.state_rows = gauge("state_rows", "Rows in the state of an operator", "query", "operator")
        self.state_memory = gauge("state_memory_bytes", "Memory of an operator's state", "query", "operator")
        self.late_rows = counter("rows_dropped_by_watermark", "Rows that came too late to count", "query", "operator")
        self.batch_limit = gauge("batch_limit_messages", "The most messages that the next batch takes")

        self.messages = counter("messages", "Messages that are indexed or dead letters")
        self.matches = counter("matches", "Messages that are indexed, with all of their documents")
        self.dead_letters = counter("dead_letters", "Messages sent to the dead-letter topic", "reason")
        self.participants = counter("participants", "Participants of readable matches")
        self.indexed = counter("indexed_documents", "Documents that Elasticsearch acknowledged", "name")
        self.rejected = counter("rejected_documents", "Documents that Elasticsearch refused for good", "name")
        self._ages = _Ages()
        registry.register(self._ages)
        self.sink_waits = counter("sink_waits", "Times a sink had to wait for a service", "service")
        waiting = gauge("sink_waiting", "1 while a sink waits for a service")
        waiting.set_function(lambda: float(self.waiting() is not None))

    def started(self) -> None:
        self._running = True
        self._reported = False
        self._alive_at = time.monotonic()
        self.active.labels(self._query).set(1)

    def idle(self) -> None:
        self._reported = True
        self._alive_at = time.monotonic()

    def terminated(self) -> None:
        self._running = False
        self.active.labels(self._query).set(0)

    def progress(self, event: dict[str, Any]) -> None:
        """Take over one progress report of a query, as Spark writes it in JSON."""
        query = self._query
        self.idle()
        self.last_batch.labels(query).set_to_current_time()
        self.batch_id.labels(query).set(event["batchId"])
        rows = event.get("numInputRows") or 0
        self.input_rows.labels(query).inc(rows)
        self.input_rate.labels(query).set(event.get("inputRowsPerSecond") or 0)
        self.processed_rate.labels(query).set(event.get("processedRowsPerSecond") or 0)
        log.debug("Query %s, batch %d: %d rows, milliseconds: %s", query, event["batchId"], rows, event["durationMs"])
        if rows:
            self.batch_duration.labels(query).observe(event["durationMs"].get("triggerExecution", 0) / 1000)
        for source in event["sources"]:
            reached = source.get("endOffset") or {}
            for topic, ends in (source.get("latestOffset") or {}).items():
                self.lag.set_end_offsets(_by_number(ends))
                self.lag.set_processed_offsets(_by_number(dict.fromkeys(ends, 0) | reached.get(topic, {})))
        watermark = (event.get("eventTime") or {}).get("watermark")
        if watermark and not watermark.startswith("1970"):
            self.watermark_delay.labels(query).set(time.time() - datetime.fromisoformat(watermark).timestamp())
        for state in event["stateOperators"]:
            labels = (query, state["operatorName"])
            self.state_rows.labels(*labels).set(state["numRowsTotal"])
            self.state_memory.labels(*labels).set(state["memoryUsedBytes"])
            self.late_rows.labels(*labels).inc(state["numRowsDroppedByWatermark"])

    def count(self, batch: int, tally: BatchCounts) -> None:
        """Take over what became of a batch's messages, and say it."""
        if not tally.messages:
            return
        failed = tally.participants - tally.indexed
        log.info("Batch %d: %d participants, %d indexed, %d failed", batch, tally.participants, tally.indexed, failed)
        if tally.dead_letters:
            words = ", ".join(f"{reason} {number}" for reason, number in sorted(tally.dead_letters.items()))
            log.info("Batch %d: %d dead letters (%s)", batch, tally.dead_letters.total(), words)
        self.messages.inc(tally.messages)
        self.matches.inc(tally.matches)
        self.participants.inc(tally.participants)
        self.indexed.labels(self._documents).inc(tally.indexed)
        self.rejected.labels(self._documents).inc(failed)
        for reason, number in tally.dead_letters.items():
            self.dead_letters.labels(reason).inc(number)
        self._ages.add(tally)

    def wait(self, notice: SinkWait) -> None:
        """A sink says that it waits. Several tasks wait at once, so not every notice gets its line in the log."""
        if self.waiting() is None or time.monotonic() > self._said_at + _SAY_SECONDS:
            log.warning("Waiting for %s: %s; trying again", notice.service, notice.reason)
            self._said_at = time.monotonic()
        self.sink_waits.labels(notice.service).inc()
        self._waiting = notice
        self._waiting_until = time.monotonic() + notice.seconds + 5  # for the attempt that follows

    def waiting(self) -> SinkWait | None:
        """What a sink waits for now, if it does."""
        return self._waiting if time.monotonic() < self._waiting_until else None

    def unhealthy(self) -> str:
        """Why the job is not healthy; empty if it is."""
        age = time.monotonic() - self._alive_at
        if not self._running:
            reason = f"query {self._query} is not running"
        elif not self._reported:
            reason = f"query {self._query} has not finished its first batch"
        elif age > self._max_batch_age:
            reason = f"query {self._query} has finished no batch for {age:.0f} s"
        else:
            return ""
        notice = self.waiting()
        return f"{reason}; a sink waits for {notice.service}: {notice.reason}" if notice else reason


class _Ages(Collector):
    """A histogram whose observations come already counted, as those of a whole batch do."""

    def __init__(self) -> None:
        self._all = BatchCounts()

    def add(self, tally: BatchCounts) -> None:
        """Observe the ages of the tally's matches."""
        self._all.merge(tally)

    def collect(self) -> Iterable[Metric]:
        bounds = [*(str(float(bound)) for bound in AGE_BUCKETS), "+Inf"]
        yield HistogramMetricFamily(
            "lol_job_message_age_seconds",
            "Time from a message's arrival in Kafka until Elasticsearch acknowledged its documents",
            buckets=list(zip(bounds, accumulate(self._all.age_counts), strict=True)),
            sum_value=self._all.age_seconds,
        )


def _by_number(offsets: dict[str, int]) -> Offsets:
    return {int(partition): offset for partition, offset in offsets.items()}


class QueryListener:
    """Hands Spark's events to the metrics, each batch's messages and seconds to `on_batch`, and a query's end to
    `on_end` (with its error, None if it was stopped).

    Implements Spark's Java interface itself and takes a batch's progress as its JSON: PySpark's StreamingQueryListener
    asks the JVM for every figure by itself, a fifth of what the driver did in a small batch.
    """

    def __init__(
        self, metrics: Metrics, on_batch: Callable[[int, float], None], on_end: Callable[[str | None], None]
    ) -> None:
        self._metrics = metrics
        self._on_batch = on_batch
        self._on_end = on_end

    def listen(self, spark: SparkSession) -> None:
        """Hear of all queries of the session, from now on."""
        context: Any = spark.sparkContext
        ensure_callback_server_started(context._gateway)  # type: ignore[no-untyped-call]
        wrapper = context._jvm.org.apache.spark.sql.streaming.PythonStreamingQueryListenerWrapper
        spark.streams._jsqm.addListener(wrapper(self))

    def onQueryStarted(self, event: Any) -> None:  # noqa: N802 - Spark's name
        self._metrics.started()

    def onQueryProgress(self, event: Any) -> None:  # noqa: N802
        progress = json.loads(event.progress().json())
        self._metrics.progress(progress)
        self._on_batch(progress["numInputRows"], progress["durationMs"].get("triggerExecution", 0) / 1000)

    def onQueryIdle(self, event: Any) -> None:  # noqa: N802
        self._metrics.idle()

    def onQueryTerminated(self, event: Any) -> None:  # noqa: N802
        self._metrics.terminated()
        error = event.exception()
        self._on_end(error.get() if error.isDefined() else None)

    class Java:
        implements = ("org.apache.spark.sql.streaming.PythonStreamingQueryListener",)


class _Server(ThreadingMixIn, WSGIServer):
    """A thread for each request, so that a client that hangs does not stop the health check."""

    daemon_threads = True


class _Quiet(WSGIRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:
        """Nobody needs a line for each scrape."""


def serve(metrics: Metrics, port: int) -> WSGIServer:
    """Answer /metrics and /health (200, or 503 with the reason) in a thread."""
    exposition = make_wsgi_app()

    def application(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        if environ["PATH_INFO"] == "/metrics":
            answer: Iterable[bytes] = exposition(environ, start_response)
            return answer
        if environ["PATH_INFO"] != "/health":
            start_response("404 Not Found", [("Content-Type", "text/plain")])
            return [b"/metrics, /health\n"]
        reason = metrics.unhealthy()
        status = "503 Service Unavailable" if reason else "200 OK"
        start_response(status, [("Content-Type", "text/plain; charset=utf-8")])
        return [(reason or "ok").encode() + b"\n"]

    server = make_server("", port, application, _Server, _Quiet)
    threading.Thread(target=server.serve_forever, name="http", daemon=True).start()
    return server
