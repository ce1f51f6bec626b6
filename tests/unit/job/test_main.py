"""The entry point: the end of the job, and failures reported in one line."""

import threading
from queue import SimpleQueue
from types import SimpleNamespace
from typing import Any

import pytest

from job.__main__ import wait_for_end
from job.errors import root_cause


@pytest.mark.parametrize(
    ("reasons", "active", "expected"),
    [
        ([], True, None),
        (["it failed"], True, "it failed"),
        ([""], True, ""),
        ([], False, None),
    ],
)
def test_wait_ends_with_the_first_reason_or_the_first_batch(
    reasons: list[str], active: bool, expected: str | None
) -> None:
    end_reasons: SimpleQueue[str] = SimpleQueue()
    for reason in reasons:
        end_reasons.put(reason)
    first_batch = threading.Event()
    first_batch.set()
    queries: Any = [SimpleNamespace(isActive=active)]
    assert wait_for_end(end_reasons, queries, first_batch) == expected


def test_wait_ends_when_one_of_the_queries_has_ended() -> None:
    queries: Any = [SimpleNamespace(isActive=active) for active in (True, False)]
    assert wait_for_end(SimpleQueue(), queries, threading.Event()) == "a query ended without an error message"


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
