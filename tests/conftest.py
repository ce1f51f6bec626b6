"""What unit tests and tests of the stack share."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, sync_playwright

for name in ("FORCE_COLOR", "COLUMNS", "SPARK_HOME", "PYSPARK_SUBMIT_ARGS"):  # what is tested would follow the user's
    os.environ.pop(name, None)

CHROMIUM = ("chromium-headless-shell", "chromium", "google-chrome")


def chromium() -> str:
    """Where this machine's Chromium is."""
    path = next((found for name in CHROMIUM if (found := shutil.which(name))), None)
    assert path, "there is no Chromium to open pages in; `tools/setup.sh tests` installs one"
    return path


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A Chromium. Of a module's life, for as long as it runs, its thread cannot run an event loop of its own."""
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=chromium())
        yield opened
        opened.close()
