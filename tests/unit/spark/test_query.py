"""The streaming query's graceful shutdown and listener."""

import time
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import pytest
from prometheus_client import CollectorRegistry
from pyspark.sql import DataFrame, SparkSession

from job.driver.metrics import Metrics
from job.driver.query import JobStoppingError, ShutdownGate, stop_gracefully
from job.driver.query_listener import QueryListener
from tests.support.sample_matches import ALIASES


class FakeQuery:
    """A streaming query whose current micro-batch runs for `seconds`."""

    def __init__(self, seconds: float) -> None:
        self._ends_at = time.monotonic() + seconds
        self.isActive = True

    @property
    def status(self) -> dict[str, Any]:
        return {"isTriggerActive": time.monotonic() < self._ends_at}

    def stop(self) -> None:
        self.isActive = False


@pytest.mark.parametrize(("batch_seconds", "in_time"), [(0.0, True), (0.2, True), (60.0, False)])
def test_graceful_shutdown_waits_for_the_current_batch(batch_seconds: float, in_time: bool) -> None:
    query: Any = FakeQuery(batch_seconds)
    gate = ShutdownGate()
    gate.enter()
    started_at = time.monotonic()
    assert stop_gracefully(query, gate, grace_seconds=1.0) == in_time
    assert time.monotonic() - started_at >= min(batch_seconds, 1.0)
    assert not query.isActive
    with pytest.raises(JobStoppingError):
        gate.enter()


def test_query_listener_reports_progress_and_the_error_that_ended_the_query(
    spark: SparkSession, tmp_path: Path
) -> None:
    session = spark.newSession()  # its listeners receive no events of other tests
    registry = CollectorRegistry()
    metrics = Metrics("lines", ALIASES, max_batch_age=60, registry=registry)
    batches: SimpleQueue[tuple[int, float]] = SimpleQueue()
    ends: SimpleQueue[str | None] = SimpleQueue()
    QueryListener(metrics, lambda messages, seconds: batches.put((messages, seconds)), ends.put).register(session)

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
        messages, seconds = batches.get(timeout=60)
        assert "the second batch fails" in (ends.get(timeout=60) or "")
    finally:
        query.stop()
    assert messages == 7
    assert 0 < seconds < 60
    assert registry.get_sample_value("lol_job_input_rows_total", {"query": "lines"}) == 7
    assert metrics.unhealthy_reason() == "query lines is not running"
