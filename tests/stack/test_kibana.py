"""Kibana's dashboard: each panel's query returns data within its latency goal; and if Kibana is deployed, all saved
objects are imported and every panel is rendered. tests/support/kibana/queries.py derives the queries.
"""

from __future__ import annotations

import json
import math
import os
import statistics
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from playwright.sync_api import Browser, Page

from harness.stack import Stack
from harness.waiting import eventually
from infra.clients.kibana import SavedObjectClient, canonical
from tests.support.kibana import queries
from tests.support.kibana.objects import dashboard, data_views, panels, paths
from tests.support.kibana.schema import Count, FieldMetric, Formula

RANGE = timedelta(hours=1)
"""The dashboard's default time range; a unit test compares them."""
P95_GOAL_MS = 50
P95_GOAL_DOCUMENTS = 100_000
"""The latency goal applies up to this number of documents in the dashboard's hour; 2 matches a second make 72,000."""
WARM_UP_QUERIES, QUERIES = 5, 40
MAX_LOAD_PER_CORE = 4
"""A slow query is no failure of the stack above this load: with 2 matches a second it causes less than 1 itself."""
RENDER_TIMEOUT_MS = 120_000

LAYERS = [
    (panel_id, layer_id)
    for panel_id, panel in panels().items()
    for layer_id, layer in panel.layers.items()
    if queries.needs_search(layer)
]


def run_query(stack: Stack, panel_id: str, layer_id: str = "data") -> tuple[list[queries.Row], int]:
    """The table of the panel's layer over the last hour, and the query's duration in ms as Elasticsearch reports it."""
    panel = panels()[panel_id]
    view = data_views()[panel.view_of(layer_id)].attributes
    now = datetime.now(UTC)
    layer = panel.layers[layer_id]
    body = queries.search(layer, panel.attributes.state.query.query, view.time_field_name, now - RANGE, now)
    # Without the cache: Kibana's time range is a different one at each query.
    answer = stack.elasticsearch().search(index=view.title, request_cache=False, **body)
    return queries.rows(layer, answer.body, now), answer["took"]


@pytest.fixture(scope="module")
def has_statistics(stack: Stack) -> None:
    """Waits for a statistics window that has ended within the last hour: the dashboard shows no others."""

    def windows() -> None:
        table, _ = run_query(stack, "lol-champion-trend")
        assert any(row["winrate"] for row in table), "no window of statistics has ended within the last hour"

    eventually(windows, timeout_seconds=300, poll_seconds=5)


@pytest.mark.usefixtures("has_statistics")
@pytest.mark.parametrize(("panel_id", "layer_id"), LAYERS)
class TestPanels:
    def test_panel_query_returns_data(self, stack: Stack, panel_id: str, layer_id: str) -> None:
        layer = panels()[panel_id].layers[layer_id]
        expected = [id_ for id_, column in layer.columns.items() if isinstance(column, Count | FieldMetric | Formula)]

        def every_column_has_a_value() -> None:
            table, _ = run_query(stack, panel_id, layer_id)
            empty = [column_id for column_id in expected if not any(row[column_id] for row in table)]
            assert not empty, f"{panel_id} has no {', '.join(empty)} in {len(table)} rows"

        eventually(every_column_has_a_value, timeout_seconds=30)

    def test_panel_query_latency_p95_is_below_50_ms(self, stack: Stack, panel_id: str, layer_id: str) -> None:
        hour = {"range": {"@timestamp": {"gte": "now-1h"}}}
        documents = stack.elasticsearch().count(index="lol_matches_stream", query=hour)["count"]
        if documents > P95_GOAL_DOCUMENTS:
            pytest.skip(f"{documents:,} documents in the last hour; the goal applies up to {P95_GOAL_DOCUMENTS:,}")
        for _ in range(WARM_UP_QUERIES):
            run_query(stack, panel_id, layer_id)

        def p95_is_below_goal() -> None:
            """Measured again from scratch if other load on the machine has disturbed it."""
            durations = sorted(run_query(stack, panel_id, layer_id)[1] for _ in range(QUERIES))
            p95 = durations[math.ceil(0.95 * QUERIES) - 1]
            print(f"{panel_id}, {layer_id}: median {statistics.median(durations):.0f} ms, p95 {p95} ms")
            assert p95 < P95_GOAL_MS, f"p95 is {p95} ms, of {durations} ms"

        try:
            eventually(p95_is_below_goal, timeout_seconds=60)
        except AssertionError:
            load, cores = os.getloadavg()[0], os.cpu_count() or 1
            if load > MAX_LOAD_PER_CORE * cores:
                pytest.skip(f"not measurable: the load average is {load:.0f} on {cores} cores")
            raise


@pytest.mark.usefixtures("has_statistics")
class TestConsistency:
    """Consistency of the values within one response."""

    def test_pick_shares_sum_to_one(self, stack: Stack) -> None:
        table, _ = run_query(stack, "lol-champions")
        assert sum(row["pickshare"] for row in table) == pytest.approx(1)
        assert all(0 <= row["winrate"] <= 1 for row in table)

    def test_win_rates_of_both_sides_sum_to_one(self, stack: Stack) -> None:
        table, _ = run_query(stack, "lol-sides")
        assert [row["side"] for row in table] == ["Blue", "Red"]
        assert sum(row["winrate"] for row in table) == pytest.approx(1, abs=0.01)

    def test_last_matches_are_ten_with_one_winner_each(self, stack: Stack) -> None:
        table, _ = run_query(stack, "lol-last-matches")
        assert len({row["match"] for row in table}) == len(table) == 10
        assert [row["ended"] for row in table] == sorted((row["ended"] for row in table), reverse=True)
        assert {row["winner"] for row in table} <= {100, 200}


class TestInKibana:
    """Not run during development for lack of a Kibana image: tests/unit/kibana checks the contract instead."""

    @pytest.fixture(autouse=True)
    def _kibana(self, stack: Stack) -> None:
        if reason := stack.outputs["leftOut"].get("kibana"):
            pytest.skip(f"Kibana is not deployed: {reason}")

    @pytest.fixture
    def client(self, stack: Stack) -> SavedObjectClient:
        return SavedObjectClient(stack.url("kibana", 5601, "").rstrip("/"))

    @pytest.fixture(params=paths(), ids=lambda path: f"{path.parent.name}/{path.stem}")
    def body(self, request: pytest.FixtureRequest) -> dict[str, Any]:
        loaded: dict[str, Any] = json.loads(request.param.read_text())
        return loaded

    def test_saved_object_is_imported_as_declared(self, client: SavedObjectClient, body: dict[str, Any]) -> None:
        assert client.read(body["type"], body["id"]) == canonical(body)

    @pytest.mark.disruptive
    def test_saved_object_can_be_reimported(self, client: SavedObjectClient, body: dict[str, Any]) -> None:
        assert client.put(body) == canonical(body)

    def test_dashboard_renders_every_panel(self, stack: Stack, request: pytest.FixtureRequest) -> None:
        browser: Browser = request.getfixturevalue("browser")  # not started if Kibana is not deployed
        page = browser.new_page(viewport={"width": 1600, "height": 2400})
        url = stack.url("kibana", 5601, f"/app/dashboards#/view/{dashboard().id}")
        assert render_errors(page, url, len(panels())) == []


def render_errors(page: Page, url: str, panel_count: int) -> list[str]:
    """Errors on the dashboard's page, after each of its panels has reported that it is rendered."""
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    # Server errors only: Kibana uses a 404 to probe for objects.
    page.on("response", lambda r: errors.append(f"{r.status} from {r.url}") if r.status >= 500 else None)
    page.goto(url, timeout=RENDER_TIMEOUT_MS)
    # Kibana's own screenshots wait for this condition.
    page.wait_for_function(
        """panelCount => {
            const panels = [...document.querySelectorAll("[data-shared-item]")];
            return panels.length === panelCount && panels.every(panel => panel.dataset.renderComplete === "true");
        }""",
        arg=panel_count,
        timeout=RENDER_TIMEOUT_MS,
    )
    errors += [f"a panel failed: {text}" for text in page.locator("[data-render-error]").all_inner_texts()]
    errors += [f"a panel is empty: {text}" for text in page.get_by_text("No results found").all_inner_texts()]
    return errors
