"""A page as Chromium has it, with all that it asked for and complained of."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from playwright.sync_api import Browser, Page


@contextmanager
def opened(
    browser: Browser,
    path: Path,
    width: int = 1400,
    scheme: Literal["light", "dark"] = "light",
    scripts: bool = True,
) -> Iterator[Page]:
    """The file at `path`, `width` pixels wide; it must have asked for nothing else, and complained of nothing."""
    complaints: list[str] = []
    with browser.new_context(
        viewport={"width": width, "height": 900}, color_scheme=scheme, java_script_enabled=scripts
    ) as context:
        page = context.new_page()
        page.on("console", lambda message: complaints.append(f"{message.type}: {message.text}"))
        page.on("pageerror", lambda error: complaints.append(f"error: {error}"))
        page.on("request", lambda request: complaints.append(f"request: {request.url}"))
        page.goto(path.as_uri())
        assert complaints.pop(0) == f"request: {path.as_uri()}"
        yield page
        assert complaints == []
