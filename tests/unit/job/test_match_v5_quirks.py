"""The traps of Match-V5, one a line: the message, and the documents or the dead letter it must become.

A line says in which fields the document differs from the one of a match in order. What a trap means for the statistics
(duplicates, remakes, no duration) is in test_statistics.py, for delivery in test_participants.py.
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


def document(message: Json, arrived: int = ARRIVED_AT) -> dict[str, object]:
    """The first participant's document."""
    return next(documents(decoded(message, arrived), arrived))


def one(**changes: Any) -> Json:
    """A match of one participant with these changes."""
    return match(participant(1, **changes))


def trap(name: str, message: Json, **expected: Any) -> Any:
    return pytest.param(message, expected, id=name)


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        trap("a match in order: its duration is in seconds", match(gameDuration=1845)),
        trap("milliseconds, where there is none", match(gameDuration=1_845_999, gameEndTimestamp=...)),
        trap("milliseconds, where it is null", match(gameDuration=1_845_999, gameEndTimestamp=None)),
        trap("no duration", match(gameDuration=0), game_duration=0, **NO_RATES),
        trap(
            "less than a second",
            match(NOT_PLAYED, gameDuration=999, gameEndTimestamp=..., gameVersion="11.19.398.9466"),
            **{"@timestamp": "2026-02-02T02:05:40.999Z", "patch": "11.19", "game_duration": 0, **NO_RATES},
        ),
        trap("seconds without an end, which fit the time played", match(gameEndTimestamp=...)),
        trap("seconds without an end, of a length that games have", match(NOT_PLAYED, **OLD), **BY_DURATION),
        trap("milliseconds of such a length", match(NOT_PLAYED, **OLD, gameDuration=1_845_000), **BY_DURATION),
        trap(
            "a game that is sent as it begins: its end is to come",
            match(gameCreation=ARRIVED_AT, gameStartTimestamp=ARRIVED_AT, gameEndTimestamp=ARRIVED_AT + 1_845_000),
            **{"timestamp": ARRIVED_AT, "@timestamp": "2026-02-02T03:10:45.000Z"},
        ),
        trap("an end days later", match(gameEndTimestamp=START + 3 * DAY_MS)),
        trap(
            "the longest time played counts",
            match(participant(1, timePlayed=900), participant(2, timePlayed=1845), gameEndTimestamp=START + DAY_MS),
        ),
        trap("no time played", one(timePlayed=...), **{"@timestamp": "2026-02-02T02:37:25.500Z"}),
        trap("nothing played", one(timePlayed=0), **{"@timestamp": "2026-02-02T02:37:25.500Z"}),
        trap("no start", match(gameStartTimestamp=...), **{"@timestamp": "2026-02-02T02:37:25.500Z"}),
        trap("neither", match(**OLD, gameDuration=1_845_250), **{"@timestamp": "2026-02-02T02:36:25.250Z"}),
        trap("an end of 0", match(**{**OLD, "gameEndTimestamp": 0}), **{"@timestamp": "2026-02-02T02:36:25.000Z"}),
        trap(
            "an end of 0 from before there was one",
            match(**{**OLD, "gameEndTimestamp": 0, "gameDuration": 1_845_250, "gameVersion": "11.19.398.9466"}),
            **{"@timestamp": "2026-02-02T02:36:25.250Z", "patch": "11.19"},
        ),
        trap(
            "an end of 0 from when there was one",
            match(**{**OLD, "gameEndTimestamp": 0, "gameVersion": "11.20.400.1"}),
            **{"@timestamp": "2026-02-02T02:36:25.000Z", "patch": "11.20"},
        ),
        trap("a Riot ID", one(summonerName="Old Name")),
        trap("no tag line", one(riotIdTagline=""), summoner_name="Player 1"),
        trap("no Riot ID", one(riotIdGameName=..., riotIdTagline=..., summonerName="Old"), summoner_name="Old"),
        trap("an empty Riot ID", one(riotIdGameName="", riotIdTagline="", summonerName="Old"), summoner_name="Old"),
        trap("no name at all", one(riotIdGameName=None, summonerName=None), summoner_name=""),
        trap("an empty position", one(teamPosition=""), position="UNKNOWN"),
        trap("no position", one(teamPosition=...), position="UNKNOWN"),
        trap("a position of null", one(teamPosition=None), position="UNKNOWN"),
        trap("a remake, at any duration", match(*REMADE, gameDuration=1845), remake=True),
        trap("one of them says so", match(participant(1), REMADE[1]), remake=True),
        trap("nobody says whether it was one", one(gameEndedInEarlySurrender=...)),
        trap("null says so too", one(gameEndedInEarlySurrender=None)),
        trap("Abort_Unexpected on a good game", match(endOfGameResult="Abort_Unexpected")),
        trap("no deaths", one(deaths=0), deaths=0, kda=16.0),
        trap("no minions", one(totalMinionsKilled=...), cs=12, cs_per_minute=0.39),
        trap("null monsters", one(neutralMinionsKilled=None), cs=180, cs_per_minute=5.85),
        trap("a team beyond 200", one(teamId=7, placement=3, playerSubteamId=7), team_id=7),
        trap("numbers as floats", one(kills=7.0, goldEarned=1.2345e4, win=True)),
        trap("times as floats", match(gameCreation=float(CREATED), gameDuration=1845.0, queueId=420.0)),
        trap("fields of another kind", one(challenges={"kda": [1.5], "new": None}, missions=None, item0="?", perks=[])),
        trap("fields that are new", match(teams="none", mapId=None, endOfGameResult={}, padding="x" * 5 * 2**20)),
        trap("emoji", one(riotIdGameName="Grim구름 🐉 e\u0301"), summoner_name="Grim구름 🐉 e\u0301#EUW"),
    ],
)  # fmt: skip
def test_documents(message: Json, expected: dict[str, Any]) -> None:
    whole = DOCUMENT | expected
    assert document(message) == {name: held for name, held in whole.items() if held is not ...}


@pytest.mark.parametrize("number", [1, 9, 16])
def test_any_number_of_participants_in_any_teams(number: int) -> None:
    """Arena has sixteen."""
    players = [participant(n, teamId=300 + n) for n in range(1, number + 1)]
    found = list(documents(decoded(match(*players)), ARRIVED_AT))
    assert [(each["participant_id"], each["team_id"]) for each in found] == [
        (str(n), 300 + n) for n in range(1, number + 1)
    ]


def test_an_old_match_that_is_sent_late() -> None:
    assert document(match(), arrived=ARRIVED_AT + 365 * DAY_MS)["ingested_at"] == "2027-02-02T02:40:00.000Z"


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
        (gzip.compress(value(match())), "not_json"),
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
    ids=lambda held: held if isinstance(held, str) else repr(held and held[:24]),
)
def test_messages_that_hold_no_match(message: bytes | None, reason: str) -> None:
    assert dead_letter(message).reason == reason


def test_what_else_it_is_is_said_where_its_beginning_tells() -> None:
    assert "it is compressed by gzip; let the producer compress" in dead_letter(gzip.compress(value(match()))).detail
    assert "it is of a schema registry's serialiser" in dead_letter(b"\x00\x00\x00\x00\x07" + value(match())).detail


def test_a_byte_order_mark_is_passed_over() -> None:
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
def test_matches_of_1970_and_2100(changes: Json, field: str) -> None:
    letter = dead_letter(match(**changes))
    assert (letter.reason, letter.field) == ("implausible_timestamp", field)
