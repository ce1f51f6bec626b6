"""Pulumi's state and locks, with a script in place of Pulumi."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from infra.home import home_folder
from infra.names import ROOT
from tests.support.fake_pulumi import FakePulumi
from tools.pulumi_state import PulumiError, check_locks, export_state, lock_folder, select_stack


def finished_process() -> int:
    """The id of a process that has ended."""
    process = subprocess.Popen(["true"])
    process.wait()
    return process.pid


def test_lock_of_finished_process_is_stale(pulumi: FakePulumi) -> None:
    pid = finished_process()
    pulumi.lock("old", pid)
    assert check_locks("old") == [pid]


def test_lock_of_running_pulumi_is_an_error_also_beside_a_stale_one(pulumi: FakePulumi, running_pulumi: int) -> None:
    pulumi.lock("old", running_pulumi)
    pulumi.lock("old", finished_process())
    with pytest.raises(PulumiError, match=f"^the stack old is being deployed by process {running_pulumi}: wait for it"):
        check_locks("old")


def test_lock_whose_process_id_was_reused_by_another_program_is_stale(pulumi: FakePulumi) -> None:
    pulumi.lock("old", os.getpid())
    assert check_locks("old") == [os.getpid()]


def test_lock_of_another_machine_is_an_error_that_says_how_to_release_it(pulumi: FakePulumi) -> None:
    pulumi.lock("old", finished_process(), "elsewhere")
    with pytest.raises(PulumiError, match=r"on the machine elsewhere: .*`pulumi cancel --stack old`"):
        check_locks("old")


@pytest.mark.parametrize("content", ["", "{", "[]", '{"pid": 1}'])
def test_unreadable_lock_is_an_error_that_says_how_to_release_it(pulumi: FakePulumi, content: str) -> None:
    """A full disk leaves an empty file."""
    locks = pulumi.locks("old")
    locks.mkdir(parents=True)
    (locks / "1.json").write_text(content)
    with pytest.raises(PulumiError, match=rf"^the lock {locks}/1.json .* cannot be read .*: if nobody .*, delete"):
        check_locks("old")


def test_no_lock_file_no_lock_folder_and_no_state_in_files(pulumi: FakePulumi) -> None:
    assert check_locks("old") == []
    pulumi.locks("old").mkdir(parents=True)
    assert check_locks("old") == []
    pulumi.use_backend("https://api.pulumi.com")
    assert lock_folder("old") is None
    assert check_locks("old") == []


@pytest.fixture
def passwd_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The home folder of the passwd entry. HOME is another one."""
    entry = SimpleNamespace(pw_dir=str(tmp_path / "passwd"))
    monkeypatch.setattr(pwd, "getpwuid", lambda uid: entry if uid == os.getuid() else None)
    monkeypatch.setenv("HOME", str(tmp_path / "other"))
    return tmp_path / "passwd"


@pytest.mark.parametrize(
    ("url", "folder"),
    [
        ("file://~", "{home}"),
        ("file://~/states", "{home}/states"),
        ("file:///srv/state", "/srv/state"),
        ("file:///srv/state?no_tmp_dir=true", "/srv/state"),
        ("file://./state", f"{ROOT}/state"),
    ],
)
def test_locks_are_in_the_folder_that_pulumi_uses(pulumi: FakePulumi, passwd_home: Path, url: str, folder: str) -> None:
    """The home folder of the passwd entry, whatever HOME is; a relative folder below the project."""
    pulumi.use_backend(url)
    expected = Path(folder.format(home=passwd_home)) / ".pulumi/locks/organization/lolstack/old"
    assert lock_folder("old") == expected


def test_home_folder_without_a_passwd_entry_is_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def no_entry(_uid: int) -> None:
        raise KeyError

    monkeypatch.setattr(pwd, "getpwuid", no_entry)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert home_folder() == tmp_path


@pytest.mark.skipif(shutil.which("pulumi") is None, reason="needs Pulumi")
def test_pulumi_itself_ignores_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The lock folder that the tests above expect is Pulumi's: it writes nothing below HOME."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("PULUMI_BACKEND_URL", raising=False)
    subprocess.run(["pulumi", "stack", "ls"], cwd=ROOT, check=True, capture_output=True)
    assert list(tmp_path.rglob("*")) == []


@pytest.mark.parametrize(
    ("command", "use", "problem"),
    [
        (
            *("stack select", select_stack),
            f"the line `encryptionsalt` of {ROOT}/Pulumi.old.yaml is of another passphrase than yours",
        ),
        (
            *("stack export", export_state),
            "the secrets of the stack old are encrypted with another passphrase than the one in use",
        ),
    ],
    ids=["select", "export"],
)
def test_wrong_passphrase_is_one_line_that_says_what_to_do(
    pulumi: FakePulumi, command: str, use: Any, problem: str
) -> None:
    pulumi.answer(command, "echo 'error: incorrect passphrase' >&2; exit 1")
    with pytest.raises(PulumiError) as error:
        use("old")
    assert problem in str(error.value)
    assert "\n" not in str(error.value)


def test_damaged_state_is_one_line_that_names_its_backups(pulumi: FakePulumi) -> None:
    """A full disk or a power failure can leave an empty file."""
    failure = "error: failed to load checkpoint: place 1: unexpected end of JSON input"
    pulumi.answer("stack export", f"echo '{failure}' >&2; exit 255")
    with pytest.raises(PulumiError) as error:
        export_state("old")
    file = pulumi.folder / ".pulumi/stacks/lolstack/old.json"
    assert "unexpected end of JSON input" in str(error.value)
    assert f"`cp {file}.bak {file}`" in str(error.value)
    assert f"{pulumi.folder}/.pulumi/backups/lolstack/old;" in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("content", [b"", bytes(200), b'{"user.cache'])
def test_damaged_attributes_of_the_state_are_named(pulumi: FakePulumi, content: bytes) -> None:
    """The state itself is whole: the one before would be a step back."""
    pulumi.answer("stack export", "echo 'error: failed to load checkpoint: EOF' >&2; exit 255")
    file = pulumi.folder / ".pulumi/stacks/lolstack/old.json.attrs"
    file.parent.mkdir(parents=True)
    file.write_bytes(content)
    with pytest.raises(
        PulumiError, match=f"^{file}, of the state of the stack old, is damaged, .*: delete it, then start again$"
    ):
        export_state("old")
