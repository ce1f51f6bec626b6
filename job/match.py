"""Bytes of one Kafka message → the match they hold, or the reason why they hold none."""

import re
from codecs import BOM_UTF8
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct

# What Elasticsearch can hold: its `integer`, also for the sum of two kinds of creeps; damage a minute that is a `long`
# even in millionths; and texts that make an id of at most 512 bytes (480 of them) with a number beside them. A bulk
# request with a longer id is refused as a whole.
Int = Annotated[int, Meta(ge=-(2**31), le=2**31 - 1)]
Count = Annotated[int, Meta(ge=0, le=2**31 - 1)]
Creeps = Annotated[int, Meta(ge=0, le=2**30 - 1)]
Damage = Annotated[int, Meta(ge=0, le=10**11)]
Millis = Annotated[int, Meta(ge=0, le=2**53)]
Name = Annotated[str, Meta(min_length=1, max_length=120)]
Word = Annotated[str, Meta(max_length=120)]


class Participant(Struct, rename="camel", frozen=True, gc=False):
    """What is read of a participant; field names are Match-V5's."""

    participant_id: Count
    champion_name: Name
    team_id: Int
    win: bool
    kills: Count
    deaths: Count
    assists: Count
    gold_earned: Count
    total_damage_dealt_to_champions: Damage
    vision_score: Int
    team_position: Word | None = None
    riot_id_game_name: Word | None = None
    riot_id_tagline: Word | None = None
    summoner_name: Word | None = None
    total_minions_killed: Creeps | None = None
    neutral_minions_killed: Creeps | None = None
    time_played: Count | None = None
    game_ended_in_early_surrender: bool | None = None


class _Metadata(Struct, rename="camel", frozen=True, gc=False):
    match_id: Name


class _Info(Struct, rename="camel", frozen=True, gc=False):
    game_creation: Millis
    game_duration: Count
    game_version: Word
    queue_id: Int
    platform_id: Word
    participants: list[Participant]
    game_start_timestamp: Millis | None = None
    game_end_timestamp: Millis | None = None


class _Message(Struct, frozen=True, gc=False):
    metadata: _Metadata
    info: _Info


def _loose(struct: type[Struct], **parts: Any) -> type[Struct]:
    """The struct with scalars of any type, each of which may be missing; `parts` are its fields that hold more."""
    scalar = str | int | float | bool | None
    fields = [(field.name, parts.get(field.name, scalar), msgspec.UNSET) for field in msgspec.structs.fields(struct)]
    return msgspec.defstruct(f"{struct.__name__}Loosely", fields, rename="camel")


_MessageLoosely = _loose(
    _Message,
    metadata=_loose(_Metadata),
    info=_loose(_Info, participants=list[_loose(Participant)]),  # type: ignore[misc]
)


class _OnlyParticipants(Struct, frozen=True):
    participants: list[msgspec.Raw]


class _OnlyInfo(Struct, frozen=True):
    info: _OnlyParticipants


class Match(Struct, frozen=True, gc=False):
    """A match that every rule of ours holds for.

    Times are milliseconds since 1970, `duration` is in seconds. `event_time` is when it counts in the statistics: its
    end, or its arrival in Kafka if that came first, so that no match moves the watermark past Kafka's clock. `remake`
    is one fact about the match: Riot says it on each participant, so one who says it suffices.
    """

    match_id: str
    created: int
    ended: int
    event_time: int
    duration: int
    patch: str
    queue_id: int
    platform: str
    remake: bool
    participants: list[Participant]


REASONS = (
    "null_value",
    "empty_value",
    "not_json",
    "not_an_object",
    "invalid_field",
    "empty_match",
    "duplicate_participant",
    "implausible_timestamp",
    "rejected_by_elasticsearch",
)


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """Why a message cannot be processed.

    `reason` is one of REASONS, a few words that can be counted, `field` the path of the field at fault or empty,
    `error_class` the exception's name or empty, `detail` a sentence for a person.
    """

    reason: str
    detail: str
    field: str = ""
    error_class: str = ""


@dataclass(frozen=True, slots=True)
class PlausibleTimes:
    """When a match can have taken place: from `earliest` (milliseconds) to `ahead` milliseconds after its arrival.

    Each month gets indices of its own, so without bounds a few wrong clocks would fill the cluster with them.
    """

    earliest: int
    ahead: int

    @classmethod
    def of(cls, earliest: date, ahead_seconds: int) -> "PlausibleTimes":
        """PlausibleTimes from midnight UTC of a day on."""
        midnight = datetime.combine(earliest, time(), UTC)
        return cls(int(midnight.timestamp()) * 1000, ahead_seconds * 1000)


_decoder = msgspec.json.Decoder(_Message)
_loose_decoder = msgspec.json.Decoder(_MessageLoosely)
_participants_decoder = msgspec.json.Decoder(_OnlyInfo)
_Unreadable = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


def decode(value: bytes | None, arrived: int, bounds: PlausibleTimes) -> Match | DeadLetter:
    """Read one message; never raises.

    `arrived` is the message's Kafka timestamp in milliseconds. A match is one or nothing: a single participant that
    cannot be read makes the whole message a dead letter, so that each message has exactly one fate.
    """
    if value is None:
        return DeadLetter("null_value", "the message has no value (a tombstone)")
    value = value.removeprefix(BOM_UTF8)  # RFC 8259 lets a reader pass it over
    if not value.strip():
        return DeadLetter("empty_value", "the message's value is empty")
    try:
        message = _decoder.decode(value)
    except msgspec.ValidationError as error:
        second = _decode_patiently(value, error)
        if isinstance(second, DeadLetter):
            return second
        message = second
    except _Unreadable as error:
        return _not_json(value, error)
    return _match(message, arrived, bounds)


def _not_json(value: bytes, error: Exception) -> DeadLetter:
    """What else it is, where its beginning tells."""
    kind = next((kind for beginning, kind in _NOT_JSON.items() if value.startswith(beginning)), None)
    return DeadLetter("not_json", f"{error}; it is {kind}" if kind else str(error), error_class=type(error).__name__)


def _decode_patiently(value: bytes, error: msgspec.ValidationError) -> _Message | DeadLetter:
    """The few messages that are JSON of another shape: take whole numbers written as floats, else say what is wrong."""
    if not value.lstrip().startswith(b"{"):
        return DeadLetter("not_an_object", str(error), error_class=type(error).__name__)
    if _has_no_participants(value):  # aborted games have no participants and little else
        return _EMPTY
    if "got `float`" not in str(error):
        return _invalid(error)
    try:
        return msgspec.convert(_whole_numbers(msgspec.to_builtins(_loose_decoder.decode(value))), _Message)
    except msgspec.ValidationError as second:
        return _invalid(second)
    except _Unreadable as second:
        return _not_json(value, second)


def _has_no_participants(value: bytes) -> bool:
    try:
        return not _participants_decoder.decode(value).info.participants
    except _Unreadable:
        return False


def _whole_numbers(thing: Any) -> Any:
    """The same JSON value with 3 for 3.0, all the way down."""
    if isinstance(thing, float) and thing.is_integer():
        return int(thing)
    if isinstance(thing, dict):
        return {key: _whole_numbers(part) for key, part in thing.items()}
    if isinstance(thing, list):
        return [_whole_numbers(part) for part in thing]
    return thing


_NOT_JSON = {
    b"\x1f\x8b": "compressed by gzip; let the producer compress (compression.type), not the value",
    b"\x00": "of a schema registry's serialiser; send plain JSON",
}
_EMPTY = DeadLetter("empty_match", "the match has no participants", "info.participants")
_PATH = re.compile(r" - at `\$\.?(.*)`$")
_LONGEST_SECONDS = 100_000
"""More than a day: no game's length in seconds. In milliseconds it is no game's either, 100 seconds."""
_PATCH = re.compile(r"([0-9]{1,4})\.([0-9]{1,4})(?![0-9])")
_MISSING = re.compile(r"missing required field `(.*?)`")


def _invalid(error: msgspec.ValidationError) -> DeadLetter:
    """A fault of one field, by its path, e.g. info.participants[3].kills."""
    text = str(error)
    path, missing = _PATH.search(text), _MISSING.search(text)
    parts = [found.group(1) for found in (path, missing) if found and found.group(1)]
    return DeadLetter("invalid_field", _PATH.sub("", text), ".".join(parts), type(error).__name__)


def _match(message: _Message, arrived: int, bounds: PlausibleTimes) -> Match | DeadLetter:
    info = message.info
    if not info.participants:
        return _EMPTY
    if len({participant.participant_id for participant in info.participants}) < len(info.participants):
        return DeadLetter(
            "duplicate_participant",
            "two participants share an id: one document would hide the other",
            "info.participants[...].participantId",
        )
    played = max((participant.time_played or 0 for participant in info.participants), default=0)
    milliseconds = info.game_duration if _in_milliseconds(info, played) else info.game_duration * 1000
    ended, ended_field = _end(info, milliseconds, played)
    for what, moment, field in (("beginning", info.game_creation, "info.gameCreation"), ("end", ended, ended_field)):
        if not bounds.earliest <= moment <= arrived + bounds.ahead:
            return DeadLetter(
                "implausible_timestamp",
                f"the game's {what}, {moment} ms, is before {bounds.earliest} or more than {bounds.ahead} ms after the "
                f"message ({arrived})",
                field,
            )
    return Match(
        match_id=message.metadata.match_id,
        created=info.game_creation,
        ended=ended,
        event_time=min(ended, arrived),
        duration=milliseconds // 1000,
        patch=".".join(info.game_version.split(".")[:2]),
        queue_id=info.queue_id,
        platform=info.platform_id,
        remake=any(participant.game_ended_in_early_surrender for participant in info.participants),
        participants=info.participants,
    )


def _in_milliseconds(info: _Info, played: int) -> bool:
    """Before patch 11.20 there was no gameEndTimestamp, and the duration was in milliseconds.

    Where the end is missing (or 0, as a producer with typed fields may write it) from later matches, the unit is what
    fits: the seconds that were `played`, else the length of a game.
    """
    if info.game_end_timestamp:
        return False
    if played:
        return info.game_duration >= 100 * played
    patch = _PATCH.match(info.game_version)
    if patch is not None and (int(patch[1]), int(patch[2])) < (11, 20):
        return True
    return info.game_duration >= _LONGEST_SECONDS


def _end(info: _Info, duration: int, played: int) -> tuple[int, str]:
    """When the game ended (ms), and the field that says so; `duration` is in milliseconds, `played` in seconds.

    gameEndTimestamp can be much later than the end, so the time that was played comes first.
    """
    if info.game_start_timestamp and played:
        return info.game_start_timestamp + played * 1000, "info.gameStartTimestamp"
    if info.game_end_timestamp:
        return info.game_end_timestamp, "info.gameEndTimestamp"
    return info.game_creation + duration, "info.gameDuration"
