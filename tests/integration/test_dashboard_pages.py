"""The dashboard's pages in Chromium, with sample data. Errors in the console and requests elsewhere fail each test."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import requests
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Locator, Page, expect

from harness.waiting import eventually
from infra.images import ROOT
from tests.support.dashboard_page import open_dashboard
from tests.support.report_samples import XSS

PAGES = ("Matches", "Champion", "Player", "Pipeline", "Dead letters")
FULL = {
    "Matches": "?page=Matches",
    "Champion": "?page=Champion&champion=Ahri",
    "Player": "?page=Player&player=Ann%23EUW",
    "Pipeline": "?page=Pipeline",
    "Dead letters": "?page=Dead+letters&letter=0:17",
}
"""The URL at which each page has all that it can have."""
MORNING = "range=from-to&from=2026-11-20T10:00&to=2026-11-20T12:00"
EVENING = "range=from-to&from=2026-11-20T20:00&to=2026-11-20T22:00"


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """The URL of a dashboard with sample data, in a process of its own."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    options = [f"--server.port={port}", "--server.address=127.0.0.1"]
    streamlit = Path(sys.executable).with_name("streamlit")
    server = subprocess.Popen(
        [streamlit, "run", ROOT / "tests" / "support" / "sample_dashboard.py", *options],
        cwd=ROOT / "dashboard",  # Streamlit's configuration is there
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdout=subprocess.DEVNULL,
    )

    def healthy() -> None:
        assert requests.get(f"http://localhost:{port}/_stcore/health", timeout=5).ok

    try:
        eventually(healthy, timeout_seconds=60)
        yield f"http://localhost:{port}/"
    finally:
        server.terminate()
        server.wait(20)


@pytest.mark.parametrize("name", PAGES)
def test_page_is_accessible_and_fits_any_window_and_has_no_html_from_names(
    browser: Browser, address: str, name: str
) -> None:
    with open_dashboard(browser, address + FULL[name]) as page:
        assert violations(page) == []
        page.emulate_media(color_scheme="dark")
        page.set_viewport_size({"width": 400, "height": 900})
        expect(page.locator(".stApp")).to_have_css("background-color", "rgb(15, 20, 26)")
        assert violations(page) == []
        assert page.evaluate("document.documentElement.scrollWidth") <= 400
        assert page.locator("img").count() == 0
        if name == "Dead letters":
            expect(page.locator("pre.value")).to_have_text(r"\x00{")
            expect(page.get_by_role("cell", name=r"\x1b[31m")).to_be_visible()
            expect(page.get_by_text("make dlq REPLAY=0:17")).to_be_visible()


def violations(page: Page) -> list[tuple[str, list[str]]]:
    """What axe finds of contrast, labels, roles and keyboard, in Streamlit's own parts too."""
    found = Axe().run(page).response["violations"]
    return [(each["id"], [node["html"][:200] for node in each["nodes"]]) for each in found]


def test_filter_is_in_the_url_and_changes_the_figures_and_survives_a_reload(browser: Browser, address: str) -> None:
    with open_dashboard(browser, address) as page:
        expect(tile(page, "Matches")).to_have_text("7,200")
        page.get_by_label("Champion", exact=True).click()
        page.get_by_role("option", name="Jinx").click()
        expect(tile(page, "Matches")).to_have_text("2,000")
        expect(page).to_have_url(re.compile("champion=Jinx"))
        page.reload()
        expect(tile(page, "Matches")).to_have_text("2,000")
        page.get_by_label("Time range").click()
        page.get_by_role("option", name="24 h").click()
        expect(page.get_by_text("in the last 24 hours").first).to_be_visible()
        is_complete(page)
        page.get_by_role("radio", name="Pipeline").click()
        expect(page.get_by_text("Lag by partition")).to_be_visible()
        is_complete(page)
        page.get_by_role("radio", name="Matches").click()
        expect(tile(page, "Matches")).to_have_text("2,000")
        expect(page).to_have_url(re.compile(r"champion=Jinx.*range=24\+h|range=24\+h.*champion=Jinx"))


def test_viewers_with_different_filters_and_times_do_not_see_each_others(browser: Browser, address: str) -> None:
    with (
        open_dashboard(browser, f"{address}?champion=Jinx&{MORNING}") as one,
        open_dashboard(browser, f"{address}?champion=Ahri&{EVENING}") as other,
    ):
        expect(tile(one, "Matches")).to_have_text("2,000")
        expect(tile(other, "Matches")).to_have_text("1,000")
        one.reload()
        expect(tile(one, "Matches")).to_have_text("2,000")
        for page, own, others in ((one, "10:30", "20:30"), (other, "20:30", "10:30")):
            chart = page.locator(".st-key-card-matches-per-minute svg.marks")
            expect(chart).to_contain_text(own)
            expect(chart).not_to_contain_text(others)


def test_pages_without_a_choice_say_what_to_do(browser: Browser, address: str) -> None:
    with open_dashboard(browser, f"{address}?page=Champion") as page:
        expect(page.get_by_text("Choose a champion above")).to_be_visible()
        page.get_by_role("radio", name="Player").click()
        expect(page.get_by_text("Enter a player's Riot ID")).to_be_visible()
        player = page.get_by_label("Player: Riot ID")
        player.fill("nobody")
        player.press("Enter")
        expect(page.get_by_text("No document has the Riot ID or puuid nobody")).to_be_visible()
        player.fill(XSS)
        player.press("Enter")
        expect(page.get_by_role("heading", name=XSS)).to_be_visible()
        assert page.locator("img").count() == 0


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 101),
        ({"Host": "rebound.example.com"}, 403),
        ({"Origin": "http://elsewhere.example.com"}, 403),
    ],
)
def test_pages_of_other_hosts_cannot_connect(address: str, headers: dict[str, str], status: int) -> None:
    """Against DNS rebinding and cross-site requests: all data comes through this connection."""
    handshake = {
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
        "Origin": address.rstrip("/"),
    }
    connection = HTTPConnection(urlsplit(address).netloc, timeout=20)
    connection.request("GET", "/_stcore/stream", headers=handshake | headers)
    assert connection.getresponse().status == status
    connection.close()


def is_complete(page: Page) -> None:
    """Wait until Streamlit has drawn the whole page: a change before that can leave the URL as it was."""
    expect(page.get_by_test_id("stApp")).to_have_attribute("data-test-script-state", "notRunning")


def tile(page: Page, name: str) -> Locator:
    """The number of a key figure."""
    return page.locator(".figures .card", has=page.locator("dt", has_text=name)).locator(".value").first
