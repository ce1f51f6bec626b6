"""Validation: the invalid field is named, and limits. test_match_v5_quirks.py has the quirks of Match-V5."""

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
