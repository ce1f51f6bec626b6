"""Documents: mapping, ids, index names and versions. test_match_v5_quirks.py and test_properties.py test the fields."""

import json
import time
from collections.abc import Callable
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from infra.names import ROOT
from job.documents import actions, documents
from job.ids import cassandra_write_time, external_version, monthly_index, statistics_document_id
from job.queues import AGAINST_BOTS, queue_ids, queue_name
from job.settings import with_overrides
from job.times import from_ms, iso, now_ms, to_ms
from tests.support.sample_matches import ALIASES, ARRIVED_AT, TWO_TEAMS, decoded, full_participant, match, participant
from tests.support.team_documents import team_documents

EXAMPLES = settings(derandomize=True, deadline=None, max_examples=50)
TEMPLATES = ROOT / "mappings" / "index_templates"


def mapped_fields(alias: str) -> set[str]:
    mappings = json.loads((TEMPLATES / f"{alias}.json").read_text())["template"]["mappings"]
    assert mappings["dynamic"] == "strict"
    return set(mappings["properties"])


def test_mappings_have_exactly_the_documents_fields() -> None:
    message = decoded(match(full_participant(1, placement=1, playerSubteamId=2), gameMode="CHERRY", mapId=30))
    assert mapped_fields("lol_matches_stream") == set(next(documents(message, ARRIVED_AT)))
    message = decoded(match(full_participant(1), full_participant(6), teams=TWO_TEAMS, gameMode="CLASSIC", mapId=11))
    for document in team_documents(message, ARRIVED_AT):
        assert mapped_fields("lol_teams_stream") == set(document)


def test_shares_are_of_the_team() -> None:
    players = [participant(1, kills=1, assists=2, goldEarned=1), participant(2, kills=2, goldEarned=2)]
    first, second, alone = documents(decoded(match(*players, participant(6, kills=0))), ARRIVED_AT)
    assert (first["kill_participation"], first["gold_share"], first["damage_share"]) == (1.0, 0.3333, 0.5)
    assert (second["kill_participation"], second["gold_share"]) == (1.0, 0.6667), "at most 1: 11 of 3 kills"
    assert (alone.get("kill_participation"), alone["gold_share"]) == (None, 1.0), "its team has no kills"


def test_shares_are_rounded_half_to_even_as_all_figures() -> None:
    players = [participant(1, kills=1, assists=0), participant(2, kills=31, assists=0)]
    assert [each["kill_participation"] for each in documents(decoded(match(*players)), ARRIVED_AT)] == [0.0312, 0.9688]


def test_team_documents_need_a_match_of_two_teams() -> None:
    blue, red = full_participant(1), full_participant(6)
    two: Any = {"teams": TWO_TEAMS}
    messages = {
        name: decoded(message)
        for name, message in {
            "two teams": match(blue, red, **two),
            "one of them has no object": match(blue, red, teams=TWO_TEAMS[1:]),
            "a third object": match(blue, red, teams=[*TWO_TEAMS, TWO_TEAMS[0] | {"teamId": 300}]),
            "no objects": match(blue, red),
            "Arena by queue": match(blue, red, **two, queueId=1750),
            "Arena by mode": match(blue, red, **two, gameMode="CHERRY"),
            "Arena by subteam": match(blue, full_participant(6, playerSubteamId=3), **two),
            "one team": match(blue, **two),
            "three teams": match(blue, red, full_participant(7, teamId=300), **two),
        }.items()
    }
    ids = {
        name: [document["team_id"] for document in team_documents(message, ARRIVED_AT)]
        for name, message in messages.items()
    }
    expected = dict.fromkeys(ids, "[]") | {"one of them has no object": "[200]"}
    expected |= dict.fromkeys(("two teams", "a third object"), "[100, 200]")
    assert {name: str(found) for name, found in ids.items()} == expected
    two_teams = {
        name for name, message in messages.items() for each in documents(message, ARRIVED_AT) if each["two_teams"]
    }
    assert two_teams == {"two teams", "one of them has no object", "a third object", "no objects"}


def test_team_documents_have_ids_version_and_month_like_those_of_participants() -> None:
    message = decoded(match(full_participant(1), full_participant(6), teams=TWO_TEAMS))
    found = actions(message, ARRIVED_AT, 7, ALIASES, source_index=3)
    assert [(each.document_id, each.of_team) for each in found] == [
        ("EUW1_7012345678_1", False),
        ("EUW1_7012345678_6", False),
        ("EUW1_7012345678_100", True),
        ("EUW1_7012345678_200", True),
    ]
    heads = [orjson.loads(each.lines.split(b"\n")[0])["index"] for each in found]
    assert [head["_index"] for head in heads[1:3]] == ["lol_matches_stream-2026.02", "lol_teams_stream-2026.02"]
    assert {(head["version"], head["version_type"]) for head in heads} == {
        (external_version(ARRIVED_AT, 7), "external_gte")
    }
    assert {each.source_index for each in found} == {3}
    sources = [orjson.loads(each.lines.split(b"\n")[1]) for each in found]
    assert sources == [*documents(message, ARRIVED_AT), *team_documents(message, ARRIVED_AT)]


@pytest.mark.parametrize(
    ("queue_id", "name"), [(420, "5v5 Ranked Solo"), (0, "Custom"), (1750, "Arena"), (9999, "9999"), (-1, "-1")]
)
def test_unknown_queue_is_named_by_its_id(queue_id: int, name: str) -> None:
    assert next(documents(decoded(match(queueId=queue_id)), ARRIVED_AT))["queue"] == name


@pytest.mark.parametrize(
    ("queue_id", "name"),
    [
        (860, "Co-op vs. AI ARAM"),
        (4320, "Co-op vs. AI League Classic"),
        *((queue_id, "Doom Bots") for queue_id in (4200, 4210, 4220, 4240, 4250, 4260)),
    ],
)
def test_queues_of_2025_and_2026_against_bots_are_known(queue_id: int, name: str) -> None:
    assert queue_name(queue_id) == name
    assert queue_id in AGAINST_BOTS


@pytest.mark.parametrize(
    ("queue_id", "name"),
    [
        (2400, "ARAM: Mayhem"),
        (2450, "ARAM: Mayhem Classic"),
        (3260, "Custom League Classic"),
        (3262, "Custom League Classic"),
        (3270, "Custom ARAM: Mayhem"),
        (3280, "Custom ARAM: Mayhem Classic"),
        (4310, "League Classic"),
    ],
)
def test_queues_of_2025_and_2026_among_people_are_known(queue_id: int, name: str) -> None:
    assert queue_name(queue_id) == name
    assert queue_id not in AGAINST_BOTS


def test_custom_queues_have_one_name() -> None:
    """So that the filter by a queue's name selects all of them."""
    assert queue_ids("custom") == (0, 3100, 3110, 3120, 3130, 3200, 3210, 3220, 3230)
    assert queue_name(3140) == "Practice Tool"


@pytest.mark.parametrize("queue_id", [-(2**31), -7, -1, 99, 2**31 - 1])
def test_queue_without_a_name_is_named_by_its_id(queue_id: int) -> None:
    assert queue_ids(queue_name(queue_id)) == (queue_id,)


@pytest.mark.parametrize("name", ["Bogus", "", "-", "2147483648", "-2147483649", "٣"])
def test_unknown_queue_has_no_id(name: str) -> None:
    assert queue_ids(name) == ()


def test_counted_queues_have_names() -> None:
    counted = with_overrides({}).statistics.counted_queue_ids or ()
    assert {queue_name(queue_id) for queue_id in counted} == {
        "5v5 Draft Pick",
        "5v5 Ranked Solo",
        "5v5 Blind Pick",
        "5v5 Ranked Flex",
        "Swiftplay",
        "Normal (Quickplay)",
        "Summoner's Rift Clash",
    }


@pytest.mark.parametrize(("version", "patch"), [("16.4.748.682", "16.4"), ("16", "16"), ("", "")])
def test_patch_is_the_versions_first_two_parts(version: str, patch: str) -> None:
    assert next(documents(decoded(match(gameVersion=version)), ARRIVED_AT))["patch"] == patch


def test_document_id_and_monthly_index() -> None:
    found = actions(decoded(match(participant(1), participant(2))), ARRIVED_AT, 7, ALIASES)
    assert [action.document_id for action in found] == ["EUW1_7012345678_1", "EUW1_7012345678_2"]
    head, source, rest = found[1].lines.split(b"\n")
    assert orjson.loads(head)["index"].items() >= {
        ("_index", "lol_matches_stream-2026.02"),
        ("_id", "EUW1_7012345678_2"),
        ("version_type", "external_gte"),
    }
    assert orjson.loads(source)["participant_id"] == "2"
    assert rest == b""


def test_later_message_has_the_higher_external_version() -> None:
    """Messages in different partitions are ordered by the arrival time."""
    in_order = [(ARRIVED_AT, 2), (ARRIVED_AT, 2**20 - 1), (ARRIVED_AT + 1, 0), (ARRIVED_AT + 2, 2**20 - 1)]
    versions = [external_version(*each) for each in in_order]
    assert versions == sorted(set(versions))


@pytest.mark.parametrize("version", [external_version, cassandra_write_time])
@pytest.mark.parametrize("last_offset", [0, 998, 999, 1_999, 2**20 - 2, 2**20 - 1, 2**32 - 1, 2**40 - 1])
def test_later_message_of_a_partition_has_the_higher_version(
    version: Callable[[int, int], int], last_offset: int
) -> None:
    """Also if thousands of messages share a millisecond, at any offset; and then in the next millisecond."""
    same_millisecond = [(ARRIVED_AT, last_offset + number) for number in range(5_000)]
    in_order = [*same_millisecond, (ARRIVED_AT + 1, last_offset + 5_000), (ARRIVED_AT + 1, last_offset + 5_001)]
    versions = [version(*each) for each in in_order]
    assert versions == sorted(set(versions))


@EXAMPLES
@given(
    steps=st.lists(st.tuples(st.sampled_from([0, 0, 0, 1, 7, 10**6]), st.integers(1, 3_000)), max_size=30),
    offset=st.integers(0, 2**41),
)
def test_versions_follow_the_order_of_any_partition(steps: list[tuple[int, int]], offset: int) -> None:
    """In a partition offsets grow, with gaps, and arrival times do not decrease."""
    arrived_at, messages = ARRIVED_AT, []
    for milliseconds, gap in steps:
        arrived_at, offset = arrived_at + milliseconds, offset + gap
        messages.append((arrived_at, offset))
    for version in (external_version, cassandra_write_time):
        versions = [version(*each) for each in messages]
        assert versions == sorted(set(versions))


@pytest.mark.parametrize("version", [external_version, cassandra_write_time])
@pytest.mark.parametrize("arrived_at", [-1, 0, ARRIVED_AT, 2**43, 2**62])
@pytest.mark.parametrize("offset", [0, 2**20, 2**63 - 1])
def test_version_fits_into_a_long(version: Callable[[int, int], int], arrived_at: int, offset: int) -> None:
    assert 0 <= version(arrived_at, offset) < 2**63


@pytest.mark.parametrize("offset", [0, 999, 2**20 - 1, 2**20, 10**12])
def test_version_is_not_below_that_of_an_earlier_release(offset: int) -> None:
    """Documents and rows that an earlier release wrote have the remainder of the offset in their version."""
    assert external_version(ARRIVED_AT, offset) >= ARRIVED_AT << 20 | offset % 2**20
    assert cassandra_write_time(ARRIVED_AT, offset) >= ARRIVED_AT * 1000 + offset % 1000


def test_action_has_the_messages_external_version() -> None:
    (only,) = actions(decoded(match(participant(1))), ARRIVED_AT, 7, ALIASES)
    assert orjson.loads(only.lines.split(b"\n")[0])["index"]["version"] == external_version(ARRIVED_AT, 7)


def test_later_message_has_the_higher_cassandra_write_time() -> None:
    in_order = [(ARRIVED_AT, 1), (ARRIVED_AT, 2), (ARRIVED_AT, 999), (ARRIVED_AT + 1, 0)]
    times = [cassandra_write_time(*each) for each in in_order]
    assert times == sorted(set(times))
    assert times[0] == ARRIVED_AT * 1000 + 1


def test_statistics_document_id_is_the_windows_start_and_the_name() -> None:
    assert statistics_document_id(1_769_903_880_000, "Ahri") == "1769903880000_Ahri"


def test_timestamps_are_milliseconds_in_utc() -> None:
    assert to_ms(from_ms(ARRIVED_AT + 123)) == ARRIVED_AT + 123
    assert iso(ARRIVED_AT + 7) == "2026-02-02T02:40:00.007Z"
    assert now_ms() == pytest.approx(time.time() * 1000, abs=1000)


def test_match_over_midnight_is_in_the_index_of_the_month_in_which_it_ended() -> None:
    midnight = 1_769_904_000_000  # 2026-02-01T00:00:00Z
    message = match(participant(1), gameCreation=midnight - 60_000, gameStartTimestamp=midnight - 30_000)
    (only,) = actions(decoded(message), ARRIVED_AT, 7, ALIASES)
    assert orjson.loads(only.lines.split(b"\n")[0])["index"]["_index"] == "lol_matches_stream-2026.02"


def test_actions_are_deterministic() -> None:
    assert actions(decoded(match()), ARRIVED_AT, 7, ALIASES) == actions(decoded(match()), ARRIVED_AT, 7, ALIASES)


def test_monthly_index_changes_at_midnight_utc() -> None:
    midnight = 1_769_904_000_000  # 2026-02-01T00:00:00Z
    assert monthly_index("n", midnight - 1) == "n-2026.01"
    assert monthly_index("n", midnight) == "n-2026.02"
    assert iso(midnight - 1) == "2026-01-31T23:59:59.999Z"
