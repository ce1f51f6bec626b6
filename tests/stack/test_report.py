"""`make report` of the stack under test: what it says is what Elasticsearch and Prometheus have."""

from __future__ import annotations

import os
import pty
import re
import select
import signal
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import mean
from typing import Any

import pytest
import testinfra
from elasticsearch import Elasticsearch
from elasticsearch.helpers import scan
from playwright.sync_api import Browser

from harness.stack import ROOT, Stack
from harness.waiting import eventually
from infra.clients.prometheus import PrometheusClient, PrometheusError
from tests.support.browser_page import opened
from tools import pipeline_metrics
from tools.report import matches
from tools.time_range import Period

Participant = Mapping[str, Any]


@pytest.fixture(scope="module")
def written(stack: Stack) -> Path:
    """The page of a stack that has matches of a whole minute."""

    def well() -> None:
        result = stack.make("report")
        assert result.rc == 0, result.stdout + result.stderr
        assert "no data in this time" not in page.read_text()

    page = ROOT / "report" / stack.name / "report.html"
    eventually(well, limit_seconds=180)
    return page


def prometheus(stack: Stack) -> PrometheusClient:
    return PrometheusClient(stack.url("prometheus", 9090, ""))


def test_the_page_opens_without_a_request_or_a_complaint(browser: Browser, written: Path, stack: Stack) -> None:
    with opened(browser, written) as page:
        assert f"Stack {stack.name}" in page.locator("header").inner_text()
        assert page.locator(".trouble").count() == 0
        assert page.locator("#champions tbody tr").count() == 25
        assert page.locator("#last tbody tr").count() == 10
        empty = page.locator(".chart:has(.empty) h3").all_inner_texts()
        # A stack without dead letters says so; all else has data.
        assert set(empty) <= {"Dead letters"}


def test_there_is_a_picture_of_each_chart(browser: Browser, written: Path) -> None:
    with opened(browser, written) as page:
        charts = page.locator(".chart svg").count()
    assert len(list(written.parent.glob("*.png"))) == charts


def test_the_page_has_no_secret(written: Path, stack: Stack) -> None:
    secrets = {key: value for key, value in stack.outputs.items() if "assword" in key}
    text = written.read_text()
    assert not [key for key, value in secrets.items() if str(value) in text]


def test_figures_are_those_of_the_documents(stack: Stack) -> None:
    """Each figure, counted again over all documents of a period; again where some came in between."""

    def equal() -> None:
        # Some minutes: a stack that has run for days has too much to read. Most are no multiple of the step since 1970.
        period = Period(datetime.now(UTC).replace(second=0, microsecond=0) - timedelta(minutes=1), 13)
        assert_figures_are_those_of_the_documents(stack.elasticsearch(), period)

    eventually(equal, limit_seconds=120)


def assert_figures_are_those_of_the_documents(client: Elasticsearch, period: Period) -> None:
    found = matches.read(client, period)
    everything: list[Participant] = [
        hit["_source"]
        for hit in scan(
            client,
            index=matches.PARTICIPANTS,
            query={"query": {"range": {"@timestamp": {"gte": period.start.isoformat(), "lt": period.end.isoformat()}}}},
        )
    ]
    assert found.documents == len(everything) > 0
    assert found.count == len(ids(everything))
    assert [minute.start for minute in found.minutes] == period.moments[:-1]
    minutes = period.step_seconds / 60
    assert sum(minute.documents for minute in found.minutes) * minutes == pytest.approx(len(everything))
    assert sum(minute.matches for minute in found.minutes) * minutes == pytest.approx(len(ids(everything)))

    played = [participant for participant in everything if not participant["remake"]]
    champions = grouped(played, "champion_name")
    assert {champion.name: champion.games for champion in found.champions} == {
        name: len(games) for name, games in champions.items()
    }
    assert [champion.games for champion in found.champions] == sorted(map(len, champions.values()), reverse=True)
    for champion in found.champions:
        games = champions[champion.name]
        assert champion.win_rate == pytest.approx(mean(game["win"] for game in games))
        assert champion.pick_rate == pytest.approx(len(games) / len(ids(played)))
        assert champion.kda == pytest.approx(mean(game["kda"] for game in games), rel=1e-5)
        assert champion.gold_per_minute == pytest.approx(mean(game["gold_per_minute"] for game in games), rel=1e-5)
        assert champion.damage_per_minute == pytest.approx(mean(game["damage_per_minute"] for game in games), rel=1e-5)
        assert champion.cs_per_minute == pytest.approx(mean(game["cs_per_minute"] for game in games), rel=1e-5)

    positions = grouped(played, "position")
    assert {position.name for position in found.positions} == set(positions)
    for position in found.positions:
        games = positions[position.name]
        assert position.kda == pytest.approx(mean(game["kda"] for game in games), rel=1e-5)
        assert position.cs == pytest.approx(mean(game["cs"] for game in games))
        assert position.gold_per_minute == pytest.approx(mean(game["gold_per_minute"] for game in games), rel=1e-5)

    for side, team in zip(found.sides, (matches.BLUE, matches.RED), strict=True):
        team_games = grouped(played, "team_id")[team]
        count = len(ids(team_games))
        assert side.win_rate == pytest.approx(mean(game["win"] for game in team_games))
        assert side.kills == pytest.approx(sum(game["kills"] for game in team_games) / count)
        assert side.gold == pytest.approx(sum(game["gold_earned"] for game in team_games) / count)
        assert side.damage == pytest.approx(sum(game["total_damage_dealt"] for game in team_games) / count)
        assert side.cs == pytest.approx(sum(game["cs"] for game in team_games) / count)
        assert side.vision == pytest.approx(sum(game["vision_score"] for game in team_games) / count)

    for length in found.lengths:
        seconds = range(length.least * 60, (length.below or 10**6) * 60)
        assert length.matches == len(ids(game for game in played if game["game_duration"] in seconds))


def test_last_matches_are_whole(stack: Stack) -> None:
    def whole() -> None:
        """As soon as the newest match's documents are found in each of the index's shards."""
        found = matches.read(stack.elasticsearch(), Period.last(1, datetime.now(UTC))).last
        assert len(found) == matches.LAST_MATCHES
        assert [match.ended for match in found] == sorted((match.ended for match in found), reverse=True)
        for match in found:
            assert len(match.blue) == len(match.red) == 5
            assert match.remake or match.winner in ("blue", "red")

    eventually(whole, limit_seconds=60)


def test_each_question_to_prometheus_has_an_answer(stack: Stack) -> None:
    def all_there() -> None:
        found = pipeline_metrics.read(prometheus(stack), Period(datetime.now(UTC), 15))
        lines = (found.messages, found.documents, found.lag, found.batch_seconds, found.message_age_seconds)
        for chart in lines:
            assert chart
            assert all(chart.values()), chart
        assert None not in (
            found.lag_now,
            *found.batch_now,
            *found.message_age_now,
            found.dead_letters_arrived,
            found.oldest,
        )

    eventually(all_there, limit_seconds=90)


def test_a_question_that_prometheus_refuses_is_named(stack: Stack) -> None:
    with pytest.raises(PrometheusError, match=r"rejects rate\(: .*parse error"):
        prometheus(stack).value("rate(")


@pytest.mark.parametrize("tool", ["report", "status"])
def test_a_stack_that_is_not_there_is_named(tool: str) -> None:
    run = testinfra.get_host("local://").run(f"make -s -C {ROOT} {tool} STACK=nowhere")
    assert run.rc != 0
    assert run.stdout == "the stack nowhere is not deployed: `make up STACK=nowhere`\n"


def test_watching_shows_the_status_again_and_again_until_it_is_interrupted(stack: Stack) -> None:
    terminal, its_end = pty.openpty()
    command = [sys.executable, "-m", "tools.status", "--stack", stack.name, "--watch"]
    watch = subprocess.Popen(command, cwd=ROOT, stdin=its_end, stdout=its_end, stderr=its_end)
    seen = b""

    def read() -> None:
        nonlocal seen
        while select.select([terminal], [], [], 0)[0]:
            seen += os.read(terminal, 65536)

    def two_moments() -> None:
        read()
        assert len(set(re.findall(rb"[0-9:]{8} UTC", seen))) >= 2, seen

    try:
        eventually(two_moments, limit_seconds=60)
        watch.send_signal(signal.SIGINT)
        assert watch.wait(30) in (0, 1)  # well or broken, as it was last
        read()
    finally:
        watch.kill()
        os.close(terminal)
        os.close(its_end)
    assert b"Traceback" not in seen


def ids(participants: Iterable[Participant]) -> set[str]:
    return {participant["match_id"] for participant in participants}


def grouped(participants: Iterable[Participant], field: str) -> dict[Any, list[Participant]]:
    groups: dict[Any, list[Participant]] = defaultdict(list)
    for participant in participants:
        groups[participant[field]].append(participant)
    return groups
