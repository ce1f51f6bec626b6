"""The saved objects keep their contract with Kibana; and each check of it can fail, as negative fixtures show.

No Kibana is asked. test_kibana.py asks Elasticsearch what each panel asks, and Kibana itself where there is one.
"""

from __future__ import annotations

import json
import re
from copy import deepcopy
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from infra.clients.kibana import encode_json_attributes, file_text
from tests.support.kibana import contract, queries
from tests.support.kibana.objects import body, dashboard, data_views, field_types, panels, paths
from tests.support.kibana.shapes import Dashboard, DataView, KibanaObject, Lens, parse, wrong_shape

KNOWN = {(path.parent.name, path.stem) for path in paths()}
LAYER = "attributes.state.datasourceStates.formBased.layers"
COLUMNS = f"{LAYER}.data.columns"
SHOWN = "attributes.state.visualization"
GRID = "attributes.panelsJSON"
CONTROLS = "attributes.controlGroupInput.panelsJSON"


def spoilt(name: str, changes: dict[str, Any]) -> dict[str, Any]:
    """The object `type/id` with other values at some paths; None takes the key, or the list's entry, away."""
    spoilt_body = deepcopy(body(*name.split("/")))
    for path, value in changes.items():
        *parents, last = [int(part) if part.isdigit() else part for part in path.split(".")]
        place: Any = spoilt_body
        for part in parents:
            place = place[part]
        if value is None:
            del place[last]
        else:
            place[last] = value
    return spoilt_body


def column(column_id: str, panel_id: str) -> Any:
    """A column of the panel's layer `data`."""
    layers = body("lens", panel_id)["attributes"]["state"]["datasourceStates"]["formBased"]["layers"]
    return layers["data"]["columns"][column_id]


def parsed(name: str, changes: dict[str, Any]) -> Any:
    """The same, of the right shape all the same."""
    return parse(spoilt(name, changes))


def complaints(each: KibanaObject) -> list[str]:
    """What all the checks together have against the object."""
    match each:
        case DataView():
            return contract.data_view(each, field_types()[each.id])
        case Lens():
            # A reference that is missing is said once; what stands on it cannot be looked at.
            return contract.references(each, KNOWN) or [
                *contract.columns(each),
                *contract.formulas(each),
                *contract.fields(each, field_types()),
                *contract.constant(each),
                *contract.reference_lines(each),
            ]
        case Dashboard():
            return [
                *contract.references(each, KNOWN),
                *contract.controls(each, field_types()),
                *contract.grid(each),
            ]


@pytest.mark.parametrize("path", paths(), ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_the_object_is_as_kibana_writes_it(path: Path) -> None:
    found = json.loads(path.read_text())
    assert (found["type"], found["id"]) == (path.parent.name, path.stem)
    assert wrong_shape(found) == []


@pytest.mark.parametrize("path", paths(), ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_the_object_keeps_its_contract(path: Path) -> None:
    assert complaints(parse(json.loads(path.read_text()))) == []


@pytest.mark.parametrize("path", paths(), ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_the_file_is_laid_out_as_tools_dashboards_writes_it(path: Path) -> None:
    """So that what was edited in Kibana differs from the file only where it was edited."""
    assert file_text(encode_json_attributes(json.loads(path.read_text()))) == path.read_text()


def test_every_panel_is_on_the_dashboard() -> None:
    assert {reference.id for reference in dashboard().references if reference.type == "lens"} == set(panels())


def test_there_is_a_data_view_of_each_index() -> None:
    indices = {view.attributes.title for view in data_views().values()}
    assert indices == {"lol_matches_stream", "lol_champion_stats", "lol_position_stats"}


def test_what_goes_by_arrival_is_not_bounded_by_the_games_end() -> None:
    """The dashboard's hour is on the data view's time: matches that were fetched late would not count as arriving."""
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


def test_the_dashboard_is_live() -> None:
    attributes = dashboard().attributes
    assert (attributes.time_from, attributes.time_to) == ("now-1h", "now")
    assert (attributes.refresh_interval.pause, attributes.refresh_interval.value) == (False, 10_000)


@pytest.mark.parametrize(
    ("name", "changes", "complaint"),
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
        ("lens/lol-arrivals", {f"{SHOWN}.layers.0.seriesType": "lines"}, "seriesType: Input should be"),
        ("lens/lol-arrivals", {f"{SHOWN}.legend": None}, "legend: Field required"),
        ("lens/lol-freshness", {f"{SHOWN}.accessor": "age"}, "accessor: Extra inputs"),
        ("lens/lol-freshness", {"attributes.visualizationType": "lnsTile"}, "Input tag 'lnsTile'"),
        ("dashboard/lol-matches-live", {f"{GRID}.0.gridData.w": "8"}, "w: Input should be a valid integer"),
        ("dashboard/lol-matches-live", {"attributes.optionsJSON": "{}"}, "optionsJSON: Input should be a"),
    ],
)
def test_another_shape_is_seen(name: str, changes: dict[str, Any], complaint: str) -> None:
    assert any(re.search(complaint, line) for line in wrong_shape(spoilt(name, changes))), wrong_shape(
        spoilt(name, changes)
    )


@pytest.mark.parametrize(
    ("name", "changes", "complaint"),
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
        ("lens/lol-wins-by-side", {f"{SHOWN}.layers.0.accessors.0": "green"}, "data.green, which is not there"),
        ("lens/lol-wins-by-side", {f"{SHOWN}.layers.0.xAccessor": "red"}, "data.red as a bucket, which it is not"),
        ("lens/lol-wins-by-side", {f"{SHOWN}.layers.0.layerId": "main"}, "main.end, which is not there"),
        ("lens/lol-sides", {f"{SHOWN}.columns.1": None}, "data.winrate is not shown"),
        ("lens/lol-sides", {f"{SHOWN}.columns.1.columnId": "winrateX0"}, "winrateX0 is a part of a formula, and shown"),
        ("lens/lol-champions", {f"{SHOWN}.sorting.columnId": "wins"}, "data.wins, which is not there"),
        (
            "lens/lol-champions",
            {f"{COLUMNS}.champion.params.orderBy.columnId": "winrate"},
            "champion is ordered by winrate, which is no plain metric",
        ),
        ("lens/lol-champion-trend", {f"{COLUMNS}.champion.params.orderAgg": None}, "orderAgg belongs to"),
        ("lens/lol-sides", {f"{COLUMNS}.winrateX2.references": ["winrateX0", "winrateX9"]}, "refers to winrateX9"),
        (
            "lens/lol-sides",
            {f"{COLUMNS}.winrateY": column("kda", "lol-sides")},
            "an edit of the formula would delete winrateY",
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
            r"says count\(kql='win: false'\) / count\(\), its columns compute count\(kql='win: true'\) / count\(\)",
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
        ("lens/lol-sides", {f"{COLUMNS}.kda.sourceField": "win"}, "average does not take win, which is a boolean"),
        ("lens/lol-sides", {f"{COLUMNS}.kda.sourceField": "___records___"}, "average takes a field"),
        ("lens/lol-arrivals", {f"{COLUMNS}.minute.sourceField": "patch"}, "date_histogram does not take patch"),
        ("lens/lol-last-matches", {f"{COLUMNS}.ended.dataType": "number"}, "dataType is number, @timestamp is a date"),
        ("lens/lol-last-matches", {f"{COLUMNS}.winner.dataType": "string"}, "dataType is string, team_id is a number"),
        ("lens/lol-game-length", {f"{COLUMNS}.minutes.sourceField": "patch"}, "range does not take patch"),
        ("lens/lol-sides", {"attributes.state.query.query": "remakes: false"}, "query: there is no field remakes"),
        ("lens/lol-sides", {"attributes.state.query.query": "not remake: true"}, "is not of the form"),
        (
            "lens/lol-sides",
            {f"{COLUMNS}.side.params.filters.0.input.query": "team: 100"},
            "query: there is no field team$",
        ),
        (
            "lens/lol-champion-trend",
            {f"{COLUMNS}.champion.params.orderAgg.sourceField": "games"},
            "champion, orderAgg: there is no field games",
        ),
        ("index-pattern/lol-matches", {"attributes.timeFieldName": "patch"}, "timeFieldName: patch is no date"),
        (
            "index-pattern/lol-matches",
            {"attributes.fieldFormatMap": {"gpm": {"id": "number", "params": {}}}},
            "fieldFormatMap: there is no field gpm",
        ),
        # Layers
        (
            "lens/lol-win-rate-and-picks",
            {f"{SHOWN}.layers.2.accessors": ["games"], f"{SHOWN}.layers.2.layerId": "picks"},
            "layer picks: games is no fixed value",
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
            "control patch: @timestamp is no field with values",
        ),
        (
            "dashboard/lol-matches-live",
            {f"{CONTROLS}.patch.explicitInput.id": "version"},
            "control patch has the id version",
        ),
    ],
)
def test_a_broken_contract_is_seen(name: str, changes: dict[str, Any], complaint: str) -> None:
    found = complaints(parsed(name, changes))
    assert any(re.search(complaint, line) for line in found), found


def test_a_layer_of_buckets_and_constants_is_seen() -> None:
    sides = body("lens", "lol-sides")
    layer = sides["attributes"]["state"]["datasourceStates"]["formBased"]["layers"]["data"]
    layer["columns"] = {"side": layer["columns"]["side"]}
    sides_without_metrics = parse(sides)
    assert isinstance(sides_without_metrics, Lens)
    assert contract.constant(sides_without_metrics) == ["layer data has buckets and only constants"]
