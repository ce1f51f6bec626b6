"""One player's matches, by puuid or Riot ID."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any
from unicodedata import category, normalize

from elasticsearch import Elasticsearch

from analytics.match_statistics import EXACT_SHARD_SIZE, PEOPLE, PLAYED, all_of, averages, none_of
from analytics.search import search_matches
from job.queues import queue_name

SHOWN_GAMES, SHOWN_QUEUES, SHOWN_CHAMPIONS, SHOWN_NAMES = 20, 20, 10, 5
NO_BOT = none_of({"term": {"bot": True}})
"""All bots have the same puuid, and the names of champions."""
LONGEST_PATTERN = 1000
"""Elasticsearch's default of `index.max_regex_length`, which counts UTF-16 code units."""
SPACES = "[ \u00a0\u1680\u2000-\u200a\u202f\u205f\u3000]"
"""A class of all spaces: Unicode's category Zs."""
LAST_CASED_CHARACTER = 0x1E943
"""Unicode's last character with an upper or lower case."""
MEANS = ("win", "kda", "gold_per_minute", "damage_per_minute", "cs_per_minute", "kill_participation")


@dataclass(frozen=True)
class PlayerGame:
    """A game of the player. `won` is None in a remake, or a match without a winner."""

    match_id: str
    ended: datetime
    duration: int
    queue: str
    champion: str
    position: str
    kills: int
    deaths: int
    assists: int
    won: bool | None


@dataclass(frozen=True)
class PlayerQueue:
    """The player's games of a queue, and their means by field: those of MEANS; `win` from 0 to 1."""

    name: str
    games: int
    means: Mapping[str, float | None]


@dataclass(frozen=True)
class PlayerChampion:
    """The player's games with a champion in a queue; `win_rate` from 0 to 1."""

    name: str
    queue: str
    games: int
    win_rate: float
    kda: float


@dataclass(frozen=True)
class Player:
    """A player: the newest name first. Queues and champions are of games that count: no remakes, and with a winner.

    Each figure is of one queue: scores and figures per minute of Summoner's Rift, ARAM, Arena and Swarm do not compare.
    """

    puuid: str
    """Empty if the documents lack it: the player is then the name."""
    names: tuple[str, ...]
    games: int
    queues: tuple[PlayerQueue, ...]
    """Most games first."""
    champions: tuple[PlayerChampion, ...]
    """Most games first; no champions of modes."""
    last: tuple[PlayerGame, ...]
    """Newest first."""


def read_player(client: Elasticsearch, wanted: str) -> Player | None:
    """The player with this puuid or Riot ID (name#tag, in any case); None if there is none. Raises the client's errors.

    A Riot ID can change hands: it means who played under it last.
    """
    by_name = has_name(wanted)
    either = {"bool": {"should": [{"term": {"puuid": wanted}}, by_name]}}
    newest = search_matches(client, size=1, query=all_of(either, NO_BOT), sort=_NEWEST)
    hits = newest["hits"]["hits"]
    if not hits:
        return None
    puuid = hits[0]["_source"].get("puuid", "")
    games = all_of({"term": {"puuid": puuid}} if puuid else by_name, NO_BOT)
    found = search_matches(
        client,
        size=SHOWN_GAMES,
        query=games,
        sort=_NEWEST,
        aggs={
            "names": {
                "terms": {
                    "field": "summoner_name",
                    "size": SHOWN_NAMES,
                    "order": {"newest": "desc"},
                    "execution_hint": "map",  # else Elasticsearch numbers all names of the index after each refresh
                },
                "aggs": {"newest": {"max": {"field": "@timestamp"}}},
            },
            "played": {
                "filter": all_of(*PLAYED),
                "aggs": {
                    "queues": {
                        "terms": {"field": "queue", "size": SHOWN_QUEUES, "shard_size": EXACT_SHARD_SIZE},
                        "aggs": {
                            **averages(*MEANS),
                            # Not `multi_terms` of both fields: the Elasticsearch that is built from Maven has none.
                            "people": {"filter": PEOPLE, "aggs": {"champions": _CHAMPIONS}},
                        },
                    },
                },
            },
        },
    )
    played = found["aggregations"]["played"]
    champions = [
        PlayerChampion(bucket["key"], queue["key"], bucket["doc_count"], bucket["win"]["value"], bucket["kda"]["value"])
        for queue in played["queues"]["buckets"]
        for bucket in queue["people"]["champions"]["buckets"]
    ]
    return Player(
        puuid=puuid,
        names=tuple(bucket["key"] for bucket in found["aggregations"]["names"]["buckets"]),
        games=played["doc_count"],
        queues=tuple(
            PlayerQueue(bucket["key"], bucket["doc_count"], {field: bucket[field]["value"] for field in MEANS})
            for bucket in played["queues"]["buckets"]
        ),
        champions=tuple(sorted(champions, key=lambda champion: -champion.games)[:SHOWN_CHAMPIONS]),
        last=tuple(_game(hit["_source"]) for hit in found["hits"]["hits"]),
    )


def has_name(wanted: str) -> dict[str, Any]:
    """A query for documents whose `summoner_name` is `wanted` in any case, in every alphabet, with any spaces.

    Patterns, because `case_insensitive` of a `term` query folds ASCII only, and because they also find documents that
    were indexed without a normalizer.
    """
    patterns = ["".join(map(_any_case, spelling)) for spelling in _spellings(wanted)]
    if any(len(pattern.encode("utf-16-le")) // 2 > LONGEST_PATTERN for pattern in patterns):  # longer than any name
        return {"term": {"summoner_name": wanted}}
    expressions = ({"value": pattern, "flags": "NONE"} for pattern in patterns)
    return {"bool": {"should": [{"regexp": {"summoner_name": expression}} for expression in expressions]}}


def _spellings(wanted: str) -> Iterable[str]:
    """The name as it is, without spaces around the #, which the game's client copies, and each composed (NFC) and
    decomposed (NFD): an accent is a part of its letter, or a character of its own."""
    name, separator, tag = wanted.rpartition("#")
    texts = (wanted, f"{name.strip()}{separator}{tag.strip()}")
    return dict.fromkeys(
        spelling for text in texts for spelling in (text, normalize("NFC", text), normalize("NFD", text))
    )


def _any_case(character: str) -> str:
    """A regular expression of Lucene for the character in any case; for a space, any space."""
    if category(character) == "Zs":
        return SPACES
    if cases := _cases().get(character.casefold()):
        return f"[{cases}]"
    # A backslash before a letter or digit could be a class such as \d; before anything else it is literal.
    return character if character.isalnum() else f"\\{character}"


@cache
def _cases() -> Mapping[str, str]:
    """The characters that Unicode's case folding makes equal, by what they become: σ, ς and Σ by σ; ß and ẞ by ss.

    Turkish İ and ı are letters of their own, as in Unicode.
    """
    found: dict[str, str] = defaultdict(str)
    for character in map(chr, range(LAST_CASED_CHARACTER + 1)):
        found[character.casefold()] += character
    return {folded: cases for folded, cases in found.items() if len(cases) > 1}


_CHAMPIONS = {
    "terms": {"field": "champion_name", "size": SHOWN_CHAMPIONS, "shard_size": EXACT_SHARD_SIZE},
    "aggs": averages("win", "kda"),
}
_NEWEST = [{"@timestamp": "desc"}, {"match_id": "desc"}]


def _game(source: Mapping[str, Any]) -> PlayerGame:
    return PlayerGame(
        match_id=source["match_id"],
        ended=datetime.fromisoformat(source["@timestamp"]),
        duration=source["game_duration"],
        queue=queue_name(source["queue_id"]),
        champion=source["champion_name"],
        position=source["position"].capitalize(),
        kills=source["kills"],
        deaths=source["deaths"],
        assists=source["assists"],
        won=None if source["remake"] else source.get("win"),
    )
