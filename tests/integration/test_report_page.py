"""The report's page in Chromium: each test fails on any request and on any console message."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Literal

import pytest
from playwright.sync_api import Browser, Page

from tests.support.browser_page import open_page
from tests.support.report_samples import (
    EMPTY_REPORT,
    REPORT,
    REPORT_WITHOUT_SOURCES,
    SHORT_XSS,
    XSS,
)
from tools.report.page import StackReport, render

WIDE = (1400, 1280)
"""Widths in which no part of the page needs scrolling."""
WIDTHS = (*WIDE, 760, 400)


def write_page(report: StackReport, folder: Path) -> Path:
    path = folder / "report.html"
    path.write_text(render(report), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_page(REPORT, tmp_path_factory.mktemp("report"))


def column_texts(page: Page, number: int) -> list[str]:
    return page.locator(f"#champions tbody td:nth-child({number})").all_inner_texts()


@pytest.mark.parametrize("width", WIDTHS)
def test_page_has_no_horizontal_scrolling(browser: Browser, path: Path, width: int) -> None:
    with open_page(browser, path, width) as page:
        assert page.evaluate("document.documentElement.scrollWidth") == width
        for chart in page.locator(".chart svg").all():
            box = chart.bounding_box()
            assert box is not None
            assert box["width"] > 300


@pytest.mark.parametrize("width", WIDE)
def test_tables_fit_a_wide_window(browser: Browser, path: Path, width: int) -> None:
    with open_page(browser, path, width) as page:
        tables = page.locator(".scroll").evaluate_all("all => all.map(each => [each.scrollWidth, each.clientWidth])")
    assert len(tables) == 2
    assert all(needed <= shown for needed, shown in tables), tables


@pytest.mark.parametrize("width", WIDE)
def test_key_figures_stand_in_rows_of_equal_length(browser: Browser, path: Path, width: int) -> None:
    """The last row may be shorter, but at least half as long."""
    with open_page(browser, path, width) as page:
        tops = page.locator(".figures .card").evaluate_all("all => all.map(each => each.offsetTop)")
    *full, last = Counter(tops).values()
    longest = max(full, default=last)
    assert set(full) <= {longest}
    assert longest / 2 <= last <= longest


@pytest.mark.parametrize(("scheme", "page_colour"), [("light", "rgb(243, 245, 248)"), ("dark", "rgb(15, 20, 26)")])
def test_page_and_charts_follow_the_light_or_dark_theme(
    browser: Browser, path: Path, scheme: Literal["light", "dark"], page_colour: str
) -> None:
    with open_page(browser, path, scheme=scheme) as page:
        assert page.evaluate("getComputedStyle(document.body).backgroundColor") == page_colour
        # The charts' marks have the theme's colours too.
        colours = page.evaluate(
            """() => {
                const bar = document.querySelector('.chart path[fill="var(--accent)"]');
                const probe = document.body.appendChild(document.createElement("i"));
                probe.style.color = "var(--accent)";
                return [getComputedStyle(bar).fill, getComputedStyle(probe).color];
            }"""
        )
        assert colours[0] == colours[1]


def test_header_has_stack_creation_time_and_time_range(browser: Browser, path: Path) -> None:
    with open_page(browser, path) as page:
        head = page.locator("header").inner_text()
    assert "Stack sample" in head
    assert "created 2026-03-01 12:00:30" in head
    assert "from 2026-03-01 11:00 to 2026-03-01 12:00" in head


def test_key_figures(browser: Browser, path: Path) -> None:
    with open_page(browser, path) as page:
        names, values = page.locator(".figures dt"), page.locator(".figures .value")
        found = dict(zip(names.all_inner_texts(), values.all_inner_texts(), strict=True))
    assert found == {
        "Matches": "7,200",
        "Ended per minute": "120.0",
        "Arriving per minute": "118.0",
        "Documents": "1.23 M",
        "Newest document": "1.0 s",
        "Freshness": "0.90 s",
        "Batch time": "0.40 s",
        "Lag": "0",
        "Dead letters": "5",
        "Late matches": "7",
    }


def test_click_on_a_column_sorts_and_another_click_reverses(browser: Browser, path: Path) -> None:
    with open_page(browser, path) as page:
        assert column_texts(page, 2)[:3] == ["3,000", "2,000", "1,000"]
        win_rate = page.locator("#champions th", has_text="Win rate")
        win_rate.get_by_role("button").click()
        assert win_rate.get_attribute("aria-sort") == "descending"
        assert column_texts(page, 5)[:3] == ["61.0%", "52.0%", "50.0%"]
        win_rate.get_by_role("button").click()
        assert win_rate.get_attribute("aria-sort") == "ascending"
        assert column_texts(page, 5)[0] == "49.3%"
        page.locator("#champions th", has_text="Champion").get_by_role("button").click()
        assert column_texts(page, 1) == sorted(column_texts(page, 1), key=str.lower)
        assert page.locator("#champions th[aria-sort]").count() == 1


def test_names_are_escaped_against_cross_site_scripting(browser: Browser, path: Path) -> None:
    with open_page(browser, path) as page:
        assert page.locator("#champions td", has_text=XSS).count() == 1
        assert page.locator("#last td", has_text=XSS).count() == 1
        assert page.locator("#last td", has_text=SHORT_XSS).count() == 3, "the match's id, patch and queue"
        assert page.locator("img").count() == 0
        assert page.locator("svg title", has_text=XSS).count() == 2, "a champion and an item"


def test_last_match_without_two_teams_has_its_champions_in_one_cell(browser: Browser, path: Path) -> None:
    with open_page(browser, path) as page:
        rows = page.locator("#last tbody tr")
        assert rows.nth(0).locator("td").all_inner_texts()[-3:] == ["–", "–", "Sett · Galio · Jinx"]
        assert rows.nth(1).locator("td").all_inner_texts()[-3] == "21 : 33"


def test_page_without_scripts_has_charts_and_tables(browser: Browser, path: Path) -> None:
    """For example in the preview of a mail program."""
    with open_page(browser, path, scripts=False) as page:
        assert page.locator(".chart svg").count() == 17
        assert page.locator("#champions tbody tr").count() == 25
        assert page.locator("#champions button").count() == 0


def test_chart_marks_have_tooltips(browser: Browser, path: Path) -> None:
    with open_page(browser, path) as page:
        titles = page.locator("svg title").all_text_contents()
    for words in (
        "01 Mar 11:00: 120.0 matches per minute",
        "0–15 minutes: 100 matches",
        "40+ minutes: 140 matches",
        "Jinx: won 49.3% of 2,000 games",
        "Top: KDA 3.20, the mean of 7,000 games",
        "blue: 52.0% wins",
        "350–400 gold per minute: 400 games",
        "Utility: Winners 55%, the mean of 3,500 games",
        "Utility: Losers 45%, the mean of 3,400 games",
        "Lord Dominik's Regards 0: won 51.0% of 9,000 games, 12.0% of the games with items",
        "Grasp of the Undying: won 49.0% of 14,400 games, 20.0% of the games with keystones",
        "01 Mar 12:00: p50 0.40, p95 0.80",
        "not_json: 3 messages",
    ):
        assert words in titles


def test_element_ids_are_unique(browser: Browser, path: Path) -> None:
    with open_page(browser, path) as page:
        ids = page.evaluate("[...document.querySelectorAll('[id]')].map(element => element.id)")
    assert len(ids) == len(set(ids))


def test_stack_without_data_has_a_page_with_the_reason(browser: Browser, tmp_path: Path) -> None:
    with open_page(browser, write_page(EMPTY_REPORT, tmp_path), 400) as page:
        assert page.locator(".problem").all_inner_texts() == ["No document is searchable yet."]
        assert page.locator(".chart svg").count() == 0
        charts = (*EMPTY_REPORT.match_charts, *EMPTY_REPORT.pipeline_charts)
        assert page.locator(".chart .empty").all_inner_texts() == [chart.empty for chart in charts]
        assert "–" in page.locator(".figures .value").all_inner_texts()


def test_page_without_sources_has_only_their_errors(browser: Browser, tmp_path: Path) -> None:
    with open_page(browser, write_page(REPORT_WITHOUT_SOURCES, tmp_path)) as page:
        assert page.locator(".problem").all_inner_texts() == [
            "Elasticsearch does not answer",
            "Prometheus does not answer",
        ]
        assert page.locator("h2").count() == 0


def test_content_security_policy_blocks_images_and_injected_scripts(browser: Browser, path: Path) -> None:
    page = browser.new_page()
    blocked: list[str] = []
    page.on("console", lambda message: blocked.append(message.text))
    page.goto(path.as_uri())
    page.evaluate("document.body.append(Object.assign(new Image(), {src: 'data:,'}))")
    page.evaluate("document.body.append(Object.assign(document.createElement('script'), {text: 'window.ran = true'}))")
    assert page.evaluate("window.ran") is None
    page.close()
    assert len([text for text in blocked if "Content Security Policy" in text]) == 2
