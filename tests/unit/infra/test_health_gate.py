"""The health gate: retries a container's health check, and reports the reason and last log lines after a timeout."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pulumi
import pytest
from docker.errors import NotFound
from pulumi.dynamic import Resource

from infra.provisioning import health_gate
from infra.provisioning.health_gate import HealthGate, NotHealthyError, wait_until_healthy
from tests.support.pulumi_program import dynamic_provider

NAME = "lolstack-unit-kafka"
PROVIDER = dynamic_provider(health_gate)
INPUTS: dict[str, Any] = {"container": NAME, "container_id": "1", "check": ["true"], "limit_seconds": 0.05}


class FakeContainer:
    """A container whose health check gives these results, the last one forever. One that crashes has another start
    whenever it is looked at."""

    def __init__(
        self, status: str = "running", results: Sequence[tuple[int, str]] = ((0, ""),), crashes: bool = False
    ) -> None:
        self.status = status
        self.results = list(results)
        self.crashes = crashes
        self.starts = 0

    @property
    def attrs(self) -> dict[str, Any]:
        self.starts += self.crashes
        return {"State": {"Status": self.status, "StartedAt": f"start {self.starts}"}}

    def check(self) -> tuple[int, str]:
        return self.results.pop(0) if len(self.results) > 1 else self.results[0]

    def logs(self, tail: int, stream: bool) -> bytes:
        return b"starting\nthe disk is full\x1b[2J\n"


@pytest.fixture
def containers(monkeypatch: pytest.MonkeyPatch) -> dict[str, FakeContainer]:
    """The engine's containers by name, with a fast poll interval."""
    found: dict[str, FakeContainer] = {}

    def get(name: str) -> FakeContainer:
        if name not in found:
            raise NotFound(name)
        return found[name]

    engine = SimpleNamespace(containers=SimpleNamespace(get=get))
    monkeypatch.setattr(health_gate, "connect", lambda: engine)
    monkeypatch.setattr(health_gate, "execute", lambda name, command: found[name].check())
    monkeypatch.setattr(health_gate, "POLL_SECONDS", 0.01)
    return found


def test_retries_until_the_health_check_succeeds(containers: dict[str, FakeContainer]) -> None:
    containers[NAME] = FakeContainer(results=[(1, "no answer"), (1, "no answer"), (0, "")])
    wait_until_healthy(NAME, ["true"], timeout_seconds=5)
    assert containers[NAME].results == [(0, "")]


@pytest.mark.parametrize(
    ("container", "reason"),
    [
        (FakeContainer(results=[(1, "no answer")]), "its health check fails: no answer"),
        (FakeContainer(results=[(7, "")]), "its health check fails: exit code 7"),
        (FakeContainer(status="exited"), "the container is exited"),
    ],
)
def test_timeout_reports_reason_and_last_log_lines(
    containers: dict[str, FakeContainer], container: FakeContainer, reason: str
) -> None:
    containers[NAME] = container
    with pytest.raises(NotHealthyError) as error:
        wait_until_healthy(NAME, ["true"], timeout_seconds=0.05)
    for part in (f"{NAME} is not healthy after 0 s", reason, "\nstarting\nthe disk is full\\x1b[2J\n"):
        assert part in str(error.value)


def test_slow_start_has_four_times_the_timeout(containers: dict[str, FakeContainer]) -> None:
    containers[NAME] = FakeContainer(results=[(1, "no answer")] * 100 + [(0, "")])  # 1 s of polls at least
    wait_until_healthy(NAME, ["true"], timeout_seconds=0.9)


@pytest.mark.parametrize("container", [FakeContainer(status="exited"), FakeContainer(results=[(1, "")], crashes=True)])
def test_stopped_or_restarted_container_has_its_timeout_only(
    containers: dict[str, FakeContainer], container: FakeContainer
) -> None:
    containers[NAME] = container
    with pytest.raises(NotHealthyError, match=r"is not healthy after [123] s"):
        wait_until_healthy(NAME, ["true"], timeout_seconds=1)


@pytest.mark.usefixtures("containers")
def test_missing_container_is_reported() -> None:
    with pytest.raises(NotHealthyError, match="the container is missing"):
        wait_until_healthy(NAME, ["true"], timeout_seconds=0.05)


def run_checks(*check: str) -> subprocess.CompletedProcess[str]:
    """Run what the gate executes in the container, without its pauses."""
    script = health_gate.CHECK_REPEATEDLY.replace(f"sleep {health_gate.POLL_SECONDS}", "true")
    return subprocess.run(["sh", "-c", script, "sh", *check], capture_output=True, text=True, check=False)


def test_one_execution_repeats_the_check_until_it_succeeds(tmp_path: Path) -> None:
    run = run_checks("sh", "-c", f"echo no answer >>{tmp_path}/log; [ $(wc -l <{tmp_path}/log) -eq 3 ]")
    assert (run.returncode, run.stdout) == (0, "")


def test_one_execution_reports_the_last_check_that_failed(tmp_path: Path) -> None:
    run = run_checks("sh", "-c", f"echo >>{tmp_path}/log; echo failed $(wc -l <{tmp_path}/log) >&2; exit 7")
    assert (run.returncode, run.stdout) == (7, f"failed {health_gate.CHECKS}\n")


class TestResource:
    """The dynamic provider's operations."""

    def test_create_waits_until_healthy(self, containers: dict[str, FakeContainer]) -> None:
        containers[NAME] = FakeContainer(results=[(1, "no answer")])
        with pytest.raises(NotHealthyError):
            PROVIDER.create(INPUTS)
        containers[NAME] = FakeContainer()
        assert PROVIDER.create(INPUTS).id == "1"

    def test_stopped_container_is_drift(self, containers: dict[str, FakeContainer]) -> None:
        containers[NAME] = FakeContainer()
        assert PROVIDER.read("1", INPUTS).id == "1"
        containers[NAME].status = "exited"
        assert PROVIDER.read("1", INPUTS).id is None

    def test_replaced_container_has_a_new_gate_and_changed_check_does_not(self) -> None:
        assert PROVIDER.diff("1", INPUTS, INPUTS | {"container_id": "2"}).replaces == ["container_id"]
        changed_check = PROVIDER.diff("1", INPUTS, INPUTS | {"check": ["false"]})
        assert (changed_check.changes, changed_check.replaces) == (True, [])
        assert not PROVIDER.diff("1", INPUTS, INPUTS).changes

    def test_inputs_have_the_keys_of_existing_states(self) -> None:
        """A renamed input would be a change of each gate at the first `pulumi up` after an upgrade."""
        inputs: list[dict[str, Any]] = []
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Resource, "__init__", lambda _self, _provider, _name, props, _opts: inputs.append(props))
            HealthGate("gate", NAME, "1", ["true"], timeout_seconds=60, opts=pulumi.ResourceOptions())
        assert not PROVIDER.diff("1", INPUTS | {"limit_seconds": 60}, inputs[0]).changes
