"""Opens the dashboard in Chromium, and fails on errors in the console and on requests to other servers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal
from urllib.parse import urlsplit

from playwright.sync_api import Browser, Page, expect


@contextmanager
def open_dashboard(
    browser: Browser, url: str, width: int = 1400, scheme: Literal["light", "dark"] = "light"
) -> Iterator[Page]:
    """Open a page of the dashboard, and wait until it is drawn. Expectations then wait as long as it may take here."""
    expect.set_options(timeout=30_000)
    events: list[str] = []
    own = urlsplit(url).netloc
    with browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme) as context:
        page = context.new_page()
        page.set_default_timeout(30_000)
        page.on("console", lambda message: events.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: events.append(f"error: {error}"))
        page.on("request", lambda request: events.append(request.url) if _is_external(request.url, own) else None)
        try:
            load(page, url)
        except AssertionError:
            if NETWORK_CHANGED not in " ".join(events):
                raise
            load(page, url)
        yield page
        assert [event for event in events if NETWORK_CHANGED not in event] == []


NETWORK_CHANGED = "ERR_NETWORK_CHANGED"
"""Chromium's error for a request during which Docker creates or removes a network: other tests do."""


def load(page: Page, url: str) -> None:
    """Load the page, and wait until it is drawn."""
    page.goto(url)
    expect(page.locator(".figures, .hint, .problem").first).to_be_visible()
    expect(page.get_by_test_id("stSkeleton")).to_have_count(0)


def _is_external(url: str, own: str) -> bool:
    parts = urlsplit(url)
    return parts.scheme not in ("data", "blob") and parts.netloc != own
