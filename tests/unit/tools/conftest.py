"""Fixtures for the tests of the tools."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.support.fake_pulumi import FakePulumi


@pytest.fixture
def pulumi(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakePulumi:
    """The `pulumi` on PATH."""
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    return FakePulumi(tmp_path)
