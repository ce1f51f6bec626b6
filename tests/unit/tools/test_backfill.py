"""`make backfill` runs in a container beside the job. The Docker engine is a fake."""

from __future__ import annotations

import io
import signal
import sys
import tarfile
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, TextIO
from unittest.mock import MagicMock

import pytest
from docker.errors import APIError, NotFound

from infra.clients.task_container import TaskContainerError
from infra.names import JOB_SETTINGS, SERVICE_LABEL, STACK_LABEL
from tests.support.tar_archive import tar
from tools import backfill

SETTINGS = b"max_offsets_per_trigger: 7\n"


class FakeEngine:
    """A Docker engine with these containers, by name."""

    def __init__(self, **containers: Any) -> None:
        self._containers = {name.replace("_", "-"): container for name, container in containers.items()}
        self.containers = MagicMock()
        self.containers.get.side_effect = self._get

    def _get(self, name: str) -> Any:
        try:
            return self._containers[name.removeprefix("lolstack-sample-")]
        except KeyError:
            raise NotFound(name) from None


def job() -> Any:
    container = MagicMock(attrs={"Image": "sha256:job", "Config": {"User": "10001:10001"}})
    container.get_archive.return_value = ([tar("job.yaml", SETTINGS)], {})
    return container


@pytest.fixture(autouse=True)
def restore_signal_handlers() -> Iterator[None]:
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = [signal.getsignal(number) for number in numbers]
    yield
    for number, handler in zip(numbers, before, strict=True):
        signal.signal(number, handler)


def run(monkeypatch: pytest.MonkeyPatch, engine: FakeEngine, *arguments: str) -> int:
    monkeypatch.setattr(backfill, "connect", lambda: engine)
    monkeypatch.setattr(sys, "argv", ["backfill", "--stack", "sample", *arguments])
    return backfill.main()


def test_backfill_container_has_the_jobs_image_user_and_settings() -> None:
    engine: Any = FakeEngine(spark_job=job())
    container = backfill.create(engine, "sample", ["--from", "2026-11-24"])
    (image, command), options = engine.containers.create.call_args
    assert (image, options["user"], options["network"]) == ("sha256:job", "10001:10001", "lolstack-sample")
    assert command[1:] == ["-m", "job.backfill", "--config", JOB_SETTINGS, "--from", "2026-11-24"]
    assert options["ulimits"] == [{"Name": "nproc", "Soft": 16384, "Hard": 16384}], "as the services"
    assert (options["dns_opt"], options["dns_search"]) == (["ndots:1"], ["."]), "as the services"
    assert options["labels"] == {STACK_LABEL: "sample", SERVICE_LABEL: "backfill", "traefik.enable": "false"}
    log_config = {"Type": "json-file", "Config": {"max-size": "10m", "max-file": "3"}}
    assert options["log_config"] == log_config, "as the services: the engine's default may keep nothing to read"
    assert options["hostname"] == "backfill", "Linux allows 64 characters, and a stack's name can have 100"
    folder, archive = container.put_archive.call_args.args  # type: ignore[attr-defined]
    with tarfile.open(fileobj=io.BytesIO(archive)) as files:
        (entry,) = files.getmembers()
        content = files.extractfile(entry)
        assert content is not None
        assert (folder + entry.name, content.read()) == (JOB_SETTINGS, SETTINGS)


def test_backfill_returns_the_exit_code_prints_the_log_and_removes_the_container(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    engine = FakeEngine(spark_job=job())
    container = engine.containers.create.return_value
    container.logs.return_value = [b"one\n", b"two\x1b[2J\n"]
    container.wait.return_value = {"StatusCode": 3}
    assert run(monkeypatch, engine, "--from", "2026-11-24") == 3
    assert capsys.readouterr().out == "one\ntwo\ufffd[2J\n"
    container.remove.assert_called_once_with(force=True)


def test_reader_that_ends_early_does_not_end_the_backfill(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], closed_pipe: TextIO
) -> None:
    """`make backfill | head -3`."""
    monkeypatch.setattr(sys, "stdout", closed_pipe)
    engine = FakeEngine(spark_job=job())
    container = engine.containers.create.return_value
    container.logs.return_value = [b"one\n", b"two\n"]
    container.wait.return_value = {"StatusCode": 3}
    assert run(monkeypatch, engine, "--from", "2026-11-24") == 3
    assert capsys.readouterr().err.endswith(": no more output: [Errno 32] Broken pipe\n")


def test_sigterm_is_forwarded_for_a_graceful_shutdown(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = FakeEngine(spark_job=job())
    container = engine.containers.create.return_value
    container.wait.return_value = {"StatusCode": 0}

    def interrupted_log(**_: object) -> Iterator[bytes]:
        signal.raise_signal(signal.SIGTERM)
        yield b"stopping\n"

    container.logs.side_effect = interrupted_log
    assert run(monkeypatch, engine) == 0
    container.kill.assert_called_once_with("SIGTERM")


def test_signal_before_the_container_runs_is_forwarded_once_it_does(monkeypatch: pytest.MonkeyPatch) -> None:
    """Docker refuses to kill a container that does not run yet."""
    engine = FakeEngine(spark_job=job())
    container = engine.containers.create.return_value
    container.wait.return_value = {"StatusCode": 143}
    running: list[bool] = []
    killed: list[str] = []

    def start() -> None:
        signal.raise_signal(signal.SIGINT)
        running.append(True)

    def kill(name: str) -> None:
        if not running:
            raise APIError("409 Client Error: container is not running")
        killed.append(name)

    container.start.side_effect, container.kill.side_effect = start, kill
    assert run(monkeypatch, engine) == 143
    assert killed == ["SIGTERM"]


def test_backfill_without_a_job_names_the_command_that_deploys_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, FakeEngine()) == 1
    assert capsys.readouterr().err == "the stack sample is not deployed: `make up STACK=sample`\n"


def container(status: str, age_seconds: float = 0.0) -> Any:
    """A container with this status. Docker writes times with nine digits of a second."""
    created = datetime.now(UTC) - timedelta(seconds=age_seconds)
    return MagicMock(status=status, attrs={"Created": f"{created:%Y-%m-%dT%H:%M:%S.%f}123Z"})


@pytest.mark.parametrize("status", ["created", "running", "paused", "restarting", "removing"])
def test_second_backfill_is_refused_while_one_is_running_or_starting(status: str) -> None:
    engine: Any = FakeEngine(spark_job=job(), backfill=container(status))
    with pytest.raises(
        TaskContainerError, match=r"^a backfill of sample is already running or starting: `docker logs -f"
    ):
        backfill.create(engine, "sample", [])


@pytest.mark.parametrize(("status", "age_seconds"), [("exited", 0), ("dead", 0), ("created", 120)])
def test_container_of_a_backfill_that_has_ended_or_never_started_is_replaced(status: str, age_seconds: int) -> None:
    ended = container(status, age_seconds)
    engine: Any = FakeEngine(spark_job=job(), backfill=ended)
    backfill.create(engine, "sample", [])
    ended.remove.assert_called_once_with()
