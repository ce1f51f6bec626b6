"""Poison messages: matches corrupted in different ways, to test dead letters and validation."""

import random
from collections.abc import Callable
from typing import Any

import orjson

from generator.match_factory import GeneratedMatch

_DAY_MS = 86_400_000
_YEARS_74_MS = 74 * 365 * _DAY_MS
_TIMES = ("gameCreation", "gameStartTimestamp", "gameEndTimestamp")
_HUGE_BYTES = 4_000_000
# A required field and a value of the wrong type.
_WRONG_TYPES: tuple[tuple[str, Any], ...] = (
    ("goldEarned", "plenty"),
    ("championName", {"id": 157}),
    ("win", "perhaps"),
    ("deaths", [1, 2, 3]),
    ("teamId", "blue"),
)

# Corrupts a match (which it may change in place) and returns the message's value.
Corrupt = Callable[[random.Random, GeneratedMatch], bytes | None]


def _not_json(_rng: random.Random, match: GeneratedMatch) -> bytes | None:
    return f"<html><body>429 Too Many Requests: {match.id}</body></html>".encode()


def _array(_rng: random.Random, match: GeneratedMatch) -> bytes | None:
    return orjson.dumps([match.data])


def _empty(_rng: random.Random, _match: GeneratedMatch) -> bytes | None:
    return b""


def _tombstone(_rng: random.Random, _match: GeneratedMatch) -> bytes | None:
    return None


def _truncated(rng: random.Random, match: GeneratedMatch) -> bytes | None:
    value = match.encode()
    return value[: int(len(value) * (0.1 + 0.85 * rng.random()))]


def _wrong_type(rng: random.Random, match: GeneratedMatch) -> bytes | None:
    name, value = rng.choice(_WRONG_TYPES)
    rng.choice(match.data["info"]["participants"])[name] = value
    return match.encode()


def _no_participants(_rng: random.Random, match: GeneratedMatch) -> bytes | None:
    """An aborted game, as Riot's API returns it."""
    match.data["info"] |= {
        "participants": [],
        "gameId": 0,
        "gameDuration": 0,
        "endOfGameResult": "Abort_Unexpected",
    }
    return match.encode()


def _null_kills(rng: random.Random, match: GeneratedMatch) -> bytes | None:
    rng.choice(match.data["info"]["participants"])["kills"] = None
    return match.encode()


def _year_1970(_rng: random.Random, match: GeneratedMatch) -> bytes | None:
    info = match.data["info"]
    to_1970 = info["gameCreation"] // _DAY_MS * _DAY_MS
    info |= {name: info[name] - to_1970 for name in _TIMES}
    return match.encode()


def _year_2100(_rng: random.Random, match: GeneratedMatch) -> bytes | None:
    info = match.data["info"]
    info |= {name: info[name] + _YEARS_74_MS for name in _TIMES}
    return match.encode()


def _nested(_rng: random.Random, match: GeneratedMatch) -> bytes | None:
    return orjson.dumps({"status": 200, "match": match.data})


def _huge(_rng: random.Random, match: GeneratedMatch) -> bytes | None:
    """A page of a match history in one message, about 4 MB."""
    copies = _HUGE_BYTES // len(match.encode()) + 1
    return orjson.dumps({"status": 200, "matches": [match.data] * copies})


POISON_KINDS: dict[str, Corrupt] = {
    "not JSON": _not_json,
    "JSON array": _array,
    "empty value": _empty,
    "null value": _tombstone,
    "truncated JSON": _truncated,
    "wrong type": _wrong_type,
    "no participants": _no_participants,
    "null kills": _null_kills,
    "year 1970": _year_1970,
    "year 2100": _year_2100,
    "nested match": _nested,
}
# As POISON_KINDS, but so large that they are rare, and sent only with matches of full size.
HUGE_POISON_KINDS: dict[str, Corrupt] = {"huge": _huge}
