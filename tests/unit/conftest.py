"""Fixtures for all unit tests."""

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

import pytest
from confluent_kafka import Producer


@pytest.fixture
def mock_kafka() -> Iterator[str]:
    """Address of librdkafka's mock broker, a Kafka broker in this process, with the topics lol_matches and its DLQ.

    Unit tests need no server. tests/stack runs the same tools against a real broker.
    """
    cluster = Producer({"test.mock.num.brokers": 1, "log_level": 0})
    (broker,) = cluster.list_topics(timeout=10).brokers.values()
    for topic in ("lol_matches", "lol_matches_dlq"):
        cluster.list_topics(topic, timeout=10)  # creates the topic
    yield f"{broker.host}:{broker.port}"
    del cluster


class Clock:
    """A monotonic clock that a sleep moves on, without taking any time."""

    now = 100.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The clock in place of `time.monotonic` and `time.sleep`."""
    found = Clock()
    monkeypatch.setattr(time, "monotonic", found)
    monkeypatch.setattr(time, "sleep", found.sleep)
    return found


@pytest.fixture
def published_ports(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every port is published by a running container, so that logins are sent to servers of the tests."""
    monkeypatch.setattr("infra.provisioning.published_port.is_published", lambda *_: True)
    monkeypatch.setattr("infra.clients.elasticsearch.is_published", lambda *_: True)
    monkeypatch.setattr("tools.stack_outputs.is_published", lambda *_: True)


@pytest.fixture
def running_pulumi(tmp_path: Path) -> Iterator[int]:
    """The id of a running process with Pulumi's name."""
    (tmp_path / "running").mkdir()
    program = shutil.copy(str(shutil.which("cat")), tmp_path / "running" / "pulumi")
    with subprocess.Popen([program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write("answer\n")
        process.stdout.readline()  # from then on it has the name
        yield process.pid


@pytest.fixture
def closed_pipe() -> Iterator[TextIO]:
    """An output whose reader has ended."""
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w") as pipe:
        yield pipe
