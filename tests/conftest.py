"""Fixtures that unit tests and tests of the stack share."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from hypothesis import settings
from playwright.sync_api import Browser, sync_playwright

from tools.chromium import find_chromium

# These variables of the user would change the behaviour under test.
for name in ("FORCE_COLOR", "COLUMNS", "SPARK_HOME", "PYSPARK_SUBMIT_ARGS"):
    os.environ.pop(name, None)

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
