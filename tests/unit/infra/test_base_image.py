"""The base image resource: built only if the engine does not have it, with the script's output in the error."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from tempfile import TemporaryDirectory
from types import SimpleNamespace

import pytest
from docker.errors import ImageNotFound

from infra.provisioning import base_image
from tests.support.pulumi_program import dynamic_provider

NAME = "lolstack.invalid/base:0123456789ab"
INPUTS = {"name": NAME}
PROVIDER = dynamic_provider(base_image)


@pytest.fixture
def images(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """The names of the images that the engine has."""
    found: set[str] = set()

    def get(name: str) -> None:
        if name not in found:
            raise ImageNotFound(name)

    monkeypatch.setattr(base_image, "connect", lambda: SimpleNamespace(images=SimpleNamespace(get=get)))
    return found


def script(monkeypatch: pytest.MonkeyPatch, folder: Path, body: str) -> None:
    """Replace build.sh."""
    path = folder / "build.sh"
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)
    monkeypatch.setattr(base_image, "SCRIPT", path)


@pytest.mark.usefixtures("images")
def test_missing_image_is_built_under_its_name(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    script(monkeypatch, tmp_path, f"echo $1 >{tmp_path}/built")
    assert PROVIDER.create(INPUTS).id == NAME
    assert (tmp_path / "built").read_text().strip() == NAME


def test_existing_image_is_not_built_again(images: set[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    images.add(NAME)
    script(monkeypatch, tmp_path, "exit 1")
    assert PROVIDER.create(INPUTS).id == NAME


@pytest.mark.usefixtures("images")
def test_failed_build_reports_the_scripts_last_lines(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    script(monkeypatch, tmp_path, "seq 20; echo no space left >&2; exit 3")
    with pytest.raises(RuntimeError, match=r"build\.sh failed with exit code 3(.|\n)*no space left"):
        PROVIDER.create(INPUTS)


def test_deleted_image_is_drift_and_a_new_name_a_replacement(images: set[str]) -> None:
    images.add(NAME)
    assert PROVIDER.read(NAME, INPUTS).id == NAME
    images.clear()
    assert PROVIDER.read(NAME, INPUTS).id is None
    assert not PROVIDER.diff(NAME, INPUTS, INPUTS).changes
    assert PROVIDER.diff(NAME, INPUTS, {"name": "lolstack.invalid/base:other"}).replaces == ["name"]


def add_command(folder: Path, name: str, body: str) -> None:
    (folder / name).write_text(f"#!/bin/sh\n{body}\n")
    (folder / name).chmod(0o755)


@pytest.fixture
def bootstrap(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The file in which a script in place of mmdebstrap writes its TMPDIR and its arguments."""
    tools = {
        "mmdebstrap": f'printf "%s\\n" "$TMPDIR" "$@" >{tmp_path}/run; '
        'for each; do [ ! -f "$each" ] || echo root >"$each"; done',
        "docker": f'env >{tmp_path}/environment; printf "%s\\n" "$@" >{tmp_path}/arguments; '
        f"[ ! -p /dev/stdin ] || cat >{tmp_path}/imported",
        "tar": "echo 12.0",
    }
    for name, body in tools.items():
        add_command(tmp_path, name, body)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    monkeypatch.delenv("TMPDIR", raising=False)
    monkeypatch.delenv("DEBIAN_MIRROR", raising=False)
    return tmp_path / "run"


def run_script(bootstrap: Path) -> tuple[str, list[str]]:
    """Run build.sh. Returns mmdebstrap's TMPDIR and package sources."""
    subprocess.run([base_image.SCRIPT, NAME], check=True, capture_output=True)
    folder, *arguments = bootstrap.read_text().splitlines()
    return folder, [each for each in arguments if each.startswith("deb ")]


def test_packages_are_unpacked_in_var_tmp_unless_the_person_has_chosen_a_folder(
    bootstrap: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """mmdebstrap runs programs there: /tmp can be mounted noexec, or be in memory and small."""
    assert run_script(bootstrap) == ("/var/tmp", [])
    with TemporaryDirectory(dir="/tmp") as folder:
        Path(folder).chmod(0o755)
        monkeypatch.setenv("TMPDIR", folder)
        assert run_script(bootstrap) == (folder, [])


@pytest.mark.parametrize(("user", "expected"), [("0", None), ("1000", "/var/tmp")])
def test_folder_that_others_cannot_enter_is_only_used_by_root(
    bootstrap: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, user: str, expected: str | None
) -> None:
    """Without root, mmdebstrap works as another user id (unshare mode). TMPDIR is often the person's own."""
    private = tmp_path / "private"
    (private / "open").mkdir(parents=True, mode=0o755)
    private.chmod(0o700)
    add_command(tmp_path, "id", f"echo {user}")
    for folder in (private, private / "open"):
        monkeypatch.setenv("TMPDIR", str(folder))
        assert run_script(bootstrap)[0] == (expected or str(folder))


@pytest.mark.parametrize(
    ("user", "fakechroot", "modes"), [("0", False, []), ("1000", False, ["--mode=unshare"]), ("1000", True, [])]
)
def test_mmdebstrap_names_what_an_ordinary_user_lacks(
    bootstrap: Path, user: str, fakechroot: bool, modes: list[str]
) -> None:
    """User namespaces, or subordinate ids. Left to choose a mode, it only reports that it finds none; with fakechroot
    it finds another."""
    add_command(bootstrap.parent, "id", f"echo {user}")
    if fakechroot:
        add_command(bootstrap.parent, "fakechroot", "")
    elif shutil.which("fakechroot"):
        pytest.skip("this machine has fakechroot")
    run_script(bootstrap)
    assert [each for each in bootstrap.read_text().splitlines() if each.startswith("--mode")] == modes


@pytest.mark.parametrize("user", ["0", "1000"])
def test_failed_bootstrap_of_an_ordinary_user_names_the_commands_that_give_user_namespaces(
    bootstrap: Path, user: str
) -> None:
    add_command(bootstrap.parent, "id", f"echo {user}")
    add_command(bootstrap.parent, "mmdebstrap", "echo 'E: failed to parse /etc/subuid and /etc/subgid' >&2; exit 25")
    run = subprocess.run([base_image.SCRIPT, NAME], capture_output=True, text=True)
    first, *rest = run.stderr.splitlines()
    assert (run.returncode, first) == (25, "E: failed to parse /etc/subuid and /etc/subgid")
    advice = ("echo 1000:200000:65536 | sudo tee -a /etc/subuid /etc/subgid", "kernel.unprivileged_userns_clone=1")
    assert [all(command in line for command in advice) for line in rest] == ([True] if user == "1000" else [])
    assert not (bootstrap.parent / "arguments").exists(), "nothing is imported"


def test_imported_image_has_the_platform_of_this_machine(bootstrap: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As mmdebstrap's packages. `docker import` labels it with the variable's platform."""
    monkeypatch.setenv("DOCKER_DEFAULT_PLATFORM", "linux/arm64")
    run_script(bootstrap)
    assert "DOCKER_DEFAULT_PLATFORM" not in (bootstrap.parent / "environment").read_text()


def test_root_file_system_is_imported_through_a_pipe(bootstrap: Path) -> None:
    """Docker's snap sees neither the temporary folders of the machine nor a file there that it inherits."""
    run_script(bootstrap)
    arguments = (bootstrap.parent / "arguments").read_text().splitlines()
    assert (arguments[0], arguments[-2:]) == ("import", ["-", NAME])
    assert (bootstrap.parent / "imported").read_text() == "root\n"


def test_base_image_is_made_from_the_debian_mirror(bootstrap: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the updates and the security archive, as without a mirror."""
    monkeypatch.setenv("DEBIAN_MIRROR", "http://mirror.example.com/apt/")
    assert run_script(bootstrap)[1] == [
        "deb http://mirror.example.com/apt/debian bookworm main",
        "deb http://mirror.example.com/apt/debian bookworm-updates main",
        "deb http://mirror.example.com/apt/debian-security bookworm-security main",
    ]
