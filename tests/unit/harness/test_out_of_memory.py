"""Detection of containers that exceed their memory limits."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from harness.waiting import eventually
from tests.support.out_of_memory import no_container_out_of_memory


@pytest.fixture
def docker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a program `docker`, whose events are the file `events`. It creates the file `called`."""
    (tmp_path / "docker").write_text(
        f'#!/bin/sh\ncat {tmp_path}/events\necho "$*" >{tmp_path}/call\n'
        f"mv {tmp_path}/call {tmp_path}/called\nexec /bin/sleep 60\n"
    )
    (tmp_path / "docker").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    return tmp_path


def run(docker: Path, *names: str) -> None:
    (docker / "events").write_text("".join(f"{name}\n" for name in names))

    def called() -> None:
        assert (docker / "called").exists()

    with no_container_out_of_memory("unit"):
        eventually(called, timeout_seconds=30)


def test_container_that_was_out_of_memory_is_named_at_the_end(docker: Path) -> None:
    with pytest.raises(AssertionError, match=r"^out of memory: lolstack-unit-archive, lolstack-unit-kafka$"):
        run(docker, "lolstack-unit-kafka", "lolstack-unit-archive", "lolstack-unit-kafka")
    assert "label=lolstack.stack=unit" in (docker / "called").read_text()


def test_small_disk_in_memory_may_be_full(docker: Path) -> None:
    run(docker, "lolstack-unit-small-disk-cassandra")


def test_end_of_the_events_is_an_error(docker: Path) -> None:
    (docker / "docker").write_text("#!/bin/sh\nexit 3\n")
    with (
        pytest.raises(AssertionError, match="ended too early, with exit code 3"),
        no_container_out_of_memory("unit"),
    ):
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOWAIT)
