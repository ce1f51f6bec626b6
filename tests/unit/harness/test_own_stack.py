"""Stacks that tests and benchmarks deploy for themselves, and running ones that they use."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from docker.errors import NotFound

from harness import stack as harness
from harness.stack import Stack, lock_stack, selected_stack, selection_kept
from infra.names import ROOT, STACK_LABEL
from tests.support.own_container import own_container
from tools import pulumi_state
from tools.pulumi_state import run_pulumi
from tools.repair import RepairError
from tools.stack_outputs import NotDeployedError


@pytest.fixture(autouse=True)
def cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))


def test_second_run_beside_the_first_is_refused_before_it_changes_the_stack(monkeypatch: pytest.MonkeyPatch) -> None:
    """It would destroy the first run's stack."""
    monkeypatch.setattr(harness, "connect", lambda: pytest.fail("goes on"))
    program = "from harness.stack import lock_stack; lock = lock_stack('unit'); print('has it', flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-c", program], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as first:
        assert first.stdout is not None
        assert first.stdout.readline() == "has it\n"
        with pytest.raises(RepairError, match=r"^another run of tests or benchmarks uses the stack unit: wait"):
            Stack("unit", {})
        os.close(lock_stack("other"))
        first.kill()
    os.close(lock_stack("unit"))


def test_stack_that_is_not_deployed_is_not_created(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`make verify` with a misspelt name."""
    (tmp_path / "pulumi").write_text(f"#!/bin/sh\necho $@ >>{tmp_path}/calls\necho '{{}}'\n")
    (tmp_path / "pulumi").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/none")
    with pytest.raises(NotDeployedError, match=r"^the stack typo is not deployed: "):
        Stack.deployed("typo")
    assert (tmp_path / "calls").read_text() == "stack output --json --show-secrets --stack typo\n"


@pytest.mark.skipif(shutil.which("pulumi") is None, reason="needs Pulumi")
def test_a_persons_selected_stack_stays_selected(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`pulumi config set` and `pulumi destroy` beside the tests would otherwise act on the tests' stack."""
    (tmp_path / "Pulumi.yaml").write_text("name: lolstack\nruntime: python\n")
    for module in (harness, pulumi_state):
        monkeypatch.setattr(module, "ROOT", tmp_path)
    monkeypatch.delenv("PULUMI_CONFIG_PASSPHRASE_FILE", raising=False)
    monkeypatch.setenv("PULUMI_STACK", "another")  # selects for a process only
    monkeypatch.setenv("PULUMI_CONFIG_PASSPHRASE", "secret")
    monkeypatch.setenv("PULUMI_BACKEND_URL", f"file://{tmp_path}")
    monkeypatch.setenv("PULUMI_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(harness, "connect", lambda: None)
    monkeypatch.setattr(Stack, "destroy", lambda _: None)

    with selection_kept():
        run_pulumi("stack", "init", "dev")
    assert selected_stack() is None
    run_pulumi("stack", "select", "dev")
    stack = Stack("unit")
    assert selected_stack() == "dev"
    stack.remove()
    assert selected_stack() == "dev"
    with selection_kept():
        run_pulumi("stack", "rm", "--yes", "dev")
    assert selected_stack() is None


def test_make_runs_in_a_checkout_whose_path_has_a_space(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    checkout = tmp_path / "my checkout"
    checkout.mkdir()
    (checkout / "Makefile").write_text("status:\n\t@echo status of $(STACK)\n")
    monkeypatch.setattr(harness, "ROOT", checkout)
    stack = Stack.__new__(Stack)
    stack.name = "unit"
    run = stack.make("status")
    assert (run.rc, run.stdout) == (0, "status of unit\n"), run.stderr


class FakeContainers:
    """The engine's containers by name: their labels."""

    def __init__(self) -> None:
        self.labels: dict[str, dict[str, str]] = {}

    def create(self, image: str, command: list[str], name: str, labels: dict[str, str]) -> SimpleNamespace:
        assert name not in self.labels, f"the name {name} is already in use"
        self.labels[name] = labels
        return self.get(name)

    def get(self, name: str) -> SimpleNamespace:
        if name not in self.labels:
            raise NotFound(name)
        return SimpleNamespace(name=name, remove=lambda force, v: self.labels.pop(name))

    def list(self, all: bool, filters: dict[str, str], ignore_removed: bool) -> list[SimpleNamespace]:
        return [
            self.get(name) for name, labels in self.labels.items() if filters["label"] in map("=".join, labels.items())
        ]


@pytest.fixture
def containers() -> FakeContainers:
    return FakeContainers()


@pytest.fixture
def own_stack(containers: FakeContainers, monkeypatch: pytest.MonkeyPatch) -> Stack:
    """A stack without a state, on a fake engine."""
    monkeypatch.setattr(harness, "read_state", lambda _: {})
    monkeypatch.setattr(harness, "foreign_deployment", lambda *_: None)
    monkeypatch.setattr(harness, "repair", lambda *_, **__: iter(()))
    monkeypatch.setattr(Stack, "destroy", lambda _: None)
    stack = Stack.__new__(Stack)
    stack.name = "unit"
    engine: Any = SimpleNamespace(containers=containers)
    stack.engine = engine
    return stack


def test_tests_container_of_a_killed_run_is_replaced(own_stack: Stack, containers: FakeContainers) -> None:
    containers.labels["lolstack-unit-webhook"] = {}
    with own_container(own_stack, "webhook", "an image", ["true"]) as container:
        assert container.name == "lolstack-unit-webhook"
        assert containers.labels == {"lolstack-unit-webhook": {STACK_LABEL: "unit"}}
    assert containers.labels == {}


def test_clean_up_removes_the_tests_containers_of_a_killed_run(own_stack: Stack, containers: FakeContainers) -> None:
    containers.labels = {name: {STACK_LABEL: name} for name in ("unit", "other")}
    own_stack.clean_up()
    assert list(containers.labels) == ["other"]


def test_waits_hold_without_assertions() -> None:
    """With `python -O -m bench`, a benchmark would measure a stack that is not healthy."""
    program = """
from types import SimpleNamespace
from harness.stack import Stack
stack = Stack.__new__(Stack)
stack.make = lambda *_: SimpleNamespace(rc=1, stdout="elasticsearch is red")
stack.wait_until_healthy(0.1)
"""
    done = subprocess.run([sys.executable, "-O", "-c", program], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.stderr.endswith("AssertionError: timeout after 0 s: elasticsearch is red\n")


@pytest.mark.parametrize(("since_start", "since"), [(False, None), (True, 1796070888.344123)])
def test_log_is_complete_or_begins_at_the_last_start(since_start: bool, since: float | None) -> None:
    class Logging(Stack):
        def container(self, service: str) -> Any:
            started = {"State": {"StartedAt": "2026-11-30T20:34:48.344123456Z"}}
            return SimpleNamespace(attrs=started, logs=lambda since: f"{service} since {since}".encode())

    assert Logging.__new__(Logging).log("spark-job", since_start) == f"spark-job since {since}"


def test_settings_of_the_job_are_those_of_the_stack() -> None:
    class Configured(Stack):
        def setting(self, key: str) -> str:
            return {"job": '{"archive": {"keyspace": "other"}}'}[key]

    job = Configured.__new__(Configured).job_settings()
    assert (job.archive.keyspace, job.app_name) == ("other", "LoL_Match_Streaming")
