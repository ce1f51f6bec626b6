"""Fixtures that unit tests and tests of the stack share."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator

import pytest
from hypothesis import settings
from playwright.sync_api import Browser, sync_playwright

from tools.chromium import find_chromium

# These variables of the user would change the behaviour under test.
for name in list(os.environ):
    if re.fullmatch("FORCE_COLOR|COLUMNS|(SPARK|PYSPARK|HADOOP|YARN)_.*|.*JAVA_.*OPTIONS", name):
        del os.environ[name]
# Spark needs Java 17. tools/setup.d/system.sh accepts JAVA_HOME's or that on PATH.
if java_home := os.environ.get("JAVA_HOME"):
    try:
        version = subprocess.run(
            [f"{java_home}/bin/java", "-version"], capture_output=True, text=True, check=True
        ).stderr
        suitable = int(re.findall(r'version "(\d+)', version)[0]) >= 17
    except (OSError, subprocess.CalledProcessError, IndexError):
        suitable = False
    if not suitable:
        del os.environ["JAVA_HOME"]

# The same examples in each run; an example may take long on a busy machine.
settings.register_profile("lolstack", deadline=None, derandomize=True)
settings.load_profile("lolstack")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A headless Chromium, closed after the module: while it runs, its thread cannot run another event loop."""
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=find_chromium())
        yield chromium
        chromium.close()
