"""What the machine lacks is named before anything is made."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from infra import preflight
from infra.clients.docker_engine import DockerUnavailableError, connect
from tests.support.pulumi_program import settings


@pytest.fixture
def taken_port() -> Iterator[int]:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        yield taken.getsockname()[1]


def test_a_taken_port_is_named_with_its_setting(taken_port: int) -> None:
    (complaint,) = preflight._ports({"kafkaPort": taken_port}, own=set())
    assert f"lolstack:kafkaPort: port {taken_port}" in complaint


def test_a_port_held_by_the_stack_itself_is_fine(taken_port: int) -> None:
    assert preflight._ports({"kafkaPort": taken_port}, own={taken_port}) == []


@pytest.mark.parametrize(("version", "accepted"), [("19.03.5", False), ("20.10.24+dfsg1", True), ("28.2.2", True)])
def test_docker_must_be_new_enough(version: str, accepted: bool) -> None:
    assert (preflight._version(version) == []) is accepted


def test_more_memory_than_the_machine_has_is_refused() -> None:
    complaints = preflight._memory(settings(kafkaMemory=4096), total_bytes=3 * 2**30 + 2**29)
    assert [complaint for complaint in complaints if "lolstack:kafkaMemory" in complaint]


def test_a_full_disk_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(preflight, "DISK_FREE_GIB", 10**9)
    assert "GiB free" in preflight._disk(tmp_path)[0]


@pytest.mark.parametrize(
    ("engine", "accepted"),
    [
        ("unix:///var/run/docker.sock", True),
        ("tcp://localhost:2375", True),
        ("tcp://docker:2375", False),
        ("ssh://me@example.com", False),
    ],
)
def test_the_engine_has_to_be_on_this_machine(engine: str, accepted: bool) -> None:
    assert (preflight._elsewhere(engine) == []) is accepted


def test_an_engine_that_does_not_answer_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", "unix:///nowhere/docker.sock")
    with pytest.raises(DockerUnavailableError, match="unix:///nowhere"):
        connect()
