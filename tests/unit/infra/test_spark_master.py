"""The start script of Spark's master."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from infra.services import FILES


def start(directory: Path, image: str = "sha256:1") -> str:
    """Run the script with `echo` in place of the master; return its output."""
    command = ["sh", str(FILES / "start_spark_master.sh"), str(directory), image, "echo", "one argument", "*"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def recovery_files(directory: Path) -> list[str]:
    """The files that the master would read."""
    return sorted(path.name for path in directory.iterdir() if path.name != "image")


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """The directory of a master that was started before."""
    assert start(tmp_path) == "one argument *\n"
    for name, content in (("app_1", "application"), ("app_2", ""), ("worker_1", "worker")):
        (tmp_path / name).write_text(content)
    return tmp_path


def test_empty_recovery_files_are_removed_before_the_start(directory: Path) -> None:
    for _ in range(2):
        assert start(directory) == "one argument *\n"
        assert recovery_files(directory) == ["app_1", "worker_1"]


def test_recovery_files_that_the_master_could_not_read_are_removed_once(directory: Path) -> None:
    (directory / "unreadable").touch()
    start(directory)
    assert recovery_files(directory) == []
    (directory / "app_3").write_text("application")
    start(directory)
    assert recovery_files(directory) == ["app_3"]


def test_recovery_files_stay_if_a_full_disk_has_emptied_the_name_of_the_image(directory: Path) -> None:
    (directory / "image").write_text("")
    start(directory)
    assert recovery_files(directory) == ["app_1", "worker_1"]


def test_recovery_files_of_another_image_are_removed(directory: Path) -> None:
    start(directory, "sha256:2")
    assert recovery_files(directory) == []
