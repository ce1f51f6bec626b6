"""Recognizes documents of Riot's API that are sent by mistake instead of a match: a timeline, a list of match ids, …"""

from typing import Any, NamedTuple

import msgspec

_DECODE_ERRORS = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


_MAX_ENVELOPE_FIELDS = 20


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


# Fields that only one kind of document has, all of them at its top level.
_OBJECTS = (
    ({"frames", "frameInterval"}, "the info of a timeline"),
    ({"participantIdentities", "participants"}, "a match of Match-V4"),
    ({"gameCreation", "participants"}, "the info of a match without its metadata"),
    ({"participantId", "championName"}, "a participant of a match"),
    ({"gameStartTime", "participants"}, "a live game (Spectator)"),
    ({"puuid", "gameName", "tagLine"}, "an account"),
    ({"puuid", "summonerLevel"}, "a summoner"),
    ({"leagueId", "tier"}, "a league or an entry of one"),
    ({"puuid", "championPoints"}, "a champion mastery"),
)


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
    if "status" in value and (error := _decoded(value["status"], _Status)):
        return OtherDocument(f"an error response of Riot's API ({error.status_code} {error.message[:120]})", "status")
    name = next((name for fields, name in _OBJECTS if fields <= value.keys()), None)
    if name:
        return OtherDocument(name)
    if len(value) > _MAX_ENVELOPE_FIELDS:
        return None
    envelopes = (field for field, part in value.items() if _is_match(part))
    return next((OtherDocument(f"an envelope: send the match that is in {field}", field) for field in envelopes), None)


def _is_match(part: msgspec.Raw) -> bool:
    fields = _decoded(part, dict[str, msgspec.Raw]) or {}
    return {"metadata", "info"} <= fields.keys() and _describe_info(fields["info"]) is None


def _describe_info(info: msgspec.Raw) -> OtherDocument | None:
    fields = _decoded(info, dict[str, msgspec.Raw]) or {}
    if "frames" in fields and "gameCreation" not in fields:
        return OtherDocument("a timeline (it has info.frames)", "info.frames")
    if "tft_set_number" in fields:
        return OtherDocument("a match of Teamfight Tactics", "info.tft_set_number")
    return None


def _describe_list(array: FirstElement) -> OtherDocument | None:
    if array.element is msgspec.UNSET:
        return None
    first = _decoded(array.element, dict[str, msgspec.Raw] | str)
    if isinstance(first, str):
        return OtherDocument("a list of texts, such as match ids")
    if first is None:
        return None
    if {"metadata", "info"} <= first.keys():
        return OtherDocument("a list of matches: send each match in a message of its own")
    other = _describe(first)
    return OtherDocument(f"a list whose first element is {other.name}") if other else None


def _decoded(part: msgspec.Raw, type_: Any) -> Any:
    """The decoded JSON; None if it is not of this type."""
    try:
        return msgspec.json.decode(part, type=type_)
    except _DECODE_ERRORS:
        return None
