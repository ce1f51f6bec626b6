"""The report's page, opened in a Chromium: each test fails on any complaint in the console and any request."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Literal

import pytest
from playwright.sync_api import Browser, Page

from tests.support.browser_page import opened
from tests.support.report_samples import (
    EMPTY_REPORT,
    HOSTILE,
    MADE,
    MATCHES,
    PERIOD,
    PIPELINE,
    REPORT,
    SILENT_REPORT,
    champion,
    match,
    points,
)
from tools.report.matches import Position
from tools.report.page import Report, compact, figures, match_charts, render
from tools.time_range import Period

WIDTHS = (1400, 760, 400)


def written(report: Report, folder: Path) -> Path:
    path = folder / "report.html"
    path.write_text(render(report), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return written(REPORT, tmp_path_factory.mktemp("report"))


def column(page: Page, number: int) -> list[str]:
    return page.locator(f"#champions tbody td:nth-child({number})").all_inner_texts()


@pytest.mark.parametrize("width", WIDTHS)
def test_nothing_is_wider_than_the_window(browser: Browser, path: Path, width: int) -> None:
    with opened(browser, path, width) as page:
        assert page.evaluate("document.documentElement.scrollWidth") == width
        for chart in page.locator(".chart svg").all():
            box = chart.bounding_box()
            assert box is not None
            assert box["width"] > 300


@pytest.mark.parametrize(("scheme", "page_colour"), [("light", "rgb(243, 245, 248)"), ("dark", "rgb(15, 20, 26)")])
def test_it_is_light_or_dark_as_the_reader_has_it(
    browser: Browser, path: Path, scheme: Literal["light", "dark"], page_colour: str
) -> None:
    with opened(browser, path, scheme=scheme) as page:
        assert page.evaluate("getComputedStyle(document.body).backgroundColor") == page_colour
        # A mark of a chart takes the page's colour too.
        colours = page.evaluate(
            """() => {
                const bar = document.querySelector('.chart path[fill="var(--accent)"]');
                const probe = document.body.appendChild(document.createElement("i"));
                probe.style.color = "var(--accent)";
                return [getComputedStyle(bar).fill, getComputedStyle(probe).color];
            }"""
        )
        assert colours[0] == colours[1]


def test_it_says_when_it_was_made_and_of_which_stack(browser: Browser, path: Path) -> None:
    with opened(browser, path) as page:
        head = page.locator("header").inner_text()
    assert "Stack sample" in head
    assert "made 2026-03-01 12:00:30" in head
    assert "from 2026-03-01 11:00 to 2026-03-01 12:00" in head


def test_figures_are_short(browser: Browser, path: Path) -> None:
    with opened(browser, path) as page:
        names, values = page.locator(".figures dt"), page.locator(".figures .value")
        figures = dict(zip(names.all_inner_texts(), values.all_inner_texts(), strict=True))
    assert figures == {
        "Matches": "7,200",
        "Matches a minute": "120.0",
        "Documents": "1.23 M",
        "Newest found": "1.0 s",
        "Freshness": "0.90 s",
        "Batch time": "0.40 s",
        "Behind": "0",
        "Dead letters": "5",
    }


def test_a_click_on_a_head_sorts_by_number_and_another_turns_it(browser: Browser, path: Path) -> None:
    with opened(browser, path) as page:
        assert column(page, 2)[:3] == ["3,000", "2,000", "1,000"]
        won = page.locator("#champions th", has_text="Won")
        won.get_by_role("button").click()
        assert won.get_attribute("aria-sort") == "descending"
        assert column(page, 4)[:3] == ["61.0%", "52.0%", "50.0%"]
        won.get_by_role("button").click()
        assert won.get_attribute("aria-sort") == "ascending"
        assert column(page, 4)[0] == "49.3%"
        page.locator("#champions th", has_text="Champion").get_by_role("button").click()
        assert column(page, 1) == sorted(column(page, 1), key=str.lower)
        assert page.locator("#champions th[aria-sort]").count() == 1


def test_a_name_is_text_and_never_markup(browser: Browser, path: Path) -> None:
    with opened(browser, path) as page:
        assert page.locator("#champions td", has_text=HOSTILE).count() == 1
        assert page.locator("#last td", has_text=HOSTILE).count() == 1
        assert page.locator("img").count() == 0
        assert page.locator("svg title", has_text=HOSTILE).count() == 1


@pytest.mark.parametrize("character", ["\x00", "\x01", "\x1b", "\ufffe", "\u202e", "\ud800"])
def test_what_cannot_be_printed_is_replaced_in_charts_and_page(character: str) -> None:
    """In a chart's text some of them make vl-convert end the process."""
    name = f"A{character}b"
    report = replace(
        REPORT,
        matches=replace(
            MATCHES,
            champions=(champion(name, 3000, 0.61),),
            positions=(Position(name, 7000, 3.2, 180, 410),),
            last=(replace(match(1, (name,)), id=name, patch=name),),
        ),
        pipeline=replace(PIPELINE, documents={name: points(1)}, dead_letters={name: 3}),
        troubles=(name,),
    )
    page = render(report)
    assert character not in page
    # The trouble, the table's champion, the last match's id, patch and champion; the rest is in charts.
    assert page.partition("<svg")[0].count("A\ufffdb") == 1
    assert page.count(">A\ufffdb<") > 4


def test_means_say_over_how_many_minutes() -> None:
    def notes(period: Period) -> list[str]:
        figure = next(each for each in figures(replace(REPORT, period=period)) if each.name == "Matches a minute")
        return [figure.note, match_charts(MATCHES, period)[0].note]

    assert notes(PERIOD) == ["1,200 documents; mean of 5 minutes", "by the end of the game"]
    assert notes(Period.last(24, MADE)) == [
        "1,200 documents; mean of 120 minutes",
        "by the end of the game; means of 24 minutes",
    ]


def test_what_prometheus_no_longer_has_is_said_once() -> None:
    words = "Prometheus has nothing from before 2026-03-01 11:20"
    assert words not in render(REPORT)
    shorter = replace(PIPELINE, oldest=PERIOD.start + timedelta(minutes=20))
    assert render(replace(REPORT, pipeline=shorter)).count(words) == 1


def test_without_scripts_all_is_there(browser: Browser, path: Path) -> None:
    """As in the preview of a mail program."""
    with opened(browser, path, scripts=False) as page:
        assert page.locator(".chart svg").count() == 12
        assert page.locator("#champions tbody tr").count() == 25
        assert page.locator("#champions button").count() == 0


def test_a_mark_says_what_it_stands_for(browser: Browser, path: Path) -> None:
    with opened(browser, path) as page:
        titles = page.locator("svg title").all_text_contents()
    for words in (
        "01 Mar 11:00: 120 matches a minute",
        "0–15 minutes: 100 matches",
        "40+ minutes: 140 matches",
        "Jinx: won 49.3% of 2,000 games",
        "Top: KDA 3.20, the mean of 7,000 games",
        "blue: 52.0% wins",
        "01 Mar 12:00: p50 0.40, p95 0.80",
        "not_json: 3 messages",
    ):
        assert words in titles


def test_no_two_elements_have_the_same_id(browser: Browser, path: Path) -> None:
    with opened(browser, path) as page:
        ids = page.evaluate("[...document.querySelectorAll('[id]')].map(element => element.id)")
    assert len(ids) == len(set(ids))


def test_a_fresh_stack_has_a_page_without_data(browser: Browser, tmp_path: Path) -> None:
    with opened(browser, written(EMPTY_REPORT, tmp_path), 400) as page:
        assert page.locator(".trouble").all_inner_texts() == ["No document can be found yet."]
        assert page.locator(".chart svg").count() == 0
        assert set(page.locator(".chart .empty").all_inner_texts()) == {
            "no data in this time",
            "no champion has 10 games yet",
            "none since the job last started",
        }
        assert "–" in page.locator(".figures .value").all_inner_texts()


def test_services_that_do_not_answer_are_named_and_no_more_is_said(browser: Browser, tmp_path: Path) -> None:
    with opened(browser, written(SILENT_REPORT, tmp_path)) as page:
        assert page.locator(".trouble").all_inner_texts() == ["Elasticsearch does not answer", "nor does Prometheus"]
        assert page.locator("h2").count() == 0


def test_the_page_forbids_what_it_does_not_need(browser: Browser, path: Path) -> None:
    """That nothing is fetched is not for want of something to fetch."""
    page = browser.new_page()
    refused: list[str] = []
    page.on("console", lambda message: refused.append(message.text))
    page.goto(path.as_uri())
    page.evaluate("document.body.append(Object.assign(new Image(), {src: 'data:,'}))")
    page.evaluate("document.body.append(Object.assign(document.createElement('script'), {text: 'window.ran = true'}))")
    assert page.evaluate("window.ran") is None
    page.close()
    assert len([text for text in refused if "Content Security Policy" in text]) == 2


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (0, "0"),
        (999_999, "999,999"),
        (1_000_000, "1.00 M"),
        (12_345_678, "12.3 M"),
        (123_456_789, "123 M"),
        (4_500_000_000, "4.50 G"),
    ],
)
def test_big_numbers_are_short(number: float, text: str) -> None:
    assert compact(number) == text
