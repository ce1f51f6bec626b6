"""A hand-made match of each mode: the documents of its participants and teams, field by field."""

from collections.abc import Callable
from typing import Any

import pytest

from job.documents import documents
from job.settings import with_overrides
from job.tasks.match_rows import match_rows
from tests.support import reference
from tests.support.mode_matches import (
    MODES,
    Json,
    aram,
    arena_16,
    arena_18,
    arena_without_placement,
    coop,
    ranked_solo,
    swarm,
)
from tests.support.sample_matches import ARRIVED_AT, START, decoded, value
from tests.support.team_documents import team_documents

MATCH = {
    "match_id": "EUW1_420",
    "timestamp": START - 60_000,
    "@timestamp": "2026-02-02T02:36:40.000Z",
    "game_duration": 1800,
    "patch": "16.4",
    "queue_id": 420,
    "queue": "5v5 Ranked Solo",
    "platform": "EUW1",
    "remake": False,
    "two_teams": True,
    "ingested_at": "2026-02-02T02:40:00.000Z",
    "game_mode": "CLASSIC",
    "map_id": 11,
    "bots": 0,
}
TOP = MATCH | {
    "participant_id": "1",
    "puuid": "puuid-1",
    "bot": False,
    "summoner_name": "Player 1#EUW",
    "champion_name": "Aatrox",
    "champion_id": 266,
    "champion_level": 16,
    "team_id": 100,
    "position": "TOP",
    "win": True,
    "kills": 4,
    "deaths": 2,
    "assists": 6,
    "kda": 5.0,
    "total_damage_dealt": 8_000,
    "physical_damage": 6_000,
    "magic_damage": 1_600,
    "true_damage": 400,
    "damage_taken": 6_000,
    "gold_earned": 12_000,
    "cs": 192,
    "vision_score": 21,
    "wards_placed": 10,
    "wards_killed": 3,
    "control_wards": 2,
    "gold_per_minute": 400.0,
    "damage_per_minute": 266.67,
    "cs_per_minute": 6.4,
    "kill_participation": 0.3333,
    "damage_share": 0.1333,
    "gold_share": 0.2,
    "items": [3006, 3031, 3094, 3340],
    "summoner_spells": [4, 14],
    "keystone": 8005,
    "primary_style": 8000,
    "secondary_style": 8300,
    "first_blood": False,
    "double_kills": 0,
    "triple_kills": 0,
    "quadra_kills": 0,
    "penta_kills": 0,
}
"""The first participant of ranked solo; those of other modes are given by what differs."""
NO_RUNES = {"keystone": ..., "primary_style": ..., "secondary_style": ...}
NO_WARDS = {"vision_score": 0, "wards_placed": 0, "wards_killed": 0, "control_wards": 0}
ARENA = {
    "two_teams": False,
    "game_mode": "CHERRY",
    "map_id": 30,
    "queue": "Arena",
    "@timestamp": "2026-02-02T02:21:40.000Z",
    "game_duration": 900,
    "position": "UNKNOWN",
    "cs": 0,
    "cs_per_minute": 0.0,
    "champion_level": 18,
    "items": [223006, 223031, 226673, 3348],
    "summoner_spells": [2202, 2201],
    **NO_RUNES,
    **NO_WARDS,
}


def document(message: Json, number: int) -> dict[str, object]:
    return list(documents(decoded(message), ARRIVED_AT))[number - 1]


def expected(**changes: Any) -> dict[str, object]:
    return {name: held for name, held in (TOP | changes).items() if held is not ...}


@pytest.mark.parametrize("make", MODES.values(), ids=MODES)
def test_documents_of_each_mode_equal_the_reference(make: Callable[[], Json]) -> None:
    message = make()
    for build, refer in ((documents, reference.documents), (team_documents, reference.team_documents)):
        built, wanted = list(build(decoded(message), ARRIVED_AT)), refer(value(message), ARRIVED_AT)
        assert wanted is not None
        assert [reference.differences(*pair) for pair in zip(built, wanted, strict=True)] == [{}] * len(built)
    assert len(list(documents(decoded(message), ARRIVED_AT))) == len(message["info"]["participants"])


def test_ranked_solo() -> None:
    assert document(ranked_solo(), 1) == expected()
    assert document(ranked_solo(), 4) == expected(
        participant_id="4",
        puuid="puuid-4",
        summoner_name="Player 4#EUW",
        champion_name="Jinx",
        champion_id=222,
        champion_level=18,
        position="BOTTOM",
        kills=10,
        deaths=1,
        kda=16.0,
        total_damage_dealt=20_000,
        physical_damage=15_000,
        magic_damage=4_000,
        true_damage=1_000,
        damage_taken=3_000,
        gold_earned=15_000,
        gold_per_minute=500.0,
        damage_per_minute=666.67,
        kill_participation=0.5333,
        damage_share=0.3333,
        gold_share=0.25,
        items=[3006, 3031, 3094, 3036, 3072, 3026, 3363],
        summoner_spells=[7, 14],
        keystone=8008,
        secondary_style=8100,
        first_blood=True,
        double_kills=2,
        triple_kills=1,
        quadra_kills=1,
        penta_kills=1,
    )
    assert document(ranked_solo(), 10)["position"] == "UNKNOWN"


def test_teams_of_ranked_solo() -> None:
    blue, red = team_documents(decoded(ranked_solo()), ARRIVED_AT)
    assert blue == MATCH | {
        "team_id": 100,
        "win": True,
        "kills": 30,
        "deaths": 12,
        "assists": 50,
        "gold": 60_000,
        "damage": 60_000,
        "bans": [157, 238, 350, 555],
        "baron": 2,
        "first_baron": True,
        "dragon": 3,
        "first_dragon": False,
        "herald": 0,
        "first_herald": False,
        "horde": 3,
        "first_horde": True,
        "atakhan": 1,
        "first_atakhan": True,
        "tower": 9,
        "first_tower": True,
        "inhibitor": 2,
        "first_inhibitor": True,
    }
    assert red == MATCH | {
        "team_id": 200,
        "win": False,
        "kills": 12,
        "deaths": 30,
        "assists": 23,
        "gold": 45_000,
        "damage": 24_000,
        "bans": [157, 11, 84, 777, 53],
        "baron": 0,
        "first_baron": False,
        "dragon": 1,
        "first_dragon": True,
        "herald": 1,
        "first_herald": True,
        "horde": 0,
        "first_horde": False,
        "atakhan": 0,
        "first_atakhan": False,
        "tower": 3,
        "first_tower": False,
        "inhibitor": 0,
        "first_inhibitor": False,
    }


def test_aram_has_teams_and_no_positions() -> None:
    assert document(aram(), 1) == expected(
        match_id="EUW1_450",
        game_mode="ARAM",
        map_id=12,
        queue_id=450,
        queue="5v5 ARAM",
        **{"@timestamp": "2026-02-02T02:26:40.000Z"},
        game_duration=1200,
        position="UNKNOWN",
        cs=180,
        gold_per_minute=600.0,
        damage_per_minute=400.0,
        cs_per_minute=9.0,
        summoner_spells=[4, 32],
        **NO_WARDS,
    )
    blue, red = team_documents(decoded(aram()), ARRIVED_AT)
    assert (blue["tower"], blue["first_tower"], blue["bans"], blue["win"]) == (4, True, [], True)
    assert (red["tower"], red["inhibitor"], red["kills"], red["win"]) == (1, 0, 12, False)


def test_arena_of_16_has_subteams_and_no_teams() -> None:
    """The last of the subteam that came first. teamId 100 is the better half of the players."""
    assert document(arena_16(), 16) == expected(
        match_id="EUW1_1710",
        queue_id=1710,
        participant_id="16",
        puuid="puuid-16",
        summoner_name="Player 16#EUW",
        champion_name="Sett",
        champion_id=875,
        kills=7,
        deaths=0,
        assists=2,
        kda=9.0,
        total_damage_dealt=14_000,
        physical_damage=10_500,
        magic_damage=2_800,
        true_damage=700,
        damage_taken=0,
        gold_earned=11_000,
        gold_per_minute=733.33,
        damage_per_minute=933.33,
        placement=1,
        subteam_id=8,
        kill_participation=0.6429,  # 9 of 14
        damage_share=0.5,
        gold_share=0.5238,  # 11 of 21
        **ARENA,
    )
    last = document(arena_16(), 1)
    assert {"kill_participation", "damage_share"}.isdisjoint(last), "its subteam has no kills"
    assert (last["gold_share"], last["placement"], last["team_id"], last["win"]) == (0.4762, 8, 200, False)
    assert team_documents(decoded(arena_16()), ARRIVED_AT) == []


def test_arena_of_18_has_subteams_of_three() -> None:
    found = document(arena_18(), 18)
    names = ("queue_id", "queue", "placement", "subteam_id", "kill_participation", "damage_share", "gold_share")
    assert [found[name] for name in names] == [1750, "Arena", 1, 6, 0.6, 0.3333, 0.3636]
    assert team_documents(decoded(arena_18()), ARRIVED_AT) == []


def test_arena_without_placement_has_no_shares_and_no_winner() -> None:
    found = document(arena_without_placement(), 16)
    absent = {"placement", "subteam_id", "kill_participation", "damage_share", "gold_share", "win"}
    assert absent.isdisjoint(found)
    assert team_documents(decoded(arena_without_placement()), ARRIVED_AT) == []


@pytest.mark.parametrize("subteam", ["3", None, 0])
def test_arena_has_no_shares_if_a_subteam_is_unknown(subteam: object) -> None:
    """The player may belong to any of the subteams."""
    message = arena_16()
    message["info"]["participants"][0]["playerSubteamId"] = subteam
    shares = {"kill_participation", "damage_share", "gold_share"}
    found = [document(message, number) for number in range(1, 17)]
    assert all(shares.isdisjoint(each) for each in found)
    assert ["subteam_id" in each for each in found] == [False] + 15 * [True]


def test_swarm_has_one_team_and_champions_of_its_own() -> None:
    assert document(swarm(), 1) == expected(
        match_id="EUW1_1820",
        game_mode="STRAWBERRY",
        two_teams=False,
        map_id=33,
        queue_id=1820,
        queue="Swarm",
        **{"@timestamp": "2026-02-02T02:21:40.000Z"},
        game_duration=1200,
        champion_name="Strawberry_Jinx",
        champion_id=3151,
        champion_level=61,
        position="UNKNOWN",
        kills=0,
        deaths=1,
        assists=0,
        kda=0.0,
        total_damage_dealt=288,
        physical_damage=200,
        magic_damage=88,
        true_damage=0,
        damage_taken=3_000,
        gold_earned=4_000,
        cs=0,
        gold_per_minute=200.0,
        damage_per_minute=14.4,
        cs_per_minute=0.0,
        kill_participation=...,
        damage_share=0.5,
        gold_share=0.4,
        **NO_RUNES,
        **NO_WARDS,
    )
    assert team_documents(decoded(swarm()), ARRIVED_AT) == []


def test_coop_has_bots_and_two_teams() -> None:
    assert document(coop(), 1) == expected(match_id="EUW1_870", queue_id=870, queue="Co-op vs. AI Intro Bot", bots=5)
    bot = document(coop(), 6)
    assert (bot["puuid"], bot["bot"], bot["summoner_name"]) == ("BOT", True, "Camille")
    assert [(team["tower"], team["bots"]) for team in team_documents(decoded(coop()), ARRIVED_AT)] == [(11, 5), (0, 5)]


def test_number_of_bots_does_not_depend_on_the_queue() -> None:
    """A custom game against bots, and a queue that has no name yet."""
    message = coop()
    message["info"]["queueId"] = 0
    assert [each["bots"] for each in documents(decoded(message), ARRIVED_AT)] == [5] * 10
    for each in message["info"]["participants"]:
        del each["puuid"]
    assert not any("bots" in each for each in documents(decoded(message), ARRIVED_AT)), "unknown without any puuid"


def test_statistics_count_the_configured_queues_without_bots() -> None:
    matches = [decoded(make()) for make in MODES.values()]
    default = match_rows(matches, with_overrides({}).statistics.counted_queue_ids)
    assert default.column("match_id").to_pylist() == ["EUW1_420"]
    every = match_rows(matches, None)
    players = {
        match_id: [player["champion"] for player in of_match]
        for match_id, of_match in zip(
            every.column("match_id").to_pylist(), every.column("participants").to_pylist(), strict=True
        )
    }
    assert {match_id: len(champions) for match_id, champions in players.items()} == {
        "EUW1_420": 10,
        "EUW1_450": 10,
        "EUW1_1710": 16,
        "EUW1_1750": 18,
        "EUW1_1820": 2,
        "EUW1_870": 5,
    }
    assert players["EUW1_870"] == ["Aatrox", "LeeSin", "Ahri", "Jinx", "Thresh"]
