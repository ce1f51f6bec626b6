"""The streaming queries' graceful shutdown and listener."""

import time
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import pytest
from prometheus_client import CollectorRegistry
from pyspark.sql import DataFrame, SparkSession

from job.driver.metrics import Metrics
from job.driver.query import stop_gracefully
from job.driver.query_listener import FinishedBatch, QueryListener
from job.lag import ConsumerLag
from tests.support.sample_matches import ALIASES


class FakeQuery:
    """A streaming query over a backlog: a micro-batch of `seconds` follows the other while its read limit is not 0."""

    def __init__(self, seconds: float, adapts: bool = False) -> None:
        self.adapts = adapts
        self._seconds = seconds
        self._ends_at = float("inf")
        self.isActive = True

    def set_limit(self, messages: int) -> None:
        if messages:
            self._ends_at = float("inf")
        elif self._ends_at == float("inf"):
            self._ends_at = time.monotonic() + self._seconds

    @property
    def status(self) -> dict[str, Any]:
        is_active = time.monotonic() < self._ends_at
        if self.adapts and is_active:  # its last batch has changed the size of the next one
            self.adapts = False
            self.set_limit(1000)
        return {"isTriggerActive": is_active}

    def stop(self) -> None:
        self.isActive = False


@pytest.mark.parametrize(
    ("batch_seconds", "in_time"), [((0.0, 0.0), True), ((0.0, 0.2), True), ((0.2, 0.0), True), ((0.0, 60.0), False)]
)
def test_graceful_shutdown_waits_for_the_current_batches_and_starts_no_other(
    monkeypatch: pytest.MonkeyPatch, batch_seconds: tuple[float, float], in_time: bool
) -> None:
    """That Kafka's source keeps to a limit of 0: tests/stack."""
    queries: Any = [FakeQuery(batch_seconds[0]), FakeQuery(batch_seconds[1], adapts=batch_seconds[1] > 0)]
    monkeypatch.setattr("job.driver.query.set_max_offsets", lambda _, query, messages: query.set_limit(messages))
    spark: Any = None
    started_at = time.monotonic()
    assert stop_gracefully(spark, queries, grace_seconds=1.0) == in_time
    assert time.monotonic() - started_at >= min(max(batch_seconds), 1.0)
    assert not any(query.isActive for query in queries)


def test_query_listener_reports_progress_and_the_error_that_ended_the_query(
    spark: SparkSession, tmp_path: Path
) -> None:
    session = spark.newSession()  # its listeners receive no events of other tests
    registry = CollectorRegistry()
    metrics = Metrics(ALIASES, max_batch_age=60, registry=registry)
    query_metrics = metrics.add_query("lines", ConsumerLag("lag"))
    batches: SimpleQueue[FinishedBatch] = SimpleQueue()
    ends: SimpleQueue[str | None] = SimpleQueue()
    QueryListener(query_metrics, batches.put, ends.put).register(session)

    def fail_on_second_batch(batch: DataFrame, number: int) -> None:
        batch.collect()
        if number == 1:
            raise ValueError("the second batch fails")

    source = tmp_path / "source"
    source.mkdir()
    (source / "first").write_text("line\n" * 7)
    (source / "second").write_text("line\n" * 7)
    query = (
        session.readStream.format("text")
        .option("maxFilesPerTrigger", 1)
        .load(str(source))
        .writeStream.queryName("lines")
        .option("checkpointLocation", str(tmp_path / "checkpoint"))
        .foreachBatch(fail_on_second_batch)
        .start()
    )
    try:
        number, messages, seconds = batches.get(timeout=60)
        assert "the second batch fails" in (ends.get(timeout=60) or "")
    finally:
        query.stop()
    assert (number, messages) == (0, 7)
    assert 0 < seconds < 60
    assert registry.get_sample_value("lol_job_input_rows_total", {"query": "lines"}) == 7
    assert metrics.unhealthy_reason() == "query lines is not running"
