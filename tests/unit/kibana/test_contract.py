"""Schema and contract of Kibana's saved objects, with negative tests of each check. No Kibana is running.

tests/stack/test_kibana.py sends each panel's query to Elasticsearch, and the objects to Kibana if it is deployed.
"""

from __future__ import annotations

import json
import re
from copy import deepcopy
from datetime import UTC, datetime, timedelta
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import orjson
import pytest

from harness.kibana import kql, queries
from harness.kibana.objects import body, dashboard, data_views, panels, paths
from harness.kibana.panel_query import TIME_RANGE, panel_queries
from harness.kibana.schema import Dashboard, DataView, KibanaObject, Lens, Ranges, parse
from infra.clients.kibana import encode_json_attributes, file_text
from tests.support import kibana_contract as contract
from tests.support.kibana_contract import field_types, schema_errors

KNOWN = {(path.parent.name, path.stem) for path in paths()}
LAYER = "attributes.state.datasourceStates.formBased.layers"
COLUMNS = f"{LAYER}.data.columns"
VISUALIZATION = "attributes.state.visualization"
GRID = "attributes.panelsJSON"
CONTROLS = "attributes.controlGroupInput.panelsJSON"


def changed_body(name: str, changes: dict[str, Any]) -> dict[str, Any]:
    """The object `type/id` with other values at some paths; None deletes the key or the list's element."""
    changed = deepcopy(body(*name.split("/")))
    for path, value in changes.items():
        *parents, last = [int(part) if part.isdigit() else part for part in path.split(".")]
        parent: Any = changed
        for part in parents:
            parent = parent[part]
        if value is None:
            del parent[last]
        else:
            parent[last] = value
    return changed


def column(column_id: str, panel_id: str) -> Any:
    """A column of the panel's layer `data`."""
    layers = body("lens", panel_id)["attributes"]["state"]["datasourceStates"]["formBased"]["layers"]
    return layers["data"]["columns"][column_id]


def parse_changed(name: str, changes: dict[str, Any]) -> Any:
    """The changed object. The changes must not violate the schema."""
    return parse(changed_body(name, changes))


def violations(each: KibanaObject) -> list[str]:
    """The violations of all checks."""
    match each:
        case DataView():
            return contract.check_data_view(each, field_types()[each.id])
        case Lens():
            # The other checks need valid references.
            return contract.check_references(each, KNOWN) or [
                *contract.check_columns(each),
                *contract.check_formulas(each),
                *contract.check_fields(each, field_types()),
                *contract.check_constant_layers(each),
                *contract.check_reference_lines(each),
            ]
        case Dashboard():
            return [
                *contract.check_references(each, KNOWN),
                *contract.check_controls(each, field_types()),
                *contract.check_grid(each),
            ]


@pytest.mark.parametrize("path", paths(), ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_saved_object_matches_the_schema(path: Path) -> None:
    found = json.loads(path.read_text())
    assert (found["type"], found["id"]) == (path.parent.name, path.stem)
    assert schema_errors(found) == []


@pytest.mark.parametrize("path", paths(), ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_saved_object_has_valid_references_columns_formulas_and_fields(path: Path) -> None:
    assert violations(parse(json.loads(path.read_text()))) == []


@pytest.mark.parametrize("path", paths(), ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_file_has_the_format_of_kibana_export(path: Path) -> None:
    """So that the diff of an export contains only what was edited in Kibana."""
    assert file_text(encode_json_attributes(json.loads(path.read_text()))) == path.read_text()


NEW_ID = "0bd3cc28-6b2f-4c4c-9a42-1f2f7c1b9d5e"


@pytest.mark.parametrize(
    ("name", "old"),
    [
        ("lens/lol-sides", "winrate"),  # a formula, whose parts have ids that begin with this one
        ("lens/lol-sides", "side"),
        ("dashboard/lol-matches-live", "sides"),
    ],
)
def test_ids_that_kibana_gives_to_new_columns_and_panels_are_accepted(name: str, old: str) -> None:
    text = json.dumps(body(*name.split("/")))
    renamed = json.loads(re.sub(rf"(?<=[\"_]){old}(?=(X\d)?[\":])", NEW_ID, text))
    assert NEW_ID in json.dumps(renamed)
    assert schema_errors(renamed) == []
    assert violations(parse(renamed)) == []


def test_ids_that_kibana_gives_to_new_objects_are_accepted() -> None:
    assert schema_errors(changed_body("lens/lol-sides", {"id": NEW_ID})) == []


@pytest.mark.parametrize("version", ["10.2.0", "10.3.0"])
def test_versions_in_which_kibana_writes_dashboards_are_accepted(version: str) -> None:
    assert schema_errors(changed_body("dashboard/lol-matches-live", {"typeMigrationVersion": version})) == []


def test_dashboard_has_every_panel() -> None:
    assert {reference.id for reference in dashboard().references if reference.type == "lens"} == set(panels())


def test_each_index_alias_has_a_data_view() -> None:
    indices = {view.attributes.title for view in data_views().values()}
    assert indices == {"lol_matches_stream", "lol_teams_stream", "lol_champion_stats", "lol_position_stats"}


def test_panels_by_arrival_time_filter_by_arrival_time() -> None:
    """The dashboard's time range applies to the data view's time field. With the game's end as time field, matches that
    arrive late would be missing."""
    by_arrival = [
        (panel, layer_id)
        for panel in panels().values()
        for layer_id, layer in panel.layers.items()
        if "ingested_at" in layer.model_dump_json()
    ]
    assert len(by_arrival) == 4
    now = datetime.now(UTC)
    for panel, layer_id in by_arrival:
        time_field = data_views()[panel.view_of(layer_id)].attributes.time_field_name
        search = queries.search(panel.layers[layer_id], panel.attributes.state.query.query, time_field, now, now)
        assert [list(each["range"]) for each in search["query"]["bool"]["filter"] if "range" in each] == [
            ["ingested_at"]
        ]


def test_panels_of_the_windows_say_which_matches_a_window_has() -> None:
    """The queues and the size of the windows are settings."""
    described = {
        panel.id: panel.attributes.description
        for panel in panels().values()
        if any(panel.view_of(layer_id).endswith("-stats") for layer_id in panel.layers)
    }
    assert set(described) == {"lol-champion-trend", "lol-gold-by-position"}
    for panel_id, description in described.items():
        for words in ("statistics.queue_ids", "remakes", "without a winner", "bots", "late matches"):
            assert words in description, panel_id
        assert not re.search("[0-9]|all matches", description), panel_id


def test_label_of_an_open_range_includes_its_start() -> None:
    """As the dashboard's: `> 40` would leave out 40."""
    ranges = [
        each
        for panel in panels().values()
        for layer in panel.layers.values()
        for found in layer.columns.values()
        if isinstance(found, Ranges)
        for each in found.params.ranges
    ]
    assert {each.label for each in ranges if each.to is None} == {"40+", "700+"}


def test_panels_by_game_end_exclude_remakes_matches_without_a_winner_and_games_that_have_not_ended() -> None:
    """The dashboard's time range can end in the future ("this week"), and a game's end too."""
    by_game_end = [
        panel
        for panel in panels().values()
        if panel.view_of(next(iter(panel.layers))) in ("lol-matches", "lol-teams") and panel.id != "lol-arrivals"
    ]
    assert len(by_game_end) == 12
    for panel in by_game_end:
        filters = kql.filter_query(panel.attributes.state.query.query)["bool"]["filter"]
        assert {"match": {"remake": "false"}} in filters, panel.id
        assert {"exists": {"field": "win"}} in filters or {"match": {"win": "true"}} in filters, panel.id
        assert {"range": {"@timestamp": {"lte": "now"}}} in filters, panel.id


ONE_TEAM = {"two_teams": False}
DOCUMENTS: dict[str, dict[str, Any]] = {
    "ranked": {"queue": "5v5 Ranked Solo", "game_mode": "CLASSIC", "map_id": 11, "bot": False},
    "aram": {"queue": "5v5 ARAM", "game_mode": "ARAM", "map_id": 12, "bot": False},
    "compact": {"queue": "5v5 Draft Pick"},
    "coop": {"queue": "Co-op vs. AI Intro Bot", "game_mode": "CLASSIC", "map_id": 11, "bot": False},
    "bot": {"queue": "Co-op vs. AI Intro Bot", "game_mode": "CLASSIC", "map_id": 11, "bot": True},
    "coop in urf": {"queue": "Co-op vs AI Ultra Rapid Fire", "game_mode": "URF", "map_id": 11, "bot": False},
    "doom bots": {"queue": "Doom Bots Voting", "game_mode": "DOOMBOTSTEEMO", "map_id": 11, "bot": False},
    "tutorial": {"queue": "Tutorial 1", "game_mode": "TUTORIAL_MODULE_1", "map_id": 11, "bot": False, **ONE_TEAM},
    "compact tutorial": {"queue": "Tutorial 3", **ONE_TEAM},
    "tutorial against a team of bots": {"queue": "Tutorial 3", "map_id": 11},
    "practice tool": {"queue": "Custom", "game_mode": "PRACTICETOOL", "map_id": 11, "bot": False, **ONE_TEAM},
    "compact practice tool": {"queue": "Practice Tool", "map_id": 11, **ONE_TEAM},
    "custom of one team": {"queue": "Custom", "game_mode": "CLASSIC", "map_id": 11, "bot": False, **ONE_TEAM},
    "new mode of one team": {"queue": "5000", "game_mode": "NEW", "map_id": 11, "bot": False, **ONE_TEAM},
    "arena": {"queue": "Arena", "game_mode": "CHERRY", "bot": False, **ONE_TEAM},
    "compact arena": {"queue": "Arena", **ONE_TEAM},
    "arena of an unknown queue": {"queue": "1760", "map_id": 11, **ONE_TEAM},
    "swarm": {"queue": "Swarm", "game_mode": "STRAWBERRY", "champion_name": "Strawberry_Jinx", **ONE_TEAM},
    "compact swarm": {"queue": "Swarm", "champion_name": "Strawberry_Jinx", **ONE_TEAM},
    "league classic": {"queue": "League Classic", "game_mode": "JADE", "map_id": 453, "champion_name": "Jade_Ahri"},
    "doom bots of 2025": {"queue": "Doom Bots", "game_mode": "RUBY", "map_id": 11, "bot": False, "bots": 5},
    "doom bots' champion": {"queue": "Doom Bots", "game_mode": "RUBY", "map_id": 11, "champion_name": "RUBY_Annie"},
    "custom": {"queue": "Custom", "game_mode": "CLASSIC", "map_id": 11, "bot": False, "bots": 0},
    "custom against bots": {"queue": "Custom", "game_mode": "CLASSIC", "map_id": 11, "bot": False, "bots": 5},
    "unknown queue of bots": {"queue": "4290", "game_mode": "CLASSIC", "map_id": 11, "bot": False, "bots": 5},
}
"""Fields of a document by which panels tell teams, modes and bots apart."""
TWO_TEAMS_OF_PEOPLE = {"ranked", "aram", "compact", "custom"}
AGAINST_BOTS = {
    "coop",
    "tutorial against a team of bots",
    "coop in urf",
    "doom bots",
    "doom bots of 2025",
    "custom against bots",
    "unknown queue of bots",
}
OF_MODES = {"swarm", "compact swarm", "league classic", "doom bots' champion"}
OF_ONE_TEAM = {
    "tutorial",
    "compact tutorial",
    "practice tool",
    "compact practice tool",
    "custom of one team",
    "new mode of one team",
}
ARENAS = {"arena", "compact arena", "arena of an unknown queue"}
ACCEPTED = {
    "lol-sides": {*TWO_TEAMS_OF_PEOPLE, "league classic"},
    "lol-wins-by-side": {*TWO_TEAMS_OF_PEOPLE, "league classic"},
    "lol-objectives": {"ranked", "custom"},
    "lol-positions": {*TWO_TEAMS_OF_PEOPLE, *AGAINST_BOTS},
    "lol-kill-participation": {*TWO_TEAMS_OF_PEOPLE, *AGAINST_BOTS},
    "lol-gold-distribution": {*TWO_TEAMS_OF_PEOPLE, *AGAINST_BOTS},
    "lol-last-matches": {*TWO_TEAMS_OF_PEOPLE, *AGAINST_BOTS, "bot", "league classic", "doom bots' champion"},
    "lol-champions": {*TWO_TEAMS_OF_PEOPLE, *ARENAS, *AGAINST_BOTS, *OF_ONE_TEAM},
    "lol-win-rate-and-picks": {*TWO_TEAMS_OF_PEOPLE, *ARENAS, *AGAINST_BOTS, *OF_ONE_TEAM},
    "lol-items": {*TWO_TEAMS_OF_PEOPLE, *ARENAS, *AGAINST_BOTS, *OF_ONE_TEAM},
    "lol-keystones": set(DOCUMENTS) - {"bot"} - OF_MODES,
}


def accepts(query: dict[str, Any], document: dict[str, Any]) -> bool:
    """Whether Elasticsearch would find the document; of ranges of times, each is taken to be met."""
    ((kind, inside),) = query.items()
    if kind == "bool":
        return (
            all(accepts(each, document) for each in inside.get("filter", []))
            and (any(accepts(each, document) for each in inside["should"]) if "should" in inside else True)
            and ("must_not" not in inside or not accepts(inside["must_not"], document))
        )
    if kind == "range":
        ((field, bounds),) = inside.items()
        return field != "bots" or int(document.get(field, 0)) > int(bounds["gt"])
    if kind == "exists":
        return inside["field"] in document
    ((field, value),) = inside.items()
    if field not in document:
        return False
    text = orjson.dumps(document[field]).decode().strip('"')
    return bool(text == value if kind == "match" else fnmatchcase(text, value))


@pytest.mark.parametrize("panel_id", ACCEPTED)
def test_panel_keeps_teams_and_bots_apart(panel_id: str) -> None:
    """Sides, winners and positions mean something in matches of two teams only, and no panel counts bots as people."""
    query = kql.filter_query(panels()[panel_id].attributes.state.query.query)
    each_has = {"remake": False, "win": True, "two_teams": True}
    assert {name for name, document in DOCUMENTS.items() if accepts(query, each_has | document)} == ACCEPTED[panel_id]


def test_arrivals_are_per_minute_also_where_kibana_makes_the_interval_longer() -> None:
    """Kibana limits the number of intervals: in the last day each has several minutes."""
    five_minutes = parse_changed("lens/lol-arrivals", {f"{COLUMNS}.minute.params.interval": "5m"})
    bucket = {"key": 0, "doc_count": 100, "matchesX0": {"value": 10}}
    response = {"hits": {"total": {"value": 100}}, "aggregations": {"minute": {"buckets": [bucket]}}}
    (row,) = queries.rows(five_minutes.layers["data"], response, datetime.now(UTC))
    assert (row["matches"], row["documents"]) == (2, 20)


def test_win_rate_of_several_windows_is_weighted_by_their_games() -> None:
    """One window with 1 win in 1 game, and one with 2 wins in 7 games, are 3 in 8: not the mean of 100% and 29%."""
    both = {"key": 0, "doc_count": 2, "winrateX0": {"value": 3}, "winrateX1": {"value": 8}}
    champions = {"buckets": [{"key": "Ahri", "doc_count": 2, "end": {"buckets": [both]}}]}
    layer = panels()["lol-champion-trend"].layers["data"]
    now = datetime.now(UTC)
    sums = queries.search(layer, "", "window_end", now, now)["aggs"]["champion"]["aggs"]["end"]["aggs"]
    assert sums == {"winrateX0": {"sum": {"field": "wins"}}, "winrateX1": {"sum": {"field": "games_played"}}}
    response = {"hits": {"total": {"value": 2}}, "aggregations": {"champion": champions}}
    assert [row["winrate"] for row in queries.rows(layer, response, now)] == [0.375]


@pytest.mark.parametrize(
    ("panel_id", "layer_id", "column_id"),
    [("lol-win-rate-and-picks", "picks", "champion"), ("lol-items", "data", "item")],
)
def test_terms_of_a_count_are_exact_on_several_shards(panel_id: str, layer_id: str, column_id: str) -> None:
    """Kibana's `shard_size`. By default a shard returns half more values than the panel shows, and leaves out others
    that the panel shows because of the other shards."""
    now = datetime.now(UTC)
    search = queries.search(panels()[panel_id].layers[layer_id], "", "@timestamp", now, now)
    assert search["aggs"][column_id]["terms"]["shard_size"] == 1000


def test_panel_queries_have_distinct_titles() -> None:
    titles = [query.title for query in panel_queries()]
    assert len(set(titles)) == len(titles) == 19
    assert {"Champions", "Win rate against picks: picks", "Win rate against picks: wins"} <= set(titles)


def test_dashboard_has_a_control_of_each_field_to_filter_by() -> None:
    controls = sorted(dashboard().attributes.control_group_input.panels_json.values(), key=lambda each: each.order)
    fields = [control.explicit_input.field_name for control in controls]
    assert fields == ["queue", "platform", "champion_name", "position", "patch"]


@pytest.mark.parametrize(
    ("text", "query"),
    [
        ("win: true", {"match": {"win": "true"}}),
        ("not queue: Co-op*", {"bool": {"must_not": {"wildcard": {"queue": "Co-op*"}}}}),
        ("win: *", {"exists": {"field": "win"}}),
        ("not bots > 0", {"bool": {"must_not": {"range": {"bots": {"gt": "0"}}}}}),
        (
            "queue: (Arena or Swarm)",
            {
                "bool": {
                    "should": [{"match": {"queue": "Arena"}}, {"match": {"queue": "Swarm"}}],
                    "minimum_should_match": 1,
                }
            },
        ),
    ],
)
def test_kql_becomes_the_query_that_kibana_sends(text: str, query: dict[str, Any]) -> None:
    assert kql.filter_query(text) == {"bool": {"filter": [query]}}


def test_dashboard_shows_the_last_hour_and_refreshes() -> None:
    attributes = dashboard().attributes
    assert (attributes.time_from, attributes.time_to) == ("now-1h", "now")
    assert timedelta(hours=1) == TIME_RANGE
    assert (attributes.refresh_interval.pause, attributes.refresh_interval.value) == (False, 10_000)


@pytest.mark.parametrize(
    ("name", "changes", "violation"),
    [
        ("lens/lol-freshness", {"typeMigrationVersion": "10.1.0"}, "typeMigrationVersion: Input should be '8.9.0'"),
        ("dashboard/lol-matches-live", {"typeMigrationVersion": None}, "typeMigrationVersion: Field required"),
        ("index-pattern/lol-matches", {"attributes.timeField": "@timestamp"}, "timeField: Extra inputs"),
        ("lens/lol-sides", {f"{COLUMNS}.kda.scale": None}, "kda.average.scale: Field required"),
        ("lens/lol-sides", {f"{COLUMNS}.kda.operationType": "avg"}, "kda: Input tag 'avg'"),
        ("lens/lol-sides", {f"{COLUMNS}.side.isBucketed": False}, "isBucketed: Input should be True"),
        ("lens/lol-sides", {f"{COLUMNS}.kda-": {}}, "kda-.*String should match pattern"),
        ("lens/lol-champions", {f"{COLUMNS}.champion.params.size": 5000}, "less than or equal to 1000"),
        ("lens/lol-arrivals", {f"{COLUMNS}.minute.params.interval": "60"}, "interval: String should match"),
        ("lens/lol-arrivals", {f"{VISUALIZATION}.layers.0.seriesType": "lines"}, "seriesType: Input should be"),
        ("lens/lol-arrivals", {f"{VISUALIZATION}.legend": None}, "legend: Field required"),
        ("lens/lol-freshness", {f"{VISUALIZATION}.accessor": "age"}, "accessor: Extra inputs"),
        ("lens/lol-freshness", {"attributes.visualizationType": "lnsTile"}, "Input tag 'lnsTile'"),
        ("dashboard/lol-matches-live", {f"{GRID}.0.gridData.w": "8"}, "w: Input should be a valid integer"),
        ("dashboard/lol-matches-live", {"attributes.optionsJSON": "{}"}, "optionsJSON: Input should be a"),
    ],
)
def test_schema_violation_is_detected(name: str, changes: dict[str, Any], violation: str) -> None:
    assert any(re.search(violation, line) for line in schema_errors(changed_body(name, changes))), schema_errors(
        changed_body(name, changes)
    )


@pytest.mark.parametrize(
    ("name", "changes", "violation"),
    [
        # References
        ("lens/lol-sides", {"references": []}, "layer-data: no such reference to a index-pattern"),
        ("lens/lol-sides", {"references.0.id": "lol-games"}, "layer-data: there is no index-pattern/lol-games"),
        (
            "lens/lol-sides",
            {"references": [{"type": "index-pattern", "id": "lol-matches", "name": "indexpattern-datasource-layer-x"}]},
            "layer-x: nothing uses this reference",
        ),
        ("dashboard/lol-matches-live", {"references.0.name": "panel_x"}, "no such reference to a lens"),
        ("dashboard/lol-matches-live", {"references.0.id": "lol-nothing"}, "there is no lens/lol-nothing"),
        (
            "dashboard/lol-matches-live",
            {"references.1.name": "matches-per-minute:panel_matches-per-minute"},
            "there are two references of this name",
        ),
        # Columns
        ("lens/lol-wins-by-side", {f"{LAYER}.data.columnOrder": ["blue", "end", "red"]}, "a metric before a bucket"),
        ("lens/lol-wins-by-side", {f"{LAYER}.data.columnOrder": ["end", "blue"]}, "columnOrder is"),
        (
            "lens/lol-wins-by-side",
            {f"{VISUALIZATION}.layers.0.accessors.0": "green"},
            "data.green, which does not exist",
        ),
        (
            "lens/lol-wins-by-side",
            {f"{VISUALIZATION}.layers.0.xAccessor": "red"},
            "data.red as a bucket, which it is not",
        ),
        ("lens/lol-wins-by-side", {f"{VISUALIZATION}.layers.0.layerId": "main"}, "main.end, which does not exist"),
        ("lens/lol-sides", {f"{VISUALIZATION}.columns.1": None}, "data.winrate is not displayed"),
        (
            "lens/lol-items",
            {f"{VISUALIZATION}.columns": [{"columnId": "games"}, {"columnId": "item"}]},
            r"lists the columns \['games', 'item'\], but shows them as in columnOrder: \['item', 'games'\]",
        ),
        (
            "lens/lol-sides",
            {f"{VISUALIZATION}.columns.1.columnId": "winrateX0"},
            "winrateX0 is part of a formula, and displayed",
        ),
        ("lens/lol-champions", {f"{VISUALIZATION}.sorting.columnId": "wins"}, "data.wins, which does not exist"),
        (
            "lens/lol-champions",
            {f"{COLUMNS}.champion.params.orderBy.columnId": "winrate"},
            "champion is ordered by winrate, which is not a plain metric",
        ),
        ("lens/lol-champion-trend", {f"{COLUMNS}.champion.params.orderAgg": None}, "orderAgg belongs to"),
        (
            "lens/lol-items",
            {f"{COLUMNS}.item.params.accuracyMode": None},
            "item is ordered by a count without accuracy",
        ),
        (
            "lens/lol-champion-trend",
            {f"{COLUMNS}.champion.params.accuracyMode": False},
            "champion is ordered by a sum without accuracyMode",
        ),
        ("lens/lol-sides", {f"{COLUMNS}.winrateX2.references": ["winrateX0", "winrateX9"]}, "refers to winrateX9"),
        (
            "lens/lol-sides",
            {f"{COLUMNS}.winrateY": column("kda", "lol-sides")},
            "an edit of the formula would delete winrateY",
        ),
        (
            "lens/lol-arrivals",
            {f"{COLUMNS}.minute": column("item", "lol-items")},
            "matchesX1 is per unit of time, but the layer has no date histogram",
        ),
        (
            "lens/lol-win-rate-and-picks",
            {f"{LAYER}.half.columns": {"champion": column("kda", "lol-sides")}},
            "two layers have a column champion",
        ),
        # Formulas
        (
            "lens/lol-sides",
            {f"{COLUMNS}.winrate.params.formula": "count(kql='win: false') / count()"},
            r"is count\(kql='win: false'\) / count\(\), but its columns compute count\(kql='win: true'\) / count\(\)",
        ),
        (
            "lens/lol-arrivals",
            {f"{COLUMNS}.matchesX1.params.unit": "h"},
            r"is normalize_by_unit\(.*, unit='m'\), but its columns compute normalize_by_unit\(.*, unit='h'\)",
        ),
        (
            "lens/lol-matches-per-minute",
            {
                f"{COLUMNS}.rate.references": ["perminute"],
                f"{COLUMNS}.perminute": column("rateX1", "lol-matches-per-minute"),
            },
            r"the formula's parts are \['perminute', 'rateX0'\], not \['rateX0', 'rateX1'\]",
        ),
        (
            "lens/lol-sides",
            {f"{COLUMNS}.winrateX2.params.tinymathAst.args": ["winrateX1", "winrateX1"]},
            r"computes with \['winrateX1', 'winrateX1'\]",
        ),
        # Fields
        ("lens/lol-sides", {f"{COLUMNS}.kda.sourceField": "kd"}, "data.kda: there is no field kd"),
        ("lens/lol-sides", {f"{COLUMNS}.kda.sourceField": "win"}, "average does not accept win, which is a boolean"),
        ("lens/lol-sides", {f"{COLUMNS}.kda.sourceField": "___records___"}, "average requires a field"),
        ("lens/lol-arrivals", {f"{COLUMNS}.minute.sourceField": "patch"}, "date_histogram does not accept patch"),
        ("lens/lol-last-matches", {f"{COLUMNS}.ended.dataType": "number"}, "dataType is number, @timestamp is a date"),
        ("lens/lol-last-matches", {f"{COLUMNS}.winner.dataType": "string"}, "dataType is string, team_id is a number"),
        ("lens/lol-game-length", {f"{COLUMNS}.minutes.sourceField": "patch"}, "range does not accept patch"),
        ("lens/lol-sides", {"attributes.state.query.query": "remakes: false"}, "query: there is no field remakes"),
        ("lens/lol-sides", {"attributes.state.query.query": "remake: true or win: true"}, "is not of the form"),
        (
            "lens/lol-sides",
            {f"{COLUMNS}.side.params.filters.0.input.query": "team: 100"},
            "query: there is no field team$",
        ),
        (
            "lens/lol-sides",
            {"attributes.state.query.query": "not queues: (Arena or Swarm)"},
            "there is no field queues",
        ),
        ("lens/lol-items", {f"{COLUMNS}.item.params.exclude": ["3340"]}, "'3340' is included or excluded, but items"),
        ("lens/lol-positions", {f"{COLUMNS}.position.params.exclude": [0]}, "0 is included or excluded, but position"),
        (
            "lens/lol-champion-trend",
            {f"{COLUMNS}.champion.params.orderAgg.sourceField": "games"},
            "champion, orderAgg: there is no field games",
        ),
        ("index-pattern/lol-matches", {"attributes.timeFieldName": "patch"}, "timeFieldName: patch is not a date"),
        (
            "index-pattern/lol-matches",
            {"attributes.fieldFormatMap": {"gpm": {"id": "number", "params": {}}}},
            "fieldFormatMap: there is no field gpm",
        ),
        # Layers
        (
            "lens/lol-win-rate-and-picks",
            {f"{VISUALIZATION}.layers.2.accessors": ["games"], f"{VISUALIZATION}.layers.2.layerId": "picks"},
            "layer picks: games is not a constant",
        ),
        # Dashboard
        (
            "dashboard/lol-matches-live",
            {f"{GRID}.1.gridData.x": 7},
            "matches-per-minute and documents-per-minute overlap",
        ),
        ("dashboard/lol-matches-live", {f"{GRID}.3.gridData.x": 25}, "arrivals ends right of column 48"),
        ("dashboard/lol-matches-live", {f"{GRID}.3.gridData.i": "a"}, "arrivals: gridData.i is a"),
        ("dashboard/lol-matches-live", {f"{GRID}.1.panelIndex": "arrivals"}, "there are two panels arrivals"),
        (
            "dashboard/lol-matches-live",
            {f"{CONTROLS}.patch.explicitInput.fieldName": "@timestamp"},
            "control patch: @timestamp is not a field with values",
        ),
        (
            "dashboard/lol-matches-live",
            {f"{CONTROLS}.patch.explicitInput.id": "version"},
            "control patch has the id version",
        ),
    ],
)
def test_contract_violation_is_detected(name: str, changes: dict[str, Any], violation: str) -> None:
    found = violations(parse_changed(name, changes))
    assert any(re.search(violation, line) for line in found), found


def test_layer_with_buckets_and_only_constants_is_detected() -> None:
    sides = body("lens", "lol-sides")
    layer = sides["attributes"]["state"]["datasourceStates"]["formBased"]["layers"]["data"]
    layer["columns"] = {"side": layer["columns"]["side"]}
    sides_without_metrics = parse(sides)
    assert isinstance(sides_without_metrics, Lens)
    assert contract.check_constant_layers(sides_without_metrics) == [
        "layer data has buckets, but only constant metrics"
    ]
