"""Line endings of a checkout: LF also with Git for Windows, whose default is CRLF."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from infra.names import ROOT


@pytest.mark.skipif(shutil.which("git") is None, reason="needs git")
@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("tools/setup.sh", b"#!/bin/sh\nexit\n"),
        ("Makefile", b"up:\n\ttools/up\n"),
        ("docs/pictures/small.png", b"\x89PNG\r\n" + 40 * b"looks like text "),
    ],
)
def test_checkout_with_autocrlf_keeps_the_bytes_of_every_file(tmp_path: Path, name: str, content: bytes) -> None:
    def git(*arguments: str) -> None:
        subprocess.run(["git", "-C", tmp_path, "-c", "core.autocrlf=true", *arguments], check=True, capture_output=True)

    git("init")
    shutil.copy(ROOT / ".gitattributes", tmp_path)
    file = tmp_path / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content)
    git("add", ".")
    file.unlink()
    git("checkout-index", "--all")
    assert file.read_bytes() == content
