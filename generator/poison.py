"""Messages that no pipeline can use, each bad in its own way: what dead letters are tested with."""

import random
from collections.abc import Callable
from typing import Any

import orjson

from generator.match import Match

_DAY_MS = 86_400_000
_YEARS_74_MS = 74 * 365 * _DAY_MS
_TIMES = ("gameCreation", "gameStartTimestamp", "gameEndTimestamp")
_HUGE_BYTES = 4_000_000
# A required field and what cannot stand in it.
_WRONG_TYPES: tuple[tuple[str, Any], ...] = (
    ("goldEarned", "plenty"),
    ("championName", {"id": 157}),
    ("win", "perhaps"),
    ("deaths", [1, 2, 3]),
    ("teamId", "blue"),
)

# How a match is spoilt: from the match (which may be changed) to the message's value.
Spoil = Callable[[random.Random, Match], bytes | None]


def _not_json(_rng: random.Random, match: Match) -> bytes | None:
    return f"<html><body>429 Too Many Requests: {match.id}</body></html>".encode()


def _array(_rng: random.Random, match: Match) -> bytes | None:
    return orjson.dumps([match.data])


def _empty(_rng: random.Random, _match: Match) -> bytes | None:
    return b""


def _tombstone(_rng: random.Random, _match: Match) -> bytes | None:
    return None


def _truncated(rng: random.Random, match: Match) -> bytes | None:
    value = match.encode()
    return value[: int(len(value) * (0.1 + 0.85 * rng.random()))]


def _wrong_type(rng: random.Random, match: Match) -> bytes | None:
    name, value = rng.choice(_WRONG_TYPES)
    rng.choice(match.data["info"]["participants"])[name] = value
    return match.encode()


def _no_participants(_rng: random.Random, match: Match) -> bytes | None:
    """A game that was called off, as Riot sends it."""
    match.data["info"] |= {
        "participants": [],
        "gameId": 0,
        "gameDuration": 0,
        "endOfGameResult": "Abort_Unexpected",
    }
    return match.encode()


def _null_kills(rng: random.Random, match: Match) -> bytes | None:
    rng.choice(match.data["info"]["participants"])["kills"] = None
    return match.encode()


def _year_1970(_rng: random.Random, match: Match) -> bytes | None:
    info = match.data["info"]
    to_1970 = info["gameCreation"] // _DAY_MS * _DAY_MS
    info |= {name: info[name] - to_1970 for name in _TIMES}
    return match.encode()


def _year_2100(_rng: random.Random, match: Match) -> bytes | None:
    info = match.data["info"]
    info |= {name: info[name] + _YEARS_74_MS for name in _TIMES}
    return match.encode()


def _nested(_rng: random.Random, match: Match) -> bytes | None:
    return orjson.dumps({"status": 200, "match": match.data})


def _huge(_rng: random.Random, match: Match) -> bytes | None:
    """A whole page of somebody's history in one message, some megabytes."""
    copies = _HUGE_BYTES // len(match.encode()) + 1
    return orjson.dumps({"status": 200, "matches": [match.data] * copies})


KINDS: dict[str, Spoil] = {
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
# As KINDS, but so large that it comes rarely and only among matches of full size.
HUGE_KINDS: dict[str, Spoil] = {"huge": _huge}
