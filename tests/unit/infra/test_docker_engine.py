"""The Docker engine's client."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import MagicMock

import docker
import pytest
from docker.errors import APIError
from requests.exceptions import ReadTimeout

from infra.clients import docker_engine
from infra.clients.docker_engine import (
    TOO_MUCH_OUTPUT,
    DockerUnavailableError,
    connect,
    engine_process_limit,
    execute,
    kill_containers,
)


@pytest.mark.parametrize(
    ("url", "accepted"),
    [
        ("unix:///var/run/docker.sock", True),
        ("tcp://localhost:2375", True),
        ("tcp://docker:2375", False),
        ("ssh://me@example.com", False),
    ],
)
def test_remote_docker_engine_is_refused_before_a_connection(
    monkeypatch: pytest.MonkeyPatch, url: str, accepted: bool
) -> None:
    monkeypatch.setenv("DOCKER_HOST", url)
    client = MagicMock()
    monkeypatch.setattr(docker, "from_env", lambda timeout: client)
    if accepted:
        assert connect() is client
        return
    problem = f"^the Docker engine at {url} is on another machine: run this there, or unset DOCKER_HOST$"
    with pytest.raises(DockerUnavailableError, match=problem):
        connect()


def test_docker_context_is_refused_before_a_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    """`pulumi up` in a shell that has sourced tools/env.sh before it was set: containers would be on another engine."""
    monkeypatch.setenv("DOCKER_HOST", "unix:///var/run/docker.sock")
    monkeypatch.setenv("DOCKER_CONTEXT", "other")
    with pytest.raises(DockerUnavailableError, match=r"^DOCKER_CONTEXT is set, "):
        connect()


@pytest.mark.parametrize("host", [None, "unix:///run/user/1000/docker.sock", "tcp://localhost:2376"])
@pytest.mark.parametrize("name", ["DOCKER_TLS", "DOCKER_TLS_VERIFY", "DOCKER_CERT_PATH"])
def test_tls_settings_are_refused_for_a_local_socket(
    monkeypatch: pytest.MonkeyPatch, host: str | None, name: str
) -> None:
    """`pulumi up` in a shell that has not sourced tools/env.sh since `minikube docker-env`."""
    client = MagicMock()
    monkeypatch.setattr(docker, "from_env", lambda timeout: client)
    monkeypatch.delenv("DOCKER_HOST", raising=False)
    if host:
        monkeypatch.setenv("DOCKER_HOST", host)
    monkeypatch.setenv(name, "1")
    if host == "tcp://localhost:2376":
        assert connect() is client
        return
    with pytest.raises(DockerUnavailableError, match=rf"^{name}: .* unset {name}$"):
        connect()


LISTENER = """
import resource, socket, sys
resource.setrlimit(resource.RLIMIT_NPROC, (500, 1000))
with socket.socket(socket.AF_UNIX) as server:
    server.bind(sys.argv[1])
    server.listen()
    print("listening", flush=True)
    sys.stdin.read()
"""


def test_process_limit_is_the_hard_limit_of_the_process_behind_the_socket(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/docker.sock")
    command = [sys.executable, "-c", LISTENER, f"{tmp_path}/docker.sock"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as engine:
        assert engine.stdout is not None
        assert engine.stdout.readline() == b"listening\n"
        assert engine_process_limit() == 1000
        engine.communicate()


@pytest.mark.parametrize("url", ["tcp://localhost:2375", "unix:///nowhere/docker.sock"])
def test_process_limit_of_an_engine_without_a_local_socket_is_unknown(
    monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    monkeypatch.setenv("DOCKER_HOST", url)
    assert engine_process_limit() is None


@pytest.mark.parametrize(("exit_code", "output"), [(0, "ok"), (7, "ok\nWARNING: no config.json\ncurl: (7) refused")])
def test_warnings_of_dockers_client_are_no_output_of_a_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, exit_code: int, output: str
) -> None:
    """For example about another user's ~/.docker/config.json. After a failure, standard error is part of the output."""
    (tmp_path / "docker").write_text(
        f"#!/bin/sh\necho ok; echo 'WARNING: no config.json' >&2; echo 'curl: (7) refused' >&2; exit {exit_code}\n"
    )
    (tmp_path / "docker").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    assert execute("container", ["curl"]) == (exit_code, output)


@pytest.mark.parametrize("redirection", ["", ">&2"], ids=["standard output", "standard error"])
def test_command_that_writes_without_end_is_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, redirection: str
) -> None:
    """As a compromised container can, in place of metrics: `make status` must not keep all of it in memory."""
    (tmp_path / "docker").write_text(f"#!/bin/sh\nexec yes {redirection}\n")
    (tmp_path / "docker").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    assert execute("container", ["curl"]) == (TOO_MUCH_OUTPUT, "more than 16 MiB of output")


def test_command_without_an_answer_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "docker").write_text("#!/bin/sh\nexec sleep 600\n")
    (tmp_path / "docker").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    monkeypatch.setattr(docker_engine, "EXECUTE_SECONDS", 0.1)
    assert execute("container", ["curl"]) == (124, "no answer in 0.1 s")


def test_every_container_is_killed_also_beside_one_that_does_not_run_and_a_slow_one() -> None:
    killed = []

    class Container:
        def __init__(self, name: str, failure: Exception | None = None) -> None:
            self.name, self.failure = name, failure

        def kill(self) -> None:
            if self.failure:
                raise self.failure
            killed.append(self.name)

    failures = (APIError("zookeeper is not running"), ReadTimeout("Read timed out."))
    containers = [Container("kafka"), *(Container("other", failure) for failure in failures), Container("spark-job")]
    client: Any = SimpleNamespace(containers=SimpleNamespace(list=lambda all, filters, ignore_removed: containers))
    kill_containers(client, "unit")
    assert sorted(killed) == ["kafka", "spark-job"]
