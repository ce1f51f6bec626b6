"""The quirks of Match-V5, one case each: the message, and the documents or the dead letter that it becomes.

A case has the fields in which the document differs from that of a usual match. test_statistics.py tests the effect of
quirks on the statistics (duplicates, remakes, no duration), test_index_matches.py the effect on indexing.
"""

import bz2
import gzip
import json
import lzma
import pickle
import random
import re
import zlib
from base64 import b64encode
from copy import deepcopy
from math import inf, nan
from typing import Any

import pytest

from generator.match_factory import MatchFactory
from generator.poison import HUGE_POISON_KINDS, POISON_KINDS
from job.documents import documents
from job.match import Match, decode
from tests.support import reference
from tests.support.sample_matches import (
    ARRIVED_AT,
    PLAUSIBLE_TIMES,
    START,
    TWO_TEAMS,
    Json,
    dead_letter,
    decoded,
    full_participant,
    match,
    participant,
    value,
)
from tests.support.team_documents import team_documents

CREATED = START - 60_000
DAY_MS = 24 * 3600 * 1000
REMADE = [participant(number, gameEndedInEarlySurrender=True) for number in range(1, 11)]
OLD: Json = {"gameStartTimestamp": ..., "gameEndTimestamp": ...}
NOT_PLAYED = participant(1, timePlayed=...)
BY_DURATION = {"@timestamp": "2026-02-02T02:36:25.000Z"}
NO_RATES = {"gold_per_minute": ..., "damage_per_minute": ..., "cs_per_minute": ...}
NO_WINNER = [participant(number, win=False) for number in range(1, 11)]
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
    "queue": "5v5 Ranked Solo",
    "platform": "EUW1",
    "remake": False,
    "ingested_at": "2026-02-02T02:40:00.000Z",
}


OF_ALL = {"kill_participation", "damage_share", "gold_share", "two_teams"}
"""Fields that depend on the other participants."""


def document(message: Json, arrived_at: int = ARRIVED_AT) -> dict[str, object]:
    """The first participant's document without the fields that depend on the others."""
    found = next(documents(decoded(message, arrived_at), arrived_at))
    return {name: field for name, field in found.items() if name not in OF_ALL}


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
        quirk(
            "duration of an old match until the server closed the game: the time played is right",
            match(gameEndTimestamp=..., gameVersion="11.17.1", gameDuration=1_845_000 + 60_000),
            patch="11.17",
        ),
        quirk(
            "duration in milliseconds that is a little longer than the time played",
            match(gameEndTimestamp=..., gameVersion="11.17.1", gameDuration=1_845_000 + 1_999),
            patch="11.17",
            game_duration=1846,
            gold_per_minute=401.25,
            damage_per_minute=762.38,
        ),
        quirk("end days later than the time played", match(gameEndTimestamp=START + 3 * DAY_MS)),
        quirk(
            "different times played: the longest counts",
            match(participant(1, timePlayed=900), participant(2, timePlayed=1845), gameEndTimestamp=START + DAY_MS),
        ),
        quirk("duration in milliseconds beside an end: time played decides", match(gameDuration=1_845_999)),
        quirk("duration divided by 1,000 beside an end: time played decides", match(gameDuration=1)),
        quirk("time played in milliseconds", of_one(timePlayed=1_845_000)),
        quirk(
            "duration and time played in milliseconds",
            match(participant(1, timePlayed=1_845_000), gameDuration=1_845_000),
        ),
        quirk(
            "time played of a short game in milliseconds",
            match(participant(1, timePlayed=95_000), gameDuration=95),
            **{"@timestamp": "2026-02-02T02:08:15.000Z", "game_duration": 95, "gold_per_minute": 7796.84},
            damage_per_minute=14814.32,
            cs_per_minute=121.26,
        ),
        quirk(
            "duration in milliseconds without time played beside an end",
            match(NOT_PLAYED, gameDuration=1_845_999),
            **{"@timestamp": "2026-02-02T02:37:25.500Z"},
        ),
        quirk("time played missing", of_one(timePlayed=...), **{"@timestamp": "2026-02-02T02:37:25.500Z"}),
        quirk("time played of 0", of_one(timePlayed=0), **{"@timestamp": "2026-02-02T02:37:25.500Z"}),
        quirk(
            "time played of a hundredth of the duration is wrong",
            of_one(timePlayed=18),
            **{"@timestamp": "2026-02-02T02:37:25.500Z"},
        ),
        quirk(
            "time played of a hundredth of a remake's duration",
            match(participant(1, timePlayed=2), gameDuration=210, gameEndTimestamp=START + 210_000),
            **{"@timestamp": "2026-02-02T02:10:10.000Z", "game_duration": 210, "gold_per_minute": 3527.14},
            damage_per_minute=6701.71,
            cs_per_minute=54.86,
        ),
        quirk(
            "wrong time played beside a duration in milliseconds",
            match(participant(1, timePlayed=18), gameDuration=1_845_250),
            **{"@timestamp": "2026-02-02T02:37:25.500Z"},
        ),
        quirk("start missing", match(gameStartTimestamp=...), **{"@timestamp": "2026-02-02T02:37:25.500Z"}),
        quirk(
            "start and end missing", match(**OLD, gameDuration=1_845_250), **{"@timestamp": "2026-02-02T02:36:25.250Z"}
        ),
        quirk("end before the creation", match(NOT_PLAYED, gameEndTimestamp=CREATED - 40 * DAY_MS), **BY_DURATION),
        quirk("end before the start", match(NOT_PLAYED, gameEndTimestamp=START - 1), **BY_DURATION),
        quirk(
            "end at the start",
            match(NOT_PLAYED, gameEndTimestamp=START, gameDuration=0),
            **{"@timestamp": "2026-02-02T02:06:40.000Z", "game_duration": 0, **NO_RATES},
        ),
        quirk("end before the creation beside start and time played", match(gameEndTimestamp=CREATED - 1)),
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
        quirk(
            "Riot ID under its name before patch 14.5",
            of_one(riotIdGameName=..., riotIdName="Neo", summonerName="Old"),
            summoner_name="Neo#EUW",
        ),
        quirk(
            "position copied from a field that has words for none", of_one(teamPosition="Invalid"), position="UNKNOWN"
        ),
        quirk("position copied from lane", of_one(teamPosition="NONE"), position="UNKNOWN"),
        quirk("position empty", of_one(teamPosition=""), position="UNKNOWN"),
        quirk("position missing", of_one(teamPosition=...), position="UNKNOWN"),
        quirk("position null", of_one(teamPosition=None), position="UNKNOWN"),
        quirk("position in lower case", of_one(teamPosition="middle")),
        quirk("position in another case", of_one(teamPosition="Utility"), position="UTILITY"),
        quirk("position of another field", of_one(teamPosition="Solo"), position="Solo"),
        quirk("remake of any duration", match(*REMADE, gameDuration=1845), remake=True),
        quirk("remake by one participant alone", match(participant(1), REMADE[1]), remake=True),
        quirk("remake field missing", of_one(gameEndedInEarlySurrender=...)),
        quirk("remake field null", of_one(gameEndedInEarlySurrender=None)),
        quirk("Abort_Unexpected in a usual match", match(endOfGameResult="Abort_Unexpected")),
        quirk("no winner: everybody lost", match(*NO_WINNER), win=...),
        quirk("no winner: everybody won", match(participant(1), participant(6, win=True)), win=...),
        quirk(
            "no winner in Arena",
            match(*NO_WINNER, participant(11, win=False, placement=0), queueId=1700),
            queue_id=1700,
            queue="Arena",
            win=...,
        ),
        quirk(
            "no winner in Arena, and one team",
            match(*(participant(number, win=False, teamId=100) for number in range(1, 17)), queueId=1700),
            queue_id=1700,
            queue="Arena",
            win=...,
        ),
        quirk(
            "no winner in Arena by mode, and one team",
            match(participant(1, win=False), participant(2, win=False), gameMode="CHERRY"),
            game_mode="CHERRY",
            win=...,
        ),
        quirk(
            "the half of Arena that won",
            match(participant(1), participant(2), queueId=1700),
            queue_id=1700,
            queue="Arena",
        ),
        quirk(
            "one team that lost against the game",
            match(participant(1, win=False), participant(2, win=False)),
            win=False,
        ),
        quirk("one participant who lost", of_one(win=False), win=False),
        quirk("several placements of Arena won", match(participant(1), participant(6, win=True), participant(7))),
        quirk("champion in Data Dragon's spelling", of_one(championName="Fiddlesticks"), champion_name="Fiddlesticks"),
        quirk("champion in Match-V5's spelling", of_one(championName="FiddleSticks"), champion_name="Fiddlesticks"),
        quirk("champion in lower case", of_one(championName="ksante"), champion_name="KSante"),
        quirk("champion of 2026", of_one(championName="LOCKE"), champion_name="Locke"),
        quirk("champion as displayed", of_one(championName="Kai'Sa"), champion_name="Kaisa"),
        quirk("champion as displayed, of another name", of_one(championName="Wukong"), champion_name="MonkeyKing"),
        quirk('champion with an "&"', of_one(championName="Nunu & Willump"), champion_name="Nunu"),
        quirk("champion of a mode", of_one(championName="Strawberry_Jinx"), champion_name="Strawberry_Jinx"),
        quirk("champion not known yet", of_one(championName="NewOne"), champion_name="NewOne"),
        quirk("no deaths", of_one(deaths=0), deaths=0, kda=16.0),
        quirk("minions missing", of_one(totalMinionsKilled=...), cs=12, cs_per_minute=0.39),
        quirk("monsters null", of_one(neutralMinionsKilled=None), cs=180, cs_per_minute=5.85),
        quirk("team id of Arena", of_one(teamId=7, placement=3), team_id=7, placement=3),
        quirk("whole numbers as floats", of_one(kills=7.0, goldEarned=1.2345e4, win=True)),
        quirk("timestamps as floats", match(gameCreation=float(CREATED), gameDuration=1845.0, queueId=420.0)),
        quirk(
            "unused and optional fields of other types",
            of_one(challenges={"kda": [1.5], "new": None}, missions=None, item0="?", perks=[]),
        ),
        quirk("unknown fields", match(teams="none", mapId=None, endOfGameResult={}, padding="x" * 5 * 2**20)),
        quirk("emoji", of_one(riotIdGameName="Grim구름 🐉 e\u0301"), summoner_name="Grim구름 🐉 e\u0301#EUW"),
    ],
)
def test_document_of_a_quirk(message: Json, expected: dict[str, Any]) -> None:
    fields = DOCUMENT | expected
    assert document(message) == {name: field for name, field in fields.items() if field is not ...}


@pytest.mark.parametrize(
    ("of_red", "taken"),
    [
        pytest.param({}, (0, False), id="left out for the team that took none, as in patches 15.1 to 15.3"),
        pytest.param({"atakhan": None}, (0, False), id="null"),
        pytest.param({"atakhan": {"kills": 0, "first": True}}, (0, True), id="sent"),
        pytest.param({"atakhan": {"kills": "?", "first": True}}, (None, None), id="of a wrong type"),
        pytest.param(None, (None, None), id="without objectives"),
    ],
)
def test_objective_that_only_the_other_team_has(of_red: Json | None, taken: tuple[Any, Any]) -> None:
    blue, red = ({name: held for name, held in team.items() if name != "objectives"} for team in TWO_TEAMS)
    blue["objectives"] = {"atakhan": {"kills": 1, "first": True}, "horde": None}
    red["objectives"] = of_red
    message = match(full_participant(1), full_participant(6), teams=[blue, red])
    found = team_documents(decoded(message), ARRIVED_AT)
    assert [(each.get("atakhan"), each.get("first_atakhan")) for each in found] == [(1, True), taken]
    assert not any("horde" in each for each in found), "an objective that did not exist yet"
    expected = reference.team_documents(value(message), ARRIVED_AT) or []
    assert [reference.differences(*pair) for pair in zip(found, expected, strict=True)] == [{}, {}]


@pytest.mark.parametrize(
    "changes", [{"queueId": 1700}, {"gameMode": "CHERRY"}, {"participants": [participant(1, playerSubteamId=1)]}]
)
def test_arena_without_a_winner_does_not_count_in_the_statistics(changes: Json) -> None:
    """Whichever field says that it is Arena. The statistics are computed without the details."""
    message = match(**changes)
    for each in message["info"]["participants"]:
        each |= {"win": False, "teamId": 100}
    for details in (True, False):
        found = decode(value(message), ARRIVED_AT, PLAUSIBLE_TIMES, details)
        assert isinstance(found, Match)
        assert found.uncounted_reason(None) == "no_winner"


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
        (b"[ERROR] something failed", "not_json"),
        (b"2026-11-24 12:00:00 INFO started", "not_json"),
        (b"12abc", "not_json"),
        (b"true dat", "not_json"),
        (b"[]x", "not_json"),
        (b'[{"metadata": {"matchId": "EUW1_1"', "not_json"),
        (b'{"metadata": 5, "info": {"gam', "not_json"),
        (value(match(participant(1, kills={}), participant(2)))[:-20], "not_json"),
        (gzip.compress(value(match()), mtime=0), "not_json"),
        (b"\x00\x00\x00\x00\x07" + value(match()), "not_json"),
        (b'{"a": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", "invalid_field"),
        (b"[" + value(match()) + b"]", "not_an_object"),
        (b"null", "not_an_object"),
        (b'"text"', "not_an_object"),
        (b"42", "not_an_object"),
        (b"[1e400]", "not_an_object"),
        (rb'["\ud83d"]', "not_an_object"),
        (b'["\xff"]', "not_an_object"),
        (b"[" * 100_000 + b"]" * 100_000, "not_an_object"),
        (b"{}", "invalid_field"),
        (b'{"status": 404}', "invalid_field"),
        (rb'{"status": "\ud83d", "a": 1e400}', "invalid_field"),
        (b'{"status": "\xff"}', "invalid_field"),
        (b'{"metadata": {"matchId": "X"}, "info": []}', "invalid_field"),
        (value(match(participants=[])), "empty_match"),
        (value(match(participants=None)), "empty_match"),
        (value(match(participants=...)), "invalid_field"),
        (
            value(match(participants=[], gameId=0, gameDuration=0, gameCreation=0, gameVersion=...)),
            "empty_match",
        ),
        (value(match(participant(1), participant(1))), "duplicate_participant"),
    ],
    ids=lambda case: case if isinstance(case, str) else repr(case and case[:24]),
)
def test_message_without_a_match_is_a_dead_letter_with_its_reason(message: bytes | None, reason: str) -> None:
    """The same with and without details, so in documents, archive and statistics."""
    letter = dead_letter(message)
    assert letter.reason == reason
    assert decode(message, ARRIVED_AT, PLAUSIBLE_TIMES, details=False) == letter


@pytest.mark.parametrize(
    ("message", "format_name"),
    [
        (gzip.compress(value(match())), "compressed by gzip; let the producer compress"),
        (b"\x28\xb5\x2f\xfd\x20\x02\x11\x00\x00{}", "compressed by zstd; let the producer compress"),
        (b"\x00\x00\x00\x00\x07" + value(match()), "perhaps written by a schema registry's serializer"),
        (value(match()).decode().encode("utf-16"), "text in UTF-16"),
        (b"\xfe\xff" + value(match()).decode().encode("utf-16-be"), "text in UTF-16"),
        (value(match()).decode().encode("utf-16-be"), "text in UTF-16"),
        (value(match()).decode().encode("utf-16-le"), "text in UTF-16"),
        (value(match()).decode().encode("utf-32"), "text in UTF-32"),
        (b"\x00\x00\x00\x00\x07\x02\x0eEUW1_42", "perhaps written by a schema registry's serializer"),
        (b"\x00\x00\x00\x00\x07\n", "perhaps written by a schema registry's serializer"),
        (value(match()) + b"\n" + value(match()), "several JSON values; send each match in a message of its own"),
        (value(match(participant(1, kills={}))) * 2, "several JSON values"),
        (value(match()) + bytes(8), "JSON with NUL bytes behind it"),
        (b"<html><title>502 Bad Gateway</title></html>", "HTML or XML, perhaps the error page of a server"),
        (zlib.compress(value(match())), "compressed by zlib; let the producer compress"),
        (zlib.compress(value(match()), level=0), "compressed by zlib"),
        (zlib.compress(value(match()), level=9), "compressed by zlib"),
        (bz2.compress(value(match())), "compressed by bzip2"),
        (lzma.compress(value(match())), "compressed by xz"),
        (b"\x04\x22\x4d\x18\x64\x40\xa7" + value(match()), "compressed by lz4"),
        (b"\xff\x06\x00\x00sNaPpY\x01" + value(match()), "compressed by Snappy"),
        (b"\x82SNAPPY\x00\x00\x00\x00\x01" + value(match()), "compressed by Snappy"),
        (b64encode(value(match())), "JSON in base64; send the JSON itself"),
        (b64encode(json.dumps(match(), indent=2).encode()), "JSON in base64"),
        (b64encode(b"[" + value(match()) + b"]"), "JSON in base64"),
        (b"Obj\x01\x04\x16avro.schema" + value(match()), "an Avro container file; send plain JSON"),
        (b"\x03\x00" + bytes(range(16)) + value(match()), "perhaps written by the serializer of AWS Glue's"),
        (b"\x03\x05" + bytes(range(16)) + value(match()), "perhaps written by the serializer of AWS Glue's"),
        (str(match()).encode(), "Python's text of a dict or of bytes; send json.dumps(match)"),
        (str([match()]).encode(), "Python's text of a dict or of bytes"),
        (str(value(match())).encode(), "Python's text of a dict or of bytes"),
        (value(match(participant(1, challenges={"kda": nan, "b": 1}))), "JSON with NaN or Infinity; send null instead"),
        (value(match(participant(1, kills=inf))), "JSON with NaN or Infinity"),
        (value(match(participant(1, challenges=[1, -inf]))), "JSON with NaN or Infinity"),
        (value(match()) + b"," + value(match()), "several JSON values"),
        (value(match()) + b" ,\n" + value(match()), "several JSON values"),
        (b64encode(gzip.compress(value(match()))), "compressed by gzip, in base64; send the JSON itself"),
        (b"\xac\xed\x00\x05t\x00\x02{}", "an object that Java has serialized; send JSON"),
        (pickle.dumps(match()), "perhaps an object that Python has pickled; send json.dumps(match)"),
        (b"\x82\xa8metadata\x80\xa4info\x80", "perhaps MessagePack or CBOR; send JSON"),
        (b"\xa2\x68metadata\xa0\x64info\xa0", "perhaps MessagePack or CBOR"),
        (b"[object Object]", "JavaScript's text of an object; send JSON.stringify(match)"),
    ],
)
def test_format_that_is_not_json_is_identified(message: bytes, format_name: str) -> None:
    letter = dead_letter(message)
    assert letter.reason == "not_json"
    assert f"; it is {format_name}" in letter.detail


def test_each_line_of_a_pretty_printed_match_is_identified() -> None:
    """As a console producer sends a file, a message for each line."""
    lines = json.dumps(
        {"metadata": {"matchId": "EUW1_1"}, "info": {"queueId": 420, "participants": [1, "a", "b"]}}, indent=2
    )
    for line in lines.splitlines():
        letter = dead_letter(line.encode())
        if line.strip() != '"b"':  # the last element of an array is JSON
            assert letter.reason == "not_json", line
            assert "; it is one line of a longer JSON text; send each match whole" in letter.detail, line


@pytest.mark.parametrize(
    "binary", [b"\x00", b"\x00\x07", b"\x00\x00\x00\x00\x07", b"\x03\x00", b"\x03\x05" + bytes(range(16))]
)
def test_binary_value_without_room_for_a_serializers_frame_is_not_identified(binary: bytes) -> None:
    """A frame has a zero byte and the schema's id of 4 bytes, with AWS Glue 18 bytes, and something behind it."""
    letter = dead_letter(binary)
    assert letter.reason == "not_json"
    assert "serializer" not in letter.detail


@pytest.mark.parametrize(
    "message",
    [
        value(match(participant(1, riotIdGameName="a: NaN b")))[:-20],
        value(match()) + b",",
        b"extra" + value(match()),
    ],
)
def test_format_is_not_guessed(message: bytes) -> None:
    assert "; it is" not in dead_letter(message).detail


TIMELINE: Json = {
    "metadata": {"dataVersion": "2", "matchId": "EUW1_7012345678", "participants": ["a", "b"]},
    "info": {
        "endOfGameResult": "GameComplete",
        "frameInterval": 60_000,
        "frames": [{"timestamp": 0, "events": [], "participantFrames": {}}],
        "gameId": 7_012_345_678,
        "participants": [{"participantId": 1, "puuid": "a"}, {"participantId": 2, "puuid": "b"}],
    },
}
RATE_LIMITED: Json = {"status": {"message": "Rate limit exceeded", "status_code": 429}}
NOT_FOUND: Json = {"httpStatus": 404, "errorCode": "RESOURCE_NOT_FOUND", "message": "match file not found"}
MATCH_V4: Json = {"gameId": 7, "gameCreation": START, "participantIdentities": [{}], "participants": [{}]}
SGP: Json = {"metadata": {"product": "lol", "match_id": "EUW1_7"}, "json": match()["info"]}
TFT: Json = {"metadata": {"match_id": "EUW1_7"}, "info": {"game_datetime": START, "participants": [{}]}}
DYNAMODB: Json = {"metadata": {"M": {"matchId": {"S": "EUW1_7"}}}, "info": {"M": {"queueId": {"N": "420"}}}}
LEAGUE_ENTRY: Json = {"leagueId": "e4c1", "queueType": "RANKED_SOLO_5x5", "tier": "GOLD", "rank": "I", "puuid": "a"}


POISON_REASONS = {
    "not JSON": ("not_json", ""),
    "JSON array": ("not_an_object", ""),
    "empty value": ("empty_value", ""),
    "null value": ("null_value", ""),
    "truncated JSON": ("not_json", ""),
    "wrong type": ("invalid_field", "info.participants[…"),
    "no participants": ("empty_match", "info.participants"),
    "null kills": ("invalid_field", "info.participants[…"),
    "year 1970": ("implausible_timestamp", "info.gameCreation"),
    "year 2100": ("implausible_timestamp", "info.gameCreation"),
    "nested match": ("not_a_match", "match"),
    "huge": ("not_a_match", "matches[0]"),
}
"""Reason and field of the dead letters of the generator's poison messages."""


def without(message: Json, *path: str) -> Json:
    """The message without the field at this path."""
    changed = deepcopy(message)
    holder = changed
    for name in path[:-1]:
        holder = holder[name]
    del holder[path[-1]]
    return changed


@pytest.mark.parametrize(
    ("message", "reason", "field", "words"),
    [
        (TIMELINE, "not_a_match", "info.frames", "it is a timeline (it has info.frames)"),
        (without(TIMELINE, "metadata"), "not_a_match", "info.frames", "a timeline"),
        (without(TIMELINE, "info", "participants"), "not_a_match", "info.frames", "a timeline"),
        (TIMELINE["info"], "not_a_match", "", "the info of a timeline"),
        (RATE_LIMITED, "not_a_match", "status", "an error response of Riot's API (429 Rate limit exceeded)"),
        (NOT_FOUND, "not_a_match", "httpStatus", "an error response of Riot's API (404 RESOURCE_NOT_FOUND)"),
        (match()["info"], "not_a_match", "", "the info of a match without its metadata"),
        (participant(1), "not_a_match", "", "a participant of a match"),
        ({"puuid": "a", "gameName": "Moon", "tagLine": "EUW"}, "not_a_match", "", "an account"),
        ({"puuid": "a", "summonerLevel": 30, "profileIconId": 1}, "not_a_match", "", "a summoner"),
        (LEAGUE_ENTRY, "not_a_match", "", "a league or an entry of one"),
        (
            {"gameId": 7, "gameStartTime": 0, "participants": [{"puuid": "a"}], "observers": {}},
            "not_a_match",
            "",
            "a live game",
        ),
        (
            {"metadata": {"matchId": "EUW1_7"}, "info": {"tft_set_number": 9, "participants": [{}]}},
            "not_a_match",
            "info.tft_set_number",
            "a match of Teamfight Tactics",
        ),
        (TFT, "not_a_match", "info.game_datetime", "a match of Teamfight Tactics"),
        (
            {"metadata": {"match_id": "a"}, "info": {"game_start_time_utc": "2026", "players": []}},
            "not_a_match",
            "info.game_start_time_utc",
            "a match of Legends of Runeterra",
        ),
        (DYNAMODB, "not_a_match", "info.M", "a match in DynamoDB's JSON: send plain JSON"),
        (MATCH_V4, "not_a_match", "", "a match of Match-V4 or of the League client: send that of Match-V5"),
        (SGP, "not_a_match", "json", "a match of the League client (SGP): send its json as info"),
        (
            {"shortCode": "EUW-7", "gameId": 7, "metaData": "{}", "region": "EUW1"},
            "not_a_match",
            "",
            "a callback of Tournament-V5",
        ),
        ({"activePlayer": {}, "allPlayers": [], "events": {}}, "not_a_match", "", "a live game"),
        ({"gameLength": 1_845_000, "statsJson": "[]"}, "not_a_match", "", "the metadata of a replay file"),
        ([TIMELINE], "not_an_object", "", "a list whose first element is a timeline"),
        ([TFT, TFT], "not_an_object", "", "a list whose first element is a match of Teamfight Tactics"),
        ([SGP], "not_an_object", "", "a list whose first element is a match of the League client (SGP)"),
        ([match(), TIMELINE], "not_an_object", "", "a list of matches"),
        ([json.dumps(match())], "not_an_object", "", "a list of matches"),
        (["EUW1_7012345678", "EUW1_7012345679"], "not_an_object", "", "a list of texts, such as match ids"),
        ([match(), match()], "not_an_object", "", "send each match in a message of its own"),
        ([LEAGUE_ENTRY], "not_an_object", "", "a list whose first element is a league or an entry of one"),
        (json.dumps(match()), "not_an_object", "", "JSON that was encoded twice"),
        (json.dumps(json.dumps(match())), "not_an_object", "", "JSON that was encoded twice"),
        (
            {"schema": {}, "payload": match()},
            "not_a_match",
            "payload",
            "an envelope: send the match that is in payload",
        ),
        (
            {"schema": None, "payload": json.dumps(match())},
            "not_a_match",
            "payload",
            "an envelope: send the match that is in payload",
        ),
        (
            {"status": 200, "matches": [match(), match()]},
            "not_a_match",
            "matches[0]",
            "an envelope: send the match that is in matches[0]",
        ),
        (
            {"records": [{"key": None, "value": match()}]},
            "not_a_match",
            "records[0].value",
            "an envelope: send the match that is in records[0].value",
        ),
        (
            {"schema": {"type": "struct"}, "data": {"payload": match()}},
            "not_a_match",
            "data.payload",
            "an envelope: send the match that is in data.payload",
        ),
        (
            {"records": [{"value": json.dumps(match())}]},
            "not_a_match",
            "records[0].value",
            "an envelope: send the match that is in records[0].value",
        ),
        (
            {"payload": TIMELINE},
            "not_a_match",
            "payload",
            "an envelope; in payload is a timeline (it has info.frames)",
        ),
        ({"timeline": TIMELINE, "match": match()}, "not_a_match", "match", "send the match that is in match"),
        (
            {"schema": {}, "payload": {"before": None, "after": {"id": 7, "message": json.dumps(match())}, "op": "c"}},
            "not_a_match",
            "payload.after.message",
            "an envelope: send the match that is in payload.after.message",
        ),
        (
            {"took": 1, "hits": {"total": {"value": 1}, "hits": [{"_id": "7", "_source": match()}]}},
            "not_a_match",
            "hits.hits[0]._source",
            "an envelope: send the match that is in hits.hits[0]._source",
        ),
        (
            {"specversion": "1.0", "id": "7", "data_base64": b64encode(value(match())).decode()},
            "not_a_match",
            "data_base64",
            "an envelope: send the match that is in data_base64",
        ),
        (
            {"Records": [{"kinesis": {"data": b64encode(json.dumps(match(), indent=2).encode()).decode()}}]},
            "not_a_match",
            "Records[0].kinesis.data",
            "an envelope: send the match that is in Records[0].kinesis.data",
        ),
        (
            {"Records": [{"eventName": "INSERT", "dynamodb": {"NewImage": DYNAMODB}}]},
            "not_a_match",
            "Records[0].dynamodb.NewImage",
            "an envelope; in Records[0].dynamodb.NewImage is a match in DynamoDB's JSON: send plain JSON",
        ),
        (
            {"accountId": 7, "games": {"gameCount": 1, "games": [MATCH_V4]}},
            "not_a_match",
            "games.games[0]",
            "an envelope; in games.games[0] is a match of Match-V4 or of the League client: send that of Match-V5",
        ),
        ({"matches": [MATCH_V4]}, "not_a_match", "matches[0]", "an envelope; in matches[0] is a match of Match-V4"),
        ({"games": [SGP]}, "not_a_match", "games[0]", "in games[0] is a match of the League client (SGP): send its"),
        ({"metadata": {}, "json": match()}, "not_a_match", "json", "an envelope: send the match that is in json"),
        (
            {"status": 429, "data": RATE_LIMITED},
            "not_a_match",
            "data",
            "an envelope; in data is an error response of Riot's API (429 Rate limit exceeded)",
        ),
        ({"status": 404, "data": NOT_FOUND}, "not_a_match", "data", "in data is an error response of Riot's API (404"),
        ([{"payload": match()}], "not_an_object", "", "a list whose first element is an envelope"),
        ({"a": {"b": {"c": {"d": match()}}}}, "invalid_field", "metadata", "missing required field"),
        ({"a": "{", "b": [], "c": [7], "d": "[]", "e": {}, "f": ""}, "invalid_field", "metadata", "missing"),
        ({"a": "eyJhbGciOiJ9.eyJ", "b": "ey", "c": "ewé", "d": ["eyJ"]}, "invalid_field", "metadata", "missing"),
    ],
    ids=lambda case: case if isinstance(case, str) else "",
)
def test_other_document_of_riots_api_is_named(message: Any, reason: str, field: str, words: str) -> None:
    letter = dead_letter(value(message))
    assert (letter.reason, letter.field) == (reason, field)
    assert words in letter.detail


def test_match_with_an_invalid_field_is_not_taken_for_another_document() -> None:
    """Also if somebody has merged the timeline's frames into it."""
    letter = dead_letter(match(participant(1, kills=None), frames=TIMELINE["info"]["frames"]))
    assert (letter.reason, letter.field) == ("invalid_field", "info.participants[0].kills")


@pytest.mark.parametrize("kind", [*POISON_KINDS, *HUGE_POISON_KINDS])
def test_poison_message_of_the_generator_has_its_reason(kind: str) -> None:
    """The same with and without details, so in documents, archive and statistics."""
    factory = MatchFactory(seed=1, size="compact", start_ms=START, now=lambda: START)
    corrupt = (POISON_KINDS | HUGE_POISON_KINDS)[kind]
    message = corrupt(random.Random(1), factory.next())
    letter = dead_letter(message)
    reason, field = POISON_REASONS[kind]
    assert (letter.reason, re.sub(r"\d+\]\.\w+", "…", letter.field)) == (reason, field)
    assert decode(message, ARRIVED_AT, PLAUSIBLE_TIMES, details=False) == letter


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


@pytest.mark.parametrize("field", ["gameCreation", "gameStartTimestamp", "gameEndTimestamp"])
@pytest.mark.parametrize(("factor", "unit"), [(0.001, "seconds"), (1000, "microseconds"), (3, None)])
def test_implausible_timestamp_in_another_unit_is_explained(field: str, factor: float, unit: str | None) -> None:
    timestamp = int(START * factor)
    changes: Json = {"gameStartTimestamp": ...} if field == "gameEndTimestamp" else {}
    letter = dead_letter(match(**{**changes, field: timestamp}))
    assert (letter.reason, letter.field) == ("implausible_timestamp", f"info.{field}")
    assert (f"{timestamp} looks like {unit}" in letter.detail) == (unit is not None)
    assert ("looks like" in letter.detail) == (unit is not None)
