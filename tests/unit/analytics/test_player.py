"""The search for a player by Riot ID: in any case of every alphabet, and never as a pattern that was typed."""

from __future__ import annotations

import re
from typing import Any
from unittest.mock import create_autospec

import pytest
from elasticsearch import Elasticsearch

from analytics.player import LONGEST_PATTERN, has_name, read_player


def is_found(wanted: str, name: str) -> bool:
    """Whether the query matches the name. Python reads a pattern of classes and escapes as Lucene does."""
    query = has_name(wanted)
    assert query["regexp"]["summoner_name"]["flags"] == "NONE"
    pattern = query["regexp"]["summoner_name"]["value"]
    assert not re.search(r"\\[A-Za-z0-9]", pattern), "a class in Lucene"
    return re.fullmatch(pattern, name) is not None


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
        ("eclair#euw", "Éclair#EUW"),
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


@pytest.mark.parametrize("character", ["a", "θ", "𞤀", "#", "숨"])
def test_pattern_is_within_elasticsearchs_limit_for_all_that_the_page_accepts(character: str) -> None:
    pattern = has_name(120 * character)["regexp"]["summoner_name"]["value"]
    assert len(pattern.encode("utf-16-le")) / 2 <= LONGEST_PATTERN == 1000
    assert has_name(10_000 * character) == {"term": {"summoner_name": 10_000 * character}}


def test_player_is_searched_by_puuid_or_name() -> None:
    client = create_autospec(Elasticsearch, instance=True)
    client.search.return_value = {"hits": {"hits": []}}
    assert read_player(client, "жанна#ru") is None
    query: dict[str, Any] = client.search.call_args.kwargs["query"]
    assert query["bool"]["filter"][0]["bool"]["should"] == [{"term": {"puuid": "жанна#ru"}}, has_name("жанна#ru")]


def test_names_of_all_players_are_not_loaded_for_the_names_of_one() -> None:
    """Without the hint, Elasticsearch builds global ordinals: a table of all terms of the field, after each refresh."""
    client = create_autospec(Elasticsearch, instance=True)
    client.search.return_value = {"hits": {"hits": [{"_source": {"puuid": "p"}}]}}
    with pytest.raises(KeyError, match="aggregations"):
        read_player(client, "p")
    aggregations: dict[str, Any] = client.search.call_args.kwargs["aggs"]
    terms = (aggregations["names"]["terms"], aggregations["played"]["aggs"]["champions"]["terms"])
    assert [each["execution_hint"] for each in terms] == ["map", "map"]
