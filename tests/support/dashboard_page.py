"""Opens the dashboard in Chromium, and fails on errors in the console and on requests to other servers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

from playwright.sync_api import Browser, Page, expect


@contextmanager
def open_dashboard(browser: Browser, url: str) -> Iterator[Page]:
    """Open a page of the dashboard, and wait until it is drawn. Expectations then wait as long as it may take here."""
    expect.set_options(timeout=LIMIT_MS)
    events: list[str] = []
    own = urlsplit(url).netloc
    with browser.new_context(viewport={"width": 1400, "height": 900}) as context:
        page = context.new_page()
        page.set_default_timeout(LIMIT_MS)
        page.on("console", lambda message: events.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: events.append(f"error: {error}"))
        page.on("request", lambda request: events.append(request.url) if _is_external(request.url, own) else None)
        for attempt in range(ATTEMPTS):
            try:
                load(page, url)
                break
            except AssertionError:
                if attempt + 1 == ATTEMPTS or NETWORK_CHANGED not in " ".join(events):
                    raise
                events.clear()
        yield page
        assert [event for event in events if NETWORK_CHANGED not in event] == []


LIMIT_MS = 90_000
"""For the first paint, and for each expectation: other tests may use all cores meanwhile."""
ATTEMPTS = 5
NETWORK_CHANGED = "ERR_NETWORK_CHANGED"
"""Chromium's error for a request during which Docker creates or removes a network: other tests do."""


def load(page: Page, url: str) -> None:
    """Load the page, and wait until it is drawn, or says that a part of it could not be loaded."""
    page.goto(url)
    parts = page.locator(".figures, .hint, .problem")
    failed = page.get_by_text("Failed to fetch dynamically imported module")
    expect(parts.or_(failed).first).to_be_visible()
    expect(failed).to_have_count(0)
    expect(page.get_by_test_id("stSkeleton")).to_have_count(0)


def _is_external(url: str, own: str) -> bool:
    parts = urlsplit(url)
    return parts.scheme not in ("data", "blob") and parts.netloc != own
