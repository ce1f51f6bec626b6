"""Statistics of the matches in a time range, from Elasticsearch."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from elasticsearch import Elasticsearch

from analytics.search import search, search_matches
from analytics.time_range import TimeRange
from infra.names import TEAMS_ALIAS
from job.match_v5 import BLUE_TEAM_ID, MAX_PARTICIPANTS, RED_TEAM_ID
from job.queues import AGAINST_BOTS, CLASSIC_MODES, MAX_PARTICIPANTS_OF_A_MODE, POSITIONS, queue_name
from job.times import from_ms, to_ms

MAX_CHAMPIONS = 500
"""More than the game has, so that Elasticsearch's counts are exact."""
EXACT_SHARD_SIZE = 1000
"""`shard_size` of a `terms` aggregation: more values than there are items, so that no shard leaves one out."""
GAME_LENGTHS = ((0, 15), (15, 20), (20, 25), (25, 30), (30, 35), (35, 40), (40, None))
"""Buckets in minutes, the same as in Kibana. The last is open: a wrong duration must not stretch the chart."""
LAST_MATCHES = 10
RECENT_MINUTES = 5
"""The rates of now, of matches that end and of those that arrive, are means of this many minutes."""
PRECISION_THRESHOLD = 40_000
"""Elasticsearch's maximum for `cardinality`. Fewer matches are counted to within a few, more to about a percent."""
CHAMPION_PRECISION = 4_000
"""The precision for a single champion; lower, because there is one counter per champion."""
SUMMONERS_RIFT = 11
"""Riot's id of the map with the objectives."""
CHAMPIONS_OF_MODES = "*_*"
"""A pattern of champions that belong to a mode, and are not those of Summoner's Rift: Swarm's Strawberry_Jinx, League
Classic's Jade_Ahri, the Doom Bots' Ruby_Annie. No other name of Data Dragon has an underscore."""
OBJECTIVES = {
    "tower": "Tower",
    "horde": "Void grubs",
    "herald": "Herald",
    "dragon": "Dragon",
    "atakhan": "Atakhan",
    "baron": "Baron",
    "inhibitor": "Inhibitor",
}
"""The objectives of a team's document, in about the order in which they fall."""


@dataclass(frozen=True)
class StepRate:
    """A step or another part of the time range: its start, and the mean numbers per minute."""

    start: datetime
    matches: float
    documents: float


@dataclass(frozen=True)
class ChampionStatistics:
    """A champion's games. Rates are 0 to 1: `win_rate` of its games, `pick_rate` of the matches in which it could be
    picked, `ban_rate` of those that have bans."""

    name: str
    games: int
    pick_rate: float
    """Both teams can pick it in some modes: a match counts once."""
    ban_rate: float | None
    """None if no match has bans."""
    win_rate: float
    kda: float
    gold_per_minute: float | None
    damage_per_minute: float | None
    cs_per_minute: float | None

    @property
    def win_interval(self) -> tuple[float, float]:
        """The 95 % confidence interval of the win rate: Wilson's, which also holds for few games."""
        return wilson_interval(self.win_rate, self.games)


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
    """A side of the map: its share of the wins (0 to 1), and its team's means per match. Matches of two teams only."""

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
class ObjectiveStatistics:
    """The teams that were the first to take an objective: their number, and how many of them won (0 to 1)."""

    name: str
    teams: int
    win_rate: float


@dataclass(frozen=True)
class MatchSummary:
    """A match in one line. `duration` in seconds; the sides list champions by position; `winner` is a side or None.

    A match without two teams (Arena, Swarm) has no sides: `champions` lists all of them by placement.
    """

    id: str
    ended: datetime
    duration: int
    queue: str
    patch: str
    remake: bool
    winner: str | None
    blue: tuple[str, ...]
    red: tuple[str, ...]
    blue_kills: int
    red_kills: int
    champions: tuple[str, ...] = ()


@dataclass(frozen=True)
class MatchStatistics:
    """Statistics of the matches in a time range, for the report and the dashboard.

    Remakes, and matches without a winner, count in `count`, `documents`, `steps` and `last` only. A bot's game is
    neither a champion's nor a position's.
    """

    total_documents: int
    """Participants in the index at any time."""
    newest_ended: datetime | None
    """The end of the newest match that has ended."""
    newest_arrived_at: datetime | None
    """Kafka's arrival time of the newest searchable message."""
    count: int
    documents: int
    played: int
    """The denominator of the pick rates: matches of the games in the champions' table, whatever the champion."""
    steps: tuple[StepRate, ...]
    recent: StepRate
    """The last minutes of the time range, or all of it if it is shorter."""
    champions: tuple[ChampionStatistics, ...]
    """Most games first."""
    positions: tuple[PositionStatistics, ...]
    sides: tuple[SideStatistics, ...]
    """Blue and red; empty if no match has two sides."""
    lengths: tuple[GameLengthBucket, ...]
    objectives: tuple[ObjectiveStatistics, ...]
    """Empty if no match has objectives."""
    last: tuple[MatchSummary, ...]
    """Newest first, at any time up to now: a match can arrive before its game's end."""
    arriving_per_minute: float | None
    """Matches that have arrived in the last minutes, whenever they ended; None if the time range does not end now."""
    absent: tuple[str, ...] | None
    """That of `read_absent`; looked up only if no match in the time range is selected, else None."""


@dataclass(frozen=True)
class MatchFilter:
    """Which matches count, and which of their participants. An empty text selects all.

    Values become `term` and `terms` queries, never query strings, so a viewer cannot inject query syntax.
    """

    queue_ids: tuple[int, ...] | None = None
    """Several queues can have the same name. No id selects no match, and None all."""
    platform: str = ""
    patch: str = ""
    champion: str = ""
    position: str = ""

    @property
    def clauses(self) -> dict[str, dict[str, Any]]:
        """The clause of each filter that has a value."""
        found: dict[str, dict[str, Any]] = {}
        if self.queue_ids is not None:
            found["queue"] = {"terms": {"queue_id": list(self.queue_ids)}}
        for name, field, value in (
            ("platform", "platform", self.platform),
            ("patch", "patch", self.patch),
            ("champion", "champion_name", self.champion),
            ("position", "position", self.position),
        ):
            if value:
                found[name] = {"term": {field: value}}
        return found

    @property
    def of_matches(self) -> list[dict[str, Any]]:
        """The clauses that select matches."""
        return [clause for name, clause in self.clauses.items() if name not in _OF_PARTICIPANTS]

    @property
    def of_participants(self) -> list[dict[str, Any]]:
        """The clauses that select participants."""
        return [clause for name, clause in self.clauses.items() if name in _OF_PARTICIPANTS]


EVERYTHING = MatchFilter()
_OF_PARTICIPANTS = ("champion", "position")


def read_match_statistics(
    client: Elasticsearch, time_range: TimeRange, only: MatchFilter = EVERYTHING
) -> MatchStatistics:
    """The statistics of matches that ended in `time_range`, without closed indices. Raises the client's errors."""
    overall = search_matches(client, size=0, track_total_hits=True)
    found = search_matches(
        client,
        size=0,
        query=all_of(in_range(time_range), *only.of_matches),
        aggs=_aggregations(time_range, only),
    )["aggregations"]
    teams = _read_teams(client, time_range, only)
    last = read_last_matches(client, *only.of_matches, *only.of_participants)
    selected, played = found["selected"], found["selected"]["played"]
    recent_start = _recent_start(time_range)
    matches_played = found["played"]["people"]["matches"]["value"]
    return MatchStatistics(
        total_documents=overall["hits"]["total"]["value"],
        newest_ended=last[0].ended if last else None,
        newest_arrived_at=_read_newest_arrival(client),
        count=selected["matches"]["value"],
        documents=selected["doc_count"],
        played=matches_played,
        steps=tuple(
            _step(from_ms(bucket["key"]), bucket, time_range.step_seconds / 60)
            for bucket in selected["steps"]["buckets"]
        ),
        recent=_step(recent_start, selected["recent"], (time_range.end - recent_start).total_seconds() / 60),
        champions=tuple(
            _champion(bucket, matches_played, teams) for bucket in played["people"]["champions"]["buckets"]
        ),
        positions=tuple(
            sorted(
                (_position(bucket) for bucket in played["people"]["positions"]["positions"]["buckets"]),
                key=lambda position: _order(position.name),
            )
        ),
        sides=_sides(found["played"]["sides"]["buckets"]),
        lengths=tuple(
            GameLengthBucket(at_least, below, bucket["matches"]["value"])
            for (at_least, below), bucket in zip(GAME_LENGTHS, played["lengths"]["buckets"], strict=True)
        ),
        objectives=_objectives(teams),
        last=last,
        arriving_per_minute=_read_arrivals(client, only) if time_range.is_last else None,
        absent=None if selected["matches"]["value"] else read_absent(client, only),
    )


def read_absent(client: Elasticsearch, only: MatchFilter) -> tuple[str, ...] | None:
    """The filters whose value no document of any time has; empty if each value has documents, but none matches all
    filters at once. None if one does. Raises the client's errors."""
    if not only.clauses:
        return None
    found = search_matches(
        client,
        size=0,
        aggs={
            "values": {"filters": {"filters": only.clauses}},
            "together": {"filter": all_of(*only.clauses.values())},
        },
    )["aggregations"]
    if found["together"]["doc_count"]:
        return None
    return tuple(name for name, bucket in found["values"]["buckets"].items() if not bucket["doc_count"])


def _read_newest_arrival(client: Elasticsearch) -> datetime | None:
    """When the newest message of any match arrived, up to now: one may have arrived while Kafka's clock was ahead."""
    # Not the aggregation `max`, which with a query reads all documents; sorted, Elasticsearch skips all but the newest.
    found = search_matches(
        client,
        size=1,
        track_total_hits=False,
        query=all_of({"range": {"ingested_at": {"lte": "now"}}}),
        sort=[{"ingested_at": "desc"}],
        source={"includes": ["ingested_at"]},
    )["hits"]["hits"]
    return datetime.fromisoformat(found[0]["_source"]["ingested_at"]) if found else None


def _read_arrivals(client: Elasticsearch, only: MatchFilter) -> float:
    """Matches a minute that have arrived in the last minutes."""
    recent = {"range": {"ingested_at": {"gte": f"now-{RECENT_MINUTES}m", "lte": "now"}}}
    query = all_of(recent, *only.of_matches, *only.of_participants)
    found = search_matches(client, size=0, query=query, aggs={"arriving": MATCHES})
    arriving: int = found["aggregations"]["arriving"]["value"]
    return arriving / RECENT_MINUTES


def read_last_matches(client: Elasticsearch, *clauses: dict[str, Any]) -> tuple[MatchSummary, ...]:
    """The newest matches of which a participant matches all clauses, newest first, at any time up to now.

    Without pagination (`search_after`): one page of the newest documents, read once more with a larger size if it has
    too few matches.
    """
    ids: list[str] = []
    # Not `collapse`, which reads the documents of all times: sorted by time, Elasticsearch stops after the newest ones.
    # A match that another producer sends can have more participants than any mode.
    for participants_each in (MAX_PARTICIPANTS_OF_A_MODE, MAX_PARTICIPANTS):
        page = LAST_MATCHES * participants_each
        newest = search_matches(
            client,
            size=page,
            track_total_hits=False,
            query=all_of({"range": {"@timestamp": {"lte": "now"}}}, *clauses),
            sort=[{"@timestamp": "desc"}, {"match_id": "desc"}],
            source={"includes": ["match_id"]},
        )["hits"]["hits"]
        ids = list(dict.fromkeys(hit["_source"]["match_id"] for hit in newest))[:LAST_MATCHES]
        if len(ids) == LAST_MATCHES or len(newest) < page:
            break
    if not ids:
        return ()
    participants = search_matches(
        client,
        size=LAST_MATCHES * MAX_PARTICIPANTS,
        query={"terms": {"match_id": ids}},
        source={"includes": _SUMMARY_FIELDS},
    )
    by_match: dict[str, list[Mapping[str, Any]]] = {each: [] for each in ids}
    for hit in participants["hits"]["hits"]:
        by_match[hit["_source"]["match_id"]].append(hit["_source"])
    return tuple(_summary(found) for found in by_match.values() if found)


def _read_teams(client: Elasticsearch, time_range: TimeRange, only: MatchFilter) -> Mapping[str, Any]:
    """The aggregations over the teams' documents; empty if there is no index of them."""
    response = search(
        client,
        TEAMS_ALIAS,
        size=0,
        query=all_of(in_range(time_range), *only.of_matches, *PLAYED),
        aggs={
            "with_bans": {
                "filter": all_of({"exists": {"field": "bans"}}, none_of({"terms": {"game_mode": list(CLASSIC_MODES)}})),
                "aggs": {
                    "matches": MATCHES,
                    "bans": {
                        "terms": {"field": "bans", "size": MAX_CHAMPIONS},
                        "aggs": {"matches": _distinct_matches(CHAMPION_PRECISION)},
                    },
                },
            },
            "on_rift": {
                "filter": all_of({"term": {"map_id": SUMMONERS_RIFT}}, TWO_TEAMS, AMONG_PEOPLE),
                "aggs": {
                    "objectives": {
                        "filters": {"filters": {name: {"term": {f"first_{name}": True}} for name in OBJECTIVES}},
                        "aggs": averages("win"),
                    }
                },
            },
        },
    )
    aggregations: Mapping[str, Any] = response.get("aggregations", {})
    return aggregations


@dataclass(frozen=True)
class FilterValues:
    """What can be selected: the values that the documents of a time range have; of champions, those that the tables and
    pages have, so none of bots and modes."""

    queue_ids: tuple[int, ...] = ()
    platforms: tuple[str, ...] = ()
    patches: tuple[str, ...] = ()
    champions: tuple[str, ...] = ()


def read_filter_values(client: Elasticsearch, time_range: TimeRange) -> FilterValues:
    """The values that a filter can have. Raises the client's errors."""

    def terms(field: str) -> dict[str, Any]:
        return {field: {"terms": {"field": field, "size": MAX_CHAMPIONS}}}

    found = search_matches(
        client,
        size=0,
        query=all_of(in_range(time_range)),
        aggs={
            **terms("queue_id"),
            **terms("platform"),
            **terms("patch"),
            "people": {"filter": PEOPLE, "aggs": terms("champion_name")},
        },
    )["aggregations"]

    def values(aggregations: Mapping[str, Any], field: str) -> tuple[Any, ...]:
        return tuple(sorted(bucket["key"] for bucket in aggregations[field]["buckets"]))

    return FilterValues(
        queue_ids=values(found, "queue_id"),
        platforms=values(found, "platform"),
        patches=values(found, "patch"),
        champions=values(found["people"], "champion_name"),
    )


def patch_version(patch: str) -> list[int]:
    """The patch's number for sorting: 16.10 is newer than 16.9."""
    return [int(part) if part.isdecimal() else 0 for part in patch.split(".")]


def all_of(*clauses: dict[str, Any]) -> dict[str, Any]:
    """A query for documents that match all clauses."""
    return {"bool": {"filter": list(clauses)}}


def none_of(*clauses: dict[str, Any]) -> dict[str, Any]:
    """A query for documents that match none of the clauses."""
    return {"bool": {"must_not": list(clauses)}}


def wilson_interval(rate: float, games: int) -> tuple[float, float]:
    """The 95 % confidence interval of a rate over `games` games."""
    z = 1.96
    middle = rate + z * z / (2 * games)
    half = z * math.sqrt(rate * (1 - rate) / games + z * z / (4 * games * games))
    low, high = ((middle + sign * half) / (1 + z * z / games) for sign in (-1, 1))
    # Rounding can exceed 0 and 1 a little, which would show as "-0%".
    return max(low, 0.0), min(high, 1.0)


def in_range(time_range: TimeRange) -> dict[str, Any]:
    """A query for documents of the time range."""
    return {"range": {"@timestamp": {"gte": to_ms(time_range.start), "lt": to_ms(time_range.end)}}}


def averages(*fields: str) -> dict[str, Any]:
    """An aggregation for the mean of each field, of the same name."""
    return {field: {"avg": {"field": field}} for field in fields}


def _distinct_matches(precision: int) -> dict[str, Any]:
    return {"cardinality": {"field": "match_id", "precision_threshold": precision}}


MATCHES = _distinct_matches(PRECISION_THRESHOLD)
"""The aggregation that counts matches."""
PLAYED: tuple[dict[str, Any], ...] = ({"term": {"remake": False}}, {"exists": {"field": "win"}})
"""Clauses for matches that count: no remakes, and none without a winner."""
TWO_TEAMS = {"term": {"two_teams": True}}
"""A query for matches of two teams. Documents of earlier versions lack the field, so they are not among them."""
AMONG_PEOPLE = none_of({"terms": {"queue_id": sorted(AGAINST_BOTS)}}, {"range": {"bots": {"gt": 0}}})
"""A query for matches among people: a team of bots is no comparison of sides. Documents may lack the number of bots, so
that the queues are named too."""
PEOPLE = none_of({"term": {"bot": True}}, {"wildcard": {"champion_name": CHAMPIONS_OF_MODES}})
"""A query for participants who are no bots, and play a champion of Summoner's Rift."""


def _aggregations(time_range: TimeRange, only: MatchFilter) -> dict[str, Any]:
    first, *_, last, _ = time_range.step_times
    return {
        "selected": {
            "filter": all_of(*only.of_participants),
            "aggs": {
                "matches": MATCHES,
                "steps": {
                    "date_histogram": {
                        "field": "@timestamp",
                        "fixed_interval": f"{time_range.step_seconds}s",
                        "offset": f"{int(time_range.start.timestamp()) % time_range.step_seconds}s",
                        "min_doc_count": 0,
                        "extended_bounds": {"min": to_ms(first), "max": to_ms(last)},
                    },
                    "aggs": {"matches": MATCHES},
                },
                "recent": {
                    "filter": {"range": {"@timestamp": {"gte": to_ms(_recent_start(time_range))}}},
                    "aggs": {"matches": MATCHES},
                },
                "played": {"filter": all_of(*PLAYED), "aggs": _of_participants()},
            },
        },
        # All participants of the matches: a share of one champion's matches would say nothing.
        "played": {
            "filter": all_of(*PLAYED),
            "aggs": {
                "people": {
                    "filter": all_of(PEOPLE, *replace(only, champion="").of_participants),
                    "aggs": {"matches": MATCHES},
                },
                "sides": {
                    "filters": {
                        "filters": {
                            name: all_of(TWO_TEAMS, AMONG_PEOPLE, {"term": {"team_id": team}})
                            for name, team in _TEAMS.items()
                        }
                    },
                    "aggs": {
                        "matches": MATCHES,
                        "won": {"filter": {"term": {"win": True}}, "aggs": {"matches": MATCHES}},
                        **{name: {"sum": {"field": field}} for name, field in _SIDE_SUMS.items()},
                    },
                },
            },
        },
    }


def _of_participants() -> dict[str, Any]:
    return {
        "people": {
            "filter": PEOPLE,
            "aggs": {
                "champions": {
                    "terms": {"field": "champion_name", "size": MAX_CHAMPIONS},
                    "aggs": {
                        "matches": _distinct_matches(CHAMPION_PRECISION),
                        # The most frequent one: a single match can have a wrong id.
                        "ids": {"terms": {"field": "champion_id", "size": 1, "shard_size": EXACT_SHARD_SIZE}},
                        **averages("win", "kda", "gold_per_minute", "damage_per_minute", "cs_per_minute"),
                    },
                },
                "positions": {
                    "filter": TWO_TEAMS,
                    "aggs": {
                        "positions": {"terms": {"field": "position"}, "aggs": averages("kda", "cs", "gold_per_minute")}
                    },
                },
            },
        },
        "lengths": {
            "range": {
                "field": "game_duration",
                "ranges": [
                    {"from": at_least * 60} | ({"to": below * 60} if below else {}) for at_least, below in GAME_LENGTHS
                ],
            },
            "aggs": {"matches": MATCHES},
        },
    }


_TEAMS = {"blue": BLUE_TEAM_ID, "red": RED_TEAM_ID}
_SIDE_SUMS = {
    "kills": "kills",
    "gold": "gold_earned",
    "damage": "total_damage_dealt",
    "cs": "cs",
    "vision": "vision_score",
}


def _recent_start(time_range: TimeRange) -> datetime:
    return max(time_range.start, time_range.end - timedelta(minutes=RECENT_MINUTES))


def _step(start: datetime, bucket: Mapping[str, Any], minutes: float) -> StepRate:
    return StepRate(
        start,
        bucket["matches"]["value"] / minutes,
        bucket["doc_count"] / minutes,
    )


def _champion(bucket: Mapping[str, Any], matches: int, teams: Mapping[str, Any]) -> ChampionStatistics:
    ban_rate = None
    with_bans = teams["with_bans"]["matches"]["value"] if teams else 0
    if with_bans and (ids := bucket["ids"]["buckets"]):
        bans = {ban["key"]: ban["matches"]["value"] for ban in teams["with_bans"]["bans"]["buckets"]}
        ban_rate = bans.get(ids[0]["key"], 0) / with_bans
    return ChampionStatistics(
        name=bucket["key"],
        games=bucket["doc_count"],
        pick_rate=bucket["matches"]["value"] / matches,
        ban_rate=ban_rate,
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
    wins = sum(bucket["won"]["matches"]["value"] for bucket in buckets.values())
    if not wins or not all(bucket["doc_count"] for bucket in buckets.values()):
        return ()
    return tuple(
        SideStatistics(
            name,
            bucket["won"]["matches"]["value"] / wins,
            *(bucket[measure]["value"] / bucket["matches"]["value"] for measure in _SIDE_SUMS),
        )
        for name, bucket in buckets.items()
    )


def _objectives(teams: Mapping[str, Any]) -> tuple[ObjectiveStatistics, ...]:
    buckets = teams["on_rift"]["objectives"]["buckets"] if teams else {}
    return tuple(
        ObjectiveStatistics(words, buckets[name]["doc_count"], buckets[name]["win"]["value"])
        for name, words in OBJECTIVES.items()
        if buckets and buckets[name]["doc_count"]
    )


_SUMMARY_FIELDS = [
    *("match_id", "@timestamp", "game_duration", "queue_id", "patch", "remake", "two_teams"),
    *("team_id", "champion_name", "position", "placement", "win", "kills"),
]


def _summary(found: list[Mapping[str, Any]]) -> MatchSummary:
    """The match of these participants."""
    match, two_teams = found[0], found[0].get("two_teams", False)
    by_position = sorted(found, key=lambda source: _order(source["position"])) if two_teams else []
    by_placement = [] if two_teams else sorted(found, key=lambda source: source.get("placement", MAX_PARTICIPANTS))
    sides = {name: [source for source in by_position if source["team_id"] == team] for name, team in _TEAMS.items()}
    winners = [name for name, side in sides.items() if any(source.get("win") for source in side)]
    return MatchSummary(
        id=match["match_id"],
        ended=datetime.fromisoformat(match["@timestamp"]),
        duration=match["game_duration"],
        queue=queue_name(match["queue_id"]),
        patch=match["patch"],
        remake=match["remake"],
        winner=winners[0] if len(winners) == 1 and not match["remake"] else None,
        blue=tuple(source["champion_name"] for source in sides["blue"]),
        red=tuple(source["champion_name"] for source in sides["red"]),
        blue_kills=sum(source["kills"] for source in sides["blue"]),
        red_kills=sum(source["kills"] for source in sides["red"]),
        champions=tuple(source["champion_name"] for source in by_placement),
    )
