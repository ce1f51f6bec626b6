"""Checkpoints of a topic's incarnations, in a real folder through Spark's own file systems."""

import logging
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from job.driver.checkpoints import Checkpoints, StartingOffsets
from job.errors import JobError
from job.topic import Incarnation

START = StartingOffsets("lol_matches", "latest", {0: 7, 1: 8})


def of(
    spark: SparkSession, folder: Path, topic_id: str, cluster: str = "cluster", topic: str = "lol_matches"
) -> Checkpoints:
    return Checkpoints(spark, f"file://{folder}", Incarnation(topic, cluster, topic_id, (0, 1)))


def begun(*arguments: str, spark: SparkSession, folder: Path, start: StartingOffsets = START) -> Path:
    """The folder of an incarnation that was read."""
    of(spark, folder, *arguments).save(start)
    query = folder / (arguments[1] if len(arguments) > 1 else "cluster") / arguments[0] / "query"
    query.mkdir()
    (query / "0").write_text("v1")
    return query.parent


def test_where_it_began_is_found_again(spark: SparkSession, tmp_path: Path) -> None:
    assert of(spark, tmp_path, "one").starting_offsets() is None
    of(spark, tmp_path, "one").save(START)
    assert of(spark, tmp_path, "one").starting_offsets() == START


def test_the_checkpoints_of_topics_that_are_gone_are_removed(
    spark: SparkSession, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    gone = begun("one", spark=spark, folder=tmp_path)
    other_topic = begun("two", spark=spark, folder=tmp_path, start=StartingOffsets("other", "latest", {}))
    other_cluster = begun("one", "elsewhere", spark=spark, folder=tmp_path)
    not_a_checkpoint = tmp_path / "cluster" / "notes"
    not_a_checkpoint.mkdir()
    current = begun("three", spark=spark, folder=tmp_path)
    with caplog.at_level(logging.INFO):
        of(spark, tmp_path, "three").remove_replaced()
    assert not gone.exists()
    assert all((folder / "query" / "0").exists() for folder in (other_topic, other_cluster, current))
    assert not_a_checkpoint.exists()
    assert [record.message for record in caplog.records] == [
        f"Removed checkpoint file:{gone} of a deleted topic lol_matches"
    ]


def test_a_topic_that_is_made_anew_again_is_known_after_the_first_was_removed(
    spark: SparkSession, tmp_path: Path
) -> None:
    begun("one", spark=spark, folder=tmp_path)
    for anew in ("two", "three"):
        checkpoints = of(spark, tmp_path, anew)
        assert checkpoints.has_other_incarnation()
        checkpoints.save(START)
        checkpoints.remove_replaced()
        assert not checkpoints.has_other_incarnation()


def test_a_location_that_can_be_written_is_left_as_it_was(spark: SparkSession, tmp_path: Path) -> None:
    checkpoints = of(spark, tmp_path, "one")
    checkpoints.check_writable()
    assert list((tmp_path / "cluster" / "one").iterdir()) == []
    assert checkpoints.starting_offsets() is None


def test_a_location_that_cannot_be_written_is_said(spark: SparkSession, tmp_path: Path) -> None:
    file = tmp_path / "file"  # the tests may run as root, who may write into any folder
    file.write_text("")
    with pytest.raises(JobError, match=rf"^checkpoint_location: file://{file} cannot be written \(.*\); is it mounted"):
        of(spark, file, "one").check_writable()


def test_how_far_a_query_has_come_is_the_newest_batch_that_is_done(spark: SparkSession, tmp_path: Path) -> None:
    checkpoints = of(spark, tmp_path, "one")
    assert checkpoints.committed_offsets("matches") == {}
    query = tmp_path / "cluster" / "one" / "matches"
    for batch, offset in ((9, 70), (10, 80), (11, 90)):
        for log in ("offsets", "commits"):
            (query / log).mkdir(parents=True, exist_ok=True)
        line = f'{{"lol_matches":{{"0":{offset},"1":5}}}}'
        (query / "offsets" / str(batch)).write_text(f'v1\n{{"batchWatermarkMs":0,"conf":{{}}}}\n{line}')
        if batch < 11:
            (query / "commits" / str(batch)).write_text('v1\n{"nextBatchWatermarkMs":0}')
    assert checkpoints.committed_offsets("matches") == {0: 80, 1: 5}
    (query / "offsets" / "10").write_text("v1")
    with pytest.raises(JobError, match="is corrupt"):
        checkpoints.committed_offsets("matches")
