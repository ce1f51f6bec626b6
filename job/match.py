"""Decodes a Kafka message and validates its JSON against Match-V5's schema: a match, or a dead letter's reason.

Malformed JSON, an invalid field, implausible times: whatever makes a message a dead letter (a poison message) is here.
"""

import re
from codecs import BOM_UTF8
from collections.abc import Collection, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from functools import reduce
from operator import getitem
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec
from msgspec import Struct

from job.match_v5 import (
    DECODER,
    DECODER_WITHOUT_DETAILS,
    DETAIL_TEXTS,
    Info,
    MatchV5,
    Participant,
    Team,
    decode_leniently,
)
from job.queues import ARENA, ARENA_MODE
from job.riot_documents import FirstElement, describe
from job.times import LATEST_MS

if TYPE_CHECKING:
    from job.settings import EventTime

REASONS = (
    "null_value",
    "empty_value",
    "not_json",
    "not_an_object",
    "not_a_match",
    "invalid_field",
    "empty_match",
    "duplicate_participant",
    "implausible_timestamp",
    "rejected_by_elasticsearch",
)
"""The dead-letter reasons: the values of the header dlq.reason."""
UNCOUNTED_REASONS = ("queue", "remake", "no_winner")
"""Why a match does not count in the windows of the statistics."""
_DECODE_ERRORS = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")
_ESCAPES = re.compile(
    rb"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}"  # a pair
    rb"|(?P<lone>\\u[dD][89a-fA-F][0-9a-fA-F]{2})"
    rb"|\\.",  # any other escape; an escaped backslash is not the start of the next
    re.DOTALL,
)
_NOT_UTF_8 = re.compile("[\udc80-\udcff]")
"""A byte that is not UTF-8, in text that is decoded with surrogateescape."""
# Possessive (*+): otherwise the search keeps a state of 100 bytes for each escape to go back to.
_BRACKETS = re.compile(
    rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"?|[\[\]{}]', re.DOTALL
)  # a string may contain brackets, or be unterminated
_MAX_DEPTH = 100
_LARGE_BYTES = 600_000
"""Smaller values are decoded without counting their objects, arrays and commas."""

_MAX_PARTS = 200_000
"""The limit of the objects and arrays in a large value. Each takes up to 330 bytes once it is decoded (an empty
participant): without a limit, a message of 10 MB took 1.1 GB, and ended the archive at each start."""
_MAX_COMMAS = 500_000
"""The limit of the commas in a large value, for the same reason: each stands for a scalar or a field, which takes up to
140 bytes (a field of an unknown name). Fifty matches in one message have 170,000."""
_UTF_16 = "text in UTF-16, such as a file that PowerShell has written; send UTF-8"
_COMPRESSED = {
    rb"\x1f\x8b": "gzip",
    rb"\x28\xb5\x2f\xfd": "zstd",
    rb"\x78[\x01\x5e\x9c\xda]": "zlib",
    rb"BZh[1-9]": "bzip2",
    rb"\xfd7zXZ\x00": "xz",
    rb"\x04\x22\x4d\x18": "lz4",
    rb"\xff\x06\x00\x00sNaPpY|\x82SNAPPY\x00": "Snappy",
}
_NOT_JSON = {
    **{
        pattern: f"compressed by {name}; let the producer compress (compression.type), not the value"
        for pattern, name in _COMPRESSED.items()
    },
    rb"\xff\xfe\x00\x00|\x00\x00(\xfe\xff|\x00[\[{]\x00\x00\x00)|[\[{]\x00\x00\x00": "text in UTF-32; send UTF-8",
    rb"\xff\xfe|\xfe\xff|\x00[\[{]\x00|[\[{]\x00": _UTF_16,
    rb"\x00.{4}.": "perhaps written by a schema registry's serializer; send plain JSON",
    rb"\x03[\x00\x05].{16}.": "perhaps written by the serializer of AWS Glue's schema registry; send plain JSON",
    rb"Obj\x01": "an Avro container file; send plain JSON",
    rb"<": "HTML or XML, perhaps the error page of a server; send the API's JSON",
    rb"eyJ|ewo|ew0K|W3s": "JSON in base64; send the JSON itself",
    rb"\[?\{'|b['\"]": "Python's text of a dict or of bytes; send json.dumps(match)",
    rb"\s*[\[{].*[\[:,]\s*-?(NaN|Infinity)\s*[,\]}]": "JSON with NaN or Infinity; send null instead",
}
"""Patterns of values that are not JSON, and what they are."""
_TRAILING_CHARACTERS = {
    rb".*\}\x00+$": "JSON with NUL bytes behind it; send only the text's own bytes",
    rb'.*\}\s*(\{|,\s*\{\s*"(metadata|info)")': "several JSON values; send each match in a message of its own",
}
"""The same of values that begin with JSON."""
_ERROR_PATH = re.compile(r" - at `\$\.?(.*)`$")
_DURATION_UNIT_LIMIT = 100_000
"""The threshold between the units: a smaller gameDuration or timePlayed is in seconds, any other in milliseconds. No
game lasts 100,000 s (over a day), and none ends within 100,000 ms."""
_SHORTEST_GAME_SECONDS = 60
_TOO_LONG_SECONDS = 60
"""Before patch 11.20, gameDuration ends when the server closes the game, which can be minutes after its end.
Source: https://github.com/RiotGames/developer-relations/issues/538."""
_OTHER_UNIT = 100
"""From this factor on, gameDuration and timePlayed differ by their unit (a factor of 1,000) and not by their value."""
_SAME_LENGTH = 2
"""Up to this factor, gameDuration and timePlayed can measure the same game. They differ by pauses, and by the minutes
until the server closes it."""
_PATCH = re.compile(r"([0-9]{1,4})\.([0-9]{1,4})(?![0-9])")
_MISSING = re.compile(r"missing required field `(.*?)`")


class _OnlyParticipants(Struct, frozen=True):
    participants: FirstElement | None


class _OnlyInfo(Struct, frozen=True):
    info: _OnlyParticipants


class Match(Struct, frozen=True, gc=False):
    """A valid match.

    Times are milliseconds since 1970, `duration` is in seconds. `event_time` is the time by which the statistics assign
    the match to windows: its end, or its arrival time if that is earlier, so that no match moves the watermark past
    Kafka's clock. `remake` belongs to the match: Riot repeats it on each participant, and one participant with it
    suffices. `has_winner` is false if several teams play and either no participant or every participant won, and in
    Arena if no participant won. `is_arena`: a participant's team is its subteam, and `team_id` is no side of the map.
    `dropped_details` names the invalid optional fields that were dropped.
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
    has_winner: bool
    participants: list[Participant]
    game_mode: str | None
    map_id: int | None
    is_arena: bool
    teams: Sequence[Team]
    dropped_details: Sequence[str]

    def uncounted_reason(self, queue_ids: Collection[int] | None) -> str | None:
        """Why the match does not count in the statistics of these queues (None: of all): one of UNCOUNTED_REASONS."""
        if self.remake:
            return "remake"
        if not self.has_winner:
            return "no_winner"
        return None if queue_ids is None or self.queue_id in queue_ids else "queue"


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """Why a message becomes a dead letter.

    `reason` is one of REASONS, for counting. `detail` is the error message. `field` is the path of the invalid field,
    or empty. `error_class` is the name of the exception or of Elasticsearch's error type, or empty.
    """

    reason: str
    detail: str
    field: str = ""
    error_class: str = ""


_EMPTY = DeadLetter("empty_match", "the match has no participants", "info.participants")


@dataclass(frozen=True, slots=True)
class PlausibleTimes:
    """The plausible range of a match's timestamps: from `earliest` to `ahead` after its arrival, in milliseconds.

    Each month has its own indices, so without this range, clock skew (timestamps in the far past or future) would fill
    the cluster with indices.
    """

    earliest: int
    ahead: int

    @classmethod
    def of(cls, earliest: date, ahead_seconds: int) -> "PlausibleTimes":
        """The range that begins at midnight UTC of a day."""
        midnight = datetime.combine(earliest, time(), UTC)
        return cls(int(midnight.timestamp()) * 1000, ahead_seconds * 1000)

    @classmethod
    def of_settings(cls, event_time: "EventTime") -> "PlausibleTimes":
        """The range of the section `event_time` of the job's settings."""
        return cls.of(event_time.earliest, event_time.ahead_seconds)


class _Decoded(NamedTuple):
    """A message of Match-V5's shape, and the invalid details that were dropped from it."""

    message: MatchV5
    dropped: Sequence[str]


_participants_decoder = msgspec.json.Decoder(_OnlyInfo)


def decode(
    value: bytes | None, arrived_at: int, plausible_times: PlausibleTimes, details: bool = True
) -> Match | DeadLetter:
    """Decode and validate the value of one message; never raises.

    `arrived_at` is the message's LogAppendTime in milliseconds. A single invalid participant makes the whole message a
    dead letter, so that each message has exactly one outcome. Without `details`, optional fields are not decoded, which
    saves a third of the time: only the documents use them. Exceptions are those by which a mode is recognized.
    """
    if not 0 <= arrived_at <= LATEST_MS:
        return DeadLetter(
            "implausible_timestamp",
            f"Kafka's timestamp of the message, {arrived_at}, is no time in milliseconds: its producer has set it; set "
            "message.timestamp.type of the topic to LogAppendTime",
        )
    if value is None:
        return DeadLetter("null_value", "the message has no value (a tombstone)")
    value = value.removeprefix(BOM_UTF8)  # RFC 8259 allows parsers to ignore a BOM
    if not value.strip():
        return DeadLetter("empty_value", "the message's value is empty")
    if len(value) > _LARGE_BYTES and (excess := _excess(value)):
        return _syntax_error(value) or DeadLetter("not_a_match", f"it has {excess}")
    if not details:
        with suppress(*_DECODE_ERRORS):
            return _validate(_Decoded(DECODER_WITHOUT_DETAILS.decode(value), ()), arrived_at, plausible_times)
    decoded = _decode(value)
    if isinstance(decoded, DeadLetter) and decoded.reason == "not_json" and _SURROGATE.search(value):
        decoded = _decode_lone_surrogates(value)
    return decoded if isinstance(decoded, DeadLetter) else _validate(decoded, arrived_at, plausible_times)


def _excess(value: bytes) -> str:
    """What the value has too many of to be decoded in little memory; empty if it has not."""
    if (parts := value.count(b"{") + value.count(b"[")) > _MAX_PARTS:
        return f"{parts:,} objects and arrays, a match with its timeline has 10,000"
    if (commas := value.count(b",")) > _MAX_COMMAS:
        return f"{commas:,} commas, a match has 4,000"
    return ""


def _decode(value: bytes) -> _Decoded | DeadLetter:
    """Decode JSON of any depth."""
    decoded = _decode_shallow(value)
    if isinstance(decoded, DeadLetter) and decoded.error_class == RecursionError.__name__:
        return _decode_shallow(_without_deep_parts(value))
    return decoded


def _decode_shallow(value: bytes) -> _Decoded | DeadLetter:
    """Decode JSON; one that is nested more deeply than Python's recursion limit is a dead letter."""
    decoded = _decode_schema(value)
    if isinstance(decoded, DeadLetter) and decoded.reason in ("not_an_object", "invalid_field"):
        # The decoder stops at the first invalid field, before it has read the rest.
        return _syntax_error(value) or decoded
    return decoded


def _syntax_error(value: bytes) -> DeadLetter | None:
    """The dead letter of a value that is not JSON; None for any JSON."""
    try:
        msgspec.json.decode(value, type=msgspec.Raw)
    except _DECODE_ERRORS as error:
        return _not_json(value, error)
    return None


def _decode_schema(value: bytes) -> _Decoded | DeadLetter:
    """Decode JSON as a match. Of a dead letter's value, what is behind an invalid field has not been read."""
    try:
        return _Decoded(DECODER.decode(value), ())
    except msgspec.ValidationError as error:
        return _decode_leniently(value, error)
    except UnicodeDecodeError:  # in a field that is read: perhaps a detail
        return _without_invalid_details(value)
    except _DECODE_ERRORS as error:
        return _not_json(value, error)


def _not_json(value: bytes, error: Exception) -> DeadLetter:
    """The dead letter of a value that is not JSON, with the format where the first bytes identify it."""
    if isinstance(error, UnicodeDecodeError):  # it counts the bytes of one text
        return _not_utf8(value)
    patterns = _TRAILING_CHARACTERS if "trailing characters" in str(error) else _NOT_JSON
    kind = next((kind for pattern, kind in patterns.items() if re.match(pattern, value, re.DOTALL)), None)
    return DeadLetter("not_json", f"{error}; it is {kind}" if kind else str(error), error_class=type(error).__name__)


def _not_utf8(value: bytes) -> DeadLetter:
    """The dead letter of a value with a text that is read and not UTF-8, with the path of its field.

    As with lone surrogates, the field is found by other characters in place of such bytes, in two ways.
    """
    replaced = value.decode(errors="surrogateescape").encode(errors="replace")  # of the same length
    one, other = _decode(replaced), _decode(value.decode(errors="replace").encode())
    position = next(position for position, byte in enumerate(value) if byte != replaced[position])
    return DeadLetter(
        "not_json",
        f"byte {value[position]:#04x} (byte {position}) is not UTF-8; send UTF-8",
        next((_path(steps) for steps in _differences(one, other) if steps[-1] not in DETAIL_TEXTS), ""),
        UnicodeDecodeError.__name__,
    )


def _without_deep_parts(value: bytes) -> bytes:
    """The JSON with a number for each array and object that is nested too deeply to be read; these are not validated.

    It has the same length, so that an error behind them has the same position.
    """
    kept = bytearray(value)
    depth = start = 0
    for found in _BRACKETS.finditer(value):
        if found[0] in (b"[", b"{"):
            depth += 1
            if depth == _MAX_DEPTH + 1:
                start = found.start()
        elif found[0] in (b"]", b"}"):
            depth -= 1
            if depth == _MAX_DEPTH:
                kept[start : found.end()] = b"0".ljust(found.end() - start)
    return bytes(kept[:start] if depth > _MAX_DEPTH else kept)


def _decode_lone_surrogates(value: bytes) -> _Decoded | DeadLetter:
    """Decode JSON with escapes of lone surrogates (`\\ud83d` without its other half), which are no characters.

    JSON's grammar allows them, msgspec does not. Each is replaced by another character, in two ways: if the two results
    differ, a field that is read contains a lone surrogate and is invalid; otherwise only ignored fields contain one.
    """
    one, other = (_decode(_replace_lone_surrogates(value, escape)) for escape in (rb"\ufffd", rb"\ufffc"))
    differences = _differences(one, other)
    if isinstance(one, DeadLetter) or not differences:
        return one
    message = msgspec.to_builtins(one.message)
    dropped = list(one.dropped)
    for *holder, name in differences:
        if name not in DETAIL_TEXTS:
            where = _path((*holder, name))
            return DeadLetter("invalid_field", "the text has half of a surrogate pair, which is no character", where)
        dropped.append(str(name))
        reduce(getitem, holder, message)[name] = None
    return _Decoded(msgspec.convert(message, MatchV5), tuple(dropped))


def _replace_lone_surrogates(value: bytes, by: bytes) -> bytes:
    """The JSON with `by`, an escape of the same length, in place of each half of a surrogate pair.

    Not by `sub`, which keeps a part for each escape.
    """
    replaced = bytearray(value)
    for escape in _ESCAPES.finditer(value):
        if escape["lone"]:
            replaced[escape.start() : escape.end()] = by
    return bytes(replaced)


def _differences(one: _Decoded | DeadLetter, other: _Decoded | DeadLetter) -> list[Sequence[str | int]]:
    """The steps to each value that differs between two decodings of a match; none if one is a dead letter."""
    if isinstance(one, DeadLetter) or isinstance(other, DeadLetter):
        return []
    return list(_different(msgspec.to_builtins(one.message), msgspec.to_builtins(other.message)))


def _different(one: Any, other: Any, *path: str | int) -> Iterator[Sequence[str | int]]:
    """The steps to each value that differs between two JSON values of the same shape."""
    if isinstance(one, dict | list):
        for step, part in one.items() if isinstance(one, dict) else enumerate(one):
            yield from _different(part, other[step], *path, step)
    elif one != other:
        yield path


def _path(steps: Sequence[str | int]) -> str:
    return "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in steps).removeprefix(".")


def _decode_leniently(value: bytes, error: msgspec.ValidationError) -> _Decoded | DeadLetter:
    """Decode JSON that fails the schema: as a match with fields that can be read nevertheless, else a dead letter."""
    other = describe(value)
    if not value.lstrip().startswith(b"{"):
        detail = f"{error}; it is {other.name}" if other else str(error)
        return DeadLetter("not_an_object", detail, error_class=type(error).__name__)
    if other is not None:
        return DeadLetter("not_a_match", f"it is {other.name}, not a match", other.field, type(error).__name__)
    if _has_no_participants(value):  # aborted games have no participants and little else
        return _EMPTY
    return _without_invalid_details(value)


def _without_invalid_details(value: bytes) -> _Decoded | DeadLetter:
    """Decode JSON without the invalid details; a dead letter if another field is invalid."""
    try:
        message, dropped = decode_leniently(value)
        return _Decoded(message, tuple(dropped))
    except msgspec.ValidationError as error:
        return _invalid(error)
    except _DECODE_ERRORS as error:
        return _not_json(value, error)


def _has_no_participants(value: bytes) -> bool:
    try:
        participants = _participants_decoder.decode(value).info.participants
        return participants is None or participants.element is msgspec.UNSET
    except _DECODE_ERRORS:
        return False


def _invalid(error: msgspec.ValidationError) -> DeadLetter:
    """The dead letter of a schema error, with the path of the field, such as info.participants[3].kills."""
    text = str(error)
    path, missing = _ERROR_PATH.search(text), _MISSING.search(text)
    parts = [found.group(1) for found in (path, missing) if found and found.group(1)]
    return DeadLetter("invalid_field", _ERROR_PATH.sub("", text), ".".join(parts), type(error).__name__)


def _validate(decoded: _Decoded, arrived_at: int, plausible_times: PlausibleTimes) -> Match | DeadLetter:
    message, info = decoded.message, decoded.message.info
    if not info.participants:
        return _EMPTY
    if len({participant.participant_id for participant in info.participants}) < len(info.participants):
        return DeadLetter(
            "duplicate_participant",
            "two participants share an id: one document would overwrite the other",
            "info.participants[...].participantId",
        )
    played = _seconds_played(info)
    milliseconds = _duration(info, played)
    earliest, latest = plausible_times.earliest, arrived_at + plausible_times.ahead
    end = _end(info, milliseconds, played, earliest)
    for moment in (_Moment("start", info.game_creation, "info.gameCreation", info.game_creation), end):
        if not earliest <= moment.time <= latest:
            units = (("seconds", moment.sent * 1000), ("microseconds", moment.sent // 1000))
            unit = next((unit for unit, meant in units if earliest <= meant <= latest), None)
            return DeadLetter(
                "implausible_timestamp",
                f"the game's {moment.name}, {moment.time} ms, is before {earliest} or more than "
                f"{plausible_times.ahead} ms after the message's arrival time ({arrived_at})"
                + (f"; {moment.sent} looks like {unit}" if unit else ""),
                moment.field,
            )
    is_arena = (
        info.queue_id in ARENA
        or info.game_mode == ARENA_MODE
        or any(participant.player_subteam_id for participant in info.participants)
    )
    return Match(
        match_id=message.metadata.match_id,
        created=info.game_creation,
        ended=end.time,
        event_time=min(end.time, arrived_at),
        duration=milliseconds // 1000,
        patch=".".join(info.game_version.split(".")[:2]),
        queue_id=info.queue_id,
        platform=info.platform_id,
        remake=any(participant.game_ended_in_early_surrender for participant in info.participants),
        has_winner=_has_winner(info.participants, is_arena),
        participants=info.participants,
        game_mode=info.game_mode or None,
        map_id=info.map_id,
        is_arena=is_arena,
        teams=info.teams or (),
        dropped_details=decoded.dropped,
    )


def _has_winner(participants: list[Participant], is_arena: bool) -> bool:
    """Whether somebody won and somebody lost. A single team wins or loses against the game (Swarm, practice); Arena's
    halves are no teams, and one of them always wins."""
    first = participants[0]
    if any(each.win is not first.win for each in participants):
        return True
    return all(each.team_id == first.team_id for each in participants) and (first.win or not is_arena)


def _seconds_played(info: Info) -> int:
    """The longest timePlayed in seconds; 0 if there is none, or if it is much less than gameDuration in either unit."""
    longest = max((participant.time_played or 0 for participant in info.participants), default=0)
    duration = info.game_duration
    # Beside a gameDuration that can be one in seconds, a timePlayed of another unit is in milliseconds.
    other_unit = duration >= _SHORTEST_GAME_SECONDS and longest >= _OTHER_UNIT * duration
    seconds = longest // 1000 if other_unit or longest >= _DURATION_UNIT_LIMIT else longest
    if duration < _OTHER_UNIT * seconds or _is_before_11_20(info):
        return seconds
    is_same_length = seconds * 1000 <= _SAME_LENGTH * duration and duration <= _SAME_LENGTH * seconds * 1000
    return seconds if is_same_length else 0


def _duration(info: Info, played: int) -> int:
    """The length of the game in milliseconds. The unit of gameDuration follows from the seconds `played`.

    Before patch 11.20 a gameDuration that is much longer is wrong: the seconds played are right.

    Without `played`, gameDuration is in milliseconds in matches from before patch 11.20, which have no gameEndTimestamp
    (or 0, as a producer with typed fields may write it). In other matches the unit follows from the usual length of a
    game.
    """
    duration = info.game_duration
    if played and duration:
        if played >= _OTHER_UNIT * duration:  # a producer divided seconds by 1,000
            return played * 1000
        if duration < _OTHER_UNIT * played:
            return duration * 1000
        is_too_long = duration >= 1000 * (played + _TOO_LONG_SECONDS) and _is_before_11_20(info)
        return played * 1000 if is_too_long else duration
    return duration if _is_before_11_20(info) or duration >= _DURATION_UNIT_LIMIT else duration * 1000


def _is_before_11_20(info: Info) -> bool:
    patch = None if info.game_end_timestamp else _PATCH.match(info.game_version)
    return patch is not None and (int(patch[1]), int(patch[2])) < (11, 20)


class _Moment(NamedTuple):
    """The start or end of a game in milliseconds, with the field that it comes from and that field's timestamp."""

    name: str
    time: int
    field: str
    sent: int


def _end(info: Info, duration: int, played: int, earliest: int) -> _Moment:
    """The end of the game; `duration` is in milliseconds, `played` in seconds.

    gameEndTimestamp can be much later than the actual end, so the time played has precedence. It is ignored if it is
    before the game began, unless it is earlier than `earliest`: then it is no time in milliseconds.
    """
    if info.game_start_timestamp and played:
        start = info.game_start_timestamp
        return _Moment("end", start + played * 1000, "info.gameStartTimestamp", start)
    end = info.game_end_timestamp or 0
    began = max(info.game_creation, info.game_start_timestamp or 0)
    if end and not earliest <= end < began:
        return _Moment("end", end, "info.gameEndTimestamp", end)
    return _Moment("end", info.game_creation + duration, "info.gameDuration", info.game_creation)
