"""One champion's games: by position and patch, items, keystones, gold per minute, and the win rate over time."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from elasticsearch import Elasticsearch

from analytics.match_statistics import (
    EXACT_SHARD_SIZE,
    PEOPLE,
    PLAYED,
    MatchFilter,
    all_of,
    averages,
    in_range,
    wilson_interval,
)
from analytics.names import TRINKETS, item_name, keystone_name
from analytics.pipeline_metrics import Points
from analytics.search import search, search_matches
from analytics.time_range import TimeRange
from infra.names import CHAMPIONS_ALIAS

GOLD_INTERVAL = 50
MAX_GOLD = 3000
"""More gold per minute is not shown: one match with a wrong duration would have thousands of buckets."""
SHOWN_ITEMS, SHOWN_KEYSTONES = 10, 8


@dataclass(frozen=True)
class GroupStatistics:
    """The games of a group: with an item, in a position, … Rates are 0 to 1: of its games, and of all games."""

    name: str
    games: int
    share: float
    win_rate: float


@dataclass(frozen=True)
class GoldBucket:
    """The number of games with this much gold per minute: `at_least`, and less than the next bucket's."""

    at_least: int
    games: int


@dataclass(frozen=True)
class ChampionDetails:
    """A champion's games in a time range, without remakes, matches without a winner, and bots."""

    games: int
    means: Mapping[str, float | None]
    """By field: win (0 to 1), kda, gold_per_minute, damage_per_minute, cs_per_minute; empty without games."""
    positions: tuple[GroupStatistics, ...]
    patches: tuple[GroupStatistics, ...]
    items: tuple[GroupStatistics, ...]
    keystones: tuple[GroupStatistics, ...]
    gold: tuple[GoldBucket, ...]
    win_rate: Points
    """In percent, from the statistics' sliding windows, which have no filter."""

    @property
    def win_interval(self) -> tuple[float, float]:
        """The 95 % confidence interval of the mean `win`."""
        return wilson_interval(self.means["win"] or 0, self.games)


MEANS = ("win", "kda", "gold_per_minute", "damage_per_minute", "cs_per_minute")


def read_champion_details(client: Elasticsearch, time_range: TimeRange, only: MatchFilter) -> ChampionDetails:
    """The games of `only.champion`. Raises the client's errors."""

    def group(field: str, size: int, **options: Any) -> dict[str, Any]:
        return {
            "terms": {"field": field, "size": size, "shard_size": EXACT_SHARD_SIZE, **options},
            "aggs": averages("win"),
        }

    response = search_matches(
        client,
        size=0,
        track_total_hits=True,
        query=all_of(in_range(time_range), *only.of_matches, *only.of_participants, *PLAYED, PEOPLE),
        aggs={
            **averages(*MEANS),
            "positions": group("position", 10),
            "patches": group("patch", 10),
            "items": group("items", SHOWN_ITEMS, exclude=list(TRINKETS)),
            "keystones": group("keystone", SHOWN_KEYSTONES),
            "gold": {
                "histogram": {
                    "field": "gold_per_minute",
                    "interval": GOLD_INTERVAL,
                    "hard_bounds": {"min": 0, "max": MAX_GOLD},
                }
            },
        },
    )
    games, found = response["hits"]["total"]["value"], response["aggregations"]

    def groups(name: str, label: Callable[[Any], str]) -> Iterable[GroupStatistics]:
        for bucket in found[name]["buckets"]:
            count = bucket["doc_count"]
            yield GroupStatistics(label(bucket["key"]), count, count / games, bucket["win"]["value"])

    return ChampionDetails(
        games=games,
        means={field: found[field]["value"] for field in MEANS} if games else {},
        positions=tuple(groups("positions", str.capitalize)),
        patches=tuple(groups("patches", str)),
        items=tuple(groups("items", item_name)),
        keystones=tuple(groups("keystones", keystone_name)),
        gold=tuple(GoldBucket(int(bucket["key"]), bucket["doc_count"]) for bucket in found["gold"]["buckets"]),
        win_rate=_win_rate(client, time_range, only.champion),
    )


def _win_rate(client: Elasticsearch, time_range: TimeRange, champion: str) -> Points:
    """The win rate over time, in percent, at the end of each step that has games."""
    step = time_range.step_seconds
    response = search(
        client,
        CHAMPIONS_ALIAS,
        size=0,
        query=all_of(in_range(time_range, "window_end"), {"term": {"champion_name": champion}}),
        aggs={
            "steps": {
                "date_histogram": {
                    "field": "window_end",
                    "fixed_interval": f"{step}s",
                    "offset": f"{int(time_range.start.timestamp()) % step}s",
                    "min_doc_count": 1,
                },
                "aggs": {"wins": {"sum": {"field": "wins"}}, "games": {"sum": {"field": "games_played"}}},
            }
        },
    )
    steps = response["aggregations"]["steps"]["buckets"] if "aggregations" in response else []
    return tuple(
        (datetime.fromtimestamp(bucket["key"] / 1000 + step, UTC), 100 * bucket["wins"]["value"] / games)
        for bucket in steps
        if (games := bucket["games"]["value"])
    )
