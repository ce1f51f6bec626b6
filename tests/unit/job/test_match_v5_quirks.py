"""The quirks of Match-V5, one case each: the message, and the documents or the dead letter that it becomes.

A case has the fields in which the document differs from that of a usual match. test_statistics.py tests the effect of
quirks on the statistics (duplicates, remakes, no duration), test_index_matches.py the effect on indexing.
"""

import gzip
from typing import Any

import pytest

from job.documents import documents
from job.match import decode
from tests.support.sample_matches import (
    ARRIVED_AT,
    PLAUSIBLE_TIMES,
    START,
    Json,
    dead_letter,
    decoded,
    match,
    participant,
    value,
)

CREATED = START - 60_000
DAY_MS = 24 * 3600 * 1000
REMADE = [participant(number, gameEndedInEarlySurrender=True) for number in range(1, 11)]
OLD: Json = {"gameStartTimestamp": ..., "gameEndTimestamp": ...}
NOT_PLAYED = participant(1, timePlayed=...)
BY_DURATION = {"@timestamp": "2026-02-02T02:36:25.000Z"}
NO_RATES = {"gold_per_minute": ..., "damage_per_minute": ..., "cs_per_minute": ...}
DOCUMENT = {
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


def document(message: Json, arrived_at: int = ARRIVED_AT) -> dict[str, object]:
    """The first participant's document."""
    return next(documents(decoded(message, arrived_at), arrived_at))


def of_one(**changes: Any) -> Json:
    """A match of one participant with changed fields."""
    return match(participant(1, **changes))


def quirk(name: str, message: Json, **expected: Any) -> Any:
    return pytest.param(message, expected, id=name)


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        quirk("a usual match: the duration is in seconds", match(gameDuration=1845)),
        quirk("duration in milliseconds without an end", match(gameDuration=1_845_999, gameEndTimestamp=...)),
        quirk("duration in milliseconds with an end of null", match(gameDuration=1_845_999, gameEndTimestamp=None)),
        quirk("duration of 0", match(gameDuration=0), game_duration=0, **NO_RATES),
        quirk(
            "duration below one second",
            match(NOT_PLAYED, gameDuration=999, gameEndTimestamp=..., gameVersion="11.19.398.9466"),
            **{"@timestamp": "2026-02-02T02:05:40.999Z", "patch": "11.19", "game_duration": 0, **NO_RATES},
        ),
        quirk("duration in seconds without an end, compared with the time played", match(gameEndTimestamp=...)),
        quirk("duration in seconds without an end and time played", match(NOT_PLAYED, **OLD), **BY_DURATION),
        quirk(
            "duration in milliseconds without an end and time played",
            match(NOT_PLAYED, **OLD, gameDuration=1_845_000),
            **BY_DURATION,
        ),
        quirk(
            "message sent at the game's start, with an end in the future",
            match(gameCreation=ARRIVED_AT, gameStartTimestamp=ARRIVED_AT, gameEndTimestamp=ARRIVED_AT + 1_845_000),
            **{"timestamp": ARRIVED_AT, "@timestamp": "2026-02-02T03:10:45.000Z"},
        ),
        quirk("end days later than the time played", match(gameEndTimestamp=START + 3 * DAY_MS)),
        quirk(
            "different times played: the longest counts",
            match(participant(1, timePlayed=900), participant(2, timePlayed=1845), gameEndTimestamp=START + DAY_MS),
        ),
        quirk("time played missing", of_one(timePlayed=...), **{"@timestamp": "2026-02-02T02:37:25.500Z"}),
        quirk("time played of 0", of_one(timePlayed=0), **{"@timestamp": "2026-02-02T02:37:25.500Z"}),
        quirk("start missing", match(gameStartTimestamp=...), **{"@timestamp": "2026-02-02T02:37:25.500Z"}),
        quirk(
            "start and end missing", match(**OLD, gameDuration=1_845_250), **{"@timestamp": "2026-02-02T02:36:25.250Z"}
        ),
        quirk("end of 0", match(**{**OLD, "gameEndTimestamp": 0}), **{"@timestamp": "2026-02-02T02:36:25.000Z"}),
        quirk(
            "end of 0 before patch 11.20",
            match(**{**OLD, "gameEndTimestamp": 0, "gameDuration": 1_845_250, "gameVersion": "11.19.398.9466"}),
            **{"@timestamp": "2026-02-02T02:36:25.250Z", "patch": "11.19"},
        ),
        quirk(
            "end of 0 from patch 11.20",
            match(**{**OLD, "gameEndTimestamp": 0, "gameVersion": "11.20.400.1"}),
            **{"@timestamp": "2026-02-02T02:36:25.000Z", "patch": "11.20"},
        ),
        quirk("Riot ID and summoner name", of_one(summonerName="Old Name")),
        quirk("Riot ID without a tag line", of_one(riotIdTagline=""), summoner_name="Player 1"),
        quirk(
            "Riot ID missing", of_one(riotIdGameName=..., riotIdTagline=..., summonerName="Old"), summoner_name="Old"
        ),
        quirk("Riot ID empty", of_one(riotIdGameName="", riotIdTagline="", summonerName="Old"), summoner_name="Old"),
        quirk("Riot ID and summoner name null", of_one(riotIdGameName=None, summonerName=None), summoner_name=""),
        quirk("position empty", of_one(teamPosition=""), position="UNKNOWN"),
        quirk("position missing", of_one(teamPosition=...), position="UNKNOWN"),
        quirk("position null", of_one(teamPosition=None), position="UNKNOWN"),
        quirk("remake of any duration", match(*REMADE, gameDuration=1845), remake=True),
        quirk("remake by one participant alone", match(participant(1), REMADE[1]), remake=True),
        quirk("remake field missing", of_one(gameEndedInEarlySurrender=...)),
        quirk("remake field null", of_one(gameEndedInEarlySurrender=None)),
        quirk("Abort_Unexpected in a usual match", match(endOfGameResult="Abort_Unexpected")),
        quirk("no deaths", of_one(deaths=0), deaths=0, kda=16.0),
        quirk("minions missing", of_one(totalMinionsKilled=...), cs=12, cs_per_minute=0.39),
        quirk("monsters null", of_one(neutralMinionsKilled=None), cs=180, cs_per_minute=5.85),
        quirk("team id of Arena", of_one(teamId=7, placement=3, playerSubteamId=7), team_id=7),
        quirk("whole numbers as floats", of_one(kills=7.0, goldEarned=1.2345e4, win=True)),
        quirk("timestamps as floats", match(gameCreation=float(CREATED), gameDuration=1845.0, queueId=420.0)),
        quirk(
            "unused fields of other types",
            of_one(challenges={"kda": [1.5], "new": None}, missions=None, item0="?", perks=[]),
        ),
        quirk("unknown fields", match(teams="none", mapId=None, endOfGameResult={}, padding="x" * 5 * 2**20)),
        quirk("emoji", of_one(riotIdGameName="Grim구름 🐉 e\u0301"), summoner_name="Grim구름 🐉 e\u0301#EUW"),
    ],
)
def test_document_of_a_quirk(message: Json, expected: dict[str, Any]) -> None:
    fields = DOCUMENT | expected
    assert document(message) == {name: field for name, field in fields.items() if field is not ...}


@pytest.mark.parametrize("number", [1, 9, 16])
def test_any_number_of_participants_and_teams(number: int) -> None:
    """Arena has sixteen participants."""
    players = [participant(n, teamId=300 + n) for n in range(1, number + 1)]
    found = list(documents(decoded(match(*players)), ARRIVED_AT))
    assert [(each["participant_id"], each["team_id"]) for each in found] == [
        (str(n), 300 + n) for n in range(1, number + 1)
    ]


def test_old_match_that_arrives_a_year_later() -> None:
    assert document(match(), arrived_at=ARRIVED_AT + 365 * DAY_MS)["ingested_at"] == "2027-02-02T02:40:00.000Z"


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        (None, "null_value"),
        (b"", "empty_value"),
        (b" \n", "empty_value"),
        (b"<html>429</html>", "not_json"),
        (b"\xff\xfe\x00", "not_json"),
        (b'{"metadata": {"matchId": "\xff"}}', "not_json"),
        (value(match())[:-20], "not_json"),
        (value(match()) + b"}", "not_json"),
        (b'{"a":' * 100_000, "not_json"),
        (b"x" * 5 * 2**20, "not_json"),
        (gzip.compress(value(match()), mtime=0), "not_json"),
        (b"\x00\x00\x00\x00\x07" + value(match()), "not_json"),
        (b"[" + value(match()) + b"]", "not_an_object"),
        (b"null", "not_an_object"),
        (b'"text"', "not_an_object"),
        (b"42", "not_an_object"),
        (b"{}", "invalid_field"),
        (b'{"status": 404}', "invalid_field"),
        (b'{"metadata": {"matchId": "X"}, "info": []}', "invalid_field"),
        (value(match(participants=[])), "empty_match"),
        (
            value(match(participants=[], gameId=0, gameDuration=0, gameCreation=0, gameVersion=...)),
            "empty_match",
        ),
        (value(match(participant(1), participant(1))), "duplicate_participant"),
    ],
    ids=lambda case: case if isinstance(case, str) else repr(case and case[:24]),
)
def test_message_without_a_match_is_a_dead_letter_with_its_reason(message: bytes | None, reason: str) -> None:
    assert dead_letter(message).reason == reason


def test_gzip_and_schema_registry_formats_are_identified() -> None:
    assert "it is compressed by gzip; let the producer compress" in dead_letter(gzip.compress(value(match()))).detail
    assert (
        "it is written by a schema registry's serializer"
        in dead_letter(b"\x00\x00\x00\x00\x07" + value(match())).detail
    )


def test_byte_order_mark_is_ignored() -> None:
    assert decode(b"\xef\xbb\xbf" + value(match()), ARRIVED_AT, PLAUSIBLE_TIMES) == decoded(match())


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"gameCreation": 80_762_627}, "info.gameCreation"),
        ({"gameCreation": 4_129_136_175_166}, "info.gameCreation"),
        ({"gameStartTimestamp": 80_762_627}, "info.gameStartTimestamp"),
        ({"gameStartTimestamp": ..., "gameEndTimestamp": 4_129_136_175_166}, "info.gameEndTimestamp"),
        ({"gameStartTimestamp": ..., "gameEndTimestamp": ..., "gameDuration": 2**31 - 1}, "info.gameDuration"),
    ],
)
def test_implausible_timestamp_names_its_field(changes: Json, field: str) -> None:
    letter = dead_letter(match(**changes))
    assert (letter.reason, letter.field) == ("implausible_timestamp", field)
