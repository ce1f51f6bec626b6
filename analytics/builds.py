"""What participants buy, play and earn: items, keystones, gold per minute, and kill participation by position."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from elasticsearch import Elasticsearch

from analytics.match_statistics import (
    EXACT_SHARD_SIZE,
    PEOPLE,
    PLAYED,
    TWO_TEAMS,
    MatchFilter,
    all_of,
    averages,
    in_range,
)
from analytics.names import TRINKETS, item_name, keystone_name
from analytics.search import search_matches
from analytics.time_range import TimeRange
from job.queues import POSITIONS

GOLD_INTERVAL = 50
MAX_GOLD = 3000
"""More gold per minute is not shown: one match with a wrong duration would have thousands of buckets."""
SHOWN_ITEMS, SHOWN_KEYSTONES = 10, 8


@dataclass(frozen=True)
class GroupStatistics:
    """The games of a group: with an item, in a position, … Rates are 0 to 1: `win_rate` of its games, `share` of the
    games that have the field (items, position, …)."""

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
class KillParticipation:
    """The mean share (0 to 1) of the team's kills that the winners and the losers in a position took part in; None
    without such games. Games whose team has no kill do not count."""

    position: str
    won: float | None
    won_games: int
    lost: float | None
    lost_games: int


@dataclass(frozen=True)
class BuildStatistics:
    """All people's games in a time range, without remakes, matches without a winner, bots and champions of modes.

    Gold and kill participation are of matches with two teams, as in Kibana.
    """

    gold: tuple[GoldBucket, ...]
    kill_participation: tuple[KillParticipation, ...]
    """From top to support; positions without games are left out."""
    items: tuple[GroupStatistics, ...]
    keystones: tuple[GroupStatistics, ...]


def group(field: str, size: int, **options: Any) -> dict[str, Any]:
    """An aggregation of the `size` most frequent values of a field, with their win rates, and of the games with any."""
    terms = {"field": field, "size": size, "shard_size": EXACT_SHARD_SIZE, **options}
    return {
        "filter": {"exists": {"field": field}},
        "aggs": {"groups": {"terms": terms, "aggs": averages("win")}},
    }


ITEMS = group("items", SHOWN_ITEMS, exclude=list(TRINKETS))
KEYSTONES = group("keystone", SHOWN_KEYSTONES)
GOLD = {
    "histogram": {
        "field": "gold_per_minute",
        "interval": GOLD_INTERVAL,
        "hard_bounds": {"min": 0, "max": MAX_GOLD},
    }
}
"""The aggregation that counts games by gold per minute."""


def groups(found: Mapping[str, Any], label: Callable[[Any], str]) -> tuple[GroupStatistics, ...]:
    """The groups in the response to `group`."""
    games = found["doc_count"]
    return tuple(
        GroupStatistics(label(bucket["key"]), bucket["doc_count"], bucket["doc_count"] / games, bucket["win"]["value"])
        for bucket in found["groups"]["buckets"]
    )


def items(found: Mapping[str, Any]) -> tuple[GroupStatistics, ...]:
    """The groups in the response to ITEMS."""
    return groups(found, item_name)


def keystones(found: Mapping[str, Any]) -> tuple[GroupStatistics, ...]:
    """The groups in the response to KEYSTONES."""
    return groups(found, keystone_name)


def gold(found: Mapping[str, Any]) -> tuple[GoldBucket, ...]:
    """The buckets in the response to GOLD."""
    return tuple(GoldBucket(int(bucket["key"]), bucket["doc_count"]) for bucket in found["buckets"])


def search_games(
    client: Elasticsearch, time_range: TimeRange, only: MatchFilter, aggregations: Mapping[str, Any]
) -> tuple[int, dict[str, Any]]:
    """The number of people's games in matches that ended in `time_range`, and the aggregations of them.

    Without remakes, matches without a winner, and bots. Raises the client's errors.
    """
    response = search_matches(
        client,
        size=0,
        track_total_hits=True,
        query=all_of(in_range(time_range), *only.of_matches, *only.of_participants, *PLAYED, PEOPLE),
        aggs=aggregations,
    )
    return response["hits"]["total"]["value"], response["aggregations"]


def read_build_statistics(client: Elasticsearch, time_range: TimeRange, only: MatchFilter) -> BuildStatistics:
    """The games of the matches that ended in `time_range`. Raises the client's errors."""
    _, found = search_games(
        client,
        time_range,
        only,
        {
            "items": ITEMS,
            "keystones": KEYSTONES,
            "two_teams": {
                "filter": TWO_TEAMS,
                "aggs": {
                    "gold": GOLD,
                    "positions": {
                        "filters": {"filters": {name: {"term": {"position": name}} for name in POSITIONS}},
                        "aggs": {"won": _kill_participation(True), "lost": _kill_participation(False)},
                    },
                },
            },
        },
    )
    positions = found["two_teams"]["positions"]["buckets"]
    return BuildStatistics(
        gold=gold(found["two_teams"]["gold"]),
        kill_participation=tuple(
            KillParticipation(
                name,
                won=bucket["won"]["kill_participation"]["value"],
                won_games=bucket["won"]["doc_count"],
                lost=bucket["lost"]["kill_participation"]["value"],
                lost_games=bucket["lost"]["doc_count"],
            )
            for name in POSITIONS
            if (bucket := positions[name])["won"]["doc_count"] or bucket["lost"]["doc_count"]
        ),
        items=items(found["items"]),
        keystones=keystones(found["keystones"]),
    )


def _kill_participation(win: bool) -> dict[str, Any]:
    return {
        "filter": all_of({"term": {"win": win}}, {"exists": {"field": "kill_participation"}}),
        "aggs": averages("kill_participation"),
    }
