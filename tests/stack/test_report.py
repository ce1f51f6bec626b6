"""`make report` and `make status`: the report's figures match Elasticsearch's documents and Prometheus's metrics."""

from __future__ import annotations

import os
import pty
import re
import select
import shlex
import signal
import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import mean
from typing import Any

import pytest
import testinfra
from confluent_kafka import Producer
from elasticsearch import Elasticsearch
from elasticsearch.helpers import scan
from playwright.sync_api import Browser

from analytics import match_statistics
from analytics.builds import BuildStatistics, read_build_statistics
from analytics.match_statistics import MatchFilter, read_match_statistics
from analytics.names import TRINKETS, item_name, keystone_name
from analytics.pipeline_metrics import read_pipeline_figures, read_pipeline_metrics
from analytics.search import count
from analytics.time_range import TimeRange
from generator.match_factory import MatchFactory
from harness.kibana import queries
from harness.kibana.objects import panels
from harness.stack import Stack
from harness.waiting import LIMIT_SECONDS, eventually
from infra.clients.prometheus import PrometheusClient, PrometheusError
from infra.names import CHAMPIONS_ALIAS, MATCHES_ALIAS, MATCHES_TOPIC, ROOT
from job.match_v5 import BLUE_TEAM_ID, RED_TEAM_ID
from tests.support.browser_page import open_page
from tests.support.recent_matches import has_generator, skip_without_matches

Participant = Mapping[str, Any]
MISCOUNTED = 2
"""By how many matches Elasticsearch's `cardinality` may be off, also below its precision threshold: it keeps 25 bits of
each id's hash, and counts ids whose bits are equal as one."""


@pytest.fixture(scope="module")
def report_page(stack: Stack) -> Path:
    """The report's page, once the stack has matches of a whole minute."""
    skip_without_matches(stack, TimeRange.last(timedelta(hours=1), datetime.now(UTC)))

    def report_is_complete() -> None:
        result = stack.make("report")
        assert result.rc == 0, result.stdout + result.stderr
        assert "no data in this time range" not in page.read_text() or not has_generator(stack)

    page = ROOT / "report" / stack.name / "report.html"
    eventually(report_is_complete)
    return page


def prometheus(stack: Stack) -> PrometheusClient:
    return stack.prometheus()


def test_page_opens_without_network_request_or_error(browser: Browser, report_page: Path, stack: Stack) -> None:
    with open_page(browser, report_page) as page:
        assert f"Stack {stack.name}" in page.locator("header").inner_text()
        assert page.locator(".problem").count() == 0
        rows = [page.locator(f"{table} tbody tr").count() for table in ("#champions", "#last")]
        assert min(rows) > 0
        if not has_generator(stack):  # perhaps a single match, or only of some queues
            return
        assert rows == [25, 10]
        empty = page.locator(".chart:has(.empty) h3").all_inner_texts()
        # Only these may be empty: compact matches have no teams, items and runes.
        assert set(empty) <= {
            "Dead letters",
            "Objectives and winning",
            "Most bought items",
            "Most played keystones",
        }


def test_each_chart_is_saved_as_a_picture(browser: Browser, report_page: Path) -> None:
    with open_page(browser, report_page) as page:
        charts = page.locator(".chart svg").count()
    assert len(list(report_page.parent.glob("*.png"))) == charts


def test_page_contains_no_secret(report_page: Path, stack: Stack) -> None:
    secrets = {key: value for key, value in stack.outputs.items() if "assword" in key}
    text = report_page.read_text()
    assert not [key for key, value in secrets.items() if str(value) in text]


def test_report_figures_match_the_documents(stack: Stack) -> None:
    """Each figure is recomputed from all documents of a time range; retried if documents arrived in between.

    Figures of documents are exact. Counts of matches, and rates with one, are as exact as `cardinality`.
    """

    def equal() -> None:
        assert_figures_match_documents(stack.elasticsearch(), last_minutes())

    skip_without_matches(stack, last_minutes())
    eventually(equal)


def last_minutes() -> TimeRange:
    """Minutes that are over. Few, since a stack that has run for days has too many documents. Their start is rarely
    aligned to the step."""
    return TimeRange(datetime.now(UTC).replace(second=0, microsecond=0) - timedelta(minutes=1), 13)


def assert_figures_match_documents(client: Elasticsearch, time_range: TimeRange) -> None:
    found = read_match_statistics(client, time_range)
    documents: list[Participant] = [
        hit["_source"]
        for hit in scan(
            client,
            index=MATCHES_ALIAS,
            query={
                "query": {
                    "range": {"@timestamp": {"gte": time_range.start.isoformat(), "lt": time_range.end.isoformat()}}
                }
            },
        )
    ]
    assert found.documents == len(documents) > 0
    assert found.count == pytest.approx(len(ids(documents)), abs=MISCOUNTED)
    assert [step.start for step in found.steps] == time_range.step_times[:-1]
    minutes = time_range.step_seconds / 60
    assert sum(step.documents for step in found.steps) * minutes == pytest.approx(len(documents))
    assert sum(step.matches for step in found.steps) * minutes == pytest.approx(len(ids(documents)), abs=MISCOUNTED)

    games_played = [participant for participant in documents if not participant["remake"] and "win" in participant]
    people = [game for game in games_played if not game.get("bot") and "_" not in game["champion_name"]]
    played = len(ids(people))
    champions = grouped(people, "champion_name")
    assert {champion.name: champion.games for champion in found.champions} == {
        name: len(games) for name, games in champions.items()
    }
    assert [champion.games for champion in found.champions] == sorted(map(len, champions.values()), reverse=True)
    for champion in found.champions:
        games = champions[champion.name]
        assert champion.win_rate == pytest.approx(mean(game["win"] for game in games))
        assert champion.pick_rate == pytest.approx(len(ids(games)) / played, abs=MISCOUNTED / played)
        assert champion.kda == pytest.approx(mean(game["kda"] for game in games), rel=1e-5)
        assert champion.gold_per_minute == pytest.approx(mean(game["gold_per_minute"] for game in games), rel=1e-5)
        assert champion.damage_per_minute == pytest.approx(mean(game["damage_per_minute"] for game in games), rel=1e-5)
        assert champion.cs_per_minute == pytest.approx(mean(game["cs_per_minute"] for game in games), rel=1e-5)

    positions = grouped(filter(has_two_teams, people), "position")
    assert {position.name for position in found.positions} == set(positions)
    for position in found.positions:
        games = positions[position.name]
        assert position.kda == pytest.approx(mean(game["kda"] for game in games), rel=1e-5)
        assert position.cs == pytest.approx(mean(game["cs"] for game in games))
        assert position.gold_per_minute == pytest.approx(mean(game["gold_per_minute"] for game in games), rel=1e-5)

    assert len(found.sides) == 2, "no match of two teams yet"
    two_teams = [
        game
        for game in games_played
        if has_two_teams(game) and not game.get("bots") and not game["queue"].startswith("Co-op")
    ]
    for side, team in zip(found.sides, (BLUE_TEAM_ID, RED_TEAM_ID), strict=True):
        team_games = grouped(two_teams, "team_id")[team]
        count = len(ids(team_games))
        won = ids(game for game in team_games if game["win"])
        decided = len(ids(two_teams))
        assert side.win_rate == pytest.approx(len(won) / decided, abs=MISCOUNTED / decided)
        for mean_of_side, field in (
            (side.kills, "kills"),
            (side.gold, "gold_earned"),
            (side.damage, "total_damage_dealt"),
            (side.cs, "cs"),
            (side.vision, "vision_score"),
        ):
            expected = sum(game[field] for game in team_games) / count
            assert mean_of_side == pytest.approx(expected, rel=MISCOUNTED / count), field

    for length in found.lengths:
        seconds = range(length.at_least * 60, (length.below or 10**6) * 60)
        expected_matches = len(ids(game for game in games_played if game["game_duration"] in seconds))
        assert length.matches == pytest.approx(expected_matches, abs=MISCOUNTED)

    assert_builds_match_documents(read_build_statistics(client, time_range, MatchFilter()), people)


def assert_builds_match_documents(found: BuildStatistics, people: list[Participant]) -> None:
    two_teams = [game for game in people if has_two_teams(game)]
    gold = Counter(50 * int(game["gold_per_minute"] // 50) for game in two_teams if "gold_per_minute" in game)
    assert {bucket.at_least: bucket.games for bucket in found.gold if bucket.games} == gold

    by_position = grouped((game for game in two_teams if "kill_participation" in game), "position")
    positions = [name for name in ("TOP", "JUNGLE", "MIDDLE", "BOTTOM", "UTILITY") if name in by_position]
    assert [each.position for each in found.kill_participation] == positions
    for each in found.kill_participation:
        for win, share, games in ((True, each.won, each.won_games), (False, each.lost, each.lost_games)):
            shares = [game["kill_participation"] for game in by_position[each.position] if game["win"] is win]
            assert games == len(shares)
            assert share == (pytest.approx(mean(shares), rel=1e-5) if shares else None)

    wins: dict[str, list[bool]] = defaultdict(list)
    games_with = Counter(field for game in people for field in ("items", "keystone") if game.get(field))
    for game in people:
        for item in set(game.get("items", ())).difference(TRINKETS):
            wins[f"item {item_name(item)}"].append(game["win"])
        if "keystone" in game:
            wins[f"keystone {keystone_name(game['keystone'])}"].append(game["win"])
    for kind, field, groups, shown in (
        ("item", "items", found.items, 10),
        ("keystone", "keystone", found.keystones, 8),
    ):
        most = sorted((len(each) for name, each in wins.items() if name.startswith(kind)), reverse=True)
        assert [group.games for group in groups] == most[:shown]
        for group in groups:
            group_wins = wins[f"{kind} {group.name}"]
            assert group.games == len(group_wins)
            assert group.win_rate == pytest.approx(mean(group_wins))
            assert group.share == pytest.approx(len(group_wins) / games_with[field])


def test_report_figures_match_kibanas_panels(stack: Stack) -> None:
    """The figures that both have: of the sides only the win rate, of the positions not the unknown one. Retried if
    documents arrived in between."""
    client = stack.elasticsearch()
    of_positions = {"games": "games", "kda": "kda", "gold": "gold_per_minute"}
    of_champions = {**of_positions, "winrate": "win_rate"}

    def table(panel_id: str, time_range: TimeRange) -> list[queries.Row]:
        panel = panels()[panel_id]
        layer, query = panel.layers["data"], panel.attributes.state.query.query
        end = time_range.end - timedelta(milliseconds=1)  # Kibana's time range includes its end
        body = queries.search(layer, query, "@timestamp", time_range.start, end)
        return queries.rows(layer, client.search(index=MATCHES_ALIAS, ignore_unavailable=True, **body).body, end)

    def equal() -> None:
        time_range = last_minutes()
        found = read_match_statistics(client, time_range)
        positions = [position for position in found.positions if position.name != "UNKNOWN"]
        compared: list[tuple[str, Sequence[Any], dict[str, str]]] = [
            ("champion", found.champions, of_champions),
            ("position", positions, of_positions),
        ]
        for bucket, groups, columns in compared:
            panel = {
                (row[bucket], column): row[column] for row in table(f"lol-{bucket}s", time_range) for column in columns
            }
            assert panel
            assert panel == pytest.approx(
                {(group.name, column): getattr(group, field) for group in groups for column, field in columns.items()}
            )
        assert len(found.sides) == 2, "no match of two teams yet"
        win_rates = {row["side"]: row["winrate"] for row in table("lol-sides", time_range)}
        # The report's is a share of matches, which are as exact as `cardinality`; Kibana's is one of players.
        assert win_rates == pytest.approx({side.name.title(): side.win_rate for side in found.sides}, abs=0.01)

    skip_without_matches(stack, last_minutes())
    eventually(equal)


def test_report_figures_match_the_statistics_windows(stack: Stack) -> None:
    """Champions' games and wins in the time range of a window that is over, of the queues that the windows count."""
    job = stack.job_settings()
    counted = job.statistics.counted_queue_ids
    if counted is None:
        pytest.skip("the windows count all queues, also those without figures of champions in the report")
    client = stack.elasticsearch()
    if not has_generator(stack) and not count(client, CHAMPIONS_ALIAS):
        pytest.skip("the stack has no generator, and no statistics")

    def equal() -> None:
        over = datetime.now(UTC) - timedelta(seconds=30)
        windows = client.search(
            index=CHAMPIONS_ALIAS,
            size=500,
            query={"range": {"window_end": {"lte": over.isoformat()}}},
            sort=[{"window_end": "desc"}],
        )["hits"]["hits"]
        assert windows, "no window is over yet"
        newest = windows[0]["_source"]
        rows = [hit["_source"] for hit in windows if hit["_source"]["window_end"] == newest["window_end"]]
        start, end = (datetime.fromisoformat(newest[key]) for key in ("window_start", "window_end"))
        time_range = TimeRange.between(start, end, datetime.now(UTC))
        found = read_match_statistics(client, time_range, MatchFilter(queue_ids=tuple(sorted(counted))))
        assert {champion.name: champion.games for champion in found.champions} == {
            row["champion_name"]: row["games_played"] for row in rows
        }
        assert {champion.name: round(champion.win_rate * champion.games) for champion in found.champions} == {
            row["champion_name"]: row["wins"] for row in rows
        }

    eventually(equal, LIMIT_SECONDS + job.window.slide_seconds)


def test_last_matches_are_complete(stack: Stack) -> None:
    def last_hour() -> TimeRange:
        return TimeRange.last(timedelta(hours=1), datetime.now(UTC))

    def complete() -> None:
        """True as soon as the newest match's documents are searchable in every shard of the index."""
        found = read_match_statistics(stack.elasticsearch(), last_hour()).last
        assert found
        assert len(found) == match_statistics.LAST_MATCHES or not has_generator(stack)
        assert [match.ended for match in found] == sorted((match.ended for match in found), reverse=True)
        for match in found:
            assert len(match.blue + match.red) == 10 or len(match.champions) in (1, 2, 3, 4, 16, 18)
            assert match.remake or match.winner in ("blue", "red", None)

    skip_without_matches(stack, last_hour())
    eventually(complete)


@pytest.mark.disruptive
def test_match_that_ends_in_the_future_is_not_among_the_last_matches(stack: Stack) -> None:
    """Neither in the report nor in Kibana's panel, whose time range can end in the future."""
    client, now = stack.elasticsearch(), datetime.now(UTC)
    end_ms = round((now + timedelta(minutes=40)).timestamp() * 1000)
    future = MatchFactory(seed=end_ms, size="compact", start_ms=end_ms, now=lambda: end_ms).next()
    producer = Producer(stack.kafka_settings())
    producer.produce(MATCHES_TOPIC, future.encode(), future.id)
    assert producer.flush(60) == 0

    def searchable() -> None:
        assert client.count(index=MATCHES_ALIAS, query={"term": {"match_id": future.id}})["count"] == 10

    eventually(searchable)
    found = read_match_statistics(client, TimeRange.last(timedelta(hours=1), now))
    assert found.newest_ended is not None
    assert found.newest_ended <= datetime.now(UTC)
    shown = [match.id for match in found.last]
    assert len(shown) == match_statistics.LAST_MATCHES
    assert future.id not in shown
    panel = panels()["lol-last-matches"]
    body = queries.search(
        panel.layers["data"], panel.attributes.state.query.query, "@timestamp", now, now + timedelta(hours=1)
    )
    table = queries.rows(panel.layers["data"], client.search(index=MATCHES_ALIAS, **body).body, now)
    assert future.id not in [row["match"] for row in table]


@pytest.mark.usefixtures("has_generator")
def test_each_prometheus_query_returns_data(stack: Stack) -> None:
    def all_have_data() -> None:
        time_range = TimeRange(datetime.now(UTC), 15)
        found = read_pipeline_metrics(prometheus(stack), time_range)
        figures = read_pipeline_figures(prometheus(stack), time_range)
        lines = (found.messages, found.documents, found.lag, found.batch_seconds, found.freshness_seconds)
        for chart in lines:
            assert chart
            assert all(chart.values()), chart
        assert None not in (
            figures.lag,
            *figures.batch_seconds,
            *figures.freshness_seconds,
            figures.new_dead_letters,
            figures.oldest_sample,
        )

    eventually(all_have_data)


def test_rejected_prometheus_query_is_reported(stack: Stack) -> None:
    with pytest.raises(PrometheusError, match=r"rejects rate\(: .*parse error"):
        prometheus(stack).value("rate(")


@pytest.mark.parametrize("tool", ["report", "status"])
def test_missing_stack_is_reported(tool: str) -> None:
    run = testinfra.get_host("local://").run(f"make -s -C {shlex.quote(str(ROOT))} {tool} STACK=nowhere")
    assert run.rc != 0
    assert run.stdout == "the stack nowhere is not deployed: `make up STACK=nowhere`\n"


def test_watch_refreshes_the_status_until_interrupted(stack: Stack) -> None:
    terminal, child_end = pty.openpty()
    # A job in the background of a script ignores SIGINT, and so would this one.
    command = ["env", "--default-signal=INT", sys.executable, "-m", "tools.status", "--stack", stack.name, "--watch"]
    watch = subprocess.Popen(command, cwd=ROOT, stdin=child_end, stdout=child_end, stderr=child_end)
    output = b""

    def read() -> None:
        nonlocal output
        while select.select([terminal], [], [], 0)[0]:
            output += os.read(terminal, 65536)

    def refreshed() -> None:
        read()
        assert len(set(re.findall(rb"[0-9:]{8} UTC", output))) >= 2, output

    try:
        eventually(refreshed)
        watch.send_signal(signal.SIGINT)
        assert watch.wait(30) in (0, 1)  # the last status: working or broken
        read()
    finally:
        watch.kill()
        os.close(terminal)
        os.close(child_end)
    assert b"Traceback" not in output


def has_two_teams(participant: Participant) -> bool:
    return bool(participant["two_teams"])


def ids(participants: Iterable[Participant]) -> set[str]:
    return {participant["match_id"] for participant in participants}


def grouped(participants: Iterable[Participant], field: str) -> dict[Any, list[Participant]]:
    groups: dict[Any, list[Participant]] = defaultdict(list)
    for participant in participants:
        groups[participant[field]].append(participant)
    return groups
