"""A champion's patches, and its win rate over time: each window counts at its end."""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from unittest.mock import create_autospec

import pytest
from elasticsearch import Elasticsearch

from analytics import charts
from analytics.builds import GoldBucket, GroupStatistics
from analytics.champion_details import MEANS, ChampionDetails, read_champion_details
from analytics.match_statistics import MatchFilter
from analytics.pipeline_metrics import Points
from analytics.time_range import TimeRange
from infra.names import CHAMPIONS_ALIAS
from tests.support.report_samples import BUILDS
from tests.support.selected_documents import DOCUMENTS, PERSON, is_selected
from tools.report.rendering import svg

NO_BUCKETS: dict[str, Any] = {"doc_count": 0, "groups": {"buckets": []}, "buckets": {}}
NO_GAMES: dict[str, Any] = {
    "hits": {"total": {"value": 0}},
    "aggregations": defaultdict(lambda: {**NO_BUCKETS, "positions": NO_BUCKETS, "gold": NO_BUCKETS}),
}
END = datetime(2026, 3, 1, 12, 34, tzinfo=UTC)
Windows = dict[datetime, tuple[int, int]]
"""Wins and games by the window's end."""


def win_rate(windows: Windows, time_range: TimeRange) -> Points:
    """The points of the win rate, with a window each minute."""
    return details(windows, time_range, 60).win_rate


def details(windows: Windows, time_range: TimeRange, slide_seconds: int) -> ChampionDetails:
    """Those of an Elasticsearch with these windows and no games."""

    def search(*, index: str, aggs: Any, query: Any = None, **_: object) -> Any:
        if index != CHAMPIONS_ALIAS:
            return NO_GAMES
        (range_of, _) = query["bool"]["filter"]
        compare = {"gt": int.__gt__, "gte": int.__ge__, "lt": int.__lt__, "lte": int.__le__}
        histogram = aggs["steps"]["date_histogram"]
        interval, offset = (milliseconds(histogram[key]) for key in ("fixed_interval", "offset"))
        buckets: dict[int, list[tuple[int, int]]] = defaultdict(list)
        for end, figures in windows.items():
            at = int(end.timestamp()) * 1000
            if all(compare[key](at, bound) for key, bound in range_of["range"]["window_end"].items()):
                buckets[at - (at - offset) % interval].append(figures)
        sums = {key: [sum(each) for each in zip(*found, strict=True)] for key, found in sorted(buckets.items())}
        found = [{"key": key, "wins": {"value": w}, "games": {"value": g}} for key, (w, g) in sums.items()]
        return {"aggregations": {"steps": {"buckets": found}}}

    client = create_autospec(Elasticsearch, instance=True)
    client.search.side_effect = search
    return read_champion_details(client, time_range, MatchFilter(champion="Ahri"), slide_seconds)


def test_patches_are_the_newest_ones_by_version() -> None:
    """However many games older ones have."""
    games = {
        "16.10": 1,
        "16.9": 1,
        "15.24": 2,
        "unknown": 900,
        **{f"15.{patch}": 100 + patch for patch in range(1, 21)},
    }
    most_games_first = sorted(games.items(), key=lambda each: -each[1])

    def search(*, index: str, aggs: Any, **_: object) -> Any:
        if index == CHAMPIONS_ALIAS:
            return {}
        size = aggs["patches"]["aggs"]["groups"]["terms"]["size"]
        buckets = [
            {"key": patch, "doc_count": count, "win": {"value": 0.5}} for patch, count in most_games_first[:size]
        ]
        found = {"doc_count": sum(games.values()), "groups": {"buckets": buckets}}
        means = {mean: {"value": 0.5} for mean in MEANS}
        others = NO_GAMES["aggregations"].default_factory
        return {
            "hits": {"total": {"value": found["doc_count"]}},
            "aggregations": defaultdict(others, patches=found, **means),
        }

    client = create_autospec(Elasticsearch, instance=True)
    client.search.side_effect = search
    found = read_champion_details(client, TimeRange(END, 60), MatchFilter(champion="Ahri"), 60)
    shown = [patch.name for patch in found.patches]
    assert shown == ["16.10", "16.9", "15.24", "15.20", "15.19", "15.18", "15.17", "15.16", "15.15", "15.14"]
    (chart,) = [each for each in charts.champion_charts(found) if each.name == "by-patch"]
    assert chart.note == "won, and number of games; the 10 newest patches"


def test_positions_and_gold_are_of_matches_of_two_teams() -> None:
    """Arena has no positions, and other figures per minute: its games would be a position of their own."""
    position = {"key": "MIDDLE", "doc_count": 4, "win": {"value": 0.5}}
    two_teams = {
        "positions": {"doc_count": 8, "groups": {"buckets": [position]}},
        "gold": {"buckets": [{"key": 350.0, "doc_count": 8}]},
    }
    found = defaultdict(NO_GAMES["aggregations"].default_factory, two_teams=two_teams)
    client = create_autospec(Elasticsearch, instance=True)
    client.search.side_effect = [{**NO_GAMES, "aggregations": found}, {}, NO_GAMES]
    details = read_champion_details(client, TimeRange(END, 60), MatchFilter(champion="Ahri"), 60)
    assert details.positions == (GroupStatistics("Middle", 4, 0.5, 0.5),)
    assert details.gold == (GoldBucket(350, 8),)
    request = client.search.call_args_list[0].kwargs
    of_two_teams = request["aggs"]["two_teams"]["filter"]
    counted = {
        name
        for name, fields in DOCUMENTS.items()
        if is_selected(request["query"], {**PERSON, **fields}) and is_selected(of_two_teams, {**PERSON, **fields})
    }
    assert {"person", "loser", "person against bots"} <= counted
    assert all(DOCUMENTS[name].get("two_teams", True) for name in counted)


@pytest.mark.parametrize("has_games", [True, False])
def test_charts_of_two_teams_say_so(has_games: bool) -> None:
    found = details({}, TimeRange(END, 60), 60)
    if has_games:
        found = replace(found, positions=(GroupStatistics("Middle", 4, 0.5, 0.5),), gold=BUILDS.gold)
    shown = {chart.name: chart for chart in charts.champion_charts(found)}
    gold, position = shown["gold-per-minute"], shown["by-position"]
    (same,) = [chart for chart in charts.build_charts(BUILDS) if chart.name == "gold-per-minute"]
    assert (gold.title, gold.note, gold.empty) == (same.title, same.note, same.empty)
    assert gold.note == "number of games; matches of two teams"
    assert position.note == "won, and number of games; matches of two teams"
    assert position.empty == gold.empty
    assert "Arena and Swarm have other teams" in gold.empty
    if has_games:
        assert "won 50.0% of 4 games, 50.0% of the games in matches of two teams" in svg(position)


def milliseconds(text: str) -> int:
    return int(text.removesuffix("ms")) if text.endswith("ms") else 1000 * int(text.removesuffix("s"))


@pytest.mark.parametrize("step_seconds", [60, 61, 15])
def test_win_rate_is_that_of_the_window_that_ends_at_the_point(step_seconds: int) -> None:
    """The first window ends with the time range's start, so it is of another time. The last ends with its end."""
    time_range = TimeRange(END, step_seconds)
    first, second, *_, last = time_range.in_multiples_of(60).step_times
    windows: Windows = {first: (9, 10), second: (1, 4), last: (3, 5), last + timedelta(seconds=1): (0, 7)}
    assert win_rate(windows, time_range) == ((second, 25), (last, 60))


def test_win_rate_of_a_long_step_is_that_of_all_windows_that_end_in_it() -> None:
    """Weighted by their games: 4 wins in 10."""
    time_range = TimeRange(END, 3600)
    _, second, third, *_ = time_range.step_times
    windows: Windows = {
        second: (1, 1),
        second + timedelta(minutes=1): (1, 7),
        third - timedelta(minutes=1): (2, 2),
        third: (1, 1),
        third + timedelta(minutes=1): (0, 0),
    }
    assert win_rate(windows, time_range) == ((second, 100), (third, 40))


@pytest.mark.parametrize("minutes", [15, 45, 61, 300])
@pytest.mark.parametrize("slide_seconds", [60, 120])
def test_win_rate_is_a_line_without_gaps_if_each_window_has_games(minutes: int, slide_seconds: int) -> None:
    """A step shorter than the windows' slide would have no window: below an hour, the line would be dots."""
    now = END + timedelta(seconds=56)
    slide = timedelta(seconds=slide_seconds)
    windows: Windows = {END + number * slide: (1, 2) for number in range(-2 * 300 * 60 // slide_seconds, 5)}
    for time_range in (
        TimeRange.last(timedelta(minutes=minutes), now),
        TimeRange.between(now - timedelta(minutes=minutes), now, now),
    ):
        found = details(windows, time_range, slide_seconds)
        steps = found.win_rate_steps
        assert [at for at, _ in found.win_rate] == steps.step_times[1:]
        assert steps.step_seconds % slide_seconds == 0
        assert steps.step_seconds >= time_range.step_seconds
        assert steps.start <= time_range.start
        assert time_range.end - slide < steps.end <= time_range.end
        shown = svg(charts.champion_charts(found)[0])
        (line,) = re.findall(r'd="([^"]*)"[^>]*stroke="var\(--accent\)"', shown)
        assert line.count("M") == 1
        assert 'fill="var(--accent)"' not in shown, "an isolated point"
