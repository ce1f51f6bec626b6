"""The entry point's own decisions: where to start, and what to say about a failure."""

from typing import Any

import pytest

from job.__main__ import place_to_start
from job.checkpoints import Start
from job.errors import one_line
from job.topic import Incarnation

HERE = Incarnation("lol_matches", "cluster", "topic-2", (0, 1))


class Kafka:
    """Stands in for the topic: begins at 5, ends at 9."""

    def offsets(self, incarnation: Incarnation, position: str) -> dict[int, int]:
        return dict.fromkeys(incarnation.partitions, 5 if position == "earliest" else 9)


class Checkpoints:
    """Stands in for the checkpoint location."""

    def __init__(self, saved: Start | None = None, other: bool = False) -> None:
        self.saved = saved
        self.other = other

    def start(self) -> Start | None:
        return self.saved

    def has_other_incarnation(self) -> bool:
        return self.other

    def save(self, start: Start) -> None:
        self.saved = start


def place(position: str, checkpoints: Any) -> Start:
    kafka: Any = Kafka()
    return place_to_start(position, kafka, HERE, checkpoints)


@pytest.mark.parametrize(("position", "offset"), [("latest", 9), ("earliest", 5)])
def test_a_new_deployment_starts_where_it_is_told(position: str, offset: int) -> None:
    checkpoints = Checkpoints()
    start = place(position, checkpoints)
    assert start == Start("lol_matches", position, {0: offset, 1: offset})
    assert checkpoints.saved == start


def test_a_topic_that_was_made_anew_is_read_from_its_beginning() -> None:
    assert place("latest", Checkpoints(other=True)).offsets == {0: 5, 1: 5}


def test_where_it_once_began_is_kept() -> None:
    saved = Start("lol_matches", "latest", {0: 7, 1: 7})
    assert place("earliest", Checkpoints(saved, other=True)) == saved


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
        ("[PATH_NOT_FOUND] There is no such path\nmore", "[PATH_NOT_FOUND] There is no such path"),
        ("", "no reason given"),
    ],
)
def test_a_failure_in_one_line(text: str, line: str) -> None:
    assert one_line(text) == line
