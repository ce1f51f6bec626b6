"""Validation: the invalid field is named, and limits. test_match_v5_quirks.py has the quirks of Match-V5."""

import json
from typing import Any

import pytest
from msgspec import structs

from job.match import Match, decode
from tests.support.sample_matches import (
    ARRIVED_AT,
    PLAUSIBLE_TIMES,
    START,
    dead_letter,
    decoded,
    match,
    participant,
    value,
)


def test_valid_match() -> None:
    found = decoded(match())
    assert (found.match_id, found.platform, found.queue_id, found.patch) == ("EUW1_7012345678", "EUW1", 420, "16.4")
    assert found.created == START - 60_000
    assert found.duration == 1845
    assert not found.remake
    assert len(found.participants) == 10


@pytest.mark.parametrize(
    ("field", "wrong"),
    [
        ("kills", None), ("kills", ...), ("kills", "7"), ("kills", 7.5), ("kills", -1), ("kills", 2**31),
        ("kills", 10**30), ("kills", True), ("kills", [7]), ("win", 1), ("win", None), ("championName", ""),
        ("championName", None), ("championName", "x" * 121), ("teamId", "blue"), ("goldEarned", 1e300),
        ("totalDamageDealtToChampions", 10**11 + 1), ("totalMinionsKilled", 2**30), ("teamPosition", "x" * 121),
        ("participantId", ...), ("riotIdGameName", 7), ("timePlayed", "long"),
    ],
)  # fmt: skip
def test_invalid_field_of_a_participant_is_named(field: str, wrong: Any) -> None:
    letter = dead_letter(match(participant(1), participant(2), participant(3, **{field: wrong}), participant(4)))
    assert (letter.reason, letter.field) == ("invalid_field", f"info.participants[2].{field}")
    assert letter.error_class == "ValidationError"
    assert letter.detail
    assert "$" not in letter.detail


def test_invalid_field_is_named_beside_whole_numbers_as_floats() -> None:
    letter = dead_letter(match(participant(1, kills=3.0), participant(2, deaths=None)))
    assert letter.field == "info.participants[1].deaths"


@pytest.mark.parametrize("unused", ["1e400", "1" * 5000, "[" * 500 + "]" * 500])
def test_unused_fields_are_not_validated_beside_whole_numbers_as_floats(unused: str) -> None:
    raw = value(match(participant(1, kills=7.0, challenges="?"))).replace(b'"?"', unused.encode())
    assert isinstance(decode(raw, ARRIVED_AT, PLAUSIBLE_TIMES), Match)


LONE_SURROGATES = [
    r"Moon\ud83d", r"\ud83dMoon", r"\udc00", r"\uDC09\uD83D", r"\ud83d\u0041", r"\ud83d\n", r"\\\ud83d",
    r"\ud83d\ud83d\udc09", r"\udfff\udbff",
]  # fmt: skip
"""JSON texts with an escape of half of a surrogate pair."""
PAIRS = [r"\ud83d\udc09", r"\\ud83d", r"\\\\ud83d", r"\ud83d\udc09\\\ud83d\uDC09", r"\u0000", "\ufffd", r"\ufffc", "🐉"]
"""JSON texts without any."""
DEEP = [
    *(b"[" * depth + b"]" * depth for depth in (99, 950, 1_000, 100_000)),
    b'{"a": ' * 2_000 + b"1" + b"}" * 2_000,
    b'[{"]}": "\\"[[", "b": [' * 1_000 + b"]}, {}, []]" * 1_000,
]
GAME_NAME = "info.participants[1].riotIdGameName"


def with_game_name(text: str) -> bytes:
    """A match with this JSON text as a field of the second participant that is read."""
    return value(match(participant(1), participant(2, riotIdGameName="?"))).replace(b'"?"', f'"{text}"'.encode())


@pytest.mark.parametrize("text", [*LONE_SURROGATES, *PAIRS])
@pytest.mark.parametrize("unread", ['"{}"', '{{"{}": 1}}', '["a", "{}", {{"b": "{}"}}]', '{{"a{}": {{"{}": null}}}}'])
@pytest.mark.parametrize("floats", [False, True])
def test_lone_surrogate_in_an_unused_field_is_ignored(text: str, unread: str, floats: bool) -> None:
    message = match(participant(1, kills=7.0 if floats else 7, challenges="?"))
    raw = value(message).replace(b'"?"', unread.replace("{}", text).replace("{{", "{").replace("}}", "}").encode())
    assert decode(raw, ARRIVED_AT, PLAUSIBLE_TIMES) == decoded(match(participant(1)))


@pytest.mark.parametrize("text", LONE_SURROGATES)
def test_lone_surrogate_in_a_field_that_is_read_makes_it_invalid(text: str) -> None:
    letter = dead_letter(with_game_name(text))
    assert (letter.reason, letter.field) == ("invalid_field", GAME_NAME)
    assert "surrogate" in letter.detail


@pytest.mark.parametrize("text", PAIRS)
def test_other_escapes_in_a_field_that_is_read_are_kept(text: str) -> None:
    raw = with_game_name(text).replace(b'"challenges"', rb'"gameName": "Moon\ud83d", "challenges"')
    for each in (with_game_name(text), raw):
        result = decode(each, ARRIVED_AT, PLAUSIBLE_TIMES)
        assert isinstance(result, Match)
        assert result.participants[1].riot_id_game_name == json.loads(f'"{text}"')


def test_lone_surrogate_in_each_text_field_names_that_field() -> None:
    for field in ("championName", "teamPosition", "riotIdTagline", "summonerName"):
        raw = value(match(participant(1), participant(2, **{field: "?"}))).replace(b'"?"', rb'"\ud83d"')
        assert dead_letter(raw).field == f"info.participants[1].{field}"
    for field in ("gameVersion", "platformId"):
        assert dead_letter(value(match(**{field: "?"})).replace(b'"?"', rb'"\ud83d"')).field == f"info.{field}"
    assert dead_letter(value(match(match_id="?")).replace(b'"?"', rb'"\ud83d"')).field == "metadata.matchId"


def test_lone_surrogate_does_not_hide_another_fault() -> None:
    raw = value(match(participant(1, challenges="?"))).replace(b'"?"', rb'"\ud83d"')
    assert dead_letter(raw[:-1]).reason == "not_json"
    assert dead_letter(raw.replace(b'"kills": 7', b'"kills": -7')).field == "info.participants[0].kills"
    assert dead_letter(raw.replace(b'"participantId": 1', b'"participantId": "?"')).reason == "invalid_field"


@pytest.mark.parametrize("broken", [b"\xed\xa0\xbd", b"\xff", b"\xe2\x82"])
def test_bytes_that_are_not_utf8_in_a_field_that_is_read_are_not_json(broken: bytes) -> None:
    raw = value(match(participant(1, riotIdGameName="?"))).replace(b"?", broken)
    assert dead_letter(raw).reason == "not_json"


@pytest.mark.parametrize(
    "unused",
    [b"1e400", b"-1e400", b"1" * 5000, b'"\\u0000"', b'{"a": 1, "a": 2}', b"[1, {}, null]", *DEEP],
)
def test_value_of_an_unused_field_is_ignored(unused: bytes) -> None:
    raw = value(match(participant(1, challenges="?"))).replace(b'"?"', unused)
    assert decode(raw, ARRIVED_AT, PLAUSIBLE_TIMES) == decoded(match(participant(1)))


@pytest.mark.parametrize("unused", DEEP)
def test_fault_beside_deep_nesting_is_named(unused: bytes) -> None:
    raw = value(match(participant(1, challenges="?", gameName="%"))).replace(b'"?"', unused)
    assert dead_letter(raw[:-1]).reason == "not_json"
    assert dead_letter(raw.replace(unused, unused[:-1])).reason == "not_json"
    assert dead_letter(raw.replace(b'"kills": 7', b'"kills": -7')).field == "info.participants[0].kills"
    assert dead_letter(raw.replace(b'"kills": 7', b'"kills": ' + unused)).field == "info.participants[0].kills"
    lone = decode(raw.replace(b'"%"', rb'"\ud83d"'), ARRIVED_AT, PLAUSIBLE_TIMES)
    assert lone == decode(raw.replace(b'"kills": 7', b'"kills": 7.0'), ARRIVED_AT, PLAUSIBLE_TIMES)
    assert lone == decoded(match(participant(1)))


@pytest.mark.parametrize(
    "field", ["gameCreation", "gameDuration", "gameVersion", "queueId", "platformId", "participants"]
)
@pytest.mark.parametrize("wrong", [None, ..., False, {"a": 1}])
def test_invalid_field_of_the_match_is_named(field: str, wrong: Any) -> None:
    assert dead_letter(match(**{field: wrong})).field == f"info.{field}"


def test_missing_or_invalid_match_id() -> None:
    for wrong in (None, "", 7):
        assert dead_letter(match(match_id=wrong)).field == "metadata.matchId"  # type: ignore[arg-type]


def test_limits_of_the_plausible_times_are_inclusive() -> None:
    ended = START + 1_845_000
    assert decode(value(match()), ended - PLAUSIBLE_TIMES.ahead, PLAUSIBLE_TIMES) == structs.replace(
        decoded(match()), event_time=ended - PLAUSIBLE_TIMES.ahead
    )
    assert dead_letter(match(), arrived_at=ended - PLAUSIBLE_TIMES.ahead - 1).reason == "implausible_timestamp"
    first_day = match(gameCreation=PLAUSIBLE_TIMES.earliest)
    assert decoded(first_day).created == PLAUSIBLE_TIMES.earliest
    first_day["info"]["gameCreation"] -= 1
    assert dead_letter(first_day).reason == "implausible_timestamp"


@pytest.mark.parametrize(
    ("duration", "played", "version", "seconds"),
    [
        (1799, 18, "16.4", 1799),
        (1800, 18, "16.4", 1),
        (99_999, None, "16.4", 99_999),
        (100_000, None, "16.4", 100),
        (1845, None, "11.20", 1845),
        (1845, None, "11.19", 1),
        (1845, 1845, "11.19", 1845),
    ],
)
def test_unit_of_a_duration_without_an_end_follows_from_time_played_then_patch_then_length(
    duration: int, played: int | None, version: str, seconds: int
) -> None:
    """Milliseconds: from a hundred times the time played, else before patch 11.20, else from 100,000."""
    message = match(
        participant(1, timePlayed=played), gameDuration=duration, gameVersion=version, gameEndTimestamp=None
    )
    assert decoded(message, arrived_at=ARRIVED_AT + 10**8).duration == seconds
