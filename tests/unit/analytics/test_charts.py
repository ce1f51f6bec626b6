"""The report's charts as PNG and SVG."""

from __future__ import annotations

import re
import struct
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from altair.utils import schemapi

from analytics import charts
from analytics.builds import GoldBucket, GroupStatistics
from analytics.chart import DARK, LIGHT, NO_DATA, Chart, Palette
from analytics.match_statistics import GameLengthBucket, ObjectiveStatistics, PositionStatistics, StepRate
from analytics.pipeline_metrics import Points
from analytics.time_range import TimeRange
from tests.support.report_samples import (
    CREATED_AT,
    EMPTY_PIPELINE,
    EMPTY_REPORT,
    PIPELINE,
    REPORT,
    TIME_RANGE,
    champion,
)
from tools.report.rendering import png, svg

ALL = {chart.name: chart for chart in (*REPORT.match_charts, *REPORT.pipeline_charts)}


def test_number_of_match_charts() -> None:
    assert REPORT.matches is not None
    assert len(charts.match_charts(REPORT.matches, TIME_RANGE)) == charts.MATCH_CHARTS


@pytest.mark.parametrize("chart", ALL.values(), ids=ALL)
def test_png_has_two_pixels_per_css_pixel_and_is_small(chart: Chart) -> None:
    picture = png(chart, LIGHT)
    assert picture.startswith(b"\x89PNG")
    width, height = struct.unpack(">II", picture[16:24])
    assert width >= 2 * 380
    assert height >= 2 * 180
    assert len(picture) < 300_000


def test_light_and_dark_png_differ() -> None:
    chart = ALL["lag"]
    assert png(chart, LIGHT) != png(chart, DARK)


@pytest.mark.parametrize("palette", [LIGHT, DARK], ids=["light", "dark"])
def test_text_has_enough_contrast(palette: Palette) -> None:
    """WCAG requires a contrast ratio of 4.5 for text."""
    for colour in (palette.ink, palette.muted, palette.blue, palette.red, palette.bad):
        assert contrast_ratio(colour, palette.card) >= 4.5
    for colour in (palette.ink, palette.muted):
        assert contrast_ratio(colour, palette.page) >= 4.5


def contrast_ratio(one: str, other: str) -> float:
    """https://www.w3.org/TR/WCAG22/#dfn-contrast-ratio"""
    lighter, darker = sorted((luminance(one), luminance(other)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


def luminance(colour: str) -> float:
    red, green, blue = (int(part, 16) / 255 for part in re.findall("[0-9a-f]{2}", colour))
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in (red, green, blue)]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_only_champions_outside_the_confidence_interval_have_labels() -> None:
    found = [champion("Lucky", 100, 0.55), champion("Strong", 1000, 0.58), champion("Weak", 1000, 0.42)]
    shown = svg(charts.win_rate_against_pick_rate(found, 7200))
    labels = re.findall(r"<text[^>]*>(\w+)</text>", shown)
    assert {"Strong", "Weak"} <= set(labels)
    assert "Lucky" not in labels


def test_champions_with_few_games_are_left_out() -> None:
    assert charts.win_rate_against_pick_rate([champion("Rare", charts.MIN_GAMES - 1, 1.0)], 7200).specification is None


def test_line_has_a_gap_at_missing_values() -> None:
    half = len(PIPELINE.lag["lag"]) // 2
    gap = (*PIPELINE.lag["lag"][: half - 5], *PIPELINE.lag["lag"][half + 5 :])

    def strokes(points: Points) -> int:
        shown = svg(charts.lines_over_time("lag", "Lag", "", {"lag": points}, TIME_RANGE, ".0f"))
        (line,) = re.findall(r'd="([^"]*)"[^>]*stroke="var\(--accent\)"', shown)
        return str(line).count("M")

    assert strokes(PIPELINE.lag["lag"]) == 1
    assert strokes(gap) == 2


def test_isolated_value_is_drawn_as_a_point() -> None:
    values = PIPELINE.lag["lag"]

    def drawn_points(points: Points) -> int:
        shown = svg(charts.lines_over_time("lag", "Lag", "", {"lag": points}, TIME_RANGE, ".0f"))
        return len(re.findall(r'fill="var\(--accent\)"', shown))

    assert drawn_points(values) == 0
    assert drawn_points(values[:1]) == 1
    assert drawn_points(values[:20:2]) == 10
    assert drawn_points((*values[:20], values[30], *values[40:])) == 1


@pytest.mark.parametrize(
    ("hours", "labels"),
    [
        (1, ["11:00", "11:15", "11:30", "11:45", "12:00"]),
        (24, ["12:00", "18:00", "01 Mar", "06:00", "12:00"]),
        (72, ["12:00", "27 Feb", "12:00", "28 Feb", "12:00", "01 Mar", "12:00"]),
        (168, ["23 Feb", "24 Feb", "25 Feb", "26 Feb", "27 Feb", "28 Feb", "01 Mar"]),
    ],
)
def test_time_axis_labels_each_day_once(hours: int, labels: list[str]) -> None:
    time_range = TimeRange.last(timedelta(hours=hours), CREATED_AT)
    values = tuple((time, 1.0) for time in time_range.step_times)
    shown = svg(charts.lines_over_time("lag", "Lag", "", {"lag": values}, time_range, ".0f"))
    assert re.findall(r">(\d\d:\d\d|\d\d [A-Z][a-z]{2})</text>", shown) == labels


def test_game_lengths_without_games_have_no_chart() -> None:
    assert charts.game_lengths([]).specification is None
    assert charts.game_lengths([GameLengthBucket(0, 15, 0), GameLengthBucket(15, None, 0)]).specification is None


def test_chart_that_leaves_out_modes_says_so_if_it_is_empty() -> None:
    """A time range with matches of Arena or Swarm only is not without data."""
    shown = {chart.name: chart for chart in (*EMPTY_REPORT.match_charts, *EMPTY_REPORT.pipeline_charts)}
    assert all(chart.specification is None for chart in shown.values())
    without_reason = {name for name, chart in shown.items() if chart.empty == NO_DATA}
    assert without_reason == {
        *("matches-per-minute", "documents-per-minute", "game-lengths"),
        *("messages", "documents", "lag", "batch-time", "freshness"),
    }
    for name in ("positions", "sides", "gold-per-minute", "kill-participation"):
        assert "Arena" in shown[name].empty
    for name in ("items", "keystones", "win-rate-against-pick-rate"):
        assert "Swarm" in shown[name].empty


@pytest.mark.parametrize(
    ("reasons", "words"),
    [({}, "unknown: Prometheus has no metrics of the job"), ({"not_json": 0.0}, "none since the job last started")],
    ids=["job down or not scraped", "zero"],
)
def test_unknown_dead_letters_are_not_zero(reasons: dict[str, float], words: str) -> None:
    """The job has a counter of each reason from its start."""
    chart = charts.dead_letters(reasons)
    assert chart.specification is None
    assert chart.empty.startswith(words)
    (same,) = [each for each in pipeline_charts(dead_letters=reasons) if each.name == "dead-letters"]
    assert same == chart


@pytest.mark.parametrize(
    ("rates", "words"),
    [
        ({}, "unknown: Prometheus has no metrics of the job"),
        ({"not_json": ((TIME_RANGE.end, 0.0),)}, "no dead letter in this time range"),
    ],
    ids=["job down or not scraped", "zero"],
)
def test_unknown_dead_letters_over_time_are_not_zero(rates: dict[str, Points], words: str) -> None:
    chart = charts.dead_letters_over_time(rates, TIME_RANGE)
    assert chart.specification is None
    assert chart.empty.startswith(words)


def test_dead_letters_over_time_have_a_line_for_each_reason_that_occurs() -> None:
    lines = {"invalid_field": PIPELINE.lag["lag"], "not_json": ((TIME_RANGE.end, 2.0),)}
    shown = svg(charts.dead_letters_over_time(lines, TIME_RANGE))
    assert "not_json 2.0" in shown
    assert "invalid_field" not in shown


@pytest.mark.parametrize(
    ("processed", "words"),
    [
        ((), "unknown: Prometheus has no metrics of the job"),
        (((TIME_RANGE.end, 0.0),), "no write had to be repeated"),
    ],
    ids=["job down or not scraped", "zero"],
)
def test_unknown_waits_are_not_zero(processed: Points, words: str) -> None:
    """A service has no counter before its first wait."""
    (chart,) = [each for each in pipeline_charts(messages={"processed": processed}) if each.name == "sink-waits"]
    assert chart.specification is None
    assert chart.empty.startswith(words)


def pipeline_charts(**metrics: Any) -> list[Chart]:
    """All charts from a Prometheus with these metrics only."""
    found = replace(EMPTY_PIPELINE, **metrics)
    return [*charts.pipeline_charts(found, TIME_RANGE), *charts.stage_charts(found, TIME_RANGE)]


@pytest.mark.parametrize(
    ("seconds", "note"),
    [
        (1, "; means of 1 s"),
        (14, "; means of 14 s"),
        (60, ""),
        (90, "; means of 90 s"),
        (119, "; means of 119 s"),
        (120, "; means of 2 minutes"),
    ],
)
def test_note_has_the_true_length_of_a_step(seconds: int, note: str) -> None:
    assert charts.rate_per_minute([], TimeRange(CREATED_AT, seconds), "matches", "").note == note


HALF_A_STEP_LATE = TimeRange(CREATED_AT, 60)
"""Of whole minutes that begin at 30 s."""


@pytest.mark.parametrize(
    ("time_range", "times"),
    [
        (TimeRange.last(timedelta(minutes=15), CREATED_AT), ["11:45:15", "11:45:30", "11:45:45", "11:46:00"]),
        (TimeRange.last(timedelta(hours=1), CREATED_AT), ["11:00", "11:01", "11:02", "11:03"]),
        (TimeRange.last(timedelta(minutes=90), CREATED_AT), ["10:30:00", "10:31:30", "10:33:00", "10:34:30"]),
        (HALF_A_STEP_LATE, ["11:00:30", "11:01:30", "11:02:30", "11:03:30"]),
        (TimeRange.last(timedelta(days=1), CREATED_AT), ["12:00", "12:24", "12:48", "13:12"]),
    ],
    ids=["15 minutes", "an hour", "90 minutes", "minutes that begin at 30 s", "a day"],
)
def test_tooltips_have_seconds_if_the_steps_have(time_range: TimeRange, times: list[str]) -> None:
    """Neighbouring steps would otherwise have the same tooltip."""
    starts = time_range.step_times[:4]
    bars = svg(charts.rate_per_minute([StepRate(start, 1, 10) for start in starts], time_range, "matches", ""))
    line = svg(charts.lines_over_time("lag", "Lag", "", {"lag": tuple((at, 1.0) for at in starts)}, time_range, ".0f"))
    assert re.findall(r"([\d:]+): 1\.0 matches per minute", bars) == times
    assert re.findall(r"([\d:]+): lag 1<", line) == times


def test_tooltip_shows_0_only_if_the_rate_is_0() -> None:
    rates = (0, 0.0013, 0.25, 1.04, 120, 1200)
    steps = [
        StepRate(start, matches, 10 * matches) for start, matches in zip(TIME_RANGE.step_times, rates, strict=False)
    ]
    shown = svg(charts.rate_per_minute(steps, TIME_RANGE, "matches", ""))
    assert re.findall(r"(\S+) matches per minute", shown) == ["0", "0.0013", "0.25", "1.0", "120.0", "1,200"]


def test_tooltip_of_a_line_shows_0_only_if_the_value_is_0() -> None:
    values = (0.0, 0.004, 0.06, 3.0)
    points = tuple(zip(TIME_RANGE.step_times, values, strict=False))
    shown = svg(charts.lines_over_time("messages", "Messages", "", {"sent": points}, TIME_RANGE, ",.1f"))
    assert re.findall(r": sent ([^<]+)<", shown) == ["0.0", "0.004", "0.1", "3.0"]


@pytest.mark.parametrize(
    ("chart", "tooltip"),
    [
        (charts.gold_per_minute([GoldBucket(900, 1)]), "900–950 gold per minute: 1 game"),
        (
            charts.items([GroupStatistics("Sheen", 1, 0.1, 1)]),
            "Sheen: won 100.0% of 1 game, 10.0% of the games with items",
        ),
        (charts.game_lengths([GameLengthBucket(0, 15, 1)]), "0–15 minutes: 1 match"),
        (charts.positions([PositionStatistics("TOP", 1, 3, 180, None)]), "Top: KDA 3.00, the mean of 1 game"),
        (charts.objectives([ObjectiveStatistics("Tower", 1, 1)]), "100.0% of 1 team with the first tower won"),
        (charts.dead_letters({"not_json": 1}), "not_json: 1 message"),
    ],
    ids=lambda value: value.name if isinstance(value, Chart) else "",
)
def test_tooltip_of_one_is_singular(chart: Chart, tooltip: str) -> None:
    assert f">{tooltip}<" in svg(chart)


def test_charts_are_the_same_without_validation() -> None:
    """The dashboard does without."""

    def specifications(*, validate: bool) -> list[dict[str, Any]]:
        with schemapi.debug_mode(validate):
            found = (*REPORT.match_charts, *REPORT.pipeline_charts)
            return [chart.to_dict("sans-serif", validate=validate) for chart in found]

    assert specifications(validate=True) == specifications(validate=False)


@pytest.mark.parametrize("number", [2, 6, 7, 18])
def test_lines_of_a_chart_look_different(number: int) -> None:
    """By colour, and from the seventh on by dashes."""
    lines = {f"partition {line:02}": PIPELINE.lag["lag"] for line in range(number)}
    shown = svg(charts.lines_over_time("lag", "Lag", "", lines, TIME_RANGE, ".0f"))
    drawn = re.findall(r'stroke="var\(--(\w+)\)" stroke-width="2"(?: stroke-dasharray="([\d,]+)")?', shown)
    assert len(set(drawn)) == number
