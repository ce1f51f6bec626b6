"""Repair of a stack's state, with a script in place of Pulumi. On a real stack: tests/stack/test_lifecycle.py."""

from __future__ import annotations

import base64
import json
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import dill
import pytest

from infra.provisioning.topic import Topic
from tools import repair
from tools.repair import dead_locks


def write_lock(folder: Path, pid: int, host: str = socket.gethostname()) -> None:
    """A lock file in Pulumi's format."""
    (folder / f"{pid}-{host}.json").write_text(json.dumps({"pid": pid, "username": "me", "hostname": host}))


def finished_process() -> int:
    """The id of a process that has ended."""
    process = subprocess.Popen(["true"])
    process.wait()
    return process.pid


def test_lock_of_finished_process_is_stale(tmp_path: Path) -> None:
    pid = finished_process()
    write_lock(tmp_path, pid)
    assert dead_locks(tmp_path) == [pid]


def test_lock_of_running_pulumi_is_kept_with_all_others(tmp_path: Path) -> None:
    program = shutil.copy(str(shutil.which("sleep")), tmp_path / "pulumi")
    with subprocess.Popen([program, "60"]) as pulumi:
        write_lock(tmp_path, pulumi.pid)
        write_lock(tmp_path, finished_process())
        found = dead_locks(tmp_path)
        pulumi.kill()
    assert found == []


def test_lock_whose_process_id_was_reused_by_another_program_is_stale(tmp_path: Path) -> None:
    write_lock(tmp_path, os.getpid())
    assert dead_locks(tmp_path) == [os.getpid()]


def test_lock_of_another_machine_is_kept(tmp_path: Path) -> None:
    write_lock(tmp_path, finished_process(), "elsewhere")
    assert dead_locks(tmp_path) == []


def test_no_lock_file_and_no_lock_folder(tmp_path: Path) -> None:
    assert dead_locks(tmp_path) == dead_locks(tmp_path / "none") == dead_locks(None) == []


ALL = ["container", "network", "volume"]


class Client:
    """A Docker engine with one container, one network and one volume, of the stack `old`."""

    def __init__(self) -> None:
        self.existing = list(ALL)
        self.containers, self.networks, self.volumes = (Kind(self, name) for name in list(self.existing))


class Kind:
    """The engine's resources of one kind."""

    def __init__(self, client: Client, name: str) -> None:
        self._client = client
        self.name = name

    def list(self, filters: dict[str, str], **_: Any) -> list[Kind]:
        assert filters == {"label": "lolstack.stack=old"}
        return [self] if self.name in self._client.existing else []

    def remove(self) -> None:
        self._client.existing.remove(self.name)


@pytest.fixture
def calls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A `pulumi` on PATH that appends its arguments to this file and exports `state.json`."""
    (tmp_path / "pulumi").write_text(
        f"""#!/bin/sh
echo "$@" >> {tmp_path}/calls
case "$1 $2" in
  whoami*) echo '{{"url": "file://{tmp_path}"}}' ;;
  'stack export') cat {tmp_path}/state.json ;;
esac
"""
    )
    (tmp_path / "pulumi").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    return tmp_path / "calls"


def write_state(folder: Path, *providers: bytes, pending: Sequence[dict[str, Any]] = ()) -> None:
    """A state with a dynamic resource for each pickled provider, as `pulumi stack export --show-secrets` prints it."""
    resources: list[dict[str, Any]] = [{"type": "pulumi:pulumi:Stack"}]
    for provider in providers:
        plaintext = json.dumps(base64.b64encode(provider).decode())
        resources.append({"outputs": {"__provider": {"plaintext": plaintext}}})
    (folder / "state.json").write_text(
        json.dumps({"deployment": {"resources": resources, "pending_operations": pending}})
    )


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["repair", "--stack", "old", *arguments])
    return repair.main()


MISSING_MODULE = b"chealth_gate\nHealthGateProvider\n."
MISSING_CLASS = b"cinfra.provisioning.topic\nRenamedProvider\n."


@pytest.mark.parametrize("provider", [MISSING_MODULE, MISSING_CLASS])
def test_incompatible_state_of_an_old_layout_is_one_error_that_names_make_reset(
    calls: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], provider: bytes
) -> None:
    write_state(calls.parent, dill.dumps(Topic), provider)
    assert run(monkeypatch) == 1
    error = capsys.readouterr().err
    assert "`make reset STACK=old`, which deletes all of its data" in error
    assert error.count("\n") == 1
    assert "delete" not in calls.read_text()


def test_discard_of_incompatible_state_removes_its_resources_and_empties_the_state(
    calls: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write_state(calls.parent, MISSING_MODULE)
    engine = Client()
    monkeypatch.setattr(repair, "connect", lambda: engine)
    assert run(monkeypatch, "--discard") == 0
    assert engine.existing == []
    assert calls.read_text().splitlines()[-1] == "state delete --all --force --yes --stack old"
    assert "removed volume: " in capsys.readouterr().out


@pytest.mark.parametrize("arguments", [(), ("--discard",)])
def test_compatible_state_is_left_unchanged(
    calls: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...]
) -> None:
    write_state(calls.parent, dill.dumps(Topic))
    assert run(monkeypatch, *arguments) == 0
    assert calls.read_text().splitlines() == ["whoami --json", "stack export --show-secrets --stack old"]
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(("name", "remaining"), [("container", ["network", "volume"]), ("other", ALL)])
def test_container_of_an_interrupted_deployment_is_removed_and_the_pending_operation_cleared(
    calls: Path, monkeypatch: pytest.MonkeyPatch, name: str, remaining: list[str]
) -> None:
    resource = {"type": "docker:index/container:Container", "inputs": {"name": name}}
    write_state(calls.parent, pending=[{"type": "creating", "resource": resource}])
    engine = Client()
    monkeypatch.setattr(repair, "connect", lambda: engine)
    assert run(monkeypatch) == 0
    assert engine.existing == remaining
    assert calls.read_text().splitlines()[-1] == "refresh --clear-pending-creates --yes --skip-preview --stack old"


def test_failure_of_pulumi_is_an_error_with_its_message(
    calls: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (calls.parent / "pulumi").write_text("#!/bin/sh\necho 'error: incorrect passphrase' >&2\nexit 1\n")
    assert run(monkeypatch) == 1
    assert capsys.readouterr().err == "pulumi whoami --json: error: incorrect passphrase\n"
