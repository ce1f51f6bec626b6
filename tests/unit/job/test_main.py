"""The entry point's own decisions: where to start, and what to say about a failure."""

from datetime import UTC, datetime
from typing import Any

import pytest

from job.__main__ import resolve_starting_offsets
from job.driver.checkpoints import StartingOffsets
from job.errors import JobError, root_cause
from job.settings import Position
from job.topic import Incarnation

HERE = Incarnation("lol_matches", "cluster", "topic-2", (0, 1))
SAVED = StartingOffsets("lol_matches", "latest", {0: 7, 1: 7})


class Kafka:
    """Stands in for the topic: begins at 5, has 7 at any time, ends at 9."""

    def offsets(self, incarnation: Incarnation, position: Position) -> dict[int, int]:
        known: dict[Position, int] = {"earliest": 5, "latest": 9}
        return dict.fromkeys(incarnation.partitions, known.get(position, 7))


class Checkpoints:
    """Stands in for the checkpoint location (the real one: test_checkpoints)."""

    folder = "/checkpoints/cluster/topic-2"

    def __init__(
        self,
        saved: StartingOffsets | None = None,
        other: bool = False,
        writable: bool = True,
        reached: dict[int, int] | None = None,
    ) -> None:
        self.saved = saved
        self.done = reached or {}
        self.other = other
        self.writable = writable

    def check_writable(self) -> None:
        if not self.writable:
            raise JobError("not writable")

    def starting_offsets(self) -> StartingOffsets | None:
        return self.saved

    def committed_offsets(self, query: str) -> dict[int, int]:
        assert query == "matches"
        return self.done

    def has_other_incarnation(self) -> bool:
        return self.other

    def save(self, start: StartingOffsets) -> None:
        self.saved = start

    def remove_replaced(self) -> None:
        assert self.saved, "the new place is kept before the old ones are removed"
        self.other = False


def place(position: Position, checkpoints: Any) -> StartingOffsets:
    kafka: Any = Kafka()
    return resolve_starting_offsets(position, kafka, HERE, checkpoints)


@pytest.mark.parametrize(
    ("position", "offset"), [("latest", 9), ("earliest", 5), (datetime(2026, 11, 24, 6, tzinfo=UTC), 7)]
)
def test_a_new_deployment_starts_where_it_is_told(position: Position, offset: int) -> None:
    checkpoints = Checkpoints()
    start = place(position, checkpoints)
    assert start == StartingOffsets("lol_matches", str(position), {0: offset, 1: offset})
    assert checkpoints.saved == start


def test_a_topic_that_was_made_anew_is_read_from_its_beginning_and_the_old_checkpoints_go() -> None:
    checkpoints = Checkpoints(other=True)
    assert place("latest", checkpoints).offsets == {0: 5, 1: 5}
    assert not checkpoints.other


def test_where_it_once_began_is_kept_and_old_checkpoints_go() -> None:
    checkpoints = Checkpoints(SAVED, other=True)
    assert place("earliest", checkpoints) == SAVED
    assert not checkpoints.other


def test_a_partition_that_was_added_before_the_first_batch_is_read_from_its_beginning() -> None:
    checkpoints = Checkpoints(StartingOffsets("lol_matches", "latest", {0: 7}))
    assert place("latest", checkpoints).offsets == {0: 7, 1: -2}
    assert checkpoints.saved == StartingOffsets("lol_matches", "latest", {0: 7})


@pytest.mark.parametrize(("began", "reached"), [({0: 2, 1: 7}, {}), ({0: 0, 1: 0}, {0: 2, 1: 5})])
def test_messages_that_kafka_has_deleted_unread_are_said_with_what_to_do(
    began: dict[int, int], reached: dict[int, int]
) -> None:
    with pytest.raises(
        JobError, match=r"messages: 2-4 of partition 0 before they were read, .* folder /checkpoints/cluster"
    ):
        place("latest", Checkpoints(StartingOffsets("lol_matches", "latest", began), reached=reached))


def test_messages_that_were_read_and_are_gone_are_said() -> None:
    """As after a crash of Kafka's machine. Spark would end with `offset was changed`, again and again."""
    with pytest.raises(
        JobError, match=r"messages: 9-11 of partition 1, which were read .* folder /checkpoints/cluster"
    ):
        place("latest", Checkpoints(StartingOffsets("lol_matches", "latest", {0: 5, 1: 5}), reached={0: 9, 1: 12}))


def test_messages_that_kafka_has_deleted_after_they_were_read_are_no_loss() -> None:
    begun = StartingOffsets("lol_matches", "earliest", {0: 0, 1: 0})
    assert place("latest", Checkpoints(begun, reached={0: 5, 1: 9})) == begun


@pytest.mark.parametrize("saved", [None, SAVED])
def test_a_checkpoint_that_cannot_be_written_is_said_before_anything_is_read(saved: StartingOffsets | None) -> None:
    with pytest.raises(JobError, match="not writable"):
        place("latest", Checkpoints(saved, writable=False))


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (
            "org.apache.spark.SparkException: Job aborted: Traceback (most recent call last):\n"
            '  File "/opt/job/job/bulk.py", line 9, in index\n    raise it\n'
            "job.errors.JobError: Elasticsearch refuses a whole bulk request\n\n\tat org.apache.spark.api(X.scala:9)\n",
            "job.errors.JobError: Elasticsearch refuses a whole bulk request",
        ),
        (
            "java.lang.IllegalStateException: one\n\tat a.b(C.java:1)\nCaused by: a.b.TimeoutException: last\n\tat d\n",
            "a.b.TimeoutException: last",
        ),
        (
            "An error occurred while calling None.org.apache.spark.sql.classic.SparkSession.\n"
            ": java.lang.IllegalStateException: Spark context stopped\n\tat a.b(C.java:1)\n",
            "java.lang.IllegalStateException: Spark context stopped",
        ),
        ("[PATH_NOT_FOUND] There is no such path\nmore", "[PATH_NOT_FOUND] There is no such path"),
        ("", "no reason given"),
    ],
)
def test_root_cause_of_a_failure_is_one_line(text: str, line: str) -> None:
    assert root_cause(text) == line
