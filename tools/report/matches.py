"""The matches of a period, as Elasticsearch has them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from elasticsearch import Elasticsearch

from tools.time_range import Period

PARTICIPANTS = "lol_matches_stream"
POSITIONS = ("TOP", "JUNGLE", "MIDDLE", "BOTTOM", "UTILITY")
BLUE, RED = 100, 200
MOST_CHAMPIONS = 500
"""More than the game has, so that Elasticsearch's counts are exact."""
LENGTHS = ((0, 15), (15, 20), (20, 25), (25, 30), (30, 35), (35, 40), (40, None))
"""In minutes, the same as Kibana's. The last is open: a wrong duration must not stretch the chart."""
LAST_MATCHES = 10
MOST_PARTICIPANTS = 18
"""Arena has the most."""
EXACT_UP_TO = 40_000
"""Elasticsearch's highest: more matches than this are counted to about a percent."""


@dataclass(frozen=True)
class Minute:
    """A step of the period: its start, and what came in a minute on average."""

    start: datetime
    matches: float
    documents: float


@dataclass(frozen=True)
class Champion:
    """A champion's games. Rates are 0 to 1: `win_rate` of its games, `pick_rate` of all matches."""

    name: str
    games: int
    pick_rate: float
    win_rate: float
    kda: float
    gold_per_minute: float
    damage_per_minute: float
    cs_per_minute: float


@dataclass(frozen=True)
class Position:
    """The means of a position's participants."""

    name: str
    games: int
    kda: float
    cs: float
    gold_per_minute: float


@dataclass(frozen=True)
class Side:
    """A side of the map: the share of its matches that it won (0 to 1), and its team's means a match."""

    name: str
    win_rate: float
    kills: float
    gold: float
    damage: float
    cs: float
    vision: float


@dataclass(frozen=True)
class Length:
    """Matches that took `least` minutes or more, but less than `below` (None: however many more)."""

    least: int
    below: int | None
    matches: int


@dataclass(frozen=True)
class Match:
    """A match in a line. `duration` in seconds; the sides hold champions by position; `winner` is a side or None."""

    id: str
    ended: datetime
    duration: int
    queue: int
    patch: str
    remake: bool
    winner: str | None
    blue: tuple[str, ...]
    red: tuple[str, ...]
    blue_kills: int
    red_kills: int


@dataclass(frozen=True)
class Matches:
    """What the report says of a period's matches. Remakes are in `count`, `minutes` and `last`, nowhere else."""

    documents_ever: int
    """Participants in the index, whatever their time."""
    newest_ended: datetime | None
    """The end of the newest match in the index."""
    newest_arrived: datetime | None
    """When Kafka got the newest message that can be found."""
    count: int
    documents: int
    minutes: tuple[Minute, ...]
    champions: tuple[Champion, ...]
    """Most games first."""
    positions: tuple[Position, ...]
    sides: tuple[Side, ...]
    """Blue and red, or nothing where there was no match of two sides."""
    lengths: tuple[Length, ...]
    last: tuple[Match, ...]
    """Newest first, of any time."""


def read(client: Elasticsearch, period: Period) -> Matches:
    """The matches that ended in `period`. Raises what the client raises."""
    ever = client.search(
        index=PARTICIPANTS,
        size=0,
        track_total_hits=True,
        aggs={"ended": {"max": {"field": "@timestamp"}}, "arrived": {"max": {"field": "ingested_at"}}},
    )
    found = client.search(
        index=PARTICIPANTS,
        size=0,
        track_total_hits=True,
        query={"range": {"@timestamp": {"gte": _millis(period.start), "lt": _millis(period.end)}}},
        aggs=_aggregations(period),
    )
    last = client.search(
        index=PARTICIPANTS,
        size=LAST_MATCHES,
        sort=[{"@timestamp": "desc"}, {"match_id": "desc"}],
        source=False,
        collapse={"field": "match_id", "inner_hits": {"name": "participants", "size": MOST_PARTICIPANTS}},
    )
    result, played = found["aggregations"], found["aggregations"]["played"]
    matches_played = played["matches"]["value"]
    return Matches(
        documents_ever=ever["hits"]["total"]["value"],
        newest_ended=_time(ever["aggregations"]["ended"]["value"]),
        newest_arrived=_time(ever["aggregations"]["arrived"]["value"]),
        count=result["matches"]["value"],
        documents=found["hits"]["total"]["value"],
        minutes=tuple(_minute(bucket, period.step_seconds / 60) for bucket in result["steps"]["buckets"]),
        champions=tuple(_champion(bucket, matches_played) for bucket in played["champions"]["buckets"]),
        positions=tuple(
            sorted((_position(bucket) for bucket in played["positions"]["buckets"]), key=lambda p: _place(p.name))
        ),
        sides=_sides(played["sides"]["buckets"]),
        lengths=tuple(
            Length(least, below, bucket["matches"]["value"])
            for (least, below), bucket in zip(LENGTHS, played["lengths"]["buckets"], strict=True)
        ),
        last=tuple(_match(hit["inner_hits"]["participants"]["hits"]["hits"]) for hit in last["hits"]["hits"]),
    )


def _aggregations(period: Period) -> dict[str, Any]:
    first, *_, last, _ = period.moments
    matches = {"cardinality": {"field": "match_id", "precision_threshold": EXACT_UP_TO}}
    sums = {name: {"sum": {"field": field}} for name, field in _SIDE_SUMS.items()}
    played = {
        "matches": matches,
        "champions": {
            "terms": {"field": "champion_name", "size": MOST_CHAMPIONS},
            "aggs": _averages("win", "kda", "gold_per_minute", "damage_per_minute", "cs_per_minute"),
        },
        "positions": {"terms": {"field": "position"}, "aggs": _averages("kda", "cs", "gold_per_minute")},
        "sides": {
            "filters": {"filters": {"blue": {"term": {"team_id": BLUE}}, "red": {"term": {"team_id": RED}}}},
            "aggs": {"matches": matches, **_averages("win"), **sums},
        },
        "lengths": {
            "range": {
                "field": "game_duration",
                "ranges": [{"from": least * 60} | ({"to": below * 60} if below else {}) for least, below in LENGTHS],
            },
            "aggs": {"matches": matches},
        },
    }
    return {
        "matches": matches,
        "steps": {
            "date_histogram": {
                "field": "@timestamp",
                "fixed_interval": f"{period.step_seconds}s",
                "offset": f"{int(period.start.timestamp()) % period.step_seconds}s",
                "min_doc_count": 0,
                "extended_bounds": {"min": _millis(first), "max": _millis(last)},
            },
            "aggs": {"matches": matches},
        },
        "played": {"filter": {"term": {"remake": False}}, "aggs": played},
    }


_SIDE_SUMS = {
    "kills": "kills",
    "gold": "gold_earned",
    "damage": "total_damage_dealt",
    "cs": "cs",
    "vision": "vision_score",
}


def _averages(*fields: str) -> dict[str, Any]:
    return {field: {"avg": {"field": field}} for field in fields}


def _minute(bucket: Mapping[str, Any], minutes: float) -> Minute:
    return Minute(
        datetime.fromtimestamp(bucket["key"] / 1000, UTC),
        bucket["matches"]["value"] / minutes,
        bucket["doc_count"] / minutes,
    )


def _champion(bucket: Mapping[str, Any], matches: int) -> Champion:
    return Champion(
        name=bucket["key"],
        games=bucket["doc_count"],
        pick_rate=bucket["doc_count"] / matches,
        win_rate=bucket["win"]["value"],
        kda=bucket["kda"]["value"],
        # Absent where every game of it had no duration.
        gold_per_minute=bucket["gold_per_minute"]["value"] or 0,
        damage_per_minute=bucket["damage_per_minute"]["value"] or 0,
        cs_per_minute=bucket["cs_per_minute"]["value"] or 0,
    )


def _position(bucket: Mapping[str, Any]) -> Position:
    return Position(
        name=bucket["key"],
        games=bucket["doc_count"],
        kda=bucket["kda"]["value"],
        cs=bucket["cs"]["value"],
        gold_per_minute=bucket["gold_per_minute"]["value"] or 0,
    )


def _place(position: str) -> int:
    return POSITIONS.index(position) if position in POSITIONS else len(POSITIONS)


def _sides(buckets: Mapping[str, Any]) -> tuple[Side, ...]:
    if not all(bucket["doc_count"] for bucket in buckets.values()):
        return ()
    return tuple(
        Side(
            name,
            bucket["win"]["value"],
            *(bucket[measure]["value"] / bucket["matches"]["value"] for measure in _SIDE_SUMS),
        )
        for name, bucket in buckets.items()
    )


def _match(hits: list[Mapping[str, Any]]) -> Match:
    participants = sorted((hit["_source"] for hit in hits), key=lambda source: _place(source["position"]))
    sides = {
        name: [source for source in participants if source["team_id"] == team]
        for name, team in (("blue", BLUE), ("red", RED))
    }
    match = participants[0]
    winners = [name for name, side in sides.items() if any(source["win"] for source in side)]
    return Match(
        id=match["match_id"],
        ended=datetime.fromisoformat(match["@timestamp"]),
        duration=match["game_duration"],
        queue=match["queue_id"],
        patch=match["patch"],
        remake=match["remake"],
        winner=winners[0] if len(winners) == 1 and not match["remake"] else None,
        blue=tuple(source["champion_name"] for source in sides["blue"]),
        red=tuple(source["champion_name"] for source in sides["red"]),
        blue_kills=sum(source["kills"] for source in sides["blue"]),
        red_kills=sum(source["kills"] for source in sides["red"]),
    )


def _millis(time: datetime) -> int:
    return int(time.timestamp() * 1000)


def _time(millis: float | None) -> datetime | None:
    return None if millis is None else datetime.fromtimestamp(millis / 1000, UTC)
