"""The report's page as HTML. In Chromium: tests/integration."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from analytics.key_figures import compact
from analytics.match_statistics import PositionStatistics
from analytics.time_range import TimeRange
from tests.support.report_samples import (
    CREATED_AT,
    EMPTY_REPORT,
    FIGURES,
    MATCHES,
    PIPELINE,
    REPORT,
    TIME_RANGE,
    champion,
    match,
    points,
)
from tools.report.page import render


def test_control_characters_are_replaced_in_charts_and_page() -> None:
    """Some of them in a chart's text make vl-convert abort the process."""
    characters = "\x00\x01\x1b\ufffe\u202e\ud800"
    name = f"A{characters}b"
    shown = "A" + "\ufffd" * len(characters) + "b"
    report = replace(
        REPORT,
        matches=replace(
            MATCHES,
            champions=(champion(name, 3000, 0.61),),
            positions=(PositionStatistics(name, 7000, 3.2, 180, 410),),
            last=(replace(match(1, (name,)), id=name, patch=name),),
        ),
        pipeline=replace(PIPELINE, documents={name: points(1)}, dead_letters={name: 3}),
        problems=(name,),
    )
    page = render(report)
    assert not set(characters) & set(page)
    # The problem, the table's champion, and the last match's id, patch and champion; the others are in charts.
    assert page.partition("<svg")[0].count(shown) == 1
    assert page.count(f">{shown}<") > 4


def test_mean_rates_have_their_number_of_minutes() -> None:
    def notes(time_range: TimeRange) -> list[str]:
        report = replace(REPORT, time_range=time_range)
        figure = next(each for each in report.key_figures if each.name == "Ended per minute")
        return [figure.note, report.match_charts[0].note]

    assert notes(TIME_RANGE) == ["1,200 documents; mean of 5 minutes", "by the end of the game"]
    assert notes(TimeRange.last(timedelta(hours=24), CREATED_AT)) == [
        "1,200 documents; mean of 5 minutes",
        "by the end of the game; means of 24 minutes",
    ]


def test_unknown_means_are_not_shown_as_zero() -> None:
    """None of these games has a duration."""
    unknown = replace(champion("Ahri", 9, 0.5), gold_per_minute=None, damage_per_minute=None, cs_per_minute=None)
    positions = (PositionStatistics("TOP", 9, 3.2, 180, None),)
    page = render(replace(EMPTY_REPORT, matches=replace(MATCHES, champions=(unknown,), positions=positions)))
    assert page.count('<td class="number" data-value="-1">–</td>') == 3
    assert "Top: CS 180, the mean of 9 games" in page
    assert "Gold per minute 0" not in page


def test_time_range_beyond_prometheus_retention_has_one_note() -> None:
    note = "Prometheus has no data from before 2026-03-01 11:20"
    report = replace(EMPTY_REPORT, time_range=TIME_RANGE, pipeline=PIPELINE)  # without the charts of matches
    assert note not in render(report)
    shorter = replace(FIGURES, oldest_sample=TIME_RANGE.start + timedelta(minutes=20))
    assert render(replace(report, figures=shorter)).count(note) == 1


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
def test_large_numbers_are_abbreviated(number: float, text: str) -> None:
    assert compact(number) == text
