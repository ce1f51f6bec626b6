"""Listener for a streaming query's events: start, progress, idle, termination."""

import json
from collections.abc import Callable
from typing import Any, NamedTuple

from pyspark.java_gateway import ensure_callback_server_started
from pyspark.sql import SparkSession

from job.driver.health import QueryHealth
from job.driver.metrics import QueryMetrics

OnEnd = Callable[[str], None]
"""Receives why a query has ended: its error, or that it was stopped."""


class FinishedBatch(NamedTuple):
    """A micro-batch that has ended: its number, how many offsets of the topic it covers, and how long it took.

    Spark's limits count offsets: also those of aborted messages and of the markers of transactions.
    """

    number: int
    offsets: int
    seconds: float


def covered_offsets(progress: dict[str, Any]) -> int:
    """How many offsets a batch covers, in all partitions; of a query's first batch, the number of messages.

    A partition that was added to the topic begins at 0.
    """
    [source] = progress["sources"]
    starts = source.get("startOffset")
    if not starts:
        return int(progress["numInputRows"])
    return sum(
        end - starts.get(topic, {}).get(partition, 0)
        for topic, ends in source["endOffset"].items()
        for partition, end in ends.items()
    )


class QueryListener:
    """Streaming query listener: records Spark's events in health and metrics; calls back on progress and termination.

    `on_batch` receives a finished batch, `on_end` why the query has ended.

    Implements Spark's Java interface directly and reads a progress event as JSON. PySpark's StreamingQueryListener
    makes a call to the JVM for every field, which was a fifth of the driver's work in a small batch.
    """

    def __init__(
        self,
        health: QueryHealth,
        metrics: QueryMetrics,
        on_batch: Callable[[FinishedBatch], None],
        on_end: OnEnd,
    ) -> None:
        self._health = health
        self._metrics = metrics
        self._on_batch = on_batch
        self._on_end = on_end

    def register(self, spark: SparkSession) -> None:
        """Receive the events of the query that is started in this session."""
        context: Any = spark.sparkContext
        ensure_callback_server_started(context._gateway)  # type: ignore[no-untyped-call]
        wrapper = context._jvm.org.apache.spark.sql.streaming.PythonStreamingQueryListenerWrapper
        spark.streams._jsqm.addListener(wrapper(self))

    def onQueryStarted(self, event: Any) -> None:  # noqa: N802 - Spark's name
        self._health.query_started()
        self._metrics.query_started()

    def onQueryProgress(self, event: Any) -> None:  # noqa: N802
        progress = json.loads(event.progress().json())
        self._health.batch_finished()
        self._metrics.record_progress(progress)
        seconds = progress["durationMs"].get("triggerExecution", 0) / 1000
        self._on_batch(FinishedBatch(progress["batchId"], covered_offsets(progress), seconds))

    def onQueryIdle(self, event: Any) -> None:  # noqa: N802
        self._health.batch_finished()  # idle is as healthy as a finished batch
        self._metrics.query_idle()

    def onQueryTerminated(self, event: Any) -> None:  # noqa: N802
        self._health.query_terminated()
        self._metrics.query_terminated()
        error = event.exception()
        self._on_end(error.get() if error.isDefined() else "a query was stopped unexpectedly")

    class Java:
        """Py4J's declaration of the implemented Java interfaces."""

        implements = ("org.apache.spark.sql.streaming.PythonStreamingQueryListener",)
