"""The data dictionary's formulas a second time: from the bytes of messages to documents and statistics.

Written from docs/data-dictionary.md in plain Python, sharing no code with the job, to be compared with it. A message
that is a dead letter gives None.

Nothing is rounded here: a ratio is an exact `Fraction`, and a figure agrees with it when it has two decimals and no
other figure with two decimals is nearer. Halfway between two such figures, both agree: the dictionary does not say
which, and binary floating point takes now the lower (0.125, 0.015), now the upper (0.375).
"""

import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any

Json = dict[str, Any]
Figures = dict[str, Any]
Key = tuple[int, str, str]
"""Start of the window in milliseconds, kind (champion or position), name."""

EARLIEST_MS = 1_546_300_800_000  # 2019-01-01T00:00:00Z
AHEAD_MS = 86_400_000
HALF_A_HUNDREDTH = Fraction(1, 200)


class _UnfitError(Exception):
    """The message holds no match."""


def _number(low: int, high: int) -> Callable[[Any], int]:
    def read(value: Any) -> int:
        if not isinstance(value, Decimal) or not low <= value <= high or value != value.to_integral_value():
            raise _UnfitError(value)
        return int(value)

    return read


def _text(shortest: int) -> Callable[[Any], str]:
    def read(value: Any) -> str:
        if not isinstance(value, str) or not shortest <= len(value) <= 120:
            raise _UnfitError(value)
        return value

    return read


def _truth(value: Any) -> bool:
    if not isinstance(value, bool):
        raise _UnfitError(value)
    return value


def _optional(read: Callable[[Any], Any]) -> Callable[[Any], Any]:
    return lambda value: None if value is None else read(value)


_INTEGER, _COUNT, _CREEPS = _number(-(2**31), 2**31 - 1), _number(0, 2**31 - 1), _number(0, 2**30 - 1)
_DAMAGE, _TIME = _number(0, 10**11), _number(0, 2**53)
_WORD, _NAME = _text(0), _text(1)
_PARTICIPANT: Mapping[str, Callable[[Any], Any]] = {
    "participantId": _COUNT,
    "championName": _NAME,
    "teamId": _INTEGER,
    "win": _truth,
    "kills": _COUNT,
    "deaths": _COUNT,
    "assists": _COUNT,
    "goldEarned": _COUNT,
    "totalDamageDealtToChampions": _DAMAGE,
    "visionScore": _INTEGER,
    "teamPosition": _optional(_WORD),
    "riotIdGameName": _optional(_WORD),
    "riotIdTagline": _optional(_WORD),
    "summonerName": _optional(_WORD),
    "totalMinionsKilled": _optional(_CREEPS),
    "neutralMinionsKilled": _optional(_CREEPS),
    "timePlayed": _optional(_COUNT),
    "gameEndedInEarlySurrender": _optional(_truth),
}
_INFO: Mapping[str, Callable[[Any], Any]] = {
    "gameCreation": _TIME,
    "gameDuration": _COUNT,
    "gameVersion": _WORD,
    "queueId": _INTEGER,
    "platformId": _WORD,
    "gameStartTimestamp": _optional(_TIME),
    "gameEndTimestamp": _optional(_TIME),
}


def documents(value: bytes | None, arrived: int) -> list[Figures] | None:
    """The documents of a message that Kafka got at `arrived` milliseconds, ratios as exact fractions."""
    match = read(value, arrived)
    if match is None:
        return None
    return [
        {
            "match_id": match["id"],
            "timestamp": match["gameCreation"],
            "@timestamp": _iso(match["ended"]),
            "game_duration": match["duration"],
            "participant_id": str(player["participantId"]),
            "summoner_name": _summoner_name(player),
            "champion_name": player["championName"],
            "team_id": player["teamId"],
            "position": player["teamPosition"] or "UNKNOWN",
            "win": player["win"],
            "kills": player["kills"],
            "deaths": player["deaths"],
            "assists": player["assists"],
            "total_damage_dealt": player["totalDamageDealtToChampions"],
            "gold_earned": player["goldEarned"],
            "cs": _creeps(player),
            "vision_score": player["visionScore"],
            "patch": ".".join(match["gameVersion"].split(".")[:2]),
            "queue_id": match["queueId"],
            "platform": match["platformId"],
            "remake": match["remake"],
            "ingested_at": _iso(arrived),
            **{name: ratio for name, ratio in _ratios(player, match["duration"]).items() if ratio is not None},
        }
        for player in match["players"]
    ]


def statistics(messages: Iterable[tuple[bytes | None, int]], size: int, slide: int) -> dict[Key, Figures]:
    """The statistics over messages (value, arrived) in windows of `size` seconds, one every `slide` seconds."""
    matches = [read(value, arrived) for value, arrived in messages]
    rows: dict[Key, list[Figures]] = defaultdict(list)
    for match in {match["id"]: match for match in matches if match}.values():
        if match["remake"]:
            continue
        last = match["counts_at"] // (slide * 1000) * slide * 1000
        for start in range(last, match["counts_at"] - size * 1000, -slide * 1000):
            for player in match["players"]:
                row = {**player, **_ratios(player, match["duration"])}
                rows[start, "champion", player["championName"]].append(row)
                rows[start, "position", player["teamPosition"] or "UNKNOWN"].append(row)
    return {key: _averages(group) for key, group in rows.items()}


def differences(actual: Mapping[str, Any], expected: Figures, error: Fraction = Fraction(0)) -> dict[str, Any]:
    """The fields in which a document or a row of statistics differs from this reference: actual and expected value.

    `error` is what a ratio may be off before it is rounded.
    """
    return {
        name: (actual.get(name, ...), expected.get(name, ...))
        for name in actual.keys() | expected.keys()
        if not _agrees(actual.get(name, ...), expected.get(name, ...), error)
    }


def _agrees(actual: Any, expected: Any, error: Fraction) -> bool:
    if not isinstance(expected, Fraction):
        return type(actual) is type(expected) and bool(actual == expected)
    if not isinstance(actual, float):
        return False
    shown = Fraction(repr(actual))
    return (shown * 100).denominator == 1 and abs(shown - expected) <= HALF_A_HUNDREDTH + error


def read(value: bytes | None, arrived: int) -> Json | None:
    """A message's match: the fields that documents are made of, `id`, `duration` (s), `ended` and `counts_at` (ms),
    `remake`."""
    try:
        return _read(_parsed(value), arrived)
    except _UnfitError:
        return None


def _parsed(value: bytes | None) -> Any:
    try:
        message = json.loads(
            (value or b"").decode("utf-8-sig"), parse_int=Decimal, parse_float=Decimal, parse_constant=_refuse
        )
        json.dumps(message, ensure_ascii=False, default=str).encode()  # half of a surrogate pair is no character
    except ValueError as error:
        raise _UnfitError from error
    return message


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is no JSON")


def _fields(holder: Any, fields: Mapping[str, Callable[[Any], Any]]) -> Json:
    if not isinstance(holder, dict):
        raise _UnfitError(holder)
    return {name: read(holder.get(name)) for name, read in fields.items()}


def _read(message: Any, arrived: int) -> Json:
    parts = _fields(message, {"metadata": lambda part: _fields(part, {"matchId": _NAME}), "info": lambda part: part})
    info = _fields(parts["info"], _INFO)
    listed = parts["info"].get("participants")
    players = [_fields(player, _PARTICIPANT) for player in listed] if isinstance(listed, list) else []
    if len({player["participantId"] for player in players}) != len(players) or not players:
        raise _UnfitError("participants")
    played = max(player["timePlayed"] or 0 for player in players)
    if info["gameEndTimestamp"]:
        unit = 1000
    elif played:
        unit = 1000 if Fraction(info["gameDuration"], played) < 100 else 1
    elif _before_11_20(info["gameVersion"]):
        unit = 1
    else:
        unit = 1000 if info["gameDuration"] < 100_000 else 1
    milliseconds = info["gameDuration"] * unit
    if info["gameStartTimestamp"] and played:
        ended = info["gameStartTimestamp"] + played * 1000
    else:
        ended = info["gameEndTimestamp"] or info["gameCreation"] + milliseconds
    if not all(EARLIEST_MS <= moment <= arrived + AHEAD_MS for moment in (info["gameCreation"], ended)):
        raise _UnfitError("implausible")
    return {
        **info,
        "id": parts["metadata"]["matchId"],
        "duration": milliseconds // 1000,
        "ended": ended,
        "counts_at": min(ended, arrived),
        "remake": any(player["gameEndedInEarlySurrender"] for player in players),
        "players": players,
    }


def _ratios(player: Json, duration: int) -> dict[str, Fraction | None]:
    def a_minute(count: int) -> Fraction | None:
        return Fraction(count * 60, duration) if duration else None

    return {
        "kda": Fraction(player["kills"] + player["assists"], player["deaths"] or 1),
        "gold_per_minute": a_minute(player["goldEarned"]),
        "damage_per_minute": a_minute(player["totalDamageDealtToChampions"]),
        "cs_per_minute": a_minute(_creeps(player)),
    }


def _averages(rows: list[Figures]) -> Figures:
    def mean(name: str) -> Fraction | None:
        values = [row[name] for row in rows if row[name] is not None]
        return sum(values, Fraction(0)) / len(values) if values else None

    wins = sum(row["win"] for row in rows)
    return {
        "games_played": len(rows),
        "wins": wins,
        "win_rate": Fraction(wins * 100, len(rows)),
        "avg_kills": mean("kills"),
        "avg_deaths": mean("deaths"),
        "avg_assists": mean("assists"),
        "avg_kda": mean("kda"),
        "avg_gpm": mean("gold_per_minute"),
        "avg_dpm": mean("damage_per_minute"),
        "avg_cspm": mean("cs_per_minute"),
    }


def _creeps(player: Json) -> int:
    return (player["totalMinionsKilled"] or 0) + (player["neutralMinionsKilled"] or 0)


def _summoner_name(player: Json) -> str:
    riot_id = [player["riotIdGameName"], player["riotIdTagline"]]
    return "#".join(part for part in riot_id if part) if riot_id[0] else player["summonerName"] or ""


def _before_11_20(version: str) -> bool:
    parts = version.split(".")[:2]
    if len(parts) < 2 or not all(part.isascii() and part.isdigit() and len(part) < 5 for part in parts):
        return False
    major, minor = map(int, parts)
    return major < 11 or (major == 11 and minor < 20)


def _iso(milliseconds: int) -> str:
    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=milliseconds)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
