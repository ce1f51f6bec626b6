"""Decodes a message's JSON as a match of Match-V5's shape, or names what makes it a dead letter.

`decode_json` tries the schema first, which nearly every match passes. What the schema refuses is decoded once more
without the invalid details, and with whole numbers for floats such as 3.0 (job/match_v5.py).

JSON's grammar allows two things that msgspec does not read: deep nesting and halves of surrogate pairs. They are
replaced by something of the same length before the value is decoded again, so that only a field that is read can be
invalid by them.
"""

import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from functools import reduce
from operator import getitem
from typing import Any, NamedTuple

import msgspec
from msgspec import Struct

from job.dead_letter import DeadLetter
from job.match_v5 import DECODER, DECODER_WITHOUT_DETAILS, DETAIL_TEXTS, MatchV5, decode_leniently
from job.riot_documents import FirstElement, describe

_DECODE_ERRORS = (msgspec.DecodeError, UnicodeDecodeError)
_LARGE_BYTES = 600_000
"""Smaller values are decoded without counting their objects, arrays and commas."""
_MAX_PARTS = 200_000
"""The limit of the objects and arrays in a large value. Each takes up to 330 bytes once it is decoded (an empty
participant): without a limit, a message of 10 MB took 1.1 GB, and ended the archive at each start."""
_MAX_COMMAS = 500_000
"""The limit of the commas in a large value, for the same reason: each stands for a scalar or a field, which takes up to
140 bytes (a field of an unknown name). Fifty matches in one message have 170,000."""
_UTF_16 = "text in UTF-16, such as a file that PowerShell has written; send UTF-8"
_LINE = "one line of a longer JSON text; send each match whole, in a message of its own, as `jq -c` prints it"
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
    rb"H4sI": "compressed by gzip, in base64; send the JSON itself, and let the producer compress (compression.type)",
    rb"\xac\xed\x00\x05": "an object that Java has serialized; send JSON",
    rb"\x80[\x02-\x05]": "perhaps an object that Python has pickled; send json.dumps(match)",
    rb"[\x80-\x8f\xde\xdf]|[\xa1-\xbf]": "perhaps MessagePack or CBOR; send JSON",
    rb"\[object ": "JavaScript's text of an object; send JSON.stringify(match)",
    rb"\s*([\[{]|[\]}],?)\s*$": _LINE,
    rb"\[?\{'|b['\"]": "Python's text of a dict or of bytes; send json.dumps(match)",
    rb"\s*[\[{].*[\[:,]\s*-?(NaN|Infinity)\s*[,\]}]": "JSON with NaN or Infinity; send null instead",
}
"""Patterns of values that are not JSON, and what they are."""
_TRAILING_CHARACTERS = {
    rb".*\}\x00+$": "JSON with NUL bytes behind it; send only the text's own bytes",
    rb'.*\}\s*(\{|,\s*\{\s*"(metadata|info)")': "several JSON values; send each match in a message of its own",
    rb'\s*"[^"\n]*"\s*:|\s*("[^"\n]*"|[\w.+-]+),\s*$': _LINE,
}
"""The same of values that begin with JSON."""
_ENCODED_VALUES = {
    rb"\$number\w+": "MongoDB's extended JSON; send plain numbers (MongoDB's Kafka connector: output.json.formatter="
    "com.mongodb.kafka.connect.source.json.formatter.SimplifiedJson)",
    rb"\$date": "a date in MongoDB's extended JSON; send milliseconds since 1970, as a plain number",
    rb"int|long|string|boolean|array": "Avro's JSON, with the type of each union's value; send plain JSON",
}
"""Patterns of the first name in an object that is sent in place of a scalar, and what the object is."""
_ERROR_PATH = re.compile(r" - at `\$\.?(.*)`$")
_MISSING = re.compile(r"missing required field `(.*?)`")
_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")
_ESCAPES = re.compile(
    rb"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}"  # a pair
    rb"|(?P<lone>\\u[dD][89a-fA-F][0-9a-fA-F]{2})"
    rb"|\\.",  # any other escape; an escaped backslash is not the start of the next
    re.DOTALL,
)
# Possessive (*+): otherwise the search keeps a state of 100 bytes for each escape to go back to.
_BRACKETS = re.compile(
    rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"?|[\[\]{}]', re.DOTALL
)  # a string may contain brackets, or be unterminated
_MAX_DEPTH = 100

EMPTY_MATCH = DeadLetter("empty_match", "the match has no participants", "info.participants")


class _OnlyParticipants(Struct, frozen=True):
    participants: FirstElement | None


class _OnlyInfo(Struct, frozen=True):
    info: _OnlyParticipants


class DecodedMatch(NamedTuple):
    """A message of Match-V5's shape, and the invalid details that were dropped from it."""

    message: MatchV5
    dropped: Sequence[str] = ()


_participants_decoder = msgspec.json.Decoder(_OnlyInfo)


def decode_json(value: bytes, details: bool) -> DecodedMatch | DeadLetter:
    """Decode the value of a message, with or without the details; never raises."""
    if len(value) > _LARGE_BYTES and (excess := _excess(value)):
        return _syntax_error(value) or DeadLetter("not_a_match", f"it has {excess}")
    if not details:
        with suppress(*_DECODE_ERRORS, RecursionError):
            return DecodedMatch(DECODER_WITHOUT_DETAILS.decode(value))
    decoded = _decode_any_depth(value)
    if isinstance(decoded, DeadLetter) and decoded.reason == "not_json" and _SURROGATE.search(value):
        return _decode_lone_surrogates(value)
    return decoded


def _excess(value: bytes) -> str:
    """What the value has too many of to be decoded in little memory; empty if it has not."""
    if (parts := value.count(b"{") + value.count(b"[")) > _MAX_PARTS:
        return f"{parts:,} objects and arrays, a match with its timeline has 10,000"
    if (commas := value.count(b",")) > _MAX_COMMAS:
        return f"{commas:,} commas, a match has 4,000"
    return ""


def _syntax_error(value: bytes) -> DeadLetter | None:
    """The dead letter of a value that is not JSON; None for any JSON."""
    try:
        msgspec.json.decode(value, type=msgspec.Raw)
    except RecursionError:
        return _syntax_error(_without_deep_parts(value))
    except _DECODE_ERRORS as error:
        return _not_json(value, error)
    return None


def _decode_any_depth(value: bytes) -> DecodedMatch | DeadLetter:
    """Decode JSON with parts that may be nested more deeply than Python's recursion limit."""
    try:
        return _decode_to_the_end(value)
    except RecursionError:
        return _decode_to_the_end(_without_deep_parts(value))


def _decode_to_the_end(value: bytes) -> DecodedMatch | DeadLetter:
    """Decode JSON. Raises RecursionError if it is nested too deeply."""
    decoded = _decode_schema(value)
    if isinstance(decoded, DeadLetter) and decoded.reason in ("not_an_object", "invalid_field"):
        # The decoder stops at the first invalid field, before it has read the rest.
        return _syntax_error(value) or decoded
    return decoded


def _decode_schema(value: bytes) -> DecodedMatch | DeadLetter:
    """Decode JSON as a match. Of a dead letter's value, what is behind an invalid field has not been read."""
    try:
        return DecodedMatch(DECODER.decode(value))
    except msgspec.ValidationError as error:
        return _decode_leniently(value, error)
    except UnicodeDecodeError:  # in a field that is read: perhaps a detail
        return _without_invalid_details(value)
    except _DECODE_ERRORS as error:
        return _not_json(value, error)


def _decode_leniently(value: bytes, error: msgspec.ValidationError) -> DecodedMatch | DeadLetter:
    """Decode JSON that fails the schema: as a match with fields that can be read nevertheless, else a dead letter."""
    other = describe(value)
    if not value.lstrip().startswith(b"{"):
        detail = f"{error}; it is {other.name}" if other else str(error)
        return DeadLetter("not_an_object", detail, error_class=type(error).__name__)
    if other is not None:
        return DeadLetter("not_a_match", f"it is {other.name}", other.field, type(error).__name__)
    if _has_no_participants(value):  # aborted games have no participants and little else
        return EMPTY_MATCH
    return _without_invalid_details(value)


def _has_no_participants(value: bytes) -> bool:
    try:
        participants = _participants_decoder.decode(value).info.participants
        return participants is None or participants.element is msgspec.UNSET
    except _DECODE_ERRORS:
        return False


def _without_invalid_details(value: bytes) -> DecodedMatch | DeadLetter:
    """Decode JSON without the invalid details; a dead letter if another field is invalid."""
    try:
        message, dropped = decode_leniently(value)
        return DecodedMatch(message, tuple(dropped))
    except msgspec.ValidationError as error:
        return _invalid(value, error)
    except _DECODE_ERRORS as error:
        return _not_json(value, error)


def _invalid(value: bytes, error: msgspec.ValidationError) -> DeadLetter:
    """The dead letter of a schema error, with the path of the field, such as info.participants[3].kills."""
    text = str(error)
    path, missing = _ERROR_PATH.search(text), _MISSING.search(text)
    parts = [found.group(1) for found in (path, missing) if found and found.group(1)]
    field, text = ".".join(parts), _ERROR_PATH.sub("", text)
    name = field.rpartition(".")[2]
    if missing and (other_name := _name_in_another_style(value, name)):
        text += f"; it has `{other_name}`: the names must be those of Match-V5"
    elif text.endswith("got `object`") and (encoding := _encoding(value, name)):
        text += f"; it is {encoding}"
    return DeadLetter("invalid_field", text, field, type(error).__name__)


def _name_in_another_style(value: bytes, name: str) -> str:
    """The missing field's name as the JSON has it anywhere, such as match_id or MatchId for matchId; else empty."""
    words = re.sub("(?=[A-Z])", "[ _-]?", name)
    found = re.search(rf'"(?!{name}")((?i:{words}))"\s*:'.encode(), value)
    return found[1].decode() if found else ""


def _encoding(value: bytes, name: str) -> str:
    """What the object is that the JSON has as a field of this name, by its first name; else empty."""
    found = re.search(rf'"{name}"\s*:\s*\{{\s*"([$\w]+)"\s*:'.encode(), value)
    kinds = (kind for pattern, kind in _ENCODED_VALUES.items() if found and re.fullmatch(pattern, found[1]))
    return next(kinds, "")


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
    try:
        value.decode()
    except UnicodeDecodeError as error:
        position = error.start
    replaced = value.decode(errors="surrogateescape").encode(errors="replace")  # of the same length
    one, other = _decode_any_depth(replaced), _decode_any_depth(value.decode(errors="replace").encode())
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


def _decode_lone_surrogates(value: bytes) -> DecodedMatch | DeadLetter:
    """Decode JSON with escapes of lone surrogates (`\\ud83d` without its other half), which are no characters.

    JSON's grammar allows them, msgspec does not. Each is replaced by another character, in two ways: if the two results
    differ, a field that is read contains a lone surrogate and is invalid; otherwise only ignored fields contain one.
    """
    one, other = (_decode_any_depth(_replace_lone_surrogates(value, escape)) for escape in (rb"\ufffd", rb"\ufffc"))
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
    return DecodedMatch(msgspec.convert(message, MatchV5), tuple(dropped))


def _replace_lone_surrogates(value: bytes, by: bytes) -> bytes:
    """The JSON with `by`, an escape of the same length, in place of each half of a surrogate pair.

    Not by `sub`, which keeps a part for each escape.
    """
    replaced = bytearray(value)
    for escape in _ESCAPES.finditer(value):
        if escape["lone"]:
            replaced[escape.start() : escape.end()] = by
    return bytes(replaced)


def _differences(one: DecodedMatch | DeadLetter, other: DecodedMatch | DeadLetter) -> list[Sequence[str | int]]:
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
