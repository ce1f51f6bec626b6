"""How a message is read: the field at fault is named, and where the limits are. The traps are in test_traps.py."""

from typing import Any

import pytest
from msgspec import structs

from job.match import Match, decode
from tests.support.sample_matches import ARRIVED, BOUNDS, START, decoded, match, participant, refused, value


def test_a_match_in_order() -> None:
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
def test_the_participant_and_the_field_at_fault_are_named(field: str, wrong: Any) -> None:
    letter = refused(match(participant(1), participant(2), participant(3, **{field: wrong}), participant(4)))
    assert (letter.reason, letter.field) == ("invalid_field", f"info.participants[2].{field}")
    assert letter.error_class == "ValidationError"
    assert letter.detail
    assert "$" not in letter.detail


def test_the_field_at_fault_is_named_where_other_numbers_are_floats() -> None:
    letter = refused(match(participant(1, kills=3.0), participant(2, deaths=None)))
    assert letter.field == "info.participants[1].deaths"


@pytest.mark.parametrize("passed_over", ["1e400", "1" * 5000, "[" * 500 + "]" * 500])
def test_what_is_passed_over_may_be_anything_also_where_numbers_are_floats(passed_over: str) -> None:
    written = value(match(participant(1, kills=7.0, challenges="?"))).replace(b'"?"', passed_over.encode())
    assert isinstance(decode(written, ARRIVED, BOUNDS), Match)


@pytest.mark.parametrize(
    "field", ["gameCreation", "gameDuration", "gameVersion", "queueId", "platformId", "participants"]
)
@pytest.mark.parametrize("wrong", [None, ..., False, {"a": 1}])
def test_the_field_of_the_match_at_fault_is_named(field: str, wrong: Any) -> None:
    assert refused(match(**{field: wrong})).field == f"info.{field}"


def test_no_match_id() -> None:
    for wrong in (None, "", 7):
        assert refused(match(match_id=wrong)).field == "metadata.matchId"  # type: ignore[arg-type]


def test_the_bounds_themselves_are_plausible() -> None:
    ended = START + 1_845_000
    assert decode(value(match()), ended - BOUNDS.ahead, BOUNDS) == structs.replace(
        decoded(match()), event_time=ended - BOUNDS.ahead
    )
    assert refused(match(), arrived=ended - BOUNDS.ahead - 1).reason == "implausible_timestamp"
