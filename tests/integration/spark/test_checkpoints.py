"""Checkpoints of a topic's incarnations, in a local folder through Hadoop's file system API."""

import json
import logging
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from job.driver.checkpoints import Checkpoints, CorruptCheckpointError, StartingOffsets
from job.errors import JobError
from job.topic import Incarnation

START = StartingOffsets("lol_matches", {0: 7, 1: 8})


def checkpoints_of(
    spark: SparkSession, folder: Path, topic_id: str, cluster: str = "cluster", topic: str = "lol_matches"
) -> Checkpoints:
    return Checkpoints(spark, f"file://{folder}", Incarnation(topic, cluster, topic_id, (0, 1)))


def save_incarnation(*arguments: str, spark: SparkSession, folder: Path, start: StartingOffsets = START) -> Path:
    """Create the checkpoint of an incarnation that was read; return its folder."""
    checkpoints_of(spark, folder, *arguments).save(start)
    query = folder / (arguments[1] if len(arguments) > 1 else "cluster") / arguments[0] / "query"
    query.mkdir()
    (query / "0").write_text("v1")
    return query.parent


def test_starting_offsets_are_saved_and_read_back(spark: SparkSession, tmp_path: Path) -> None:
    assert checkpoints_of(spark, tmp_path, "one").starting_offsets() is None
    checkpoints_of(spark, tmp_path, "one").save(START)
    assert checkpoints_of(spark, tmp_path, "one").starting_offsets() == START


def test_starting_offsets_are_read_and_written_in_the_format_of_earlier_versions(
    spark: SparkSession, tmp_path: Path
) -> None:
    """An earlier version, after a downgrade, needs the position as text, although it does not use it."""
    checkpoints = checkpoints_of(spark, tmp_path, "one")
    file = tmp_path / "cluster" / "one" / "start.json"
    file.parent.mkdir(parents=True)
    file.write_text('{"topic":"lol_matches","position":"latest","offsets":{"0":7,"1":8}}')
    assert checkpoints.starting_offsets() == START
    file.unlink()
    checkpoints.save(START)
    assert json.loads(file.read_text()) == {"topic": "lol_matches", "position": "", "offsets": {"0": 7, "1": 8}}


def test_checkpoints_of_deleted_topics_are_removed(
    spark: SparkSession, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    deleted = save_incarnation("one", spark=spark, folder=tmp_path)
    other_topic = save_incarnation("two", spark=spark, folder=tmp_path, start=StartingOffsets("other", {}))
    other_cluster = save_incarnation("one", "elsewhere", spark=spark, folder=tmp_path)
    not_a_checkpoint = tmp_path / "cluster" / "notes"
    not_a_checkpoint.mkdir()
    current = save_incarnation("three", spark=spark, folder=tmp_path)
    with caplog.at_level(logging.INFO):
        checkpoints_of(spark, tmp_path, "three").remove_replaced()
    assert not deleted.exists()
    assert all((folder / "query" / "0").exists() for folder in (other_topic, other_cluster, current))
    assert not_a_checkpoint.exists()
    assert [record.message for record in caplog.records] == [
        f"Removed checkpoint file:{deleted} of a deleted topic lol_matches"
    ]


def test_topic_recreated_twice_is_recognised_both_times(spark: SparkSession, tmp_path: Path) -> None:
    save_incarnation("one", spark=spark, folder=tmp_path)
    for recreated in ("two", "three"):
        checkpoints = checkpoints_of(spark, tmp_path, recreated)
        assert checkpoints.has_other_incarnation()
        checkpoints.save(START)
        checkpoints.remove_replaced()
        assert not checkpoints.has_other_incarnation()


def test_write_check_leaves_no_files(spark: SparkSession, tmp_path: Path) -> None:
    checkpoints = checkpoints_of(spark, tmp_path, "one")
    checkpoints.check_writable()
    assert list((tmp_path / "cluster" / "one").iterdir()) == []
    assert checkpoints.starting_offsets() is None


def test_unwritable_location_is_reported(spark: SparkSession, tmp_path: Path) -> None:
    file = tmp_path / "file"  # a file, because root can write into any folder
    file.write_text("")
    with pytest.raises(JobError, match=rf"^checkpoint_location: file://{file} cannot be written \(.*\); is it mounted"):
        checkpoints_of(spark, file, "one").check_writable()


def test_full_disk_is_reported(spark: SparkSession, tmp_path: Path) -> None:
    """On a full disk, a file without content can be created. /dev/full refuses each write as such a disk does."""
    folder = tmp_path / "cluster" / "one"
    folder.mkdir(parents=True)
    (folder / ".writable").symlink_to("/dev/full")
    with pytest.raises(JobError, match=rf"^checkpoint_location: file://{tmp_path} .* \(.*No space left on device\)"):
        checkpoints_of(spark, tmp_path, "one").check_writable()


def test_watermark_of_a_batch(spark: SparkSession, tmp_path: Path) -> None:
    checkpoints = checkpoints_of(spark, tmp_path, "one")
    offsets = tmp_path / "cluster" / "one" / "matches" / "offsets"
    offsets.mkdir(parents=True)
    (offsets / "7").write_text('v1\n{"batchWatermarkMs":1770000000000,"batchTimestampMs":5,"conf":{}}\n{}')
    assert checkpoints.watermark("matches", 7) == 1_770_000_000_000
    assert checkpoints.watermark("matches", -1) == 0
    (offsets / "8").write_text("v1\n{}")
    with pytest.raises(JobError, match="is corrupt"):
        checkpoints.watermark("matches", 8)


def write_batches(query: Path) -> None:
    """Write a query's checkpoint as Spark does, after three batches, of which the last one is not committed."""
    (query / "sources" / "0").mkdir(parents=True)
    (query / "sources" / "0" / "0").write_text('\0v1\n{"lol_matches":{"0":7,"1":5}}')
    (query / "metadata").write_text('{"id":"7d86af63-951f-4d27-871a-076fd12c1c72"}')
    for batch, offset in ((9, 70), (10, 80), (11, 90)):
        for log in ("offsets", "commits"):
            (query / log).mkdir(parents=True, exist_ok=True)
        line = f'{{"lol_matches":{{"0":{offset},"1":5}}}}'
        (query / "offsets" / str(batch)).write_text(f'v1\n{{"batchWatermarkMs":0,"conf":{{}}}}\n{line}')
        if batch < 11:
            (query / "commits" / str(batch)).write_text('v1\n{"nextBatchWatermarkMs":0}')


def test_committed_offsets_are_those_of_the_last_committed_batch(spark: SparkSession, tmp_path: Path) -> None:
    checkpoints = checkpoints_of(spark, tmp_path, "one")
    assert checkpoints.committed_offsets("matches") == {}
    write_batches(tmp_path / "cluster" / "one" / "matches")
    assert checkpoints.committed_offsets("matches") == {0: 80, 1: 5}


@pytest.mark.parametrize(
    ("damaged", "readable"),
    [
        ("offsets/11", {0: 80, 1: 5}),
        ("offsets/10", {0: 70, 1: 5}),
        ("commits/10", {0: 80, 1: 5}),
        ("sources/0/0", {0: 80, 1: 5}),
        ("metadata", {0: 80, 1: 5}),
    ],
    ids=["of the batch that has not ended", "of the last batch", "the last commit", "the first offsets", "the query"],
)
@pytest.mark.parametrize(
    ("content", "reason"),
    [(b"", "it is cut off"), (b"v1", ""), (b"\x80\xff\n\xed\xa0\x80\n{", "")],
    ids=["empty", "one line", "no JSON"],
)
def test_damaged_file_is_reported_with_the_folder_of_its_query_alone(
    spark: SparkSession, tmp_path: Path, damaged: str, readable: dict[int, int], content: bytes, reason: str
) -> None:
    checkpoints = checkpoints_of(spark, tmp_path, "one")
    write_batches(tmp_path / "cluster" / "one" / "matches")
    (tmp_path / "cluster" / "one" / "matches" / damaged).write_bytes(content)
    with pytest.raises(
        CorruptCheckpointError,
        match=rf"/matches/{damaged} is corrupt \({reason}.*\); "
        "remove the folder file:.*/cluster/one/matches: the query then reads",
    ):
        checkpoints.committed_offsets("matches")
    assert checkpoints.readable_offsets("matches") == readable


@pytest.mark.parametrize(("missing", "readable"), [("offsets/10", {0: 70, 1: 5}), ("metadata", {0: 80, 1: 5})])
def test_missing_file_without_which_spark_cannot_start_is_reported(
    spark: SparkSession, tmp_path: Path, missing: str, readable: dict[int, int]
) -> None:
    checkpoints = checkpoints_of(spark, tmp_path, "one")
    write_batches(tmp_path / "cluster" / "one" / "matches")
    (tmp_path / "cluster" / "one" / "matches" / missing).unlink()
    with pytest.raises(CorruptCheckpointError, match=rf"/matches/{missing} is corrupt \(it is missing\); remove"):
        checkpoints.committed_offsets("matches")
    assert checkpoints.readable_offsets("matches") == readable


@pytest.mark.parametrize(("missing", "committed"), [("offsets/11", {0: 80, 1: 5}), ("commits/10", {0: 70, 1: 5})])
def test_batch_whose_last_file_is_missing_is_repeated(
    spark: SparkSession, tmp_path: Path, missing: str, committed: dict[int, int]
) -> None:
    checkpoints = checkpoints_of(spark, tmp_path, "one")
    write_batches(tmp_path / "cluster" / "one" / "matches")
    (tmp_path / "cluster" / "one" / "matches" / missing).unlink()
    assert checkpoints.committed_offsets("matches") == committed


def test_state_that_the_executors_cannot_read_is_reported_until_the_checkpoint_is_removed(
    spark: SparkSession, tmp_path: Path
) -> None:
    checkpoints = checkpoints_of(spark, tmp_path, "one")
    write_batches(tmp_path / "cluster" / "one" / "statistics")
    checkpoints.mark_corrupt("statistics", "1.delta does not exist")
    with pytest.raises(CorruptCheckpointError, match=r"statistics/state is corrupt \(1.delta does not exist\); "):
        checkpoints.committed_offsets("statistics")
    assert checkpoints.readable_offsets("statistics") == {0: 80, 1: 5}
    checkpoints.remove("statistics")
    assert checkpoints.committed_offsets("statistics") == {}


def test_damaged_starting_offsets_are_reported_with_the_folder_of_the_incarnation(
    spark: SparkSession, tmp_path: Path
) -> None:
    checkpoints = checkpoints_of(spark, tmp_path, "one")
    checkpoints.save(START)
    (tmp_path / "cluster" / "one" / "start.json").write_text("")
    with pytest.raises(JobError, match=r"is corrupt .*; remove the folder file:.*/cluster/one: the job then reads"):
        checkpoints.starting_offsets()


def test_checkpoint_of_one_query_is_removed(spark: SparkSession, tmp_path: Path) -> None:
    checkpoints = checkpoints_of(spark, tmp_path, "one")
    checkpoints.save(START)
    folder = tmp_path / "cluster" / "one"
    for query in ("matches", "statistics", "statistics.removed"):
        (folder / query / "commits").mkdir(parents=True)
    for _ in range(2):
        checkpoints.remove("statistics")
        assert {path.name for path in folder.iterdir() if not path.name.startswith(".")} == {"start.json", "matches"}


def test_checkpoint_of_a_single_stateful_query_is_split(spark: SparkSession, tmp_path: Path) -> None:
    """As versions of the job with one query left it: the state goes on, and documents continue behind it."""
    checkpoints = checkpoints_of(spark, tmp_path, "one")
    checkpoints.save(START)
    query = tmp_path / "cluster" / "one" / "matches"
    for folder in ("offsets", "commits", "state/0"):
        (query / folder).mkdir(parents=True)
    (query / "metadata").write_text('{"id":"7d86af63-951f-4d27-871a-076fd12c1c72"}')
    (query / "offsets" / "3").write_text('v1\n{"batchWatermarkMs":5,"conf":{}}\n{"lol_matches":{"0":80,"2":9}}')
    (query / "commits" / "3").write_text('v1\n{"nextBatchWatermarkMs":0}')
    (query / "offsets" / "4").write_text('v1\n{"batchWatermarkMs":5,"conf":{}}\n{"lol_matches":{"0":99,"2":99}}')
    for _ in range(2):  # the second time nothing is left to be done
        checkpoints.split("matches", "statistics")
        assert not query.exists()
        assert checkpoints.starting_offsets() == StartingOffsets("lol_matches", {0: 80, 1: 8, 2: 9})
        assert checkpoints.committed_offsets("statistics") == {0: 80, 2: 9}
        assert (query.parent / "statistics" / "state" / "0").is_dir()


def test_checkpoint_of_a_stateless_query_is_not_split(spark: SparkSession, tmp_path: Path) -> None:
    checkpoints = checkpoints_of(spark, tmp_path, "one")
    checkpoints.split("matches", "statistics")
    checkpoints.save(START)
    (tmp_path / "cluster" / "one" / "matches" / "offsets").mkdir(parents=True)
    checkpoints.split("matches", "statistics")
    assert checkpoints.starting_offsets() == START
    assert not (tmp_path / "cluster" / "one" / "statistics").exists()
