"""Builds of all players: the same documents as in Kibana's panels count, and the response becomes figures."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from unittest.mock import create_autospec

import pytest
from elasticsearch import Elasticsearch

from analytics.builds import BuildStatistics, GoldBucket, GroupStatistics, KillParticipation, read_build_statistics
from analytics.match_statistics import MatchFilter
from analytics.time_range import TimeRange
from harness.kibana import kql
from harness.kibana.objects import panels
from harness.kibana.schema import Terms
from job.queues import POSITIONS
from tests.support.selected_documents import DOCUMENTS, PERSON, is_selected

NOBODY = {"doc_count": 0, "kill_participation": {"value": None}}
TOP = {
    "won": {"doc_count": 3, "kill_participation": {"value": 0.5}},
    "lost": {"doc_count": 2, "kill_participation": {"value": 0.25}},
}
RESPONSE: dict[str, Any] = {
    "hits": {"total": {"value": 1000}},
    "aggregations": {
        "items": {
            "doc_count": 500,
            "groups": {
                "buckets": [
                    {"key": 3031, "doc_count": 250, "win": {"value": 0.6}},
                    {"key": 999_999, "doc_count": 1, "win": {"value": 0.0}},
                ]
            },
        },
        "keystones": {
            "doc_count": 40,
            "groups": {"buckets": [{"key": 8112, "doc_count": 4, "win": {"value": 0.5}}]},
        },
        "two_teams": {
            "gold": {"buckets": [{"key": 350.0, "doc_count": 6}, {"key": 400.0, "doc_count": 2}]},
            "positions": {
                "buckets": {
                    "UTILITY": {"won": NOBODY, "lost": TOP["lost"]},
                    "TOP": TOP,
                    **{name: {"won": NOBODY, "lost": NOBODY} for name in ("JUNGLE", "MIDDLE", "BOTTOM")},
                }
            },
        },
    },
}


def request_and_result() -> tuple[dict[str, Any], BuildStatistics]:
    """The search, and the figures from the response."""
    client = create_autospec(Elasticsearch, instance=True)
    client.search.return_value = RESPONSE
    found = read_build_statistics(client, TimeRange.last(timedelta(hours=1), datetime.now(UTC)), MatchFilter())
    (call,) = client.search.call_args_list
    return call.kwargs, found


@pytest.mark.parametrize(
    ("panel", "field", "path"),
    [
        ("lol-items", "items", ()),
        ("lol-keystones", "keystone", ()),
        ("lol-gold-distribution", "gold_per_minute", ("two_teams",)),
        ("lol-kill-participation", "kill_participation", ("two_teams", "positions")),
    ],
)
def test_the_same_games_count_as_in_kibanas_panel(panel: str, field: str, path: tuple[str, ...]) -> None:
    request, _ = request_and_result()
    kibana = kql.filter_query(panels()[panel].attributes.state.query.query)
    aggregations, ours = request["aggs"], [request["query"]]
    for name in path:
        if "filter" in aggregations[name]:
            ours.append(aggregations[name]["filter"])
        else:
            ours.append({"bool": {"should": list(aggregations[name]["filters"]["filters"].values())}})
        aggregations = aggregations[name]["aggs"]
    counted: dict[str, list[str]] = {"Kibana": [], "the report": []}
    for name, fields in DOCUMENTS.items():
        document = {**PERSON, **fields}
        if document[field] is not None:
            counted["Kibana"] += [name] * is_selected(kibana, document)
            counted["the report"] += [name] * all(is_selected(query, document) for query in ours)
    assert counted["the report"] == counted["Kibana"]
    assert {"person", "loser", "person against bots"} <= set(counted["Kibana"]) < set(DOCUMENTS)


def test_kill_participation_is_of_winners_and_losers_whose_team_has_a_kill() -> None:
    halves = request_and_result()[0]["aggs"]["two_teams"]["aggs"]["positions"]["aggs"]

    def selected(name: str) -> dict[str, bool]:
        document = {**PERSON, **DOCUMENTS[name]}
        return {half: is_selected(halves[half]["filter"], document) for half in ("won", "lost")}

    assert selected("person") == {"won": True, "lost": False}
    assert selected("loser") == {"won": False, "lost": True}
    assert selected("team without a kill") == {"won": False, "lost": False}


def test_positions_and_left_out_items_are_those_of_kibanas_panels() -> None:
    request, _ = request_and_result()
    item = panels()["lol-items"].layers["data"].columns["item"]
    position = panels()["lol-kill-participation"].layers["data"].columns["position"]
    assert isinstance(item, Terms)
    assert isinstance(position, Terms)
    terms = request["aggs"]["items"]["aggs"]["groups"]["terms"]
    assert terms["exclude"] == item.params.exclude
    assert terms["size"] == item.params.size
    positions = request["aggs"]["two_teams"]["aggs"]["positions"]["filters"]["filters"]
    assert list(positions) == list(POSITIONS)
    assert len(positions) == position.params.size
    assert position.params.exclude == ["UNKNOWN"]


def test_partial_results_of_a_search_for_builds_are_refused() -> None:
    request, _ = request_and_result()
    assert request["allow_partial_search_results"] is False
    assert request["allow_no_indices"] is False
    assert request["track_total_hits"] is True


def test_builds_are_read_from_the_response() -> None:
    """Shares are of the games with items or keystones: half of the thousand games are of modes or messages without."""
    request, found = request_and_result()
    assert request["aggs"]["items"]["filter"] == {"exists": {"field": "items"}}
    assert request["aggs"]["keystones"]["filter"] == {"exists": {"field": "keystone"}}
    assert found == BuildStatistics(
        gold=(GoldBucket(350, 6), GoldBucket(400, 2)),
        kill_participation=(
            KillParticipation("TOP", won=0.5, won_games=3, lost=0.25, lost_games=2),
            KillParticipation("UTILITY", won=None, won_games=0, lost=0.25, lost_games=2),
        ),
        items=(GroupStatistics("Infinity Edge", 250, 0.5, 0.6), GroupStatistics("999999", 1, 0.002, 0.0)),
        keystones=(GroupStatistics("Electrocute", 4, 0.1, 0.5),),
    )
