"""Validation: the invalid field is named, and limits. test_match_v5_quirks.py has the quirks of Match-V5."""

import json
import re
import tracemalloc
from collections.abc import Callable
from copy import deepcopy
from functools import reduce
from operator import getitem
from typing import Any

import pytest
from msgspec import structs

from job.dead_letter import DeadLetter
from job.documents import documents
from job.match import Match, decode
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


NAMES = ("riotIdGameName", "riotIdName", "riotIdTagline", "summonerName")
NUMBERS = ("participantId", "teamId", "kills", "deaths", "assists", "goldEarned", "visionScore")


@pytest.mark.parametrize(
    ("path", "fields", "type_name"),
    [
        ("metadata", ("matchId",), "str"),
        ("info", ("gameVersion", "platformId"), "str"),
        ("info", ("gameCreation", "gameDuration", "queueId"), "int"),
        ("info", ("gameStartTimestamp", "gameEndTimestamp"), "int | null"),
        ("info.participants[0]", ("championName",), "str"),
        ("info.participants[0]", (*NAMES, "teamPosition"), "str | null"),
        ("info.participants[0]", ("win",), "bool"),
        ("info.participants[0]", ("gameEndedInEarlySurrender",), "bool | null"),
        ("info.participants[0]", (*NUMBERS, "totalDamageDealtToChampions"), "int"),
        ("info.participants[0]", ("totalMinionsKilled", "neutralMinionsKilled", "timePlayed"), "int | null"),
    ],
)
@pytest.mark.parametrize(("wrong", "sent"), [([], "array"), (["TOP"], "array"), ({}, "object"), ({"a": 1}, "object")])
def test_error_of_a_scalar_field_names_the_type_that_it_must_have(
    path: str, fields: tuple[str, ...], type_name: str, wrong: Any, sent: str
) -> None:
    """Not those that are read leniently."""
    for name in fields:
        message = match()
        holder: Any = message.get(path, message["info"]["participants"][0])
        holder[name] = wrong
        assert dead_letter(message) == DeadLetter(
            "invalid_field", f"Expected `{type_name}`, got `{sent}`", f"{path}.{name}", "ValidationError"
        )


SIMPLIFIED = "; it is MongoDB's extended JSON; send plain numbers"
AVRO = "; it is Avro's JSON, with the type of each union's value; send plain JSON"


@pytest.mark.parametrize(
    ("path", "name", "encoded", "advice"),
    [
        ("info", "gameCreation", {"$numberLong": "1771685249013"}, SIMPLIFIED),
        ("info.participants[0]", "kills", {"$numberInt": "7"}, SIMPLIFIED),
        ("info", "gameEndTimestamp", {"$numberDouble": "1.77E12"}, SIMPLIFIED),
        ("info", "gameCreation", {"$date": 1_771_685_249_013}, "a date in MongoDB's extended JSON; send milliseconds"),
        ("info", "gameCreation", {"$date": {"$numberLong": "1771685249013"}}, "a date in MongoDB's extended JSON"),
        ("info", "gameStartTimestamp", {"long": 1_771_685_249_013}, AVRO),
        ("info", "platformId", {"string": "EUW1"}, AVRO),
        ("info", "participants", {"array": []}, AVRO),
    ],
)
def test_encoding_of_values_as_objects_is_identified(path: str, name: str, encoded: Json, advice: str) -> None:
    message = match()
    holder: Any = message.get(path, message["info"]["participants"][0])
    holder[name] = encoded
    for indent in (None, 2):
        letter = dead_letter(json.dumps(message, indent=indent).encode())
        assert (letter.reason, letter.field) == ("invalid_field", f"{path}.{name}")
        assert "got `object`; it is " in letter.detail
        assert advice in letter.detail


def test_encoding_of_an_unused_field_is_not_reported() -> None:
    """MongoDB's `_id`, and a field of the same name that is no object."""
    message = {"_id": {"$oid": "64"}, "gameId": {"$numberLong": "1"}, **match(kills={"$numberLong": "1"}, queueId={})}
    assert dead_letter(message).detail == "Expected `int`, got `object`"


def renamed(message: Any, rename: Callable[[str], str]) -> Any:
    """The JSON value with other names for the fields of its objects."""
    if isinstance(message, dict):
        return {rename(name): renamed(part, rename) for name, part in message.items()}
    return [renamed(part, rename) for part in message] if isinstance(message, list) else message


@pytest.mark.parametrize(
    ("rename", "field", "sent"),
    [
        (lambda name: re.sub("(?=[A-Z])", "_", name).lower(), "metadata.matchId", "match_id"),
        (lambda name: re.sub("(?=[A-Z])", "-", name).lower(), "metadata.matchId", "match-id"),
        (lambda name: name[0].upper() + name[1:], "metadata", "Metadata"),
        (str.upper, "metadata", "METADATA"),
        (str.lower, "metadata.matchId", "matchid"),
        (lambda name: "champion_name" if name == "championName" else name, None, "champion_name"),
    ],
)
def test_missing_field_that_has_a_name_in_another_style_is_reported(
    rename: Callable[[str], str], field: str | None, sent: str
) -> None:
    """As pydantic writes it without by_alias, and C# without a naming policy."""
    letter = dead_letter(renamed(match(), rename))
    assert (letter.reason, letter.field) == ("invalid_field", field or "info.participants[0].championName")
    assert letter.detail.endswith(f"; it has `{sent}`: the names must be those of Match-V5")


def test_missing_field_is_reported_without_a_guess_if_no_other_name_resembles_it() -> None:
    for message in (match(participant(1, win=..., wins=1)), match(participant(1), participant(2, win=...))):
        assert dead_letter(message).detail == "Object missing required field `win`"
    assert dead_letter(match(participant(1, win=1, Win=True))).detail == "Expected `bool`, got `int`"


def test_invalid_field_is_named_beside_whole_numbers_as_floats() -> None:
    letter = dead_letter(match(participant(1, kills=3.0), participant(2, deaths=None)))
    assert letter.field == "info.participants[1].deaths"


@pytest.mark.parametrize("unused", ["1e400", "1" * 5000, "[" * 500 + "]" * 500])
def test_unused_fields_are_not_validated_beside_whole_numbers_as_floats(unused: str) -> None:
    raw = value(match(participant(1, kills=7.0, challenges="?"))).replace(b'"?"', unused.encode())
    assert isinstance(decode(raw, ARRIVED_AT, PLAUSIBLE_TIMES), Match)


RUNES = {"keystone", "primary_style", "secondary_style"}


@pytest.mark.parametrize(
    ("field", "wrong", "lost"),
    [
        ("puuid", 7, {"puuid", "bot"}), ("puuid", [], {"puuid", "bot"}), ("puuid", "x" * 121, {"puuid", "bot"}),
        ("championId", "Ahri", {"champion_id"}), ("championId", 2**31, {"champion_id"}),
        ("championId", 37_225_015, {"champion_id"}), ("roleBoundItem", "boots", {"role_item"}),
        ("champLevel", -1, {"champion_level"}), ("champLevel", 16.5, {"champion_level"}),
        ("placement", "first", set()), ("playerSubteamId", [1], set()),
        ("item3", "boots", {"items"}), ("item6", None, set()), ("summoner1Id", {}, {"summoner_spells"}),
        ("perks", [], RUNES), ("perks", "none", RUNES), ("perks", {"styles": {}}, RUNES),
        ("perks", {"styles": [7]}, RUNES), ("perks", {"styles": [{"style": "x"}]}, RUNES),
        ("perks", {"styles": [{"style": 8100, "selections": [{"perk": "x"}]}]}, RUNES),
        ("totalDamageTaken", 10**11 + 1, {"damage_taken"}), ("trueDamageDealtToChampions", "1", {"true_damage"}),
        ("wardsPlaced", False, {"wards_placed"}), ("visionWardsBoughtInGame", [], {"control_wards"}),
        ("firstBloodKill", 1, {"first_blood"}), ("pentaKills", 10**400, {"penta_kills"}),
    ],
)  # fmt: skip
def test_detail_of_a_wrong_type_loses_only_its_fields(field: str, wrong: Any, lost: set[str]) -> None:
    whole = next(documents(decoded(match(full_participant(1), full_participant(2))), ARRIVED_AT))
    found = decoded(match(full_participant(1, **{field: wrong}), full_participant(2)))
    document = next(documents(found, ARRIVED_AT))
    if field == "item6":  # an item slot of null is a slot that was not sent
        whole["items"] = [3157, 3089, 3020, 4645]
    assert document == {name: held for name, held in whole.items() if name not in lost}
    assert found.dropped_details == (() if wrong is None else (field,))


@pytest.mark.parametrize("text", ["1e400", "1" * 5000, "[" * 500 + "]" * 500, "[" * 100_000 + "]" * 100_000])
def test_detail_that_python_cannot_hold_is_dropped(text: str) -> None:
    for field in ("wardsKilled", "perks", "item0"):
        raw = value(match(full_participant(1, **{field: "?"}))).replace(b'"?"', text.encode())
        found = decode(raw, ARRIVED_AT, PLAUSIBLE_TIMES)
        assert isinstance(found, Match), found
        assert next(documents(found, ARRIVED_AT))["champion_id"] == 103
        assert found.dropped_details == (field,)


@pytest.mark.parametrize(
    ("path", "wrong", "dropped", "lost"),
    [
        ((), "none", "teams", None),
        ((0,), 7, "teams", None),
        ((0, "teamId"), "blue", "teams", None),
        ((0, "win"), 1, "teams.win", {"win"}),
        ((0, "bans"), {}, "teams.bans", {"bans"}),
        ((0, "bans", 2, "championId"), "Ahri", "teams.bans", {"bans"}),
        ((0, "objectives", "baron"), [], "teams.objectives.baron", {"baron", "first_baron"}),
        ((0, "objectives", "tower", "kills"), -1, "teams.objectives.tower", {"tower", "first_tower"}),
        ((0, "objectives", "tower", "kills"), 9.0, "", set()),
    ],
)
def test_detail_of_a_team_of_a_wrong_type_loses_only_its_fields(
    path: tuple[Any, ...], wrong: Any, dropped: str, lost: set[str] | None
) -> None:
    message = match(full_participant(1), full_participant(6), teams=deepcopy(TWO_TEAMS))
    whole = team_documents(decoded(message), ARRIVED_AT)
    *way, last = ("info", "teams", *path)
    holder: Any = reduce(getitem, way, message)
    holder[last] = wrong
    found = decoded(message)
    expected = [] if lost is None else [{n: held for n, held in whole[0].items() if n not in lost}, whole[1]]
    assert team_documents(found, ARRIVED_AT) == expected
    assert found.dropped_details == ((dropped,) if dropped else ())
    assert len(list(documents(found, ARRIVED_AT))) == 2


def test_many_details_of_wrong_types_are_counted_each() -> None:
    wrong: Any = {"gameMode": 7, "mapId": "Rift", "teams": 7}
    found = decoded(match(full_participant(1, item0="x", item1="y"), full_participant(2, perks=7, puuid=7), **wrong))
    counted = ["gameMode", "item0", "item1", "mapId", "perks", "puuid", "teams"]
    assert sorted(found.dropped_details) == counted


def test_detail_of_a_wrong_type_does_not_hide_an_invalid_field() -> None:
    letter = dead_letter(match(full_participant(1, perks=7), full_participant(2, deaths=-1)))
    assert (letter.reason, letter.field) == ("invalid_field", "info.participants[1].deaths")


def test_lone_surrogate_in_a_detail_loses_only_its_field() -> None:
    raw = value(match(full_participant(1, puuid="?"), full_participant(2), gameMode="?"))
    found = decode(raw.replace(b'"?"', rb'"a\ud83d"'), ARRIVED_AT, PLAUSIBLE_TIMES)
    assert isinstance(found, Match), found
    assert (found.game_mode, [each.puuid for each in found.participants]) == (None, [None, "puuid-of-2"])
    assert sorted(found.dropped_details) == ["gameMode", "puuid"]
    letter = dead_letter(raw.replace(b'"?"', rb'"a\ud83d"').replace(b"Player 2", rb"\ud83d"))
    assert letter.field == "info.participants[1].riotIdGameName"


MATCH_WITH = b'{"metadata":{"matchId":"EUW1_1"},"info":{"%s":[%s]}}'


def decoded_within(limit: int, raw: bytes, details: bool) -> DeadLetter:
    """Decode a message that must be a dead letter, in less memory than the limit in bytes."""
    tracemalloc.start()
    letter = decode(raw, ARRIVED_AT, PLAUSIBLE_TIMES, details)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert isinstance(letter, DeadLetter)
    assert peak < limit
    return letter


@pytest.mark.parametrize("details", [True, False])
@pytest.mark.parametrize(
    ("field", "part", "counted"),
    [
        (b"participants", b"{}", "objects and arrays"),
        (b"participants", b'{"item0":[[],[],[]]}', "objects and arrays"),
        (b"teams", b"{}", "objects and arrays"),
        (b"mine", b"[]", "objects and arrays"),
        (b"participants", b"1", "commas"),
        (b"participants", b'""', "commas"),
        (b"teams", b"null", "commas"),
        (b"gameMode", b"1.5", "commas"),
    ],
)
def test_value_of_very_many_objects_takes_little_memory(field: bytes, part: bytes, counted: str, details: bool) -> None:
    """Each would take up to a hundred times its size, and the service that decodes it would end again and again."""
    raw = MATCH_WITH % (field, b",".join([part] * (3_400_000 // len(part) * 2)))
    letter = decoded_within(10 * 2**20, raw, details)
    assert letter.reason == "not_a_match"
    assert counted in letter.detail


@pytest.mark.parametrize("details", [True, False])
@pytest.mark.parametrize(
    ("template", "reason"), [(b"[%s]", "not_an_object"), (MATCH_WITH % (b"participants", b"%s"), "invalid_field")]
)
def test_array_of_many_scalars_takes_little_memory(template: bytes, reason: str, details: bool) -> None:
    """Also below the limits."""
    raw = template % b",".join([b"1"] * 500_000)
    assert decoded_within(10 * 2**20, raw, details).reason == reason


@pytest.mark.parametrize("other", [rb"\ud83d", b'", "deep": ' + b"[" * 1_000 + b"]" * 1_000 + b', "text": "'])
def test_text_of_very_many_escapes_takes_little_memory(other: bytes) -> None:
    """Beside what is read by regular expressions: a lone surrogate, and deep nesting."""
    raw = value(match(participant(1, kills=-7, challenges="?"))).replace(b"?", rb"\n" * 1_000_000 + other)
    assert decoded_within(20 * 2**20, raw, details=True).field == "info.participants[0].kills"


def test_text_of_very_many_bytes_that_are_not_utf8_takes_little_memory() -> None:
    raw = value(match(participant(1, riotIdGameName="?"))).replace(b"?", b"\xff" * 1_000_000)
    assert decoded_within(20 * 2**20, raw, details=True).reason == "not_json"


@pytest.mark.parametrize("holder", [b'{"payload": "%s"}', b'{"data": {"payload": ["%s"]}}', b'[{"payload": "%s"}]'])
def test_text_in_an_envelope_takes_little_memory(holder: bytes) -> None:
    """Escaped commas are not counted: each stands for a field."""
    escaped = rb"{\u00220\u0022:0" + b"".join(rb"\u002c\u0022%d\u0022:0" % number for number in range(300_000)) + b"}"
    letter = decoded_within(20 * 2**20, holder % escaped, details=True)
    assert letter.reason in ("invalid_field", "not_an_object")


def test_array_of_too_many_scalars_is_not_decoded() -> None:
    raw = b"[" + b",".join([b"1"] * 1_000_000) + b"]"
    letter = dead_letter(raw)
    assert (letter.reason, letter.detail) == ("not_a_match", "it has 999,999 commas, a match has 4,000")


def test_json_of_too_many_arrays_within_each_other_is_json() -> None:
    raw = b"[" * 400_000 + b"]" * 400_000
    assert dead_letter(raw).reason == "not_a_match"
    assert dead_letter(raw[:-1] + b" ").reason == "not_json"


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


@pytest.mark.parametrize("broken", [b"\xed\xa0\xbd", b"\xff", b"\xe2\x82", b"\xe9", b"\xc0\x80"])
@pytest.mark.parametrize("text", [b"?", b"Ren?", b"?e Jos?", b"\xc3\xa9?", rb"\n\ud83d\udc09?"])
def test_bytes_that_are_not_utf8_in_a_field_that_is_read_are_not_json(text: bytes, broken: bytes) -> None:
    """The position counts the bytes of the message, as in the errors of JSON's grammar."""
    for field in ("riotIdGameName", "championName", "teamPosition", "summonerName"):
        raw = value(match(participant(1), participant(2, **{field: "?"}))).replace(b"?", text)
        letter = dead_letter(raw.replace(b"?", broken))
        assert letter == DeadLetter(
            "not_json",
            f"byte {broken[0]:#04x} (byte {raw.index(b'?')}) is not UTF-8; send UTF-8",
            f"info.participants[1].{field}",
            "UnicodeDecodeError",
        )
    for name in ("gameVersion", "platformId"):
        raw = value(match(**{name: "?"})).replace(b"?", broken)
        assert (dead_letter(raw).reason, dead_letter(raw).field) == ("not_json", f"info.{name}")
    raw = value(match(match_id="?")).replace(b"?", broken)
    assert (dead_letter(raw).reason, dead_letter(raw).field) == ("not_json", "metadata.matchId")


def test_bytes_that_are_not_utf8_beside_another_fault_are_not_json() -> None:
    """Then the field is not named: the decoder stops at the other one."""
    raw = value(match(participant(1, challenges="*"), participant(2, deaths=-1, riotIdGameName="?")))
    for other in (b'"*"', rb'"\ud83d"', *DEEP):
        changed = raw.replace(b'"*"', other)
        for valid in (changed, changed.replace(b'"deaths": -1', b'"deaths": 10')):
            letter = dead_letter(valid.replace(b"?", b"\xe9"))
            assert letter.reason == "not_json"
            assert letter.detail == f"byte 0xe9 (byte {valid.index(b'?')}) is not UTF-8; send UTF-8"
            assert letter.field == (GAME_NAME if valid is not changed else "")


@pytest.mark.parametrize("broken", [b"\xed\xa0\xbd", b"\xff", b"\xe2\x82"])
@pytest.mark.parametrize("field", ["puuid", "item0", "perks", "wardsPlaced", "firstBloodKill"])
def test_detail_that_is_not_utf8_is_dropped(field: str, broken: bytes) -> None:
    raw = value(match(full_participant(1, **{field: "?"}), full_participant(2))).replace(b"?", broken)
    found = decode(raw, ARRIVED_AT, PLAUSIBLE_TIMES)
    assert isinstance(found, Match), found
    assert found.dropped_details == (field,)
    assert isinstance(decode(raw, ARRIVED_AT, PLAUSIBLE_TIMES, details=False), Match)
    wrong = raw.replace(b'"kills": 7', b'"kills": -7')
    first = dict(reversed(full_participant(1, kills=-7, **{field: "?"}).items()))
    for each in (wrong, value(match(first, full_participant(2))).replace(b"?", broken)):
        assert dead_letter(each).field == "info.participants[0].kills", "before and behind the detail"


def test_too_many_participants_are_invalid_whatever_else_is_wrong() -> None:
    """Each makes a document and several windows. No mode has more than 18."""
    assert len(decoded(match(*map(participant, range(100)))).participants) == 100
    for details in ({}, {"perks": 7}, {"puuid": "?"}, {"kills": 7.0}):
        for text in (rb'"\ud83d"', b'"\xff"'):
            many = value(match(*(participant(number, **details) for number in range(101)))).replace(b'"?"', text)
            letter = dead_letter(many)
            assert (letter.reason, letter.field) == ("invalid_field", "info.participants")
            assert decode(many, ARRIVED_AT, PLAUSIBLE_TIMES, details=False) == letter


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


@pytest.mark.parametrize("arrived_at", [-(2**63), -1, 1_764_440_000_000_000, 2**63 - 1])
@pytest.mark.parametrize("details", [True, False])
def test_kafka_timestamp_that_is_no_time_in_milliseconds_is_a_dead_letter(arrived_at: int, details: bool) -> None:
    """A producer sets it in a topic with CreateTime, here in microseconds."""
    letter = decode(value(match()), arrived_at, PLAUSIBLE_TIMES, details)
    assert isinstance(letter, DeadLetter)
    assert (letter.reason, letter.field) == ("implausible_timestamp", "")
    assert "message.timestamp.type" in letter.detail


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
        (1800, 18, "16.4", 1800),
        (1800, 2, "16.4", 1),
        (99_999, 50, "16.4", 99),
        (99_999, 49, "16.4", 99_999),
        (99_999, 199, "16.4", 99),
        (99_999, 200, "16.4", 99_999),
        (1800, 18, "11.19", 1),
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
    """Milliseconds: from half to twice the time played, else before patch 11.20, else from 100,000."""
    message = match(
        participant(1, timePlayed=played), gameDuration=duration, gameVersion=version, gameEndTimestamp=None
    )
    assert decoded(message, arrived_at=ARRIVED_AT + 10**8).duration == seconds
