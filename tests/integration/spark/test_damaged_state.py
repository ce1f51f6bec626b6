"""A damaged file in the state of a query: Spark's error is recognised."""

import shutil
from pathlib import Path
from queue import SimpleQueue

import pytest
from prometheus_client import CollectorRegistry
from pyspark.sql import SparkSession
from pyspark.sql import functions as F  # noqa: N812 - the name everyone uses

from job.driver.health import QueryHealth
from job.driver.metrics import Metrics
from job.driver.query import is_state_unreadable
from job.driver.query_listener import QueryListener
from job.lag import ConsumerLag
from tests.support.sample_matches import ALIASES

STOPPED = "a query was stopped unexpectedly"
"""The end of a query that has read all of its source without an error."""


def run_query(spark: SparkSession, folder: Path) -> str:
    """Run a query with deduplication and windows, as the statistics', over the folder `source`. Returns why it ended:
    its error or `STOPPED`."""
    session = spark.newSession()
    metrics = Metrics(ALIASES, CollectorRegistry()).add_query("lines", ConsumerLag("lag"))
    ends: SimpleQueue[str] = SimpleQueue()
    QueryListener(QueryHealth("lines"), metrics, lambda _: None, ends.put).register(session)
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


@pytest.fixture(scope="module")
def first_run(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the folder `query`, in which a query has run once, and with its copy."""
    found = tmp_path_factory.mktemp("first-run")
    (found / "query" / "source").mkdir(parents=True)
    (found / "query" / "source" / "first").write_text("line\n")
    assert run_query(spark, found / "query") == STOPPED
    shutil.copytree(found / "query", found / "copy")
    return found


@pytest.fixture
def folder(first_run: Path) -> Path:
    """The folder of a query that has run once, with another line in its source. It is at the path of that run, which
    the checkpoint has."""
    found = first_run / "query"
    shutil.rmtree(found)
    shutil.copytree(first_run / "copy", found)
    (found / "source" / "second").write_text("another\n")
    return found


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
    spark: SparkSession, folder: Path, file: str, content: bytes | None
) -> None:
    damaged = folder / "checkpoint" / file
    if damaged.is_dir():
        shutil.rmtree(damaged)
    else:
        damaged.with_name(f".{damaged.name}.crc").unlink()  # the stack's file system has no checksum files
        damaged.unlink()
    if content is not None:
        damaged.write_bytes(content)
    assert is_state_unreadable(run_query(spark, folder))


def test_other_error_is_no_damaged_state(spark: SparkSession, folder: Path) -> None:
    (folder / "checkpoint" / "offsets" / ".0.crc").unlink()
    (folder / "checkpoint" / "offsets" / "0").write_text("")
    error = run_query(spark, folder)
    assert error != STOPPED
    assert not is_state_unreadable(error)


def test_state_that_cannot_be_written_is_not_damaged(spark: SparkSession, tmp_path: Path) -> None:
    """As on a full disk, at the first start: here a file has the name of a folder."""
    (tmp_path / "source").mkdir()
    (tmp_path / "source" / "first").write_text("line\n")
    (tmp_path / "checkpoint" / "state" / "0").mkdir(parents=True)
    (tmp_path / "checkpoint" / "state" / "0" / "0").write_text("")
    error = run_query(spark, tmp_path)
    assert error != STOPPED
    assert not is_state_unreadable(error)


def test_state_for_which_the_memory_is_too_small_is_not_damaged() -> None:
    assert not is_state_unreadable("[CANNOT_LOAD_STATE_STORE.HDFS_STORE_PROVIDER_OUT_OF_MEMORY] Could not load state.")
