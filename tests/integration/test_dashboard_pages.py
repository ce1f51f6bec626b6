"""The dashboard's pages in Chromium, with sample data. Errors in the console and requests elsewhere fail each test."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
import requests
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Locator, Page, expect
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg

from harness.waiting import eventually
from infra.names import ROOT
from tests.support.dashboard_page import load, open_dashboard
from tests.support.report_samples import SHORT_XSS, XSS

PAGES = ("Matches", "Champion", "Player", "Pipeline", "Dead letters")
FULL = {
    "Matches": "?page=Matches",
    "Champion": "?page=Champion&champion=Ahri",
    "Player": "?page=Player&player=Ann%23EUW",
    "Pipeline": "?page=Pipeline",
    "Dead letters": "?page=Dead+letters&letter=0:17",
}
"""The URL at which each page has all that it can have."""
FILTERS = ("Time range", "Queue", "Platform", "Patch", "Champion", "Position", "Pause")
CONTROLS = {
    "Matches": FILTERS,
    "Player": ("Player: Riot ID (name#tag) or puuid", "Pause"),
}
"""The controls of a page, in the order in which the Tab key reaches them."""
ROW_HEIGHT = 35
"""Of a table that Streamlit draws on a canvas, and of its header."""
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
        eventually(healthy)
        yield f"http://localhost:{port}/"
    finally:
        server.terminate()
        server.wait(20)


@pytest.mark.parametrize("name", PAGES)
def test_page_is_accessible_and_fits_any_window_and_is_complete_without_html_from_names(
    browser: Browser, address: str, name: str
) -> None:
    with open_dashboard(browser, address + FULL[name]) as page:
        assert_accessible(page)
        fits(page, 2560)
        page.emulate_media(color_scheme="dark")
        fits(page, 400)
        expect(page.locator(".stApp")).to_have_css("background-color", "rgb(15, 20, 26)")
        assert_accessible(page)
        assert page.locator("img").count() == 0
        match name:
            case "Matches":
                expect(page.locator(".st-key-card-last").get_by_role("cell", name=SHORT_XSS)).to_have_count(3)
            case "Pipeline":
                expect(page.locator(".alert h4")).to_have_text("JobDown: The job is down")
                expect(page.locator(".alert .note")).to_have_text(f"firing since 2026-03-01 12:00 UTC, critical. {XSS}")
                expect(page.locator(".alert pre")).to_have_text("Look: …\nDo: …")
            case "Player":
                expect(page.locator(".form span")).to_have_text(["W", "L", "–"])
                ranked, other = page.locator(".st-key-card-queues tbody tr").all()
                means = ["3.10", "402", "612", "6.2"]
                expect(ranked.locator("td")).to_have_text(["5v5 Ranked Solo", "2", "55.0%", *means, "51%"])
                expect(other.locator("td")).to_have_text([XSS, "1", "55.0%", *means, "–"])
                champion = [XSS, SHORT_XSS, "2", "50%", "3.20"]
                expect(page.locator(".st-key-card-players-champions td")).to_have_text(champion)
                results = page.locator(".st-key-card-players-matches td:last-child")
                expect(results).to_have_text(["won", "lost", "does not count"])
                attack = page.locator(".st-key-card-players-matches tbody tr").last.get_by_text(SHORT_XSS)
                expect(attack).to_have_count(4)
            case "Dead letters":
                expect(page.locator("pre.value")).to_have_text(rf"\x00{{{XSS}")
                expect(page.get_by_role("cell", name=SHORT_XSS)).to_have_count(2)
                expect(page.locator(".st-key-card-letter").get_by_role("row")).to_have_text(XSS + XSS)
                expect(page.get_by_role("cell", name=r"\x1b[31m")).to_be_visible()
                expect(page.get_by_text("make dlq REPLAY=0:17")).to_be_visible()


def fits(page: Page, width: int) -> None:
    """Wait until the page, in a window of this width, needs no horizontal scrolling."""
    page.set_viewport_size({"width": width, "height": 900})
    page.wait_for_function(
        """width => ["html", "[data-testid='stMain']"].every(
            part => document.querySelector(part).scrollWidth <= width && window.innerWidth === width
        )""",
        arg=width,
    )


def assert_accessible(page: Page) -> None:
    """Wait until axe finds nothing of contrast, labels, roles and keyboard, in Streamlit's own parts too: a colour that
    changes slowly has less contrast meanwhile."""

    def no_violations() -> None:
        found = Axe().run(page).response["violations"]
        assert [(each["id"], [node["html"][:200] for node in each["nodes"]]) for each in found] == []

    eventually(no_violations)


def test_filter_is_in_the_url_and_changes_the_figures_and_survives_a_reload(browser: Browser, address: str) -> None:
    with open_dashboard(browser, address) as page:
        expect(tile(page, "Matches")).to_have_text("7,200")
        is_complete(page)
        page.get_by_label("Champion", exact=True).click()
        page.get_by_role("option", name="Jinx").click()
        expect(tile(page, "Matches")).to_have_text("2,000")
        expect(page).to_have_url(re.compile("champion=Jinx"))
        page.reload()
        expect(tile(page, "Matches")).to_have_text("2,000")
        is_complete(page)
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


def test_url_keeps_a_range_of_today(browser: Browser, address: str) -> None:
    """Streamlit removes a value from the URL that equals its control's default."""
    today = datetime.now(UTC).date()
    times = f"from={today}T00:00&to={today + timedelta(days=1)}T00:00"
    with open_dashboard(browser, f"{address}?range=from-to&{times}") as page:
        is_complete(page)
        expect(page).to_have_url(re.compile(rf"[?&]from={today}"))
        expect(page).to_have_url(re.compile(rf"[?&]to={today + timedelta(days=1)}"))


def test_pages_without_a_choice_say_what_to_do(browser: Browser, address: str) -> None:
    with open_dashboard(browser, f"{address}?page=Champion") as page:
        expect(page.get_by_text("Choose a champion above")).to_be_visible()
        page.get_by_role("radio", name="Player").click()
        expect(page.get_by_text("Enter a player's Riot ID")).to_be_visible()
        is_complete(page)
        player = page.get_by_label("Player: Riot ID")
        player.fill("nobody")
        player.press("Enter")
        expect(page.get_by_text("No document has the Riot ID or puuid nobody")).to_be_visible()
        player.fill(XSS)
        player.press("Enter")
        expect(page.get_by_role("heading", name=XSS)).to_be_visible()
        assert page.locator("img").count() == 0


def test_unknown_champion_is_named_as_the_reason_for_no_matches(browser: Browser, address: str) -> None:
    with open_dashboard(browser, f"{address}?champion=Ahry") as page:
        expect(page.get_by_text("No document has this champion")).to_be_visible()


def test_click_on_a_champion_of_the_table_opens_its_page(browser: Browser, address: str) -> None:
    """The first row's, whose name is an attack. The rows are drawn on a canvas: they are no elements."""
    with open_dashboard(browser, f"{address}?paused=true") as page:
        is_complete(page)
        expect(page.get_by_test_id("data-grid-canvas")).to_be_visible()
        page.get_by_test_id("stDataFrame").click(position={"x": 2 * ROW_HEIGHT, "y": 1.5 * ROW_HEIGHT})
        expect(page.get_by_role("heading", name=XSS)).to_be_visible()
        is_complete(page)
        page.reload()
        expect(page.get_by_role("heading", name=XSS)).to_be_visible()
        parameters = parse_qs(urlsplit(page.url).query)
        assert (parameters["page"], parameters["champion"]) == (["Champion"], [XSS])
        assert page.locator("img").count() == 0


def test_click_on_the_name_of_a_column_sorts_and_the_champions_is_wide_enough_for_each(
    browser: Browser, address: str
) -> None:
    """Streamlit makes it as wide as the names of the first rows."""
    with open_dashboard(browser, f"{address}?paused=true") as page:
        is_complete(page)
        expect(page.get_by_test_id("data-grid-canvas")).to_be_visible()
        page.get_by_test_id("stDataFrame").click(position={"x": 3 * ROW_HEIGHT, "y": 0.5 * ROW_HEIGHT})
        expect(page.get_by_test_id("data-grid-canvas").locator("th").first).to_have_text("↑ Champion")


def test_back_and_forward_return_to_each_page_with_its_filters(browser: Browser, address: str) -> None:
    with open_dashboard(browser, f"{address}?queue=Arena") as page:
        is_complete(page)
        for name in ("Pipeline", "Matches", "Champion"):
            page.get_by_role("radio", name=name).click()
            displays(page, name, queue="Arena")
        page.get_by_label("Champion", exact=True).click()
        page.get_by_role("option", name="Jinx").click()
        displays(page, "Champion", queue="Arena", champion="Jinx")
        for name in ("Champion", "Matches", "Pipeline", "Matches"):
            page.go_back()
            displays(page, name, queue="Arena")
        page.go_forward()
        displays(page, "Pipeline", queue="Arena")
        page.go_back()
        displays(page, "Matches", queue="Arena")
        expect(page.get_by_test_id("data-grid-canvas")).to_be_visible()
        page.get_by_test_id("stDataFrame").click(position={"x": 2 * ROW_HEIGHT, "y": 1.5 * ROW_HEIGHT})
        displays(page, "Champion", queue="Arena", champion=XSS)
        page.go_back()
        displays(page, "Matches", queue="Arena")
        page.go_forward()
        displays(page, "Champion", queue="Arena", champion=XSS)


def displays(page: Page, name: str, **filters: str) -> None:
    """Wait until the page of this name is displayed with these filters, and the URL has them."""
    parameters = filters | ({} if name == "Matches" else {"page": name})
    page.wait_for_url(
        lambda url: parse_qs(urlsplit(url).query) == {key: [value] for key, value in parameters.items()},
        wait_until="commit",
    )
    is_complete(page)
    expect(page.get_by_role("radio", name=name)).to_be_checked()
    if name == "Pipeline":
        expect(page.get_by_text("Lag by partition")).to_be_visible()
        return
    for label in ("Queue", "Champion"):
        expect(page.get_by_label(label, exact=True)).to_have_value(filters.get(label.lower(), "all"))
    if "champion" in filters:
        expect(page.get_by_role("heading", name=filters["champion"])).to_be_visible()


def test_last_match_without_two_teams_has_its_champions_in_one_cell(browser: Browser, address: str) -> None:
    with open_dashboard(browser, address) as page:
        row = page.locator(".st-key-card-last tr", has_text="Arena")
        expect(row.get_by_role("cell")).to_have_count(8)
        expect(row.get_by_role("cell", name="Sett · Galio · Jinx")).to_have_attribute("colspan", "2")


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
    connection = HTTPConnection(urlsplit(address).netloc, timeout=60)
    connection.request("GET", "/_stcore/stream", headers=handshake | headers)
    assert connection.getresponse().status == status
    connection.close()


def test_message_of_more_than_10_mb_is_refused_before_it_arrives(address: str) -> None:
    """The server would keep it in memory, before the login."""
    server = urlsplit(address)
    with socket.create_connection((server.hostname, server.port), timeout=60) as connection:
        connection.sendall(
            f"GET /_stcore/stream HTTP/1.1\r\nHost: {server.netloc}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
            "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n".encode()
        )
        answer = connection.makefile("rb")
        assert b" 101 " in answer.readline()
        assert b"\r\n" in iter(answer.readline, b"")
        # The header of a masked binary frame: 50 MiB follow.
        connection.sendall(b"\x82\xff" + (50 * 2**20).to_bytes(8, "big") + bytes(4))
        close, _length, *code = answer.read(4)
    assert (close, int.from_bytes(code)) == (0x88, 1009)


@pytest.mark.parametrize(("name", "controls"), CONTROLS.items())
def test_keyboard_reaches_every_control_with_a_visible_focus(
    browser: Browser, address: str, name: str, controls: tuple[str, ...]
) -> None:
    expected, reached, unseen = ["Matches", *controls], list[str](), list[str]()
    with open_dashboard(browser, address + FULL[name]) as page:
        while (control := press_tab(page)) and reached != expected:
            if control in expected:
                reached.append(control)
                widget = page.locator("[data-testid='stElementContainer']", has=page.locator(":focus")).element_handle()
                focused = widget.screenshot(animations="disabled")
                page.keyboard.press("Shift+Tab")
                if widget.screenshot(animations="disabled") == focused:
                    unseen.append(control)
                page.keyboard.press("Tab")
    assert reached == expected
    assert unseen == []


def press_tab(page: Page) -> str:
    """The accessible name of the next element that the Tab key reaches; empty after the last one."""
    page.keyboard.press("Tab")
    focused = page.locator(":focus")
    if not focused.count():
        return ""
    name = re.search(r'"(.*?)"', focused.aria_snapshot())
    return name[1] if name else "(no name)"


def test_keyboard_selects_a_filter_and_a_page(browser: Browser, address: str) -> None:
    with open_dashboard(browser, f"{address}?page=Champion") as page:
        is_complete(page)
        page.get_by_label("Champion", exact=True).focus()
        page.keyboard.type("Jinx")
        expect(page.get_by_role("option")).to_have_text(["Jinx"])
        page.keyboard.press("Enter")
        expect(page.get_by_role("heading", name="Jinx")).to_be_visible()
        is_complete(page)
        page.get_by_role("radio", name="Champion").focus()
        page.keyboard.press("ArrowRight")
        page.keyboard.press("Space")
        expect(page.get_by_text("Enter a player's Riot ID")).to_be_visible()


def test_refresh_stops_while_paused(browser: Browser, address: str) -> None:
    """A page that is not paused shows when a refresh is due."""
    # On a busy machine, two pages with an interval of a second would take all of the server's time.
    url = f"{address}{FULL['Player']}&refresh_seconds=2"
    with open_dashboard(browser, url) as page, open_dashboard(browser, url) as other:
        figure = tile(page, "Games")
        changes(figure, times=1)
        page.get_by_text("Pause").click()
        expect(page).to_have_url(re.compile("paused=true"))

        def stays() -> None:
            """Retried, because a refresh may be under way when the viewer pauses."""
            paused = figure.inner_text()
            changes(tile(other, "Games"), times=2)
            assert figure.inner_text() == paused

        eventually(stays)
        page.get_by_text("Pause").click()
        changes(figure, times=2)


def test_refresh_keeps_scroll_position_and_filter_and_charts(browser: Browser, address: str) -> None:
    with open_dashboard(browser, f"{address}?refresh_seconds=1&champion=Jinx") as page:
        main = page.get_by_test_id("stMain")
        chart = page.locator(".st-key-card-matches-per-minute svg.marks").element_handle()
        changes(tile(page, "Documents"), times=2)  # until every chart has its height
        main.evaluate("main => main.scrollTo(0, 300)")
        changes(tile(page, "Documents"), times=2)
        assert main.evaluate("main => main.scrollTop") == 300
        assert chart.evaluate("chart => chart.isConnected"), "the chart was replaced"
        expect(page.get_by_label("Champion", exact=True)).to_have_value("Jinx")
        expect(tile(page, "Matches")).to_have_text("2,000")


def changes(figure: Locator, times: int) -> None:
    """Wait until this many refreshes have changed a key figure."""
    for _ in range(times):
        expect(figure).not_to_have_text(figure.inner_text())


@pytest.mark.parametrize(
    ("outage", "problem", "opacity"),
    [
        ("elasticsearch-fails", "Elasticsearch does not answer", "0.5"),
        ("prometheus-fails", "Prometheus does not answer", "1"),
    ],
    ids=["main source", "other source"],
)
def test_outage_of_a_source_is_an_alert_above_the_last_data(
    browser: Browser, address: str, outage: str, problem: str, opacity: str
) -> None:
    """The page is grey if its main source fails."""
    with open_dashboard(browser, f"{address}?refresh_seconds=1&patch={outage}") as page:
        alert = page.get_by_role("alert").filter(has_text=problem)
        expect(alert).to_be_visible()
        assert page.locator("img").count() == 0
        expect(page.locator(".age")).to_contain_text("Below is the data of")
        expect(page.locator(".st-key-data")).to_have_css("opacity", opacity)
        expect(tile(page, "Matches")).to_have_text("7,200")
        expect(tile(page, "Lag")).to_have_text("0")


def is_complete(page: Page) -> None:
    """Wait until Streamlit has drawn the whole page: a change before that can leave the URL as it was, and a chart that
    is drawn moves what is below it."""
    expect(page.get_by_test_id("stApp")).to_have_attribute("data-test-script-state", "notRunning")
    expect(page.get_by_test_id("stSkeleton")).to_have_count(0)
    expect(page.locator("[data-testid=stVegaLiteChart]:not(:has(svg, canvas))")).to_have_count(0)


def tile(page: Page, name: str) -> Locator:
    """The number of a key figure."""
    return page.locator(".figures .card", has=page.locator("dt", has_text=name)).locator(".value").first


def test_upload_is_limited_to_a_megabyte(browser: Browser, address: str) -> None:
    """No page has an upload, but Streamlit takes one in each session, also before the login of `strict`."""
    sessions: list[str] = []

    def received(payload: str | bytes) -> None:
        message = ForwardMsg()
        message.ParseFromString(payload)
        if message.HasField("new_session"):
            sessions.append(message.new_session.initialize.session_id)

    with browser.new_context() as context:
        page = context.new_page()
        page.on("websocket", lambda websocket: websocket.on("framereceived", received))
        load(page, address)
        (token,) = [cookie["value"] for cookie in context.cookies() if cookie["name"] == "_streamlit_xsrf"]
        for size, status in ((2**19, 204), (2**21, 413)):
            answer = context.request.put(
                f"{address}_stcore/upload_file/{sessions[-1]}/1",
                multipart={"file": {"name": "a", "mimeType": "text/plain", "buffer": b"a" * size}},
                headers={"X-Xsrftoken": token},
            )
            assert answer.status == status, answer.text()
