"""The report's charts as files of their own."""

from __future__ import annotations

import re
import struct

import pytest

from tests.support.report_samples import MADE, MATCHES, PERIOD, PIPELINE, champion
from tools.pipeline_metrics import Points
from tools.report import charts
from tools.report.charts import Chart
from tools.report.matches import Length
from tools.report.page import match_charts, pipeline_charts
from tools.time_range import Period

ALL = {chart.name: chart for chart in (*match_charts(MATCHES, PERIOD), *pipeline_charts(PIPELINE, PERIOD))}


@pytest.mark.parametrize("chart", ALL.values(), ids=ALL)
def test_a_picture_is_sharp_and_small(chart: Chart) -> None:
    picture = chart.png(charts.LIGHT)
    assert picture.startswith(b"\x89PNG")
    width, height = struct.unpack(">II", picture[16:24])
    assert width >= 2 * 380
    assert height >= 2 * 180
    assert len(picture) < 300_000


def test_light_and_dark_pictures_differ() -> None:
    chart = ALL["lag"]
    assert chart.png(charts.LIGHT) != chart.png(charts.DARK)


@pytest.mark.parametrize("palette", [charts.LIGHT, charts.DARK], ids=["light", "dark"])
def test_words_can_be_read_on_cards_and_page(palette: charts.Palette) -> None:
    """WCAG's contrast of 4.5 for text."""
    for colour in (palette.ink, palette.muted, palette.blue, palette.red, palette.bad):
        assert contrast(colour, palette.card) >= 4.5
    for colour in (palette.ink, palette.muted):
        assert contrast(colour, palette.page) >= 4.5


def contrast(one: str, other: str) -> float:
    """https://www.w3.org/TR/WCAG22/#dfn-contrast-ratio"""
    lighter, darker = sorted((luminance(one), luminance(other)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


def luminance(colour: str) -> float:
    red, green, blue = (int(part, 16) / 255 for part in re.findall("[0-9a-f]{2}", colour))
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in (red, green, blue)]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_champions_beyond_chance_have_their_names_and_no_others() -> None:
    found = [champion("Lucky", 100, 0.55), champion("Strong", 1000, 0.58), champion("Weak", 1000, 0.42)]
    shown = charts.win_against_pick(found).svg()
    labels = re.findall(r"<text[^>]*>(\w+)</text>", shown)
    assert {"Strong", "Weak"} <= set(labels)
    assert "Lucky" not in labels


def test_champions_of_few_games_are_left_out() -> None:
    assert charts.win_against_pick([champion("Rare", charts.LEAST_GAMES - 1, 1.0)]).specification is None


def test_a_line_has_a_gap_where_there_is_no_value() -> None:
    half = len(PIPELINE.lag["behind"]) // 2
    gap = (*PIPELINE.lag["behind"][: half - 5], *PIPELINE.lag["behind"][half + 5 :])

    def strokes(points: Points) -> int:
        shown = charts.over_time("lag", "Lag", "", {"behind": points}, PERIOD, ".0f").svg()
        (line,) = re.findall(r'd="([^"]*)"[^>]*stroke="var\(--accent\)"', shown)
        return str(line).count("M")

    assert strokes(PIPELINE.lag["behind"]) == 1
    assert strokes(gap) == 2


def test_a_value_without_a_neighbour_is_a_point() -> None:
    values = PIPELINE.lag["behind"]

    def drawn(points: Points) -> int:
        shown = charts.over_time("lag", "Lag", "", {"behind": points}, PERIOD, ".0f").svg()
        return len(re.findall(r'fill="var\(--accent\)"', shown))

    assert drawn(values) == 0
    assert drawn(values[:1]) == 1
    assert drawn(values[:20:2]) == 10
    assert drawn((*values[:20], values[30], *values[40:])) == 1


@pytest.mark.parametrize(
    ("hours", "labels"),
    [
        (1, ["11:00", "11:15", "11:30", "11:45", "12:00"]),
        (24, ["12:00", "18:00", "01 Mar", "06:00", "12:00"]),
        (72, ["12:00", "27 Feb", "12:00", "28 Feb", "12:00", "01 Mar", "12:00"]),
        (168, ["23 Feb", "24 Feb", "25 Feb", "26 Feb", "27 Feb", "28 Feb", "01 Mar"]),
    ],
)
def test_the_time_axis_names_each_day_once(hours: int, labels: list[str]) -> None:
    period = Period.last(hours, MADE)
    at_all_times = tuple((moment, 1.0) for moment in period.moments)
    shown = charts.over_time("lag", "Lag", "", {"behind": at_all_times}, period, ".0f").svg()
    assert re.findall(r">(\d\d:\d\d|\d\d [A-Z][a-z]{2})</text>", shown) == labels


def test_no_game_of_any_length_is_no_chart() -> None:
    assert charts.game_lengths([]).specification is None
    assert charts.game_lengths([Length(0, 15, 0), Length(15, None, 0)]).specification is None
