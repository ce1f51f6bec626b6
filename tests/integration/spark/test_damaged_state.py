"""A damaged file in the state of a query: Spark's error is recognised."""

import shutil
from pathlib import Path
from queue import SimpleQueue

import pytest
from prometheus_client import CollectorRegistry
from pyspark.sql import SparkSession
from pyspark.sql import functions as F  # noqa: N812 - the name everyone uses

from job.driver.metrics import Metrics
from job.driver.query import is_state_unreadable
from job.driver.query_listener import QueryListener
from job.lag import ConsumerLag
from tests.support.sample_matches import ALIASES


def run_query(spark: SparkSession, folder: Path) -> str | None:
    """Run a query with deduplication and windows, as the statistics', over the folder `source`. Returns its error."""
    session = spark.newSession()
    metrics = Metrics(ALIASES, max_batch_age=60, attempt_seconds=30, registry=CollectorRegistry())
    ends: SimpleQueue[str | None] = SimpleQueue()
    QueryListener(metrics.add_query("lines", ConsumerLag("lag")), lambda _: None, ends.put).register(session)
    query = (
        session.readStream.format("text")
        .load(str(folder / "source"))
        .select("value", F.current_timestamp().alias("ended"))
        .withWatermark("ended", "10 minutes")
        .dropDuplicatesWithinWatermark(["value"])
        .groupBy(F.window("ended", "5 minutes"), "value")
        .count()
        .writeStream.format("noop")
        .outputMode("update")
        .trigger(availableNow=True)
        .option("checkpointLocation", str(folder / "checkpoint"))
        .start()
    )
    try:
        return ends.get(timeout=60)
    finally:
        query.stop()
        # The state of a driver that ends is in no executor's memory at its next start.
        spark.sparkContext._jvm.org.apache.spark.sql.execution.streaming.state.StateStore.stop()  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("state/0/0/1.delta", None),
        ("state/0/0/1.delta", b""),
        ("state/0/0/1.delta", b"v1 and not what was compressed here"),
        ("state/1/0/1.delta", b""),
        ("state/0/0/_metadata/schema", b""),
        ("state", None),
        ("state/1", None),
    ],
    ids=["missing", "empty", "damaged", "of the windows", "schema", "whole state missing", "of the windows missing"],
)
def test_error_of_a_damaged_state_is_recognised(
    spark: SparkSession, tmp_path: Path, file: str, content: bytes | None
) -> None:
    (tmp_path / "source").mkdir()
    (tmp_path / "source" / "first").write_text("line\n")
    assert run_query(spark, tmp_path) is None
    damaged = tmp_path / "checkpoint" / file
    if damaged.is_dir():
        shutil.rmtree(damaged)
    else:
        damaged.with_name(f".{damaged.name}.crc").unlink()  # the stack's file system has no checksum files
        damaged.unlink()
    if content is not None:
        damaged.write_bytes(content)
    (tmp_path / "source" / "second").write_text("another\n")
    assert is_state_unreadable(run_query(spark, tmp_path) or "")


def test_other_error_is_no_damaged_state(spark: SparkSession, tmp_path: Path) -> None:
    (tmp_path / "source").mkdir()
    (tmp_path / "source" / "first").write_text("line\n")
    assert run_query(spark, tmp_path) is None
    (tmp_path / "checkpoint" / "offsets" / ".0.crc").unlink()
    (tmp_path / "checkpoint" / "offsets" / "0").write_text("")
    (tmp_path / "source" / "second").write_text("another\n")
    error = run_query(spark, tmp_path)
    assert error
    assert not is_state_unreadable(error)


def test_state_that_cannot_be_written_is_not_damaged(spark: SparkSession, tmp_path: Path) -> None:
    """As on a full disk, at the first start: here a file has the name of a folder."""
    (tmp_path / "source").mkdir()
    (tmp_path / "source" / "first").write_text("line\n")
    (tmp_path / "checkpoint" / "state" / "0").mkdir(parents=True)
    (tmp_path / "checkpoint" / "state" / "0" / "0").write_text("")
    error = run_query(spark, tmp_path)
    assert error
    assert not is_state_unreadable(error)


def test_state_for_which_the_memory_is_too_small_is_not_damaged() -> None:
    assert not is_state_unreadable("[CANNOT_LOAD_STATE_STORE.HDFS_STORE_PROVIDER_OUT_OF_MEMORY] Could not load state.")
