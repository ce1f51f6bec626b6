"""A hand-made match of each mode: the documents expected, field by field, and those of the reference."""

from collections.abc import Callable
from typing import Any

import pytest

from job.documents import documents, team_documents
from tests.support import reference
from tests.support.mode_matches import MODES, Json, aram, arena_16, arena_18, coop, ranked_solo, swarm
from tests.support.sample_matches import ARRIVED_AT, decoded, value

OF_MATCH = {
    "match_id": "EUW1_420",
    "timestamp": 1_769_997_940_000,
    "@timestamp": "2026-02-02T02:36:40.000Z",
    "game_duration": 1800,
    "patch": "16.4",
    "queue_id": 420,
    "queue": "5v5 Ranked Solo",
    "platform": "EUW1",
    "remake": False,
    "ingested_at": "2026-02-02T02:40:00.000Z",
    "game_mode": "CLASSIC",
    "map_id": 11,
}
JINX = {
    **OF_MATCH,
    "participant_id": "4",
    "puuid": "puuid-4",
    "bot": False,
    "summoner_name": "Player 4#EUW",
    "champion_name": "Jinx",
    "champion_id": 222,
    "champion_level": 18,
    "team_id": 100,
    "position": "BOTTOM",
    "win": True,
    "kills": 10,
    "deaths": 1,
    "assists": 6,
    "kda": 16.0,
    "total_damage_dealt": 20_000,
    "physical_damage": 15_000,
    "magic_damage": 4_000,
    "true_damage": 1_000,
    "damage_taken": 3_000,
    "gold_earned": 15_000,
    "cs": 192,
    "vision_score": 21,
    "wards_placed": 10,
    "wards_killed": 3,
    "control_wards": 2,
    "gold_per_minute": 500.0,
    "damage_per_minute": 666.67,
    "cs_per_minute": 6.4,
    "kill_participation": 0.5333,
    "damage_share": 0.3333,
    "gold_share": 0.25,
    "first_blood": True,
    "double_kills": 2,
    "triple_kills": 1,
    "quadra_kills": 1,
    "penta_kills": 1,
    "items": [3006, 3031, 3094, 3036, 3072, 3026, 3363],
    "summoner_spells": [7, 14],
    "keystone": 8008,
    "primary_style": 8000,
    "secondary_style": 8100,
}
"""The fourth player of the ranked match."""
BLUE = {
    **OF_MATCH,
    "team_id": 100,
    "win": True,
    "kills": 30,
    "deaths": 12,
    "assists": 50,
    "gold": 60_000,
    "damage": 60_000,
    "bans": [157, 238, 350, 555],
    "atakhan": 1,
    "first_atakhan": True,
    "baron": 2,
    "first_baron": True,
    "dragon": 3,
    "first_dragon": False,
    "herald": 0,
    "first_herald": False,
    "horde": 3,
    "first_horde": True,
    "inhibitor": 2,
    "first_inhibitor": True,
    "tower": 9,
    "first_tower": True,
}
"""The winners of the ranked match."""
RED_CHANGES = {
    "team_id": 200,
    "win": False,
    "kills": 12,
    "deaths": 30,
    "assists": 23,
    "gold": 45_000,
    "damage": 24_000,
    "bans": [157, 11, 84, 777, 53],
    "atakhan": 0,
    "first_atakhan": False,
    "baron": 0,
    "first_baron": False,
    "dragon": 1,
    "first_dragon": True,
    "herald": 1,
    "first_herald": True,
    "horde": 0,
    "first_horde": False,
    "inhibitor": 0,
    "first_inhibitor": False,
    "tower": 3,
    "first_tower": False,
}
COMMON_BUILD = {"items": [3006, 3031, 3094, 3340], "summoner_spells": [4, 14], "champion_level": 16, "keystone": 8005}
COMMON_BUILD |= {"secondary_style": 8300, "first_blood": False}
COMMON_BUILD |= dict.fromkeys(("double_kills", "triple_kills", "quadra_kills", "penta_kills"), 0)
NO_RUNES = dict.fromkeys(("keystone", "primary_style", "secondary_style"), ...)
NOTHING_TO_KILL = {"cs": 0, "cs_per_minute": 0.0, "vision_score": 0}
NOTHING_TO_KILL |= dict.fromkeys(("wards_placed", "wards_killed", "control_wards"), 0)


def changed(document: dict[str, Any], *changes: dict[str, Any]) -> dict[str, Any]:
    """The document with other values, and without the fields whose value is `...`."""
    together = document.copy()
    for each in changes:
        together |= each
    return {name: held for name, held in together.items() if held is not ...}


def participant_documents(message: Json) -> list[dict[str, Any]]:
    return list(documents(decoded(message), ARRIVED_AT))


def documents_of_teams(message: Json) -> list[dict[str, Any]]:
    return list(team_documents(decoded(message), ARRIVED_AT))


@pytest.mark.parametrize("make", MODES.values(), ids=MODES)
def test_documents_of_each_mode_equal_the_reference(make: Callable[[], Json]) -> None:
    message = make()
    expected = reference.documents(value(message), ARRIVED_AT)
    assert expected is not None
    for document, wanted in zip(participant_documents(message), expected, strict=True):
        assert reference.differences(document, wanted) == {}


def test_ranked_match() -> None:
    found = participant_documents(ranked_solo())
    assert len(found) == 10
    assert found[3] == JINX
    nautilus = {
        "participant_id": "10",
        "puuid": "puuid-10",
        "summoner_name": "Player 10#EUW",
        "champion_name": "Nautilus",
        "champion_id": 111,
        "team_id": 200,
        "position": "UNKNOWN",
        "win": False,
        "kills": 0,
        "deaths": 6,
        "assists": 9,
        "kda": 1.5,
        "damage_taken": 18_000,
        "gold_earned": 6_000,
        "gold_per_minute": 200.0,
        "damage_per_minute": 0.0,
        "kill_participation": 0.75,
        "damage_share": 0.0,
        "gold_share": 0.1333,
    }
    nautilus |= dict.fromkeys(("total_damage_dealt", "physical_damage", "magic_damage", "true_damage"), 0)
    assert found[9] == changed(JINX, COMMON_BUILD, nautilus)


def test_teams_of_a_ranked_match() -> None:
    """A missed ban is left out, and a champion that both teams banned counts for both."""
    assert documents_of_teams(ranked_solo()) == [BLUE, BLUE | RED_CHANGES]


OF_ARAM = {
    "match_id": "EUW1_450",
    "@timestamp": "2026-02-02T02:26:40.000Z",
    "game_duration": 1200,
    "queue_id": 450,
    "queue": "5v5 ARAM",
    "game_mode": "ARAM",
    "map_id": 12,
}


def test_aram_has_no_position() -> None:
    aram_only = {
        "position": "UNKNOWN",
        "summoner_spells": [4, 32],
        "gold_per_minute": 750.0,
        "damage_per_minute": 1000.0,
    }
    aram_only |= NOTHING_TO_KILL | {"cs": 180, "cs_per_minute": 9.0}
    assert participant_documents(aram())[3] == changed(JINX, COMMON_BUILD, OF_ARAM, aram_only)
    none_taken = dict.fromkeys(("atakhan", "baron", "dragon", "herald", "horde"), 0)
    none_taken |= {f"first_{name}": False for name in none_taken}
    towers = {"inhibitor": 1, "tower": 4, "bans": []}
    blue, red = documents_of_teams(aram())
    assert blue == changed(BLUE, OF_ARAM, none_taken, towers)
    lost = {"inhibitor": 0, "first_inhibitor": False, "tower": 1, "bans": []}
    assert red == changed(BLUE, OF_ARAM, RED_CHANGES, none_taken, lost)


@pytest.mark.parametrize(("make", "queue_id", "teams", "size"), [(arena_16, 1710, 8, 2), (arena_18, 1750, 6, 3)])
def test_arena_has_placements_and_shares_of_the_subteam(
    make: Callable[[], Json], queue_id: int, teams: int, size: int
) -> None:
    """Its teams 100 and 200 are the better and the worse half: it has no documents of teams."""
    message = make()
    found = participant_documents(message)
    assert len(found) == teams * size
    assert documents_of_teams(message) == []
    gold = sum(10_000 + 1_000 * seat for seat in range(size))
    last, first = found[0], found[-size]
    arena_only = {
        "match_id": f"EUW1_{queue_id}",
        "@timestamp": "2026-02-02T02:21:40.000Z",
        "game_duration": 900,
        "queue_id": queue_id,
        "queue": "Arena",
        "game_mode": "CHERRY",
        "map_id": 30,
        "champion_name": "Sivir",
        "champion_id": 15,
        "champion_level": 18,
        "position": "UNKNOWN",
        "assists": 2 * (size - 1),
        "gold_earned": 10_000,
        "gold_per_minute": 666.67,
        "gold_share": round(10_000 / gold, 4),
        "items": [223006, 223031, 226673, 3348],
        "summoner_spells": [2202, 2201],
    }
    of_first = {
        "participant_id": str(teams * size - size + 1),
        "puuid": f"puuid-{teams * size - size + 1}",
        "summoner_name": f"Player {teams * size - size + 1}#EUW",
        "team_id": 100,
        "win": True,
        "placement": 1,
        "subteam_id": teams,
        "kills": teams - 1,
        "deaths": 0,
        "kda": float(teams - 1 + 2 * (size - 1)),
        "total_damage_dealt": 2_000 * (teams - 1),
        "physical_damage": 1_500 * (teams - 1),
        "magic_damage": 400 * (teams - 1),
        "true_damage": 100 * (teams - 1),
        "damage_taken": 0,
        "damage_per_minute": round(2_000 * (teams - 1) / 15, 2),
        "damage_share": round(1 / size, 4),
        "kill_participation": round((teams - 1 + 2 * (size - 1)) / (size * (teams - 1)), 4),
    }
    assert first == changed(JINX, COMMON_BUILD, NO_RUNES, NOTHING_TO_KILL, arena_only, of_first)
    of_last = {
        "participant_id": "1",
        "puuid": "puuid-1",
        "summoner_name": "Player 1#EUW",
        "team_id": 200,
        "win": False,
        "placement": teams,
        "subteam_id": 1,
        "kills": 0,
        "deaths": teams - 1,
        "kda": round(2 * (size - 1) / (teams - 1), 2),
        "damage_taken": 3_000 * (teams - 1),
        "damage_per_minute": 0.0,
        **dict.fromkeys(("total_damage_dealt", "physical_damage", "magic_damage", "true_damage"), 0),
        **dict.fromkeys(("kill_participation", "damage_share"), ...),
    }
    assert last == changed(JINX, COMMON_BUILD, NO_RUNES, NOTHING_TO_KILL, arena_only, of_last)


def test_swarm_is_one_team_that_kills_nobody() -> None:
    swarm_only = {
        "match_id": "EUW1_1820",
        "@timestamp": "2026-02-02T02:21:40.000Z",
        "game_duration": 1200,
        "queue_id": 1820,
        "queue": "Swarm",
        "game_mode": "STRAWBERRY",
        "map_id": 33,
        "participant_id": "1",
        "puuid": "puuid-1",
        "summoner_name": "Player 1#EUW",
        "champion_name": "Strawberry_Jinx",
        "champion_id": 3151,
        "champion_level": 61,
        "position": "UNKNOWN",
        "kills": 0,
        "deaths": 1,
        "assists": 0,
        "kda": 0.0,
        "total_damage_dealt": 288,
        "physical_damage": 200,
        "magic_damage": 88,
        "true_damage": 0,
        "gold_earned": 4_000,
        "gold_per_minute": 200.0,
        "damage_per_minute": 14.4,
        "kill_participation": ...,
        "damage_share": 0.5,
        "gold_share": 0.4,
    }
    first, _ = participant_documents(swarm())
    assert first == changed(JINX, COMMON_BUILD, NO_RUNES, NOTHING_TO_KILL, swarm_only)
    assert documents_of_teams(swarm()) == []


def test_coop_has_bots() -> None:
    found = participant_documents(coop())
    assert [document["bot"] for document in found] == [False] * 5 + [True] * 5
    of_coop = {"match_id": "EUW1_870", "queue_id": 870, "queue": "Co-op vs. AI Intro Bot"}
    assert found[3] == changed(JINX, COMMON_BUILD, of_coop)
    bot = {"puuid": "BOT", "bot": True, "summoner_name": "Camille"}
    assert found[5].items() >= bot.items()
    assert [document["team_id"] for document in documents_of_teams(coop())] == [100, 200]
