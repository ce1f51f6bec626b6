"""Property tests: any message is a dead letter, or a match whose documents equal the reference and fit the mapping."""

import json
import re
from datetime import datetime
from typing import Any, cast

import orjson
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from generator.match_factory import MatchFactory, MatchSize
from generator.modes import MODE_NAMES, RIFT_5V5
from infra.names import ROOT
from job.dead_letter import REASONS, DeadLetter
from job.documents import actions, documents
from job.match import Match, decode
from job.match_v5 import MAX_PARTICIPANTS
from job.queues import MAX_PARTICIPANTS_OF_A_MODE, POSITIONS
from job.settings import with_overrides
from job.tasks.match_rows import match_rows
from tests.support import reference
from tests.support.sample_matches import (
    ALIASES,
    ARRIVED_AT,
    PLAUSIBLE_TIMES,
    START,
    TWO_TEAMS,
    Json,
    full_participant,
    match,
    participant,
    value,
)
from tests.support.team_documents import team_documents

# The same examples in every run, so that failures are reproducible and the duration is constant.
EXAMPLES = settings(max_examples=150)
WINDOW = with_overrides({}).window

TEMPLATES = ROOT / "mappings" / "index_templates"
FIELDS: dict[str, dict[str, dict[str, str]]] = {
    alias: json.loads((TEMPLATES / f"{alias}.json").read_text())["template"]["mappings"]["properties"]
    for alias in ALIASES
}


def fits(field: dict[str, str], held: Any) -> bool:
    """Whether Elasticsearch accepts the value for a field of this mapping without coercion."""
    match field["type"]:
        case "keyword":
            return isinstance(held, str) and len(held.encode()) <= 32_766
        case "boolean":
            return isinstance(held, bool)
        case "integer":
            return type(held) is int and -(2**31) <= held < 2**31
        case "long":
            return type(held) is int and -(2**63) <= held < 2**63
        case "float":
            return isinstance(held, float) and abs(held) <= 3.4028234663852886e38
        case "date" if field.get("format") == "epoch_millis":
            return type(held) is int and held >= 0
        case "date":
            return bool(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", held) and datetime.fromisoformat(held))
    raise AssertionError(f"unknown field type: {field}")


def assert_accepted(document: dict[str, Any], template: str) -> None:
    """Elasticsearch accepts each field: strict mapping, type."""
    fields = FIELDS[template]
    parts = {
        name: [part for part in (held if isinstance(held, list) else [held]) if not fits(fields[name], part)]
        for name, held in document.items()
    }
    assert not any(parts.values()), parts


def groups(match: Match) -> set[tuple[str, str]]:
    """The kinds and names of the match's rows in each window, if every queue counts."""
    participants = match_rows([match], None).column("participants").to_pylist()
    return {(kind, player[kind]) for each in participants for player in each for kind in ("champion", "position")}


def check_decode(message: bytes, arrived_at: int = ARRIVED_AT) -> Match | DeadLetter:
    """Decode a message and check the result: no exception, and no value that a sink would reject."""
    result = decode(message, arrived_at, PLAUSIBLE_TIMES)
    without_details = decode(message, arrived_at, PLAUSIBLE_TIMES, details=False)
    if isinstance(result, DeadLetter):
        assert without_details == result
        assert result.reason in REASONS
        assert result.detail
        assert len(result.field.encode()) < 200
        return result
    assert isinstance(without_details, Match)
    assert match_rows([without_details], None) == match_rows([result], None)
    assert len(groups(result)) <= MAX_PARTICIPANTS_OF_A_MODE + len(POSITIONS) + 1, "a batch can exceed the heap"
    for action in actions(result, arrived_at, 0, ALIASES):
        head, source = (orjson.loads(line) for line in action.lines.splitlines())
        assert len(head["index"]["_id"].encode()) <= 512
        assert_accepted(source, head["index"]["_index"].partition("-")[0])
    for player in result.participants:  # part of the document ids of the statistics
        assert len(f"{ARRIVED_AT}_{player.champion_name}".encode()) <= 512
    return result


def assert_equals_reference(message: bytes, arrived_at: int = ARRIVED_AT) -> Match | DeadLetter:
    """Check that the job and the reference make the same documents of a message, field by field, and have the same
    groups in each window."""
    result = check_decode(message, arrived_at)
    for of_match, of_reference in ((documents, reference.documents), (team_documents, reference.team_documents)):
        expected = of_reference(message, arrived_at)
        assert isinstance(result, DeadLetter) == (expected is None), result
        found = list(of_match(result, arrived_at)) if isinstance(result, Match) else []
        differing = [reference.differences(*pair) for pair in zip(found, expected or [], strict=True)]
        assert not any(differing), differing
    if isinstance(result, Match):
        size = WINDOW.size_seconds
        expected_rows = reference.statistics([(message, arrived_at)], size, size, queues=None)
        assert groups(result) == {(kind, name) for _, kind, name in expected_rows}
    return result


COUNTS = st.integers(0, 40) | st.integers(0, 2**31 - 1)
CREEPS = st.integers(0, 300) | st.integers(0, 2**30 - 1)
INTEGERS = st.integers(-(2**31), 2**31 - 1)
WORDS = st.text(st.characters(codec="utf-8"), max_size=16)
NAMES = st.text(st.characters(codec="utf-8"), min_size=1, max_size=16) | st.just("🐉" * 120)


def nullable(strategy: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.none() | strategy


PERKS = st.fixed_dictionaries(
    {},
    optional={
        "statPerks": st.just({"defense": 5002}),
        "styles": st.lists(
            st.fixed_dictionaries(
                {"description": WORDS},
                optional={
                    "style": nullable(COUNTS),
                    "selections": st.lists(st.fixed_dictionaries({"perk": nullable(COUNTS), "var1": INTEGERS})),
                },
            ),
            max_size=3,
        ),
    },
)
DETAILS: dict[str, st.SearchStrategy[Any]] = {
    "puuid": st.sampled_from(["", "BOT", "a-b_c"]) | WORDS,
    "championId": INTEGERS,
    "placement": st.integers(0, 8),
    "roleBoundItem": st.integers(0, 4000),
    "playerSubteamId": st.integers(0, 8),
    "perks": PERKS,
    "firstBloodKill": st.booleans(),
    **dict.fromkeys(["champLevel", "wardsPlaced", "wardsKilled", "visionWardsBoughtInGame"], COUNTS),
    **{f"item{slot}": COUNTS for slot in range(7)},
    **dict.fromkeys(["summoner1Id", "summoner2Id"], COUNTS),
    **dict.fromkeys(["doubleKills", "tripleKills", "quadraKills", "pentaKills"], COUNTS),
    **{f"{kind}DamageDealtToChampions": st.integers(0, 10**11) for kind in ("physical", "magic", "true")},
    "totalDamageTaken": st.integers(0, 10**11),
}
OBJECTIVES = ("baron", "champion", "dragon", "riftHerald", "horde", "atakhan", "tower", "inhibitor")
TEAMS = st.lists(
    st.fixed_dictionaries(
        {"teamId": st.sampled_from([100, 200]) | INTEGERS},
        optional={
            "win": nullable(st.booleans()),
            "bans": nullable(
                st.lists(
                    st.fixed_dictionaries({"championId": st.just(-1) | INTEGERS}, optional={"pickTurn": INTEGERS}),
                    max_size=5,
                )
            ),
            "objectives": nullable(
                st.fixed_dictionaries(
                    {},
                    optional=dict.fromkeys(
                        OBJECTIVES, nullable(st.fixed_dictionaries({"kills": COUNTS, "first": nullable(st.booleans())}))
                    ),
                )
            ),
        },
    ),
    max_size=3,
)

PARTICIPANTS = st.fixed_dictionaries(
    {
        "participantId": COUNTS,
        "championName": NAMES
        | st.sampled_from(["Ahri", "FiddleSticks", "fiddlesticks", "Kai'Sa", "Wukong", "Strawberry_Jinx"]),
        "teamId": st.sampled_from([100, 200]) | INTEGERS,
        "win": st.booleans(),
        "kills": COUNTS,
        "deaths": COUNTS,
        "assists": COUNTS,
        "goldEarned": COUNTS,
        "totalDamageDealtToChampions": st.integers(0, 100_000) | st.integers(0, 10**11),
        "visionScore": INTEGERS,
    },
    optional={
        "teamPosition": nullable(st.sampled_from(["", "TOP", "UTILITY", "Invalid"]) | WORDS),
        "riotIdGameName": nullable(WORDS),
        "riotIdTagline": nullable(WORDS),
        "summonerName": nullable(WORDS),
        "totalMinionsKilled": nullable(CREEPS),
        "neutralMinionsKilled": nullable(CREEPS),
        "timePlayed": nullable(st.integers(0, 4_000) | st.integers(0, 4_000_000)),
        "gameEndedInEarlySurrender": nullable(st.booleans()),
        "challenges": st.just({"kda": [1.5], "🐉": {"": None}}),
    },
)
DETAILED_PARTICIPANTS = st.builds(
    dict.__or__, PARTICIPANTS, st.fixed_dictionaries({}, optional={k: nullable(each) for k, each in DETAILS.items()})
)


def players(each: st.SearchStrategy[Json], least: int, most: int) -> st.SearchStrategy[list[Json]]:
    return st.lists(each, min_size=least, max_size=most, unique_by=lambda player: player["participantId"])


def matches(
    participants: st.SearchStrategy[list[Json]], details: dict[str, st.SearchStrategy[Any]] | None = None
) -> st.SearchStrategy[Json]:
    return st.fixed_dictionaries(
        {
            "metadata": st.fixed_dictionaries({"matchId": NAMES}),
            "info": st.fixed_dictionaries(
                {
                    "gameCreation": st.integers(START - 10**9, START),
                    "gameDuration": st.integers(0, 2_000) | st.integers(0, 4_000_000) | COUNTS,
                    "gameVersion": st.sampled_from(["16.4.748.682", "16"]) | WORDS,
                    "queueId": st.sampled_from(list(reference.QUEUES)) | st.integers(10_000, 2**31 - 1),
                    "platformId": WORDS,
                    "participants": participants,
                },
                optional={
                    "gameStartTimestamp": nullable(st.integers(START - 10**9, START)),
                    "gameEndTimestamp": nullable(st.integers(START - 10**9, ARRIVED_AT + 310_000)),
                    **(details or {}),
                },
            ),
        }
    )


MATCHES = matches(players(PARTICIPANTS, 1, 4) | players(PARTICIPANTS, 16, 16))
DETAILED_MATCHES = matches(
    players(DETAILED_PARTICIPANTS, 1, 3),
    {
        "gameMode": nullable(st.sampled_from(["CLASSIC", "CHERRY", "STRAWBERRY", ""]) | WORDS),
        "mapId": nullable(INTEGERS),
        "teams": nullable(TEAMS),
    },
)


def nested(parts: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.lists(parts) | st.dictionaries(st.sampled_from(["metadata", "info", "participants", "matchId"]), parts)


def with_floats(json_value: Any) -> Any:
    """The same JSON with 3.0 for 3, as producers write it that keep all numbers as doubles."""
    if isinstance(json_value, dict):
        return {key: with_floats(part) for key, part in json_value.items()}
    if isinstance(json_value, list):
        return [with_floats(part) for part in json_value]
    return float(json_value) if type(json_value) is int else json_value


@EXAMPLES
@given(message=MATCHES, floats=st.booleans(), escaped=st.booleans())
def test_any_valid_match_equals_the_reference(message: Json, floats: bool, escaped: bool) -> None:
    text = json.dumps(with_floats(message) if floats else message, ensure_ascii=escaped)
    assert_equals_reference(text.encode())


@EXAMPLES
@given(st.lists(st.tuples(NAMES, WORDS), min_size=1, max_size=MAX_PARTICIPANTS))
@example([(f"Champion {number}", f"POSITION {number}") for number in range(MAX_PARTICIPANTS)])
@example(
    [(f"Champion {number}", [*POSITIONS, "SUPPORT"][number % 6]) for number in range(MAX_PARTICIPANTS_OF_A_MODE)],
)
def test_any_number_of_champions_and_positions_equals_the_reference(drawn: list[tuple[str, str]]) -> None:
    """And has no more rows of the statistics than the heap has room for (`check_decode`)."""
    people = [
        participant(number, championName=champion, teamPosition=position)
        for number, (champion, position) in enumerate(drawn, 1)
    ]
    assert_equals_reference(value(match(*people)))


@EXAMPLES
@given(message=DETAILED_MATCHES, floats=st.booleans())
def test_any_details_equal_the_reference(message: Json, floats: bool) -> None:
    assert_equals_reference(json.dumps(with_floats(message) if floats else message).encode())


@settings(EXAMPLES, max_examples=40)
@given(
    seed=st.integers(0, 2**32),
    size=st.sampled_from(["compact", "full"]),
    mode=st.sampled_from([*MODE_NAMES, "remake"]),
    empty=st.sampled_from([0.0, 1.0]),
)
def test_any_match_of_the_generator_equals_the_reference(seed: int, size: MatchSize, mode: str, empty: float) -> None:
    remake = mode == "remake"
    modes = RIFT_5V5 if remake else {mode: 1}
    made = MatchFactory(
        seed=seed, size=size, start_ms=START, now=lambda: ARRIVED_AT, modes=modes, empty_positions=empty
    )
    message = made.next(remake=remake)
    result = assert_equals_reference(message.encode())
    assert isinstance(result, Match)
    assert result.remake == remake


@settings(EXAMPLES, max_examples=30)
@given(seed=st.integers(0, 2**32), remake=st.booleans())
def test_rates_agree_with_riots_own_challenges(seed: int, remake: bool) -> None:
    """`challenges` holds Riot's own kda, gold and damage per minute, not rounded, from values that are not rounded.

    Riot's duration has fractions of a second where gameDuration has whole seconds, and gold and damage have fractions
    too (seen in a match of patch 14.7: 279.178 gold per minute, where the fields give 279.262). So each of Riot's
    figures lies between `count / (seconds + 1)` and `(count + 1) / seconds` of the match's own fields.
    """
    made = MatchFactory(seed=seed, size="full", start_ms=START, now=lambda: ARRIVED_AT).next(remake=remake)
    result = check_decode(made.encode())
    assert isinstance(result, Match)
    players = made.data["info"]["participants"]
    for document, player in zip(documents(result, ARRIVED_AT), players, strict=True):
        riots, seconds = player["challenges"], made.data["info"]["gameDuration"]
        assert document["kda"] == pytest.approx(riots["kda"], abs=0.005 + 1e-9)
        for field, challenge in (("gold_per_minute", "goldPerMinute"), ("damage_per_minute", "damagePerMinute")):
            ours = cast(float, document[field])
            least, most = ours * seconds / (seconds + 1) - 0.005, ours + 60 / seconds + 0.005
            assert least <= riots[challenge] <= most, field


JsonPath = tuple[str | int, ...]
"""The path to a value in a match: keys of objects and indices of arrays."""

# Values of a field as JSON text, including text that json.dumps would not write.
TEXTS = st.sampled_from(
    ["null", "true", "false", "{}", "[]", "[7]", '{"a": 1}', "[" * 100 + "]" * 100]
    + ["0", "-0", "-1", "7", "7.0", "-0.0", "7.5", "1e3", "1e-3", "1e400", "1" * 400, "-" + "1" * 400, "1" * 5000]
    + [str(edge + step) for edge in (2**30, 2**31, -(2**31), 10**11, 2**53, 2**63, 2**64) for step in (-1, 0, 1)]
    + ["NaN", "Infinity", "-Infinity", "07", "0x7", "7,", ""]
    + ['""', '"7"', '" "', '"Ahri"', '"🐉"', '"\\ud83d\\udc09"', '"\\u0000"', '"' + "🐉" * 120 + '"']
    + ['"' + "x" * 120 + '"', '"' + "x" * 121 + '"', '"\\ud800"', '"\\udc09\\ud83d"', '"\\x"', '"a\nb"', '"a']
)
REMOVED = "removed"
OF_INFO = [*match()["info"], "gameMode", "mapId", "🐉"]
OF_PARTICIPANT = [*participant(1), *DETAILS, "🐉"]
OF_TEAMS = [
    ("info", "teams"),
    *(("info", "teams", 1, *rest) for rest in [(), ("teamId",), ("win",), ("bans",), ("bans", 0), ("objectives",)]),
    ("info", "teams", 1, "bans", 0, "pickTurn"),
    *(("info", "teams", 0, "objectives", name) for name in ("baron", "tower", "champion")),
    ("info", "teams", 0, "objectives", "tower", "kills"),
    ("info", "participants", 0, "perks", "styles"),
    ("info", "participants", 0, "perks", "styles", 0),
    ("info", "participants", 2, "perks", "styles", 0, "style"),
    ("info", "participants", 0, "perks", "styles", 1, "selections"),
    ("info", "participants", 0, "perks", "styles", 0, "selections", 0),
    ("info", "participants", 2, "perks", "styles", 0, "selections", 0, "perk"),
]
PATHS = (
    st.sampled_from([("metadata",), ("metadata", "matchId"), ("info",), ("info", "participants", 1), ("🐉",)])
    | st.sampled_from(OF_INFO).map(lambda name: ("info", name))
    | st.tuples(st.just("info"), st.just("participants"), st.sampled_from([0, 2]), st.sampled_from(OF_PARTICIPANT))
    | st.sampled_from(OF_TEAMS)
)


def corrupted(path: JsonPath, text: str, floats: bool) -> str:
    """A valid match of three participants with all details, except for this JSON text at this path."""
    message = match(full_participant(1), full_participant(2), full_participant(6), teams=TWO_TEAMS)
    message = with_floats(message) if floats else message
    holder: Any = message
    for step in path[:-1]:
        holder = holder[step]
    if text == REMOVED and isinstance(holder, dict):
        holder.pop(path[-1], None)
    else:
        holder[path[-1]] = "<here>"
    return json.dumps(message, ensure_ascii=False).replace('"<here>"', text)


@settings(EXAMPLES, max_examples=600)
@given(path=PATHS, text=TEXTS | st.just(REMOVED), floats=st.booleans())
def test_any_value_in_one_field_equals_the_reference(path: JsonPath, text: str, floats: bool) -> None:
    """A dead letter for an invalid field names that field."""
    result = assert_equals_reference(corrupted(path, text, floats).encode())
    if isinstance(result, DeadLetter) and result.reason == "invalid_field":
        name = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path)[1:]
        assert result.field.startswith(name)


@settings(EXAMPLES, max_examples=300)
@given(
    path=PATHS,
    text=st.sampled_from(
        ['"\udcff"', '"a\udce2\udc82"', '{"\udcff": 1}', '["\udcff"]', '{"styles": 7, "b": "\udcff"}', "\udcff"]
    ),
    floats=st.booleans(),
)
def test_bytes_that_are_not_utf8_have_the_same_outcome_for_documents_and_statistics(
    path: JsonPath, text: str, floats: bool
) -> None:
    check_decode(corrupted(path, text, floats).encode("utf-8", "surrogateescape"))


@settings(EXAMPLES, max_examples=30)
@given(field=st.sampled_from(["kills", "championName", "win", "challenges"]), first=TEXTS)
def test_the_last_of_duplicate_json_keys_counts(field: str, first: str) -> None:
    raw = value(match()).decode().replace(f'"{field}":', f'"{field}": {first}, "{field}":', 1)
    result = check_decode(raw.encode())
    if isinstance(result, Match):
        assert list(documents(result, ARRIVED_AT)) == list(
            documents(cast(Match, check_decode(value(match()))), ARRIVED_AT)
        )


@EXAMPLES
@given(st.binary() | st.recursive(st.none() | st.booleans() | st.floats() | st.integers() | WORDS, nested).map(value))
def test_other_json_and_bytes_are_dead_letters(message: bytes) -> None:
    assert isinstance(assert_equals_reference(message), DeadLetter)


@EXAMPLES
@given(st.data())
def test_corrupted_bytes_raise_no_error(data: st.DataObject) -> None:
    """Bytes are removed, inserted or replaced. The match can stay valid if only unused fields are affected."""
    whole = value(match(participant(1), participant(2)))
    start, end = sorted(data.draw(st.tuples(st.integers(0, len(whole)), st.integers(0, len(whole)))))
    check_decode(whole[:start] + data.draw(st.binary(max_size=8)) + whole[end:])


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-32", "latin-1"])
def test_json_in_another_encoding_than_utf8_is_a_dead_letter(encoding: str) -> None:
    letter = check_decode(
        json.dumps(match(participant(1, riotIdGameName="Ünder")), ensure_ascii=False).encode(encoding)
    )
    assert isinstance(letter, DeadLetter)
    assert letter.reason == "not_json"
