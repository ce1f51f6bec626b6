"""One champion's games: by position and patch, items, keystones, gold per minute, and the win rate over time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from elasticsearch import Elasticsearch

from analytics import builds
from analytics.builds import GoldBucket, GroupStatistics
from analytics.match_statistics import (
    EXACT_SHARD_SIZE,
    TWO_TEAMS,
    MatchFilter,
    all_of,
    averages,
    patch_version,
    read_absent,
    wilson_interval,
)
from analytics.pipeline_metrics import Points
from analytics.search import search
from analytics.time_range import TimeRange
from infra.names import CHAMPIONS_ALIAS
from job.times import from_ms, to_ms


@dataclass(frozen=True)
class ChampionDetails:
    """A champion's games in a time range, without remakes, matches without a winner, and bots.

    Positions and gold are of matches with two teams, as in the report.
    """

    games: int
    means: Mapping[str, float | None]
    """By field: win (0 to 1), kda, gold_per_minute, damage_per_minute, cs_per_minute; empty without games."""
    positions: tuple[GroupStatistics, ...]
    patches: tuple[GroupStatistics, ...]
    """The newest SHOWN_PATCHES, newest first."""
    items: tuple[GroupStatistics, ...]
    keystones: tuple[GroupStatistics, ...]
    gold: tuple[GoldBucket, ...]
    win_rate: Points
    """In percent, at the end of each step of `win_rate_steps`, from the statistics' sliding windows, which have no
    filter."""
    win_rate_steps: TimeRange
    """The time range in steps in each of which a window ends: the line would have gaps otherwise."""
    absent: tuple[str, ...] | None
    """That of `read_absent`; looked up only if the champion has no games, else None."""

    @property
    def win_interval(self) -> tuple[float, float]:
        """The 95 % confidence interval of the mean `win`."""
        return wilson_interval(self.means["win"] or 0, self.games)


SHOWN_PATCHES = 10
MEANS = ("win", "kda", "gold_per_minute", "damage_per_minute", "cs_per_minute")


def read_champion_details(
    client: Elasticsearch, time_range: TimeRange, only: MatchFilter, slide_seconds: int
) -> ChampionDetails:
    """The games of `only.champion`. A window of the statistics ends every `slide_seconds`. Raises the errors of the
    client."""
    steps = time_range.in_multiples_of(slide_seconds)
    games, found = builds.search_games(
        client,
        time_range,
        only,
        {
            **averages(*MEANS),
            "patches": builds.group("patch", EXACT_SHARD_SIZE),
            "items": builds.ITEMS,
            "keystones": builds.KEYSTONES,
            "two_teams": {
                "filter": TWO_TEAMS,
                "aggs": {"positions": builds.group("position", 10), "gold": builds.GOLD},
            },
        },
    )
    return ChampionDetails(
        games=games,
        means={field: found[field]["value"] for field in MEANS} if games else {},
        positions=builds.groups(found["two_teams"]["positions"], str.capitalize),
        patches=_newest(builds.groups(found["patches"], str)),
        items=builds.items(found["items"]),
        keystones=builds.keystones(found["keystones"]),
        gold=builds.gold(found["two_teams"]["gold"]),
        win_rate=_win_rate(client, steps, only.champion),
        win_rate_steps=steps,
        absent=None if games else read_absent(client, only),
    )


def _newest(patches: Sequence[GroupStatistics]) -> tuple[GroupStatistics, ...]:
    return tuple(sorted(patches, key=lambda patch: patch_version(patch.name), reverse=True)[:SHOWN_PATCHES])


def _win_rate(client: Elasticsearch, time_range: TimeRange, champion: str) -> Points:
    """The win rate over time in percent: one point at the end of each step, of the windows that end after the step's
    start and not after its end."""
    step = time_range.step_seconds
    response = search(
        client,
        CHAMPIONS_ALIAS,
        size=0,
        query=all_of(
            {"range": {"window_end": {"gt": to_ms(time_range.start), "lte": to_ms(time_range.end)}}},
            {"term": {"champion_name": champion}},
        ),
        aggs={
            "steps": {
                "date_histogram": {
                    "field": "window_end",
                    "fixed_interval": f"{step}s",
                    # A bucket includes its start but not its end. Shifted by a millisecond, it excludes the start and
                    # includes the end.
                    "offset": f"{to_ms(time_range.start) % (1000 * step) + 1}ms",
                    "min_doc_count": 1,
                },
                "aggs": {"wins": {"sum": {"field": "wins"}}, "games": {"sum": {"field": "games_played"}}},
            }
        },
    )
    steps = response["aggregations"]["steps"]["buckets"] if "aggregations" in response else []
    return tuple(
        (from_ms(bucket["key"] - 1 + 1000 * step), 100 * bucket["wins"]["value"] / games)
        for bucket in steps
        if (games := bucket["games"]["value"])
    )
