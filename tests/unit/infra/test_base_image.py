"""The base image resource: built only if the engine does not have it, with the script's output in the error."""

from __future__ import annotations

from pathlib import Path
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
