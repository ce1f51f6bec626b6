"""ZooKeeper's start script."""

from __future__ import annotations

import subprocess
from pathlib import Path

from infra.services import FILES


def start(logs: Path) -> str:
    """Run the script with `echo` in place of ZooKeeper; return its output."""
    command = ["sh", str(FILES / "start_zookeeper.sh"), str(logs), "echo", "one argument", "*"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def test_empty_transaction_logs_are_removed_before_the_start(tmp_path: Path) -> None:
    for name, content in (("log.1", "transactions"), ("log.2a", ""), ("log.ff", ""), ("snapshot.0", "")):
        (tmp_path / name).write_text(content)
    assert start(tmp_path) == "one argument *\n"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["log.1", "snapshot.0"]


def test_zookeeper_starts_with_an_empty_volume(tmp_path: Path) -> None:
    assert start(tmp_path / "version-2") == "one argument *\n"
