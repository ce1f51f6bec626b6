"""The report's charts as files of their own."""

from __future__ import annotations

import re
import struct

import pytest

from tests.unit.tools.samples import MATCHES, PERIOD, PIPELINE, champion
from tools.pipeline import Points
from tools.report import charts
from tools.report.charts import Chart
from tools.report.page import match_charts, pipeline_charts

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
