"""The packages on the host: the tools need none that only the tests have installed."""

from __future__ import annotations

import re
import subprocess
import sys
from importlib.metadata import packages_distributions

import pytest

from infra.names import ROOT

IMPORT_WITHOUT = """
import importlib, sys

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name in sys.argv[2:]:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Absent())
importlib.import_module(sys.argv[1])
"""


def normalized(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


@pytest.mark.parametrize("tool", ["report.__main__", "dlq.__main__", "status", "repair", "backfill", "deploy"])
def test_tool_needs_no_package_that_only_the_tests_have(tool: str) -> None:
    """Packages that a library uses only if they are there may be absent."""
    text = (ROOT / "requirements.txt").read_text()
    installed = {normalized(name) for name in re.findall(r"^([\w.-]+)==", text, re.MULTILINE)} | {"pip", "setuptools"}
    absent = [
        name
        for name, distributions in packages_distributions().items()
        if not {normalized(each) for each in distributions} & installed
    ]
    command = [sys.executable, "-c", IMPORT_WITHOUT, f"tools.{tool}", *absent]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
