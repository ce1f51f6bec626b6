"""The dashboard in Chromium: its pages open, its figures are the report's, and it survives an outage."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

import pytest
from confluent_kafka import Producer
from playwright.sync_api import Browser, Locator, Page, expect

from analytics.champion_details import read_champion_details
from analytics.match_statistics import MatchFilter, read_match_statistics
from analytics.player import read_player
from analytics.time_range import TimeRange
from generator.match_factory import MatchFactory
from harness.stack import Stack
from harness.waiting import eventually, pause
from infra.names import CHAMPIONS_ALIAS, DASHBOARD_PORT, MATCHES_ALIAS, MATCHES_TOPIC
from job.documents import documents
from job.times import to_ms
from tests.support.dashboard_page import open_dashboard
from tests.support.sample_matches import Json, decoded, match, participant


@pytest.fixture
def url(stack: Stack) -> str:
    """The dashboard's URL."""
    if "dashboard" not in stack.services:
        pytest.skip("the stack has no dashboard: dashboardEnabled is false")
    return stack.url("dashboard", DASHBOARD_PORT)


@pytest.mark.usefixtures("has_generator")
def test_each_page_opens_with_the_reports_figures(browser: Browser, stack: Stack, url: str) -> None:
    def minutes_with_matches() -> TimeRange:
        end = datetime.now(UTC).replace(second=0, microsecond=0)
        found = TimeRange.between(end - timedelta(minutes=10), end, datetime.now(UTC))
        assert read_match_statistics(stack.elasticsearch(), found).count > 0, "no match in a whole minute yet"
        return found

    time_range = eventually(minutes_with_matches)
    selected = f"range=from-to&from={time_range.start:%Y-%m-%dT%H:%M}&to={time_range.end:%Y-%m-%dT%H:%M}"
    with open_dashboard(browser, f"{url}?{selected}") as page:
        matches = page.locator(".figures .card", has_text="Matches").locator(".value").first

        def same() -> None:
            """Retried, because matches that ended before may still arrive between the two."""
            count = read_match_statistics(stack.elasticsearch(), time_range).count
            assert matches.inner_text() == f"{count:,}"

        eventually(same)
        expect(page.locator("h3", has_text="Champions")).to_be_visible()
        for name, text in (
            ("Pipeline", "Lag by partition"),
            ("Dead letters", "One dead letter"),
            ("Player", "Enter a player's Riot ID"),
            ("Champion", "Choose a champion above"),
        ):
            page.get_by_role("radio", name=name).click()
            expect(page.locator("h3, .hint", has_text=text)).to_be_visible()
            expect(page.locator(".problem")).to_have_count(0)


@contextmanager
def page_of_a_new_match(browser: Browser, stack: Stack, url: str) -> Iterator[tuple[Page, Locator]]:
    """A player's page, and on it his match, which was sent after the page was opened. Nobody reloads the page."""
    now_ms = round(datetime.now(UTC).timestamp() * 1000)
    match = MatchFactory(seed=now_ms, size="compact", start_ms=now_ms, now=lambda: now_ms).next()
    producer = Producer(stack.kafka_settings())
    participant = match.data["info"]["participants"][0]
    # A player whom no other match has, because more matches than a page shows may arrive in the meantime.
    participant["riotIdGameName"] = f"New{now_ms}"
    name = f"{participant['riotIdGameName']}#{participant['riotIdTagline']}"
    with open_dashboard(browser, f"{url}?page=Player&player={quote(name)}") as page:
        producer.produce(MATCHES_TOPIC, match.encode(), match.id)
        assert producer.flush(60) == 0
        cell = page.get_by_role("cell", name=match.id)
        expect(cell).to_be_visible()
        yield page, cell


def expect_outage(page: Page, problem: str, content: Locator) -> None:
    """The page shows the problem, and the last content that could be read."""
    expect(page.locator(".problem", has_text=problem).first).to_be_visible()
    expect(page.locator(".age").first).to_contain_text("Below is the data of")
    expect(content).to_be_visible()


def expect_no_outage(page: Page, content: Locator) -> None:
    """The page shows no problem any more. While Elasticsearch starts, it returns errors."""
    expect(page.locator(".problem, .age")).to_have_count(0, timeout=180_000)
    expect(content).to_be_visible()


@pytest.mark.disruptive
def test_new_match_appears_and_a_restart_of_elasticsearch_is_shown_until_it_is_over(
    browser: Browser, stack: Stack, url: str
) -> None:
    with page_of_a_new_match(browser, stack, url) as (page, match):
        elasticsearch = stack.container("elasticsearch")
        elasticsearch.stop()
        try:
            expect_outage(page, "Elasticsearch does not answer", match)
        finally:
            elasticsearch.start()
        expect_no_outage(page, match)


@pytest.mark.disruptive
def test_outages_of_elasticsearch_and_prometheus_are_shown_until_they_are_over(
    browser: Browser, stack: Stack, url: str
) -> None:
    """Each on the page that reads from it, at the same time."""
    with (
        page_of_a_new_match(browser, stack, url) as (player, match),
        open_dashboard(browser, f"{url}?page=Pipeline") as pipeline,
    ):
        chart = pipeline.locator("h3", has_text="Lag by partition")
        expect_no_outage(pipeline, chart)
        with ExitStack() as paused:
            for service in ("elasticsearch", "prometheus"):
                container = stack.container(service)
                pause(container)
                paused.callback(container.unpause)
            expect_outage(player, "Elasticsearch does not answer", match)
            expect_outage(pipeline, "Prometheus does not answer", chart)
        expect_no_outage(player, match)
        expect_no_outage(pipeline, chart)


@pytest.fixture
def matches_of_2019(stack: Stack) -> Iterator[Callable[..., TimeRange]]:
    """Indexes a match with these participants, made by the job's functions, and returns a time range with it alone."""
    client, index = stack.elasticsearch(), f"{MATCHES_ALIAS}-2019.03"
    ended = datetime(2019, 3, 5, 12, tzinfo=UTC)

    def add(*participants: Json, **info: Any) -> TimeRange:
        times: Json = dict.fromkeys(("gameStartTimestamp", "gameCreation"), to_ms(ended) - 2_000_000)
        found = decoded(match(*participants, **times, **info))
        for number, document in enumerate(documents(found, to_ms(ended))):
            client.index(index=index, id=f"{found.match_id}_{number}", document=document)
        client.indices.refresh(index=index)
        return TimeRange.between(ended - timedelta(days=1), ended + timedelta(days=1), datetime.now(UTC))

    yield add
    client.indices.delete(index=index)


@pytest.mark.disruptive
def test_bots_are_no_player(stack: Stack, matches_of_2019: Callable[..., TimeRange]) -> None:
    """All bots have the same puuid, and the names of their champions."""
    person = participant(1, puuid="of-one-person", riotIdGameName="Nautilus of 2019", riotIdTagline="EUW")
    bot = {"puuid": "BOT", "riotIdGameName": "", "riotIdTagline": ""}
    matches_of_2019(person, participant(2, summonerName="Nautilus of 2019", **bot), participant(6, **bot))
    client = stack.elasticsearch("dashboard")
    assert read_player(client, "BOT") is None
    assert read_player(client, "Nautilus of 2019") is None
    player = read_player(client, "nautilus OF 2019#euw")
    assert player is not None
    assert (player.puuid, player.games) == ("of-one-person", 1)


@pytest.mark.disruptive
def test_figures_of_a_player_are_by_queue(stack: Stack, matches_of_2019: Callable[..., TimeRange]) -> None:
    for number, (queue, champion) in enumerate(((420, "Rell"), (1700, "Rell"), (1810, "Strawberry_Jinx"))):
        person = participant(1, puuid="of-one-person", championName=champion, deaths=number + 1)
        matches_of_2019(person, participant(6, puuid="of-another"), queueId=queue, match_id=f"EUW1_{number}")
    player = read_player(stack.elasticsearch("dashboard"), "of-one-person")
    assert player is not None
    assert player.games == len(player.last) == 3
    assert {queue.name: (queue.games, queue.means["kda"]) for queue in player.queues} == {
        "5v5 Ranked Solo": (1, 16),
        "Arena": (1, 8),
        "Swarm": (1, pytest.approx(16 / 3, abs=0.01)),
    }
    champions = {(champion.name, champion.queue, champion.games, champion.kda) for champion in player.champions}
    assert champions == {("Rell", "5v5 Ranked Solo", 1, 16), ("Rell", "Arena", 1, 8)}


@pytest.mark.disruptive
@pytest.mark.parametrize(
    ("name", "tag", "wanted"),
    [
        ("Éclair", "EUW", "éclair#euw"),
        ("ЖАННА", "RU", "жанна#ru"),
        ("Οδυσσευς", "GR", "ΟΔΥΣΣΕΥΣ#gr"),
        ('.*"~<1-3>[A]\\d', "EUW", '.*"~<1-3>[a]\\D#euw'),
    ],
)
def test_riot_id_is_found_in_any_case_of_every_alphabet(
    stack: Stack, matches_of_2019: Callable[..., TimeRange], name: str, tag: str, wanted: str
) -> None:
    found = participant(1, puuid="of-one-person", riotIdGameName=name, riotIdTagline=tag)
    matches_of_2019(found, participant(6, puuid="of-another"))
    player = read_player(stack.elasticsearch("dashboard"), wanted)
    assert player is not None
    assert (player.puuid, player.names, player.games) == ("of-one-person", (f"{name}#{tag}",), 1)


@pytest.fixture
def windows_of_2019(stack: Stack) -> Iterator[Callable[..., None]]:
    """Indexes Rell's windows: the end of each, its wins and its games."""
    client, index = stack.elasticsearch(), f"{CHAMPIONS_ALIAS}-2019.03"

    def add(*windows: tuple[datetime, int, int]) -> None:
        for end, wins, games in windows:
            document = {"champion_name": "Rell", "window_end": end.isoformat(), "wins": wins, "games_played": games}
            client.index(index=index, document=document)
        client.indices.refresh(index=index)

    yield add
    client.indices.delete(index=index)


@pytest.mark.disruptive
@pytest.mark.parametrize("hours", [1, 7, 48])
def test_win_rate_over_time_is_that_of_the_windows_up_to_each_point(
    stack: Stack, windows_of_2019: Callable[..., None], hours: int
) -> None:
    """The first window ends with the time range's start, so it is of another time. The last ends with its end."""
    end = datetime(2019, 3, 5, 12, 34, tzinfo=UTC)
    time_range = TimeRange.between(end - timedelta(hours=hours), end, datetime.now(UTC))
    first, second, third, *_, last = time_range.step_times
    after_second = second + timedelta(seconds=1)
    windows_of_2019((first, 9, 10), (second, 1, 4), (after_second, 1, 1), (third, 1, 3), (last, 3, 5))
    found = read_champion_details(stack.elasticsearch("dashboard"), time_range, MatchFilter(champion="Rell"), 60)
    assert found.win_rate == ((second, 25), (third, 50), (last, 60))


@pytest.mark.disruptive
def test_wrong_duration_does_not_break_the_page_of_a_champion(
    stack: Stack, matches_of_2019: Callable[..., TimeRange]
) -> None:
    """A match of one second has a million gold per minute: with a bucket for each 50, 20,000 buckets."""
    players = [participant(number, timePlayed=1, championName="Rell" if number == 1 else "Ahri") for number in (1, 6)]
    time_range = matches_of_2019(*players, gameDuration=1)
    only = MatchFilter(champion="Rell")
    found = read_champion_details(stack.elasticsearch("dashboard"), time_range, only, 60)
    assert (found.games, found.gold) == (1, ())
    assert (found.means["gold_per_minute"] or 0) > 100_000
