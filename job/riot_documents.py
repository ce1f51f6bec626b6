"""Recognizes documents of Riot's API that are sent by mistake instead of a match: a timeline, a list of match ids, …"""

from typing import Any, NamedTuple

import msgspec

_DECODE_ERRORS = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
_MAX_ENVELOPE_FIELDS = 20
_ENVELOPE_LEVELS = 2
"""How deeply a match may be enclosed to be found: in `payload`, or in `data.payload`."""
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
    return _describe_envelope(value, "", _ENVELOPE_LEVELS)


def _describe_envelope(fields: dict[str, msgspec.Raw], path: str, levels: int) -> OtherDocument | None:
    """What the fields of an envelope contain, at most so many levels deep; None if there is no match or timeline."""
    if len(fields) > _MAX_ENVELOPE_FIELDS:
        return None
    for name, part in fields.items():
        where, enclosed = _enclosed(part, path + name)
        if {"metadata", "info"} <= enclosed.keys():
            other = _describe_info(enclosed["info"])
            content = f" of {other.name} in {where}" if other else f": send the match that is in {where}"
            return OtherDocument(f"an envelope{content}", where)
        if levels > 1 and (deeper := _describe_envelope(enclosed, f"{where}.", levels - 1)):
            return deeper
    return None


def _enclosed(part: msgspec.Raw, path: str) -> tuple[str, dict[str, msgspec.Raw]]:
    """The object in a field of an envelope, and its path: the field's value, that value as text, or the first element
    of a list; empty if there is none."""
    value = _decoded(part, dict[str, msgspec.Raw] | FirstElement | str)
    if isinstance(value, FirstElement):
        path += "[0]"
        value = None if value.element is msgspec.UNSET else _decoded(value.element, dict[str, msgspec.Raw])
    elif isinstance(value, str):
        is_object = value.lstrip().startswith("{") and len(value) <= _MAX_ENCLOSED_CHARACTERS
        value = _decoded(value.encode(), dict[str, msgspec.Raw]) if is_object else None
    return path, value or {}


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


def _decoded(part: msgspec.Raw | bytes, type_: Any) -> Any:
    """The decoded JSON; None if it is not of this type."""
    try:
        return msgspec.json.decode(part, type=type_)
    except _DECODE_ERRORS:
        return None
