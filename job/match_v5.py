"""The schema of Riot's Match-V5 (msgspec, not a Spark StructType): the fields that the job reads, under Match-V5's own
names.

A required field, or an optional one of `Participant` and `Info` themselves, invalidates the match if it is invalid. A
detail (a field of the `…Details` classes) does not: it is dropped, and the rest of the match is read.
"""

from collections.abc import Sequence
from contextlib import suppress
from functools import cache
from typing import Annotated, Any, NamedTuple, TypedDict

import msgspec
from msgspec import UNSET, Meta, Raw, Struct
from msgspec.structs import fields

# The limits of Elasticsearch's field types: an `integer`, also for the sum of two kinds of creeps; damage per minute
# that fits into a `long` even in millionths; texts of at most 480 bytes, which with a number make a document id of at
# most 512 bytes. Elasticsearch rejects a bulk request with a longer id as a whole.
Int = Annotated[int, Meta(ge=-(2**31), le=2**31 - 1)]
Count = Annotated[int, Meta(ge=0, le=2**31 - 1)]
Creeps = Annotated[int, Meta(ge=0, le=2**30 - 1)]
ChampionId = Annotated[int, Meta(ge=-(2**31), le=1_000_000)]  # before patch 11.4 some ids are invalid, such as 37225015
Damage = Annotated[int, Meta(ge=0, le=10**11)]
Millis = Annotated[int, Meta(ge=0, le=2**53)]
Name = Annotated[str, Meta(min_length=1, max_length=120)]
Text = Annotated[str, Meta(max_length=120)]

MAX_PARTICIPANTS = 100
"""Limit of a match's participants, each of which is a document. A match with more than any mode has is in no window."""
_at_most = Meta(max_length=MAX_PARTICIPANTS)


class Rune(Struct, frozen=True, gc=False):
    perk: Count | None = None


class RuneStyle(Struct, frozen=True, gc=False):
    style: Count | None = None
    selections: list[Rune] = []


class Perks(Struct, frozen=True, gc=False):
    """Runes: the primary style, whose first selection is the keystone, and the secondary style."""

    styles: list[RuneStyle] = []


class ParticipantDetails(Struct, rename="camel", frozen=True, gc=False, kw_only=True):
    puuid: Text | None = None
    champion_id: ChampionId | None = None
    champ_level: Count | None = None
    placement: Count | None = None
    player_subteam_id: Count | None = None
    item0: Count | None = None
    item1: Count | None = None
    item2: Count | None = None
    item3: Count | None = None
    item4: Count | None = None
    item5: Count | None = None
    item6: Count | None = None
    role_bound_item: Count | None = None
    summoner1_id: Count | None = None
    summoner2_id: Count | None = None
    perks: Perks | None = None
    total_damage_taken: Damage | None = None
    physical_damage_dealt_to_champions: Damage | None = None
    magic_damage_dealt_to_champions: Damage | None = None
    true_damage_dealt_to_champions: Damage | None = None
    wards_placed: Count | None = None
    wards_killed: Count | None = None
    vision_wards_bought_in_game: Count | None = None
    first_blood_kill: bool | None = None
    double_kills: Count | None = None
    triple_kills: Count | None = None
    quadra_kills: Count | None = None
    penta_kills: Count | None = None


BOT = "BOT"
"""The puuid of a bot."""
BLUE_TEAM_ID, RED_TEAM_ID = 100, 200
"""The ids of the two teams of a match. In Arena, the two halves of the participants have them."""
ITEMS = tuple(f"item{slot}" for slot in range(7))
SUMMONER_SPELLS = ("summoner1_id", "summoner2_id")
DETAIL_TEXTS = ("puuid", "gameMode")
"""The details that are texts, by Match-V5's names."""


class Participant(ParticipantDetails, rename="camel", frozen=True, gc=False, kw_only=True):
    """In the order of a compact match: msgspec looks for a field first behind the one before."""

    participant_id: Count
    riot_id_game_name: Text | None = None
    riot_id_name: Text | None = None
    riot_id_tagline: Text | None = None
    summoner_name: Text | None = None
    champion_name: Name
    team_id: Int
    team_position: Text | None = None
    win: bool
    kills: Count
    deaths: Count
    assists: Count
    gold_earned: Count
    total_minions_killed: Creeps | None = None
    neutral_minions_killed: Creeps | None = None
    total_damage_dealt_to_champions: Damage
    vision_score: Int
    time_played: Count | None = None
    game_ended_in_early_surrender: bool | None = None


class Objective(Struct, frozen=True, gc=False):
    kills: Count | None = None
    first: bool | None = None


class ObjectivesDetails(Struct, rename="camel", frozen=True, gc=False, kw_only=True):
    """What a team can take. Older matches lack what did not exist yet."""

    baron: Objective | None = None
    dragon: Objective | None = None
    rift_herald: Objective | None = None
    horde: Objective | None = None
    atakhan: Objective | None = None
    tower: Objective | None = None
    inhibitor: Objective | None = None


class Ban(Struct, rename="camel", frozen=True, gc=False):
    champion_id: Int
    pick_turn: Int | None = None


class TeamDetails(Struct, rename="camel", frozen=True, gc=False, kw_only=True):
    win: bool | None = None
    bans: list[Ban] | None = None
    objectives: ObjectivesDetails | None = None


class Team(TeamDetails, rename="camel", frozen=True, gc=False):
    team_id: Int


class InfoDetails(Struct, rename="camel", frozen=True, gc=False, kw_only=True):
    game_mode: Text | None = None
    map_id: Int | None = None
    teams: list[Team] | None = None


class Info(InfoDetails, rename="camel", frozen=True, gc=False):
    game_creation: Millis
    game_duration: Count
    game_version: Text
    queue_id: Int
    platform_id: Text
    participants: Annotated[list[Participant], _at_most]
    game_start_timestamp: Millis | None = None
    game_end_timestamp: Millis | None = None


class Metadata(Struct, rename="camel", frozen=True, gc=False):
    match_id: Name


class MatchV5(Struct, frozen=True, gc=False):
    metadata: Metadata
    info: Info


def _without_details(struct: type[Struct], details: type[Struct], *kept: str, **types: Any) -> type[Struct]:
    """A struct whose details are always None, except those that are `kept`; `types` has the types of other fields."""
    left_out = {field.name: None for field in fields(details) if field.name not in kept}
    return msgspec.defstruct(
        struct.__name__,
        [
            (field.name, types.get(field.name, field.type), field.default)
            for field in fields(struct)
            if field.name not in left_out
        ],
        namespace=left_out,
        rename="camel",
        frozen=True,
        gc=False,
        kw_only=True,
    )


_BareParticipant = _without_details(Participant, ParticipantDetails, "puuid", "player_subteam_id")
_BareInfo = _without_details(Info, InfoDetails, "game_mode", participants=Annotated[list[_BareParticipant], _at_most])  # type: ignore[valid-type]
DECODER = msgspec.json.Decoder(MatchV5)
DECODER_WITHOUT_DETAILS: "msgspec.json.Decoder[MatchV5]" = msgspec.json.Decoder(
    msgspec.defstruct("MatchV5", [("metadata", Metadata), ("info", _BareInfo)], frozen=True, gc=False)
)
"""Takes two thirds of the time for a full-size match. All details are None, except for those that the
statistics need: puuid, and playerSubteamId and gameMode, by which Arena is recognized."""


class _Array(Struct, array_like=True, frozen=True, gc=False):
    """Any JSON array, without its elements."""


class _Object(TypedDict):  # a union with _Array cannot have a second Struct
    """Any JSON object, without its fields."""


_Value = str | int | float | bool | None | _Array | _Object


def _lenient(struct: type[Struct], details: type[Struct] | None = None, **nested: Any) -> type[Struct]:
    """A struct with the same fields, all optional: details as raw JSON, `nested` with these types, others of any
    type, so that only the field's own type is in the text of an error."""
    raw = {field.name for field in fields(details)} if details else set()
    types = {field.name: Raw if field.name in raw else nested.get(field.name, _Value) for field in fields(struct)}
    return msgspec.defstruct(
        f"{struct.__name__}Lenient", [(name, kind, UNSET) for name, kind in types.items()], rename="camel"
    )


_Participant = _lenient(Participant, ParticipantDetails)
_Info = _lenient(Info, InfoDetails, participants=Annotated[list[_Participant], _at_most])  # type: ignore[valid-type]
_lenient_decoder = msgspec.json.Decoder(_lenient(MatchV5, metadata=_lenient(Metadata), info=_Info))
# Details that have details themselves.
_NESTED: dict[str, tuple[Any, type[Struct]]] = {
    "teams": (list[_lenient(Team, TeamDetails)], TeamDetails),  # type: ignore[misc]
    "objectives": (_lenient(ObjectivesDetails, ObjectivesDetails), ObjectivesDetails),
}
# A build with one unknown part would be another build.
_DROPPED_TOGETHER = (ITEMS, SUMMONER_SPELLS)


_INVALID = (msgspec.ValidationError, UnicodeDecodeError)


class _Detail(NamedTuple):
    """A field of a `…Details` class; `sent_name` is Match-V5's."""

    name: str
    sent_name: str
    type: Any
    decoder: "msgspec.json.Decoder[Any]"


@cache
def _details(struct: type[Struct]) -> list[_Detail]:
    return [_Detail(each.name, each.encode_name, each.type, msgspec.json.Decoder(each.type)) for each in fields(struct)]


def decode_leniently(value: bytes) -> tuple[MatchV5, Sequence[str]]:
    """Decode a match that fails the schema: accept whole numbers written as floats, and drop invalid details.

    Returns the match and the dropped fields' names, each as often as it was dropped. Raises msgspec.ValidationError for
    an invalid field that is no detail.
    """
    message: Any = _lenient_decoder.decode(value)
    dropped: list[str] = []
    if isinstance(message.info, _Info):
        _read_details(message.info, InfoDetails, dropped)
        for participant in message.info.participants or ():  # type: ignore[attr-defined]
            _read_details(participant, ParticipantDetails, dropped)
    return _convert(message, MatchV5), dropped


def _read_details(part: Struct, struct: type[Struct], dropped: list[str], prefix: str = "") -> None:
    """Replace the raw JSON of a lenient struct's details by their values; remove those that are invalid."""
    invalid: set[str] = set()
    for detail in _details(struct):
        raw = getattr(part, detail.name)
        if raw is not UNSET:
            held = _read_detail(raw, detail, dropped, prefix)
            setattr(part, detail.name, held)
            if held is UNSET:
                invalid.add(detail.name)
    for names in _DROPPED_TOGETHER:
        if not invalid.isdisjoint(names):
            for name in names:
                setattr(part, name, UNSET)


def _read_detail(raw: Raw, detail: _Detail, dropped: list[str], prefix: str) -> Any:
    """The value of a detail without its invalid details; UNSET, and added to `dropped`, if it is invalid itself."""
    name = prefix + detail.sent_name
    with suppress(*_INVALID):
        return detail.decoder.decode(raw)
    with suppress(*_INVALID):
        return _convert(msgspec.json.decode(raw), detail.type)
    if detail.name in _NESTED:
        lenient, struct = _NESTED[detail.name]
        with suppress(*_INVALID):
            held: Any = msgspec.json.decode(raw, type=lenient)
            for part in held if isinstance(held, list) else [held]:
                _read_details(part, struct, dropped, f"{name}.")
            return _convert(held, detail.type)
    dropped.append(name)
    return UNSET


def _convert(value: Any, type_: Any) -> Any:
    """The JSON value or struct as this type, with 3 for 3.0. Raises msgspec.ValidationError."""
    return msgspec.convert(_whole_numbers(msgspec.to_builtins(value)), type_)


def _whole_numbers(value: Any) -> Any:
    """The same JSON value with 3 for 3.0, recursively."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, dict):
        return {key: _whole_numbers(part) for key, part in value.items()}
    if isinstance(value, list):
        return [_whole_numbers(part) for part in value]
    return value
