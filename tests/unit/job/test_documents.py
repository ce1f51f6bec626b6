"""The documents of a match are exactly the data dictionary's: fields, formulas, ids, index."""

import json
from pathlib import Path
from typing import Any

import orjson
import pytest

from job.documents import actions, documents, iso, monthly_index
from tests.unit.job.matches import ARRIVED, START, decoded, match, participant

TEMPLATES = Path(__file__).parents[3] / "mappings" / "index_templates"


def document(**changes: Any) -> dict[str, object]:
    """The document of a participant with these changes."""
    return next(documents(decoded(match(participant(1, **changes))), ARRIVED))


def test_a_document_field_by_field() -> None:
    assert document() == {
        "match_id": "EUW1_7012345678",
        "timestamp": START - 60_000,
        "@timestamp": "2026-02-02T02:37:25.000Z",
        "game_duration": 1845,
        "participant_id": "1",
        "summoner_name": "Player 1#EUW",
        "champion_name": "Ahri",
        "team_id": 100,
        "position": "MIDDLE",
        "win": True,
        "kills": 7,
        "deaths": 3,
        "assists": 9,
        "kda": 5.33,
        "total_damage_dealt": 23_456,
        "gold_earned": 12_345,
        "cs": 192,
        "vision_score": 21,
        "gold_per_minute": 401.46,
        "damage_per_minute": 762.8,
        "cs_per_minute": 6.24,
        "patch": "16.4",
        "queue_id": 420,
        "platform": "EUW1",
        "remake": False,
        "ingested_at": "2026-02-02T02:40:00.000Z",
    }


def test_the_mapping_has_exactly_these_fields() -> None:
    template = json.loads((TEMPLATES / "lol_matches_stream.json").read_text())
    assert set(template["template"]["mappings"]["properties"]) == set(document())
    assert template["template"]["mappings"]["dynamic"] == "strict"


def test_kda_without_deaths_is_kills_and_assists() -> None:
    assert document(kills=4, deaths=0, assists=5)["kda"] == 9


def test_no_duration_no_values_per_minute() -> None:
    found = next(documents(decoded(match(participant(1), gameDuration=0)), ARRIVED))
    assert found["game_duration"] == 0
    assert {"gold_per_minute", "damage_per_minute", "cs_per_minute"}.isdisjoint(found)
    assert found["kda"] == 5.33


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, "Player 1#EUW"),
        ({"riotIdTagline": ""}, "Player 1"),
        ({"riotIdTagline": ...}, "Player 1"),
        ({"riotIdGameName": ..., "riotIdTagline": ..., "summonerName": "Old Name"}, "Old Name"),
        ({"riotIdGameName": "", "summonerName": "Old Name"}, "Old Name"),
        ({"riotIdGameName": None, "summonerName": None}, ""),
    ],
)
def test_the_name_that_is_there(changes: dict[str, Any], expected: str) -> None:
    assert document(**changes)["summoner_name"] == expected


@pytest.mark.parametrize("empty", ["", None, ...])
def test_no_position_is_unknown(empty: Any) -> None:
    assert document(teamPosition=empty)["position"] == "UNKNOWN"


def test_creeps_that_are_not_given_are_none() -> None:
    assert document(totalMinionsKilled=..., neutralMinionsKilled=12)["cs"] == 12
    assert document(totalMinionsKilled=180, neutralMinionsKilled=None)["cs"] == 180


@pytest.mark.parametrize(("version", "patch"), [("16.4.748.682", "16.4"), ("16", "16"), ("", "")])
def test_the_patch(version: str, patch: str) -> None:
    assert next(documents(decoded(match(gameVersion=version)), ARRIVED))["patch"] == patch


def test_ids_and_index_follow_from_match_participant_and_month() -> None:
    found = actions(decoded(match(participant(1), participant(2))), ARRIVED, "lol_matches_stream")
    assert [action.document_id for action in found] == ["EUW1_7012345678_1", "EUW1_7012345678_2"]
    head, source, rest = found[1].lines.split(b"\n")
    assert orjson.loads(head) == {"index": {"_index": "lol_matches_stream-2026.02", "_id": "EUW1_7012345678_2"}}
    assert orjson.loads(source)["participant_id"] == "2"
    assert rest == b""


def test_the_same_message_makes_the_same_bytes() -> None:
    assert actions(decoded(match()), ARRIVED, "n") == actions(decoded(match()), ARRIVED, "n")


def test_months_change_at_midnight_utc() -> None:
    midnight = 1_769_904_000_000  # 2026-02-01T00:00:00Z
    assert monthly_index("n", midnight - 1) == "n-2026.01"
    assert monthly_index("n", midnight) == "n-2026.02"
    assert iso(midnight - 1) == "2026-01-31T23:59:59.999Z"
