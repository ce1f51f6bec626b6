"""Recognizes documents that are sent by mistake instead of a match: those of Riot's API and of the League client (a
timeline, a list of match ids, …), and envelopes of a match."""

from base64 import b64decode
from collections.abc import Iterator
from typing import Any, NamedTuple

import msgspec

_DECODE_ERRORS = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
_MAX_ENVELOPE_FIELDS = 20
_ENVELOPE_LEVELS = 3
"""How deeply a match may be enclosed to be found: in `payload`, `data.payload` or Debezium's `payload.after.column`."""
_MAX_ENCLOSED_CHARACTERS = 2**20
"""Longer texts in an envelope are not decoded: escapes hide how many parts their JSON has. A match has 0.1 MB."""


class OtherDocument(NamedTuple):
    """What a message is instead of a match, in words, and the path of the field that identifies it (or empty)."""

    name: str
    field: str = ""


class _Status(msgspec.Struct):
    status_code: int
    message: str = ""


class FirstElement(msgspec.Struct, array_like=True, frozen=True):
    """A JSON array of which only the first element is kept (UNSET: it is empty), so that a long one takes no memory."""

    element: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


_ERROR = "an error response of Riot's API"
_MATCH_V4 = "a match of Match-V4 or of the League client: send that of Match-V5, whose id is <platformId>_<gameId>"
_SGP = "a match of the League client (SGP): send its json as info, and metadata.match_id as metadata.matchId"
# Fields that only one kind of document has, all of them at its top level.
_OBJECTS = (
    ({"frames", "frameInterval"}, "the info of a timeline"),
    ({"gameCreation", "participants"}, "the info of a match without its metadata"),
    ({"participantId", "championName"}, "a participant of a match"),
    ({"gameStartTime", "participants"}, "a live game (Spectator)"),
    ({"puuid", "gameName", "tagLine"}, "an account"),
    ({"puuid", "summonerLevel"}, "a summoner"),
    ({"leagueId", "tier"}, "a league or an entry of one"),
    ({"puuid", "championPoints"}, "a champion mastery"),
    ({"shortCode", "gameId"}, "a callback of Tournament-V5: send the match, whose id is <region>_<gameId>"),
    ({"activePlayer", "allPlayers"}, "a live game (the game client's Live Client Data)"),
    ({"gameLength", "statsJson"}, "the metadata of a replay file"),
)
# A field of `info` that only one kind of document has.
_INFOS = {
    "tft_set_number": "a match of Teamfight Tactics",
    "game_datetime": "a match of Teamfight Tactics",
    "game_start_time_utc": "a match of Legends of Runeterra",
    "M": "a match in DynamoDB's JSON: send plain JSON, without the types",
}


def describe(value: bytes) -> OtherDocument | None:
    """Which other document the JSON is; None for a match (also an invalid one), and if it is not certain."""
    try:
        return _describe(msgspec.json.decode(value, type=dict[str, msgspec.Raw] | FirstElement | str))
    except _DECODE_ERRORS:
        return None


def _describe(value: dict[str, msgspec.Raw] | FirstElement | str) -> OtherDocument | None:
    if isinstance(value, str):
        return OtherDocument("JSON that was encoded twice") if value.lstrip().startswith(("{", '"')) else None
    if isinstance(value, FirstElement):
        return _describe_list(value)
    if "info" in value:
        return _describe_info(value["info"])
    if other := _describe_fields(value):
        return other
    name = next((name for fields, name in _OBJECTS if fields <= value.keys()), None)
    return OtherDocument(name) if name else _describe_envelope(value)


def _describe_fields(fields: dict[str, msgspec.Raw]) -> OtherDocument | None:
    """Which document an object without `info` is, of those that are recognized in an envelope too."""
    if "status" in fields and (error := _decoded(fields["status"], _Status)):
        return OtherDocument(f"{_ERROR} ({error.status_code} {error.message[:120]})", "status")
    if {"httpStatus", "errorCode"} <= fields.keys():  # developer-relations#1061
        status, code = (_decoded(fields[name], int | str) for name in ("httpStatus", "errorCode"))
        return OtherDocument(f"{_ERROR} ({status} {code})"[:200], "httpStatus")
    if {"participantIdentities", "participants"} <= fields.keys():
        return OtherDocument(_MATCH_V4)
    if "json" in fields and "gameCreation" in (_decoded(fields["json"], dict[str, msgspec.Raw]) or {}):
        return OtherDocument(_SGP, "json")
    return None


def _describe_envelope(fields: dict[str, msgspec.Raw]) -> OtherDocument | None:
    """What an envelope contains: a match rather than another document beside it."""
    contents = _contents(fields, "", _ENVELOPE_LEVELS)
    found = min(contents, key=lambda content: content[1] is not None, default=None)
    if found is None:
        return None
    where, other = found
    content = f"; in {where} is {other.name}" if other else f": send the match that is in {where}"
    return OtherDocument(f"an envelope{content}", where)


def _contents(fields: dict[str, msgspec.Raw], path: str, levels: int) -> Iterator[tuple[str, OtherDocument | None]]:
    """The path of each document in the fields of an envelope, at most so many levels deep; and what it is instead of a
    match."""
    if len(fields) > _MAX_ENVELOPE_FIELDS:
        return
    for name, part in fields.items():
        where, enclosed = _enclosed(part, path + name)
        if {"metadata", "info"} <= enclosed.keys():
            yield where, _describe_info(enclosed["info"])
        elif other := _describe_fields(enclosed):
            yield where, other
        elif levels > 1:
            yield from _contents(enclosed, f"{where}.", levels - 1)


def _enclosed(part: msgspec.Raw, path: str) -> tuple[str, dict[str, msgspec.Raw]]:
    """The object in a field of an envelope, and its path: the field's value or the first element of a list, also as
    text; empty if there is none."""
    value = _decoded(part, dict[str, msgspec.Raw] | FirstElement | str)
    if isinstance(value, FirstElement):
        path += "[0]"
        value = None if value.element is msgspec.UNSET else _decoded(value.element, dict[str, msgspec.Raw] | str)
    if isinstance(value, str):
        value = _object_in_text(value)
    return path, value or {}


def _object_in_text(text: str) -> dict[str, msgspec.Raw] | None:
    """The object whose JSON the text is, as it is or in base64 (as in `data_base64` of CloudEvents)."""
    if len(text) > _MAX_ENCLOSED_CHARACTERS:
        return None
    json = text.lstrip().encode()
    if json.startswith((b"ey", b"ew")):
        try:
            json = b64decode(json)
        except ValueError:
            return None
    return _decoded(json, dict[str, msgspec.Raw]) if json.startswith(b"{") else None


def _describe_info(info: msgspec.Raw) -> OtherDocument | None:
    fields = _decoded(info, dict[str, msgspec.Raw]) or {}
    if "frames" in fields and "gameCreation" not in fields:
        return OtherDocument("a timeline (it has info.frames)", "info.frames")
    name = next((name for name in _INFOS if name in fields), None)
    return OtherDocument(_INFOS[name], f"info.{name}") if name else None


def _describe_list(array: FirstElement) -> OtherDocument | None:
    if array.element is msgspec.UNSET:
        return None
    first = _decoded(array.element, dict[str, msgspec.Raw] | str)
    if isinstance(first, str):
        first = _object_in_text(first)
        if first is None:
            return OtherDocument("a list of texts, such as match ids")
    if first is None:
        return None
    if other := _describe(first):
        return OtherDocument(f"a list whose first element is {other.name}")
    is_match = {"metadata", "info"} <= first.keys()
    return OtherDocument("a list of matches: send each match in a message of its own") if is_match else None


def _decoded(part: msgspec.Raw | bytes, type_: Any) -> Any:
    """The decoded JSON; None if it is not of this type."""
    try:
        return msgspec.json.decode(part, type=type_)
    except _DECODE_ERRORS:
        return None
