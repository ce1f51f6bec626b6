"""Every trap of Match-V5: which messages are matches, what is read from them, and why others are dead letters."""

from typing import Any

import pytest

from job.match import decode
from tests.unit.job.matches import ARRIVED, BOUNDS, START, decoded, match, participant, refused, value

YEAR_MS = 365 * 24 * 3600 * 1000


def test_a_match_in_order() -> None:
    found = decoded(match())
    assert (found.match_id, found.platform, found.queue_id, found.patch) == ("EUW1_7012345678", "EUW1", 420, "16.4")
    assert found.created == START - 60_000
    assert found.duration == 1845
    assert not found.remake
    assert len(found.participants) == 10


def test_duration_is_seconds_where_the_end_is_given() -> None:
    assert decoded(match(gameDuration=1845)).duration == 1845


def test_duration_is_milliseconds_where_no_end_is_given() -> None:
    assert decoded(match(gameDuration=1_845_999, gameEndTimestamp=...)).duration == 1845
    assert decoded(match(gameDuration=1_845_999, gameEndTimestamp=None)).duration == 1845


def test_the_end_is_the_start_and_the_longest_time_played() -> None:
    players = [participant(1, timePlayed=900), participant(2, timePlayed=1845)]
    late = START + 3 * 24 * 3600 * 1000  # gameEndTimestamp can be much later than the end
    assert decoded(match(*players, gameEndTimestamp=late)).ended == START + 1_845_000


def test_the_end_without_time_played_is_the_end_timestamp() -> None:
    assert decoded(match(participant(1, timePlayed=...))).ended == START + 1_845_500
    assert decoded(match(participant(1, timePlayed=0))).ended == START + 1_845_500
    assert decoded(match(gameStartTimestamp=...)).ended == START + 1_845_500


def test_the_end_without_both_is_creation_and_duration() -> None:
    old = match(participant(1, timePlayed=...), gameStartTimestamp=..., gameEndTimestamp=..., gameDuration=1_845_250)
    assert decoded(old).ended == START - 60_000 + 1_845_250
    zero = match(participant(1, timePlayed=...), gameEndTimestamp=0)
    assert decoded(zero).ended == START - 60_000 + 1_845_000


def test_a_remake_is_one_at_any_duration() -> None:
    players = [participant(number, gameEndedInEarlySurrender=True) for number in range(1, 11)]
    assert decoded(match(*players, gameDuration=1200)).remake


def test_one_participant_who_says_so_makes_a_remake() -> None:
    assert decoded(match(participant(1), participant(2, gameEndedInEarlySurrender=True))).remake


@pytest.mark.parametrize("said", [None, ...])
def test_who_says_nothing_about_a_remake_had_none(said: Any) -> None:
    assert not decoded(match(participant(1, gameEndedInEarlySurrender=said))).remake


def test_what_the_result_field_says_is_not_judged() -> None:
    assert decoded(match(endOfGameResult="Abort_Unexpected")).duration == 1845


@pytest.mark.parametrize("number", [1, 9, 16])
def test_any_number_of_participants(number: int) -> None:
    players = [participant(n, teamId=300 + n) for n in range(1, number + 1)]
    assert len(decoded(match(*players)).participants) == number


def test_whole_numbers_written_as_floats_are_taken() -> None:
    found = decoded(match(participant(1, kills=3.0, goldEarned=1e4), gameDuration=1845.0, queueId=420.0))
    assert (found.participants[0].kills, found.participants[0].gold_earned, found.duration) == (3, 10_000, 1845)


def test_fields_of_unknown_kind_are_passed_over() -> None:
    odd = participant(1, challenges={"kda": [1.5], "new": {"a": None}}, missions=None, item0="?", perks=[])
    assert decoded(match(odd, teams="none", mapId=None)).participants[0].kills == 7


def test_names_in_any_script() -> None:
    name = "Grim구름 🐉 e\u0301"
    assert decoded(match(participant(1, riotIdGameName=name))).participants[0].riot_id_game_name == name


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
        (b"[" + value(match()) + b"]", "not_an_object"),
        (b"null", "not_an_object"),
        (b'"text"', "not_an_object"),
        (b"42", "not_an_object"),
        (b"{}", "invalid_field"),
        (b'{"status": 404}', "invalid_field"),
        (b'{"metadata": {"matchId": "X"}, "info": []}', "invalid_field"),
    ],
)
def test_messages_that_hold_no_match(message: bytes | None, reason: str) -> None:
    assert refused(message).reason == reason


def test_five_megabytes_are_read_like_any_other() -> None:
    assert len(decoded(match(padding="x" * 5 * 2**20)).participants) == 10
    assert refused(b"x" * 5 * 2**20).reason == "not_json"


@pytest.mark.parametrize(
    "message",
    [match(participants=[]), match(participants=[], gameId=0, gameDuration=0, gameCreation=0, gameVersion=...)],
)
def test_a_match_without_participants(message: dict[str, Any]) -> None:
    assert refused(message).reason == "empty_match"


@pytest.mark.parametrize(
    ("field", "wrong"),
    [
        ("kills", None), ("kills", ...), ("kills", "7"), ("kills", 7.5), ("kills", -1), ("kills", 2**31),
        ("kills", 10**30), ("kills", True), ("kills", [7]), ("win", 1), ("win", None), ("championName", ""),
        ("championName", None), ("championName", "x" * 129), ("teamId", "blue"), ("goldEarned", 1e300),
        ("totalDamageDealtToChampions", 2**63), ("participantId", ...), ("riotIdGameName", 7), ("timePlayed", "long"),
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


@pytest.mark.parametrize(
    "field", ["gameCreation", "gameDuration", "gameVersion", "queueId", "platformId", "participants"]
)
@pytest.mark.parametrize("wrong", [None, ..., False, {"a": 1}])
def test_the_field_of_the_match_at_fault_is_named(field: str, wrong: Any) -> None:
    assert refused(match(**{field: wrong})).field == f"info.{field}"


def test_no_match_id() -> None:
    for wrong in (None, "", 7):
        assert refused(match(match_id=wrong)).field == "metadata.matchId"  # type: ignore[arg-type]


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
def test_matches_of_1970_and_2100(changes: dict[str, Any], field: str) -> None:
    letter = refused(match(**changes))
    assert (letter.reason, letter.field) == ("implausible_timestamp", field)


def test_the_bounds_themselves_are_plausible() -> None:
    ended = START + 1_845_000
    assert decode(value(match()), ended - BOUNDS.ahead, BOUNDS) == decoded(match())
    assert refused(match(), arrived=ended - BOUNDS.ahead - 1).reason == "implausible_timestamp"


def test_an_old_match_that_is_sent_late_is_taken() -> None:
    assert decoded(match(), arrived=ARRIVED + YEAR_MS).match_id == "EUW1_7012345678"


def test_two_participants_of_one_id_would_hide_each_other() -> None:
    assert refused(match(participant(1), participant(1))).reason == "duplicate_participant"
