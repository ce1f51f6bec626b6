"""Finds the Chromium for screenshots and for tests of pages."""

from __future__ import annotations

import shutil

NAMES = ("chromium-headless-shell", "chromium", "google-chrome")
"""The commands; `has_browser` in tools/setup.d/system.sh checks for the same."""


def find_chromium() -> str:
    """The path of this machine's Chromium. Raises FileNotFoundError if none is installed."""
    path = next((found for name in NAMES if (found := shutil.which(name))), None)
    if path is None:
        raise FileNotFoundError("Chromium is not installed: `tools/setup.sh tests` installs it")
    return path
