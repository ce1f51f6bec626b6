"""The streaming queries' listener."""

from pathlib import Path
from queue import SimpleQueue

from prometheus_client import CollectorRegistry
from pyspark.sql import DataFrame, SparkSession

from job.driver.health import QueryHealth
from job.driver.metrics import Metrics
from job.driver.query_listener import FinishedBatch, QueryListener
from job.lag import ConsumerLag
from tests.support.sample_matches import ALIASES


def test_query_listener_reports_progress_and_the_error_that_ended_the_query(
    spark: SparkSession, tmp_path: Path
) -> None:
    session = spark.newSession()  # its listeners receive no events of other tests
    registry = CollectorRegistry()
    health = QueryHealth("lines")
    metrics = Metrics(ALIASES, registry).add_query("lines", ConsumerLag("lag"))
    batches: SimpleQueue[FinishedBatch] = SimpleQueue()
    ends: SimpleQueue[str] = SimpleQueue()
    QueryListener(health, metrics, batches.put, ends.put).register(session)

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
        assert "the second batch fails" in ends.get(timeout=60)
    finally:
        query.stop()
    assert (number, messages) == (0, 7)
    assert 0 < seconds < 60
    assert registry.get_sample_value("lol_job_input_rows_total", {"query": "lines"}) == 7
    assert health.first_batch.is_set()
    assert health.unhealthy_reason(max_batch_age=60) == "query lines is not running"
