"""What unit tests and tests of the stack share."""

from __future__ import annotations

import shutil
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, sync_playwright

CHROMIUM = ("chromium-headless-shell", "chromium", "google-chrome")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A Chromium. Of a module's life, for as long as it runs, its thread cannot run an event loop of its own."""
    path = next((found for name in CHROMIUM if (found := shutil.which(name))), None)
    assert path, "there is no Chromium to open pages in; `tools/setup.sh tests` installs one"
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=path)
        yield chromium
        chromium.close()
