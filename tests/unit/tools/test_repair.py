"""Which locks of a stack are a dead process's. The rest is tested on a real stack: tests/stack/test_lifecycle.py."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
from pathlib import Path

from tools.repair import dead_locks


def lock(folder: Path, pid: int, host: str = socket.gethostname()) -> None:
    """A lock as Pulumi writes it."""
    (folder / f"{pid}-{host}.json").write_text(json.dumps({"pid": pid, "username": "me", "hostname": host}))


def dead_process() -> int:
    """The id of a process that has ended."""
    process = subprocess.Popen(["true"])
    process.wait()
    return process.pid


def test_the_lock_of_a_process_that_is_gone(tmp_path: Path) -> None:
    pid = dead_process()
    lock(tmp_path, pid)
    assert dead_locks(tmp_path) == [pid]


def test_the_lock_of_a_pulumi_that_lives(tmp_path: Path) -> None:
    program = shutil.copy(str(shutil.which("sleep")), tmp_path / "pulumi")
    with subprocess.Popen([program, "60"]) as pulumi:
        lock(tmp_path, pulumi.pid)
        lock(tmp_path, dead_process())
        found = dead_locks(tmp_path)
        pulumi.kill()
    assert found == []


def test_the_lock_of_a_process_whose_number_is_another_ones_now(tmp_path: Path) -> None:
    lock(tmp_path, os.getpid())
    assert dead_locks(tmp_path) == [os.getpid()]


def test_the_lock_of_a_process_on_another_machine_may_be_alive(tmp_path: Path) -> None:
    lock(tmp_path, dead_process(), "elsewhere")
    assert dead_locks(tmp_path) == []


def test_no_lock_and_no_folder(tmp_path: Path) -> None:
    assert dead_locks(tmp_path) == dead_locks(tmp_path / "none") == dead_locks(None) == []
