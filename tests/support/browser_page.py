"""Opens a page in Chromium, and fails on any request it makes or message it logs to the console."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from playwright.sync_api import Browser, Page


@contextmanager
def open_page(
    browser: Browser,
    path: Path,
    width: int = 1400,
    scheme: Literal["light", "dark"] = "light",
    scripts: bool = True,
) -> Iterator[Page]:
    """Open the file at `path` in a window `width` pixels wide. The page must make no request and log nothing."""
    events: list[str] = []
    with browser.new_context(
        viewport={"width": width, "height": 900}, color_scheme=scheme, java_script_enabled=scripts
    ) as context:
        page = context.new_page()
        page.on("console", lambda message: events.append(f"{message.type}: {message.text}"))
        page.on("pageerror", lambda error: events.append(f"error: {error}"))
        page.on("request", lambda request: events.append(f"request: {request.url}"))
        page.goto(path.as_uri())
        assert events.pop(0) == f"request: {path.as_uri()}"
        yield page
        assert events == []
