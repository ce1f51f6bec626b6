"""The report's aggregations; a fake Elasticsearch returns that there are no documents."""

from __future__ import annotations

import json
import operator
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from statistics import mean
from typing import Any
from unittest.mock import create_autospec

import pytest
from elasticsearch import Elasticsearch

from analytics.match_statistics import (
    EVERYTHING,
    GAME_LENGTHS,
    GameLengthBucket,
    MatchFilter,
    MatchStatistics,
    MatchSummary,
    in_range,
    read_absent,
    read_filter_values,
    read_last_matches,
    read_match_statistics,
    wilson_interval,
)
from analytics.time_range import TimeRange
from harness.kibana import kql
from harness.kibana.objects import panels
from infra.names import ROOT
from job.documents import documents
from job.times import to_ms
from tests.support.http_server import HTTPServer
from tests.support.sample_matches import ARRIVED_AT, decoded, full_participant, match, participant
from tests.support.selected_documents import ARENA, CLASSIC, DOCUMENTS, PERSON, is_selected

KIBANA_PANEL = ROOT / "mappings" / "kibana" / "lens" / "lol-game-length.json"
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
NO_SIDE = {"doc_count": 0, "won": {"matches": {"value": 0}}}
EMPTY_RESPONSE: dict[str, Any] = {
    "hits": {"total": {"value": 0}, "hits": []},
    "aggregations": {
        "arriving": {"value": 15},
        "selected": {
            "doc_count": 0,
            "matches": {"value": 0},
            "steps": {"buckets": []},
            "recent": {"doc_count": 150, "matches": {"value": 15}},
            "played": {
                "people": {"champions": {"buckets": []}, "positions": {"positions": {"buckets": []}}},
                "lengths": {"buckets": [{"matches": {"value": number}} for number in range(len(GAME_LENGTHS))]},
            },
        },
        "played": {"people": {"matches": {"value": 0}}, "sides": {"buckets": {"blue": NO_SIDE, "red": NO_SIDE}}},
        "with_bans": {"matches": {"value": 0}, "bans": {"buckets": []}},
        "on_rift": {"objectives": {"buckets": {}}},
    },
}

NO_VALUES = {
    "values": {"buckets": {"platform": {"doc_count": 10}, "champion": {"doc_count": 0}}},
    "together": {"doc_count": 0},
}


def request_and_result(time_range: TimeRange) -> tuple[dict[str, Any], MatchStatistics]:
    """The aggregations over the time range's documents, and the statistics from the response."""
    client = create_autospec(Elasticsearch, instance=True)
    client.search.return_value = EMPTY_RESPONSE
    found = read_match_statistics(client, time_range)
    return client.search.call_args_list[1].kwargs["aggs"]["selected"]["aggs"], found


def test_closed_indices_are_ignored_but_no_shard_that_fails() -> None:
    closed = {"error": {"type": "index_closed_exception", "reason": "closed"}, "status": 400}
    open_indices = {
        "ignore_unavailable": "true",
        "allow_no_indices": "false",
        "allow_partial_search_results": "false",
    }
    headers = {"X-Elastic-Product": "Elasticsearch"}
    with HTTPServer() as server, Elasticsearch(server.url_for("")) as client:
        path = "/lol_matches_stream/_search"
        server.expect_request(path, query_string=open_indices).respond_with_json(EMPTY_RESPONSE, headers=headers)
        server.expect_request(path).respond_with_json(closed, 400, headers)
        server.expect_request("/lol_teams_stream/_search").respond_with_json({"hits": {"hits": []}}, headers=headers)
        assert read_match_statistics(client, TimeRange.last(timedelta(hours=1), EPOCH)).total_documents == 0


@pytest.mark.parametrize(("minutes", "recent"), [(3, 3), (15, 5), (60, 5), (30 * 24 * 60, 5)])
def test_rate_of_now_is_of_the_last_five_minutes_of_any_time_range(minutes: int, recent: int) -> None:
    """As the rate of the arrivals beside it."""
    end = datetime(2026, 3, 1, 12, tzinfo=UTC)
    time_range = TimeRange.between(end - timedelta(minutes=minutes), end, datetime.now(UTC))
    aggregations, found = request_and_result(time_range)
    begin = aggregations["recent"]["filter"]["range"]["@timestamp"]["gte"]
    assert EPOCH + timedelta(milliseconds=begin) == found.recent.start == end - timedelta(minutes=recent)
    assert (found.recent.matches, found.recent.documents) == (15 / recent, 150 / recent)


@pytest.mark.parametrize("hours", [1, 7, 24, 168])
def test_histogram_steps_begin_with_the_time_range(hours: int) -> None:
    time_range = TimeRange.last(timedelta(hours=hours), datetime(2026, 3, 1, 12, 34, 56, tzinfo=UTC))
    steps = request_and_result(time_range)[0]["steps"]["date_histogram"]
    interval, offset = (timedelta(seconds=int(steps[key].removesuffix("s"))) for key in ("fixed_interval", "offset"))
    # Elasticsearch's buckets begin at each multiple of the interval since 1970, plus the offset.
    assert {(time - EPOCH) % interval for time in time_range.step_times} == {offset}
    # The offset does not apply to the bounds: a maximum after the last step's start would add a step.
    bounds = [EPOCH + timedelta(milliseconds=steps["extended_bounds"][key]) for key in ("min", "max")]
    assert bounds == [time_range.start, time_range.end - interval]


def test_match_at_the_end_of_a_time_range_is_in_the_next_one_only() -> None:
    border = datetime(2026, 3, 1, tzinfo=UTC)
    hour = timedelta(hours=1)
    now = datetime.now(UTC)
    compare = {"gt": operator.gt, "gte": operator.ge, "lt": operator.lt, "lte": operator.le}

    def is_in(start: datetime, end: datetime) -> bool:
        bounds = in_range(TimeRange.between(start, end, now))["range"]["@timestamp"]
        return all(compare[name](to_ms(border), bound) for name, bound in bounds.items())

    assert [is_in(border - hour, border), is_in(border, border + hour)] == [False, True]


def test_game_length_buckets_equal_those_of_kibanas_panel() -> None:
    aggregations, found = request_and_result(TimeRange.last(timedelta(hours=1), datetime(2026, 3, 1, tzinfo=UTC)))
    layers = json.loads(KIBANA_PANEL.read_text())["attributes"]["state"]["datasourceStates"]["formBased"]["layers"]
    panel = layers["data"]["columns"]["minutes"]["params"]["ranges"]
    ranges = aggregations["played"]["aggs"]["lengths"]["range"]["ranges"]
    assert [(each["from"], each.get("to")) for each in ranges] == [(each["from"], each["to"]) for each in panel]
    assert found.lengths[0] == GameLengthBucket(0, 15, 0)
    assert found.lengths[-1] == GameLengthBucket(40, None, 6)


OF_TWO_TEAMS = {
    "person",
    "loser",
    "player of a compact match",
    "team without a kill",
    "custom game",
    "custom game among people",
}
AGAINST_BOTS = {
    "person against bots",
    "person against bots in URF",
    "person against Doom Bots",
    "person against Doom Bots of 2025",
    "custom game against bots",
    "person in a queue of bots that has no name",
    "tutorial against a team of bots",
}


def queries_of(panel: str, path: tuple[str, ...]) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Kibana's query of a panel, and ours: those of the search and of the aggregations on the path."""
    client = create_autospec(Elasticsearch, instance=True)
    client.search.return_value = EMPTY_RESPONSE
    read_match_statistics(client, TimeRange.last(timedelta(hours=1), datetime(2026, 3, 1, tzinfo=UTC)))
    searches = client.search.call_args_list
    request = searches[2 if panel == "lol-objectives" else 1].kwargs
    aggregations, ours = request["aggs"], [request["query"]]
    for name in path:
        if "filter" in aggregations[name]:
            ours.append(aggregations[name]["filter"])
        if "filters" in aggregations[name]:
            ours.append(aggregations[name]["filters"]["filters"].get("blue", {"range": {"@timestamp": {}}}))
        aggregations = aggregations[name].get("aggs", {})
    return kql.filter_query(panels()[panel].attributes.state.query.query), ours


@pytest.mark.parametrize(
    ("panel", "path", "selected"),
    [
        ("lol-sides", ("played", "sides"), OF_TWO_TEAMS | {"League Classic"}),
        ("lol-wins-by-side", ("played", "sides"), OF_TWO_TEAMS | {"League Classic"}),
        ("lol-positions", ("selected", "played", "people", "positions"), OF_TWO_TEAMS | AGAINST_BOTS),
        ("lol-objectives", ("on_rift",), OF_TWO_TEAMS),
    ],
)
def test_matches_of_two_teams_are_the_same_as_in_kibanas_panel(
    panel: str, path: tuple[str, ...], selected: set[str]
) -> None:
    """Whatever the mode and the queue; sides and objectives also without bots."""
    kibana, ours = queries_of(panel, path)
    every = {name: {**PERSON, "map_id": 11, "team_id": 100, **fields} for name, fields in DOCUMENTS.items()}
    every = {name: document for name, document in every.items() if not document.get("bot")}
    assert {name for name, document in every.items() if is_selected(kibana, document)} == selected
    assert {name for name, document in every.items() if all(is_selected(query, document) for query in ours)} == selected


Documents = Sequence[Mapping[str, Any]]


def aggregated(aggregations: Mapping[str, Any], documents: Documents) -> dict[str, Any]:
    """Elasticsearch's response to the aggregations over these documents."""
    return {name: _aggregated(each, documents) for name, each in aggregations.items()}


def _aggregated(aggregation: Mapping[str, Any], documents: Documents) -> dict[str, Any]:
    nested = aggregation.get("aggs", {})

    def bucket(found: Documents) -> dict[str, Any]:
        return {"doc_count": len(found), **aggregated(nested, found)}

    ((kind, of),) = [(kind, of) for kind, of in aggregation.items() if kind != "aggs"]
    if kind == "filter":
        return bucket([each for each in documents if is_selected(of, each)])
    if kind == "filters":
        chosen = {name: [each for each in documents if is_selected(by, each)] for name, by in of["filters"].items()}
        return {"buckets": {name: bucket(found) for name, found in chosen.items()}}
    if kind == "range":
        return {"buckets": [bucket([]) for _ in of["ranges"]]}
    if kind == "date_histogram":
        return {"buckets": []}
    of_each = [each[of["field"]] if isinstance(each[of["field"]], list) else [each[of["field"]]] for each in documents]
    values = [value for found in of_each for value in found]
    if kind == "terms":
        buckets = [
            {"key": key, **bucket([each for each, found in zip(documents, of_each, strict=True) if key in found])}
            for key in sorted(set(values))
        ]
        return {"buckets": sorted(buckets, key=lambda each: -each["doc_count"])[: of.get("size", 10)]}
    if kind == "cardinality":
        return {"value": len(set(values))}
    return {"value": max(values) if kind == "max" else mean(values) if values else None}


def statistics_of(games: Documents, teams: Documents = (), only: MatchFilter = EVERYTHING) -> MatchStatistics:
    """The statistics of games, given by the fields in which they differ from that of a person on Summoner's Rift."""
    figures = dict.fromkeys(("kda", "cs", "kills", "gold_earned", "total_damage_dealt", "vision_score"), 1)
    rates = dict.fromkeys(("damage_per_minute", "cs_per_minute"), 1.0)
    every = [{**PERSON, **figures, **rates, "team_id": 100, "champion_id": 103, **each} for each in games]

    def search(index: str, query: Mapping[str, Any] | None = None, **request: Any) -> dict[str, Any]:
        documents = [{"win": True, "remake": False, **each} for each in teams] if "teams" in index else every
        found = [each for each in documents if query is None or is_selected(query, each)]
        aggregations = request.get("aggs", {})
        response = aggregated(aggregations, found)
        return {"hits": {"total": {"value": len(found)}, "hits": []}, "aggregations": response}

    client = create_autospec(Elasticsearch, instance=True)
    client.search.side_effect = search
    return read_match_statistics(client, TimeRange.last(timedelta(hours=1), EPOCH), only)


CLASSIC_GAME = {"match_id": "EUW1_9", **CLASSIC, "champion_name": "Jade_Ahri"}


@pytest.mark.parametrize(
    ("games", "only", "rates"),
    [
        pytest.param(
            [{"match_id": "EUW1_1"}, CLASSIC_GAME],
            EVERYTHING,
            {"Ahri": 1.0},
            id="League Classic has champions of its own",
        ),
        pytest.param(
            [
                {"match_id": "EUW1_1", "champion_name": "Garen", "position": "TOP"},
                {"match_id": "EUW1_1", "champion_name": "Ahri"},
                {"match_id": "EUW1_2", "champion_name": "Garen", "position": "UNKNOWN", "queue_id": 450},
            ],
            MatchFilter(position="TOP"),
            {"Garen": 1.0},
            id="nobody is top in ARAM",
        ),
        pytest.param(
            [{"match_id": "EUW1_1"}, {"match_id": "EUW1_2", "champion_name": "Garen"}, CLASSIC_GAME],
            MatchFilter(champion="Ahri"),
            {"Ahri": 0.5},
            id="one champion's share is of the matches of all champions",
        ),
        pytest.param(
            [{"match_id": "EUW1_1"}, {"match_id": "EUW1_2", "bot": True}, {"match_id": "EUW1_3", "remake": True}],
            EVERYTHING,
            {"Ahri": 1.0},
            id="no bots and remakes",
        ),
    ],
)
def test_pick_rate_is_of_the_matches_in_which_a_champion_could_be_picked(
    games: Documents, only: MatchFilter, rates: dict[str, float]
) -> None:
    found = statistics_of(games, only=only)
    assert {champion.name: champion.pick_rate for champion in found.champions} == rates


def test_ban_rate_is_of_the_matches_in_which_a_champion_could_be_banned() -> None:
    teams = [
        {"match_id": "EUW1_1", "game_mode": "CLASSIC", "queue_id": 420, "map_id": 11, "bans": [103, 86]},
        {"match_id": "EUW1_2", "game_mode": "CLASSIC", "queue_id": 420, "map_id": 11, "bans": [86]},
        {"match_id": "EUW1_3", **CLASSIC, "bans": [60103]},
    ]
    (ahri,) = statistics_of([{"match_id": "EUW1_1"}], teams).champions
    assert ahri.ban_rate == 0.5


@pytest.mark.parametrize(
    ("ids", "rate"),
    [([1, 1, 1], 1 / 3), ([1, 1, 1, 999], 1 / 4), ([999, 1, 2, 1], 1 / 4), ([-1, 1, 1], 1 / 3)],
    ids=["right", "one larger", "two wrong", "one smaller"],
)
def test_wrong_champion_id_of_one_match_does_not_change_the_ban_rate(ids: list[int], rate: float) -> None:
    """Matches from before patch 11.4 have some."""
    games = [
        {"match_id": f"EUW1_{number}", "champion_name": "Annie", "champion_id": id_} for number, id_ in enumerate(ids)
    ]
    teams = [
        {"match_id": game["match_id"], "game_mode": "CLASSIC", "queue_id": 420, "map_id": 11, "bans": bans}
        for game, bans in zip(games, [[1], *[[86]] * (len(games) - 1)], strict=True)
    ]
    (annie,) = statistics_of(games, teams).champions
    assert annie.ban_rate == rate


def last_match(participants: Sequence[Mapping[str, Any]]) -> MatchSummary:
    """The match of these documents."""
    client = create_autospec(Elasticsearch, instance=True)
    client.search.return_value = {"hits": {"hits": [{"_source": each} for each in participants]}}
    (found,) = read_last_matches(client)
    return found


@pytest.mark.parametrize(
    ("message", "two_teams"),
    [
        pytest.param(match(full_participant(1), full_participant(6), mapId=11), True, id="two teams"),
        pytest.param(match(full_participant(1), queueId=0, gameMode="CLASSIC", mapId=11), False, id="custom, alone"),
        pytest.param(
            match(full_participant(1), full_participant(2), queueId=3130, gameMode="CLASSIC", mapId=11),
            False,
            id="custom, one team",
        ),
        pytest.param(match(participant(1), queueId=3140), False, id="compact, of the practice tool"),
        pytest.param(
            match(full_participant(1), full_participant(2), queueId=5000, gameMode="NEW", mapId=11),
            False,
            id="new mode of one team",
        ),
        pytest.param(
            match(
                *(full_participant(number, playerSubteamId=number) for number in (1, 2, 6, 7)), queueId=1760, mapId=11
            ),
            False,
            id="Arena by its subteams alone",
        ),
        pytest.param(match(full_participant(1), full_participant(6, teamId=300), mapId=11), False, id="another team"),
    ],
)
def test_sides_and_positions_are_of_matches_with_two_teams(message: Any, two_teams: bool) -> None:
    """The documents that the job writes, whatever the queue and the mode."""
    of_match = [*documents(decoded(message), ARRIVED_AT)]
    for panel, path in (
        ("lol-sides", ("played", "sides")),
        ("lol-positions", ("selected", "played", "people", "positions")),
        ("lol-objectives", ("on_rift",)),
    ):
        kibana, ours = queries_of(panel, path)
        assert is_selected(kibana, of_match[0]) == two_teams
        assert all(is_selected(query, of_match[0]) for query in ours) == two_teams
    found = last_match(of_match)
    assert found.winner == ("blue" if two_teams else None)
    sizes = [len(found.blue), len(found.red), len(found.champions)]
    assert sizes == ([1, 1, 0] if two_teams else [0, 0, len(of_match)])


def test_last_match_that_an_earlier_version_indexed_has_no_sides() -> None:
    fields = {"match_id": "EUW1_1", "game_duration": 1800, "patch": "16.4", "kills": 1, "team_id": 100}
    found = last_match([{name: held for name, held in {**PERSON, **fields}.items() if name != "two_teams"}])
    assert (found.winner, found.blue, found.champions) == (None, (), ("Ahri",))


def test_last_match_of_arena_has_all_champions_by_placement() -> None:
    fields = {"match_id": "EUW1_1", "game_duration": 1800, "patch": "16.4", "kills": 1, **ARENA}
    seats = [("Sett", 2, 200), ("Galio", None, 200), ("Jinx", 1, 100)]
    found = last_match(
        [
            {**PERSON, **fields, "champion_name": name, "team_id": team} | ({"placement": at} if at else {})
            for name, at, team in seats
        ]
    )
    assert found.champions == ("Jinx", "Sett", "Galio")
    assert (found.blue, found.red, found.winner) == ((), (), None)


class FakeIndex:
    """Documents of matches, newest first: answers the search for the newest ones, and that for their participants."""

    def __init__(self, participants: list[int]) -> None:
        """The number of documents of each match. Another match ends in the future, by the clock of who sent it."""
        self.documents = [
            {
                **PERSON,
                "match_id": f"EUW1_{number:03}",
                "game_duration": 1800,
                "patch": "16.4",
                "kills": 1,
                "team_id": 100,
            }
            for number, size in enumerate(participants)
            for _ in range(size)
        ]
        self.in_the_future = {**PERSON, "match_id": "EUW1_future"}
        self.pages: list[int] = []

    def search(self, *, size: int, query: dict[str, Any], **request: Any) -> dict[str, Any]:
        assert "collapse" not in request
        if wanted := query.get("terms"):
            found = [each for each in self.documents if each["match_id"] in wanted["match_id"]]
            assert len(request["source"]["includes"]) < 14, "not all of the fields"
            found = [{name: each[name] for name in request["source"]["includes"] if name in each} for each in found]
        else:
            assert request["track_total_hits"] is False
            self.pages.append(size)
            until_now = {"range": {"@timestamp": {"lte": "now"}}} in query["bool"]["filter"]
            found = self.documents if until_now else [self.in_the_future, *self.documents]
        return {"hits": {"hits": [{"_source": each} for each in found[:size]]}}


@pytest.mark.parametrize(
    ("participants", "matches", "pages"),
    [
        ([10] * 30, 10, [180]),
        ([18] * 30, 10, [180]),
        ([1] * 300, 10, [180]),
        ([10] * 4, 4, [180]),
        ([100] * 30, 10, [180, 1000]),
        ([100, 80], 2, [180, 1000]),
        ([], 0, [180]),
    ],
    ids=["ten each", "eighteen each", "one champion's", "few matches", "a hundred each", "a full page of two", "none"],
)
def test_last_matches_are_the_newest_ten_without_reading_all(
    participants: list[int], matches: int, pages: list[int]
) -> None:
    index = FakeIndex(participants)
    client = create_autospec(Elasticsearch, instance=True)
    client.search.side_effect = index.search
    assert [match.id for match in read_last_matches(client)] == [f"EUW1_{number:03}" for number in range(matches)]
    assert index.pages == pages


def test_arrivals_are_of_the_last_minutes_and_the_same_filters() -> None:
    client = create_autospec(Elasticsearch, instance=True)
    client.search.return_value = EMPTY_RESPONSE | {"aggregations": EMPTY_RESPONSE["aggregations"] | NO_VALUES}
    now = datetime.now(UTC)
    only = MatchFilter(queue_ids=(420,), champion="Ahri")
    found = read_match_statistics(client, TimeRange.last(timedelta(hours=1), now), only)
    assert found.arriving_per_minute == 3
    requests = [call.kwargs for call in client.search.call_args_list]
    (query,) = [request["query"] for request in requests if "arriving" in request.get("aggs", {})]
    assert query["bool"]["filter"] == [
        {"range": {"ingested_at": {"gte": "now-5m", "lte": "now"}}},
        {"terms": {"queue_id": [420]}},
        {"term": {"champion_name": "Ahri"}},
    ]


def test_filter_by_no_queue_selects_no_match() -> None:
    assert MatchFilter(queue_ids=()).clauses == {"queue": {"terms": {"queue_id": []}}}
    assert MatchFilter().clauses == {}


def test_newest_arrival_is_not_in_the_future() -> None:
    """A message may have arrived while Kafka's clock was ahead. A silent pipeline would then look fresh."""
    client = create_autospec(Elasticsearch, instance=True)

    def search(**request: Any) -> dict[str, Any]:
        bounds = {"range": {"ingested_at": {"lte": "now"}}}
        if request.get("sort") == [{"ingested_at": "desc"}] and bounds in request["query"]["bool"]["filter"]:
            newest = {"_source": {"ingested_at": "2026-03-01T12:00:00.123Z"}}
            return EMPTY_RESPONSE | {"hits": {"total": {"value": 1}, "hits": [newest]}}
        return EMPTY_RESPONSE

    client.search.side_effect = search
    found = read_match_statistics(client, TimeRange.last(timedelta(hours=1), EPOCH))
    assert found.newest_arrived_at == datetime(2026, 3, 1, 12, 0, 0, 123_000, tzinfo=UTC)


def test_time_range_that_is_over_has_no_arrivals() -> None:
    client = create_autospec(Elasticsearch, instance=True)
    client.search.return_value = EMPTY_RESPONSE
    time_range = TimeRange.between(EPOCH, EPOCH + timedelta(hours=1), datetime.now(UTC))
    assert read_match_statistics(client, time_range).arriving_per_minute is None
    assert not any("arriving" in call.kwargs.get("aggs", {}) for call in client.search.call_args_list)


@pytest.mark.parametrize(
    ("only", "absent"),
    [
        pytest.param(EVERYTHING, None, id="no filter"),
        pytest.param(MatchFilter(queue_ids=(420,), champion="Ahri"), None, id="some document"),
        pytest.param(MatchFilter(queue_ids=(420,), champion="Ahry"), ("champion",), id="a value that none has"),
        pytest.param(MatchFilter(champion="Ahry", position="MID"), ("champion", "position"), id="two such values"),
        pytest.param(MatchFilter(champion="Ahri", position="JUNGLE"), (), id="values that none has together"),
    ],
)
def test_filters_that_no_document_of_any_time_matches_are_named(
    only: MatchFilter, absent: tuple[str, ...] | None
) -> None:
    """Also those of which each has documents, but not together with the others."""
    games = [PERSON, {**PERSON, "champion_name": "LeeSin", "position": "JUNGLE"}]
    client = create_autospec(Elasticsearch, instance=True)
    client.search.side_effect = lambda **request: {"aggregations": aggregated(request["aggs"], games)}
    assert read_absent(client, only) == absent


def test_absent_filters_are_looked_up_if_no_match_is_selected() -> None:
    client = create_autospec(Elasticsearch, instance=True)
    client.search.return_value = EMPTY_RESPONSE | {"aggregations": EMPTY_RESPONSE["aggregations"] | NO_VALUES}
    only = MatchFilter(platform="EUW1", champion="Ahry")
    assert read_match_statistics(client, TimeRange.last(timedelta(hours=1), EPOCH), only).absent == ("champion",)
    assert statistics_of([{"match_id": "EUW1_1"}], only=MatchFilter(champion="Ahri")).absent is None


def test_champions_that_can_be_selected_are_those_of_the_tables() -> None:
    client = create_autospec(Elasticsearch, instance=True)
    queues, names = {"buckets": [{"key": 1810}, {"key": 420}]}, {"buckets": [{"key": "Jinx"}, {"key": "Ahri"}]}
    client.search.return_value = {
        "aggregations": {
            "queue_id": queues,
            "platform": {"buckets": []},
            "patch": {"buckets": []},
            "champion_name": names,
            "people": {"champion_name": names},
        }
    }
    found = read_filter_values(client, TimeRange.last(timedelta(hours=1), EPOCH))
    assert (found.queue_ids, found.champions) == ((420, 1810), ("Ahri", "Jinx"))
    aggregations = client.search.call_args.kwargs["aggs"]
    assert "champion_name" not in aggregations
    people = aggregations["people"]["filter"]
    champions = ("Ahri", "Strawberry_Jinx", "Jade_Ahri", "Ruby_Annie")
    assert [name for name in champions if is_selected(people, {**PERSON, "champion_name": name})] == ["Ahri"]


def test_confidence_interval_is_within_0_and_1() -> None:
    """A limit a little below 0 would show as "-0%"."""
    for games in range(1, 200):
        (none_low, none_high), (all_low, all_high) = wilson_interval(0.0, games), wilson_interval(1.0, games)
        assert f"{none_low:.0%}" == "0%"
        assert 0 <= none_low < none_high < 1
        assert 0 < all_low < all_high <= 1


def test_confidence_interval_is_wilsons() -> None:
    assert wilson_interval(0.5, 100) == pytest.approx((0.4038, 0.5962), abs=1e-4)
    assert wilson_interval(0.0, 10) == pytest.approx((0, 0.2775), abs=1e-4)
