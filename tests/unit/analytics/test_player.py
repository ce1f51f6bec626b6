"""A player, whose figures are by queue: found in any case of every alphabet, and never by a pattern that was typed."""

from __future__ import annotations

import re
from typing import Any
from unittest.mock import create_autospec

import pytest
from elasticsearch import Elasticsearch

from analytics.player import LONGEST_PATTERN, MEANS, PlayerChampion, PlayerQueue, has_name, read_player
from tests.support.selected_documents import DOCUMENTS, PERSON, is_selected


def is_found(wanted: str, name: str) -> bool:
    """Whether the query matches the name. Python reads a pattern of classes and escapes as Lucene does."""
    found = patterns(wanted)
    assert not any(re.search(r"\\[A-Za-z0-9]", pattern) for pattern in found), "a class in Lucene"
    return any(re.fullmatch(pattern, name) for pattern in found)


def patterns(wanted: str) -> list[str]:
    """Those of the query, of which one has to match."""
    expressions = [clause["regexp"]["summoner_name"] for clause in has_name(wanted)["bool"]["should"]]
    assert {expression["flags"] for expression in expressions} == {"NONE"}
    return [expression["value"] for expression in expressions]


@pytest.mark.parametrize(
    ("wanted", "name"),
    [
        ("nautilus OF 2019#euw", "Nautilus of 2019#EUW"),
        ("éclair#euw", "Éclair#EUW"),
        ("ÉCLAIR#EUW", "Éclair#EUW"),
        ("жанна#ru", "ЖАННА#RU"),
        ("οδυσσευς#gr", "ΟΔΥΣΣΕΥΣ#GR"),
        ("ΟΔΥΣΣΕΥΣ#GR", "Οδυσσευς#gr"),
        ("STRAẞE#EUW", "straße#EUW"),
        ("İnci#TR1", "İNCI#tr1"),
        ("숨#KR1", "숨#kr1"),
        ("𞤀#1", "𞤢#1"),
    ],
)
def test_riot_id_is_found_in_any_case_of_every_alphabet(wanted: str, name: str) -> None:
    assert is_found(wanted, name)


@pytest.mark.parametrize(
    ("wanted", "name"),
    [
        ("e\u0301#nfc", "\u00c9#NFC"),
        ("\u00e9#nfd", "E\u0301#NFD"),
        ("e\u0301#nfd", "E\u0301#NFD"),
        ("숨#KR1", "\u1109\u116e\u11b7#kr1"),
        ("\u1109\u116e\u11b7#KR1", "숨#kr1"),
        ("Th\u1ebf#VN2", "the\u0302\u0301#vn2"),
        ("\uf900#KR1", "\uf900#KR1"),
    ],
)
def test_riot_id_is_found_composed_and_decomposed(wanted: str, name: str) -> None:
    """A letter with an accent is one character or two (Unicode's NFC and NFD); they look the same."""
    assert is_found(wanted, name)


@pytest.mark.parametrize(
    ("wanted", "name"),
    [
        ("a b#EUW", "a\u00a0b#EUW"),
        ("a\u00a0b#EUW", "a b#EUW"),
        ("a\u3000b#EUW", "a\u2003b#EUW"),
        ("Same #ABC", "Same#ABC"),
        ("Same\u00a0# abc", "Same#ABC"),
        ("No. #1 #ABC", "No. #1#ABC"),
        ("Same #ABC", "Same #ABC"),
        ("Name of a summoner", "Name of a summoner"),
    ],
)
def test_riot_id_is_found_with_any_spaces(wanted: str, name: str) -> None:
    assert is_found(wanted, name)


@pytest.mark.parametrize(
    ("wanted", "name"),
    [
        ("eclair#euw", "Éclair#EUW"),
        ("eclair#euw", "E\u0301clair#EUW"),
        ("ab#EUW", "a b#EUW"),
        ("No. #1#ABC", "No.#1#ABC"),
        ("inci#tr1", "İnci#TR1"),
        (".*", "Ahri#EUW"),
        ("Ahri#EUW|Jinx#EUW", "Ahri#EUW"),
        ("[A]hri#EUW", "Ahri#EUW"),
        ("Ahri#EUW~", "Ahri#EUW"),
        ("<1-3>", "2"),
        ("\\d", "1"),
        ("Ahri", "Ahri#EUW"),
    ],
)
def test_other_names_are_not_found(wanted: str, name: str) -> None:
    assert not is_found(wanted, name)
    assert is_found(wanted, wanted)


@pytest.mark.parametrize("characters", ["a", "θ", "𞤀", "#", "숨", "é", "ế", "a "])
def test_pattern_is_within_elasticsearchs_limit_for_all_that_the_page_accepts(characters: str) -> None:
    for pattern in patterns(120 // len(characters) * characters):
        assert len(pattern.encode("utf-16-le")) / 2 <= LONGEST_PATTERN == 1000
    too_long = 10_000 * characters
    assert has_name(too_long) == {"term": {"summoner_name": too_long}}


def test_player_is_searched_by_puuid_or_name() -> None:
    client = create_autospec(Elasticsearch, instance=True)
    client.search.return_value = {"hits": {"hits": []}}
    assert read_player(client, "жанна#ru") is None
    query: dict[str, Any] = client.search.call_args.kwargs["query"]
    assert query["bool"]["filter"][0]["bool"]["should"] == [{"term": {"puuid": "жанна#ru"}}, has_name("жанна#ru")]


def value_of_each(value: float, *fields: str) -> dict[str, dict[str, float]]:
    return {field: {"value": value} for field in fields}


def champions(**games: int) -> dict[str, Any]:
    """The response's champions, with their games."""
    buckets = [{"key": name, "doc_count": count, **value_of_each(0.5, "win", "kda")} for name, count in games.items()]
    return {"people": {"champions": {"buckets": buckets}}}


RESPONSE: dict[str, Any] = {
    "hits": {"hits": []},
    "aggregations": {
        "names": {"buckets": [{"key": "Ann#EUW"}]},
        "played": {
            "doc_count": 38,
            "queues": {
                "buckets": [
                    {"key": "Arena", "doc_count": 20, **value_of_each(0.5, *MEANS), **champions(Ahri=7, Jinx=1)},
                    {"key": "5v5 ARAM", "doc_count": 16, **value_of_each(0.25, *MEANS), **champions(Ahri=16)},
                    {"key": "Swarm", "doc_count": 2, **value_of_each(0.0, *MEANS), **champions()},
                ]
            },
        },
    },
}


def test_figures_of_a_player_are_by_queue() -> None:
    """A mean over all modes says nothing: Swarm has no kills, and Arena few minutes."""
    client = create_autospec(Elasticsearch, instance=True)
    client.search.side_effect = [{"hits": {"hits": [{"_source": {"puuid": "of-ann"}}]}}, RESPONSE]
    player = read_player(client, "Ann#EUW")
    assert player is not None
    assert player.games == 38
    assert player.queues == (
        PlayerQueue("Arena", 20, dict.fromkeys(MEANS, 0.5)),
        PlayerQueue("5v5 ARAM", 16, dict.fromkeys(MEANS, 0.25)),
        PlayerQueue("Swarm", 2, dict.fromkeys(MEANS, 0.0)),
    )
    assert player.champions == (
        PlayerChampion("Ahri", "5v5 ARAM", 16, 0.5, 0.5),
        PlayerChampion("Ahri", "Arena", 7, 0.5, 0.5),
        PlayerChampion("Jinx", "Arena", 1, 0.5, 0.5),
    )
    request = client.search.call_args.kwargs
    assert list(request["aggs"]["played"]["aggs"]) == ["queues"]
    queues = request["aggs"]["played"]["aggs"]["queues"]
    assert queues["terms"]["field"] == "queue"

    def counted(*queries: dict[str, Any]) -> set[str]:
        documents = {name: {**PERSON, "puuid": "of-ann", **fields} for name, fields in DOCUMENTS.items()}
        return {name for name, document in documents.items() if all(is_selected(query, document) for query in queries)}

    listed, games = request["query"], request["aggs"]["played"]["filter"]
    assert {"Arena", "Swarm", "League Classic", "remake", "no winner"} <= counted(listed)
    assert {"Arena", "Swarm", "League Classic"} <= counted(listed, games)
    of_table = counted(listed, games, queues["aggs"]["people"]["filter"])
    assert {"person", "Arena", "practice tool"} <= of_table
    assert not any("_" in DOCUMENTS[name].get("champion_name", "") for name in of_table)


@pytest.mark.parametrize(
    ("fields", "won"),
    [({"win": True}, True), ({"win": False}, False), ({"win": True, "remake": True}, None), ({"win": None}, None)],
    ids=["win", "loss", "remake", "no winner"],
)
def test_match_that_does_not_count_is_neither_won_nor_lost(fields: dict[str, Any], won: bool | None) -> None:
    figures = {"match_id": "EUW1_1", "game_duration": 1800, "kills": 1, "deaths": 2, "assists": 3}
    document = {**PERSON, "puuid": "of-ann", **figures, **fields}
    client = create_autospec(Elasticsearch, instance=True)
    client.search.return_value = RESPONSE | {"hits": {"hits": [{"_source": document}]}}
    player = read_player(client, "Ann#EUW")
    assert player is not None
    assert [game.won for game in player.last] == [won]


def test_names_of_all_players_are_not_loaded_for_the_names_of_one() -> None:
    """Without the hint, Elasticsearch builds global ordinals: a table of all terms of the field, after each refresh."""
    client = create_autospec(Elasticsearch, instance=True)
    client.search.side_effect = [{"hits": {"hits": [{"_source": {"puuid": "of-ann"}}]}}, RESPONSE]
    read_player(client, "Ann#EUW")
    aggregations: dict[str, Any] = client.search.call_args.kwargs["aggs"]
    assert aggregations["names"]["terms"]["execution_hint"] == "map"
