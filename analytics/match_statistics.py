"""Statistics of the matches in a time range, from Elasticsearch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any

from elasticsearch import Elasticsearch

from analytics.time_range import TimeRange
from infra.names import MATCHES_ALIAS

POSITIONS = ("TOP", "JUNGLE", "MIDDLE", "BOTTOM", "UTILITY")
BLUE_TEAM_ID, RED_TEAM_ID = 100, 200
MAX_CHAMPIONS = 500
"""More than the game has, so that Elasticsearch's counts are exact."""
GAME_LENGTHS = ((0, 15), (15, 20), (20, 25), (25, 30), (30, 35), (35, 40), (40, None))
"""Buckets in minutes, the same as in Kibana. The last is open: a wrong duration must not stretch the chart."""
LAST_MATCHES = 10
MAX_PARTICIPANTS = 18
"""Arena has the most participants per match."""
PRECISION_THRESHOLD = 40_000
"""Elasticsearch's maximum for `cardinality`: more matches than this are counted to about one percent."""


@dataclass(frozen=True)
class StepRate:
    """A step of the time range: its start, and the mean numbers per minute."""

    start: datetime
    matches: float
    documents: float


@dataclass(frozen=True)
class ChampionStatistics:
    """A champion's games. Rates are 0 to 1: `win_rate` of its games, `pick_rate` of all matches."""

    name: str
    games: int
    pick_rate: float
    win_rate: float
    kda: float
    gold_per_minute: float | None
    damage_per_minute: float | None
    cs_per_minute: float | None


@dataclass(frozen=True)
class PositionStatistics:
    """The means of all participants in a position."""

    name: str
    games: int
    kda: float
    cs: float
    gold_per_minute: float | None


@dataclass(frozen=True)
class SideStatistics:
    """A side of the map: the share of matches it won (0 to 1), and its team's means per match."""

    name: str
    win_rate: float
    kills: float
    gold: float
    damage: float
    cs: float
    vision: float


@dataclass(frozen=True)
class GameLengthBucket:
    """The number of matches that lasted `at_least` minutes or more, and less than `below` (None: no upper bound)."""

    at_least: int
    below: int | None
    matches: int


@dataclass(frozen=True)
class MatchSummary:
    """A match in one line. `duration` in seconds; the sides list champions by position; `winner` is a side or None."""

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
class MatchStatistics:
    """The report's statistics of a time range.

    Remakes, and matches without a winner, count in `count`, `documents`, `steps` and `last` only.
    """

    total_documents: int
    """Participants in the index at any time."""
    newest_ended: datetime | None
    """The end of the newest match that has ended."""
    newest_arrived_at: datetime | None
    """Kafka's arrival time of the newest searchable message."""
    count: int
    documents: int
    steps: tuple[StepRate, ...]
    champions: tuple[ChampionStatistics, ...]
    """Most games first."""
    positions: tuple[PositionStatistics, ...]
    sides: tuple[SideStatistics, ...]
    """Blue and red; empty if no match has two sides."""
    lengths: tuple[GameLengthBucket, ...]
    last: tuple[MatchSummary, ...]
    """Newest first, at any time up to now: a match can arrive before its game's end."""


@dataclass(frozen=True)
class MatchFilter:
    """Which participants count. An empty value selects all."""

    queue_id: int | None = None
    platform: str = ""
    patch: str = ""
    champion: str = ""
    position: str = ""

    @property
    def clauses(self) -> list[dict[str, Any]]:
        """The filter's clauses in Elasticsearch's query language."""
        values = {
            "queue_id": self.queue_id,
            "platform": self.platform,
            "patch": self.patch,
            "champion_name": self.champion,
            "position": self.position,
        }
        return [{"term": {field: value}} for field, value in values.items() if value not in (None, "")]


EVERYTHING = MatchFilter()


def read_match_statistics(
    client: Elasticsearch, time_range: TimeRange, only: MatchFilter = EVERYTHING
) -> MatchStatistics:
    """The statistics of matches that ended in `time_range`, without closed indices. Raises the client's errors."""
    # Without an open index the response would have no aggregations.
    search = partial(client.search, index=MATCHES_ALIAS, ignore_unavailable=True, allow_no_indices=False)
    overall = search(
        size=0,
        track_total_hits=True,
        aggs={"arrived": {"max": {"field": "ingested_at"}}},
    )
    found = search(
        size=0,
        track_total_hits=True,
        query=_all_of(
            {"range": {"@timestamp": {"gte": _to_millis(time_range.start), "lt": _to_millis(time_range.end)}}},
            *only.clauses,
        ),
        aggs=_aggregations(time_range),
    )
    newest = search(
        size=LAST_MATCHES,
        query=_all_of({"range": {"@timestamp": {"lte": "now"}}}, *only.clauses),
        sort=[{"@timestamp": "desc"}, {"match_id": "desc"}],
        source=False,
        collapse={"field": "match_id", "inner_hits": {"name": "participants", "size": MAX_PARTICIPANTS}},
    )
    last = tuple(_summary(hit["inner_hits"]["participants"]["hits"]["hits"]) for hit in newest["hits"]["hits"])
    result, played = found["aggregations"], found["aggregations"]["played"]
    matches_played = played["matches"]["value"]
    return MatchStatistics(
        total_documents=overall["hits"]["total"]["value"],
        newest_ended=last[0].ended if last else None,
        newest_arrived_at=_from_millis(overall["aggregations"]["arrived"]["value"]),
        count=result["matches"]["value"],
        documents=found["hits"]["total"]["value"],
        steps=tuple(_step(bucket, time_range.step_seconds / 60) for bucket in result["steps"]["buckets"]),
        champions=tuple(_champion(bucket, matches_played) for bucket in played["champions"]["buckets"]),
        positions=tuple(
            sorted((_position(bucket) for bucket in played["positions"]["buckets"]), key=lambda p: _order(p.name))
        ),
        sides=_sides(played["sides"]["buckets"]),
        lengths=tuple(
            GameLengthBucket(at_least, below, bucket["matches"]["value"])
            for (at_least, below), bucket in zip(GAME_LENGTHS, played["lengths"]["buckets"], strict=True)
        ),
        last=last,
    )


def _aggregations(time_range: TimeRange) -> dict[str, Any]:
    first, *_, last, _ = time_range.step_times
    matches = {"cardinality": {"field": "match_id", "precision_threshold": PRECISION_THRESHOLD}}
    sums = {name: {"sum": {"field": field}} for name, field in _SIDE_SUMS.items()}
    played = {
        "matches": matches,
        "champions": {
            "terms": {"field": "champion_name", "size": MAX_CHAMPIONS},
            "aggs": _averages("win", "kda", "gold_per_minute", "damage_per_minute", "cs_per_minute"),
        },
        "positions": {"terms": {"field": "position"}, "aggs": _averages("kda", "cs", "gold_per_minute")},
        "sides": {
            "filters": {
                "filters": {"blue": {"term": {"team_id": BLUE_TEAM_ID}}, "red": {"term": {"team_id": RED_TEAM_ID}}}
            },
            "aggs": {"matches": matches, **_averages("win"), **sums},
        },
        "lengths": {
            "range": {
                "field": "game_duration",
                "ranges": [
                    {"from": at_least * 60} | ({"to": below * 60} if below else {}) for at_least, below in GAME_LENGTHS
                ],
            },
            "aggs": {"matches": matches},
        },
    }
    return {
        "matches": matches,
        "steps": {
            "date_histogram": {
                "field": "@timestamp",
                "fixed_interval": f"{time_range.step_seconds}s",
                "offset": f"{int(time_range.start.timestamp()) % time_range.step_seconds}s",
                "min_doc_count": 0,
                "extended_bounds": {"min": _to_millis(first), "max": _to_millis(last)},
            },
            "aggs": {"matches": matches},
        },
        "played": {
            "filter": {"bool": {"filter": [{"term": {"remake": False}}, {"exists": {"field": "win"}}]}},
            "aggs": played,
        },
    }


_SIDE_SUMS = {
    "kills": "kills",
    "gold": "gold_earned",
    "damage": "total_damage_dealt",
    "cs": "cs",
    "vision": "vision_score",
}


def _all_of(*clauses: dict[str, Any]) -> dict[str, Any]:
    return {"bool": {"filter": list(clauses)}}


def _averages(*fields: str) -> dict[str, Any]:
    return {field: {"avg": {"field": field}} for field in fields}


def _step(bucket: Mapping[str, Any], minutes: float) -> StepRate:
    return StepRate(
        datetime.fromtimestamp(bucket["key"] / 1000, UTC),
        bucket["matches"]["value"] / minutes,
        bucket["doc_count"] / minutes,
    )


def _champion(bucket: Mapping[str, Any], matches: int) -> ChampionStatistics:
    return ChampionStatistics(
        name=bucket["key"],
        games=bucket["doc_count"],
        pick_rate=bucket["doc_count"] / matches,
        win_rate=bucket["win"]["value"],
        kda=bucket["kda"]["value"],
        # None if none of its games has a duration.
        gold_per_minute=bucket["gold_per_minute"]["value"],
        damage_per_minute=bucket["damage_per_minute"]["value"],
        cs_per_minute=bucket["cs_per_minute"]["value"],
    )


def _position(bucket: Mapping[str, Any]) -> PositionStatistics:
    return PositionStatistics(
        name=bucket["key"],
        games=bucket["doc_count"],
        kda=bucket["kda"]["value"],
        cs=bucket["cs"]["value"],
        gold_per_minute=bucket["gold_per_minute"]["value"],
    )


def _order(position: str) -> int:
    """The position's rank from top to support; an unknown one is last."""
    return POSITIONS.index(position) if position in POSITIONS else len(POSITIONS)


def _sides(buckets: Mapping[str, Any]) -> tuple[SideStatistics, ...]:
    if not all(bucket["doc_count"] for bucket in buckets.values()):
        return ()
    return tuple(
        SideStatistics(
            name,
            bucket["win"]["value"],
            *(bucket[measure]["value"] / bucket["matches"]["value"] for measure in _SIDE_SUMS),
        )
        for name, bucket in buckets.items()
    )


def _summary(hits: list[Mapping[str, Any]]) -> MatchSummary:
    """The match of these participants."""
    participants = sorted((hit["_source"] for hit in hits), key=lambda source: _order(source["position"]))
    sides = {
        name: [source for source in participants if source["team_id"] == team]
        for name, team in (("blue", BLUE_TEAM_ID), ("red", RED_TEAM_ID))
    }
    match = participants[0]
    winners = [name for name, side in sides.items() if any(source.get("win") for source in side)]
    return MatchSummary(
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


def _to_millis(time: datetime) -> int:
    return int(time.timestamp() * 1000)


def _from_millis(millis: float | None) -> datetime | None:
    return None if millis is None else datetime.fromtimestamp(millis / 1000, UTC)
