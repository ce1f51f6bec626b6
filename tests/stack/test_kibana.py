"""Kibana's dashboard: each panel's query returns data; and if Kibana is deployed, all saved objects are imported and
every panel is rendered. harness/kibana/queries.py derives the queries; their latency is measured by
`python -m bench queries`.
"""

from __future__ import annotations

import json
from typing import Any

import pytest
from playwright.sync_api import Browser, Page

from harness.kibana.objects import dashboard, panels, paths
from harness.kibana.panel_query import PanelQuery, panel_queries
from harness.kibana.queries import Row
from harness.kibana.schema import Count, FieldMetric, Formula
from harness.stack import Stack
from harness.waiting import eventually
from infra.clients.kibana import SavedObjectClient, canonical
from tests.support.recent_matches import has_full_generator, has_generator

RENDER_TIMEOUT_MS = 120_000
TEAMS = 200
"""With 200 teams, more than half win in all but one of 100,000 runs of the generator."""


def table_of(stack: Stack, panel_id: str) -> list[Row]:
    """The rows of the panel's layer `data`."""
    return PanelQuery(panel_id, "data").run(stack.elasticsearch()).rows


def skip_without_documents(stack: Stack, panel_id: str, layer_id: str = "data") -> None:
    """Skip the test if the stack has no documents for the panel, and no generator that sends such matches."""
    if not has_full_generator(stack) and not PanelQuery(panel_id, layer_id).has_documents(stack.elasticsearch()):
        pytest.skip("no match of the last hour has the panel's fields, and no generator sends such matches")


@pytest.fixture(scope="module")
def has_statistics(stack: Stack) -> None:
    """Waits for a statistics window that has ended within the last hour: the dashboard shows no others."""
    if not has_generator(stack):
        return

    def windows() -> None:
        table = table_of(stack, "lol-champion-trend")
        assert any(row["winrate"] for row in table), "no window of statistics has ended within the last hour"

    eventually(windows, timeout_seconds=300, poll_seconds=5)


@pytest.mark.usefixtures("has_statistics")
@pytest.mark.parametrize("query", panel_queries(), ids=lambda query: f"{query.panel_id}-{query.layer_id}")
def test_panel_query_returns_data(stack: Stack, query: PanelQuery) -> None:
    skip_without_documents(stack, query.panel_id, query.layer_id)
    layer = panels()[query.panel_id].layers[query.layer_id]
    expected = [id_ for id_, column in layer.columns.items() if isinstance(column, Count | FieldMetric | Formula)]

    def every_column_has_a_value() -> None:
        table = query.run(stack.elasticsearch()).rows
        empty = [column_id for column_id in expected if not any(row[column_id] for row in table)]
        assert not empty, f"{query.title} has no {', '.join(empty)} in {len(table)} rows"

    eventually(every_column_has_a_value)


@pytest.mark.usefixtures("has_statistics")
class TestConsistency:
    """Consistency of the values within one response."""

    def test_pick_shares_sum_to_one(self, stack: Stack) -> None:
        skip_without_documents(stack, "lol-champions")
        table = table_of(stack, "lol-champions")
        assert sum(row["pickshare"] for row in table) == pytest.approx(1)
        assert all(0 <= row["winrate"] <= 1 for row in table)

    def test_win_rates_of_both_sides_sum_to_one(self, stack: Stack) -> None:
        skip_without_documents(stack, "lol-sides")
        table = table_of(stack, "lol-sides")
        assert [row["side"] for row in table] == ["Blue", "Red"]
        assert sum(row["winrate"] for row in table) == pytest.approx(1, abs=0.01)

    @pytest.mark.many_matches
    def test_teams_with_more_objectives_win_more(self, stack: Stack) -> None:
        """The objectives' panel counts two documents a match, one of which won."""

        def compared() -> list[Row]:
            rows = {row["objective"]: row for row in table_of(stack, "lol-objectives")}
            return [rows[name] for name in ("5 towers or fewer", "6 towers or more", "First tower")]

        def enough() -> None:
            teams = [row["teams"] or 0 for row in compared()]
            assert min(teams) >= TEAMS, f"too few teams, so that chance decides: {teams}"

        skip_without_documents(stack, "lol-objectives")
        if has_full_generator(stack):
            eventually(enough, timeout_seconds=300, poll_seconds=5)
        elif min(row["teams"] or 0 for row in compared()) < TEAMS:
            pytest.skip("too few teams in the last hour, so that chance decides, and no generator sends some")
        few, many, first = compared()
        assert few["winrate"] < 0.5 < many["winrate"]
        assert first["winrate"] > 0.5

    def test_no_champion_is_swarms(self, stack: Stack) -> None:
        assert not [row["champion"] for row in table_of(stack, "lol-champions") if "_" in row["champion"]]

    def test_last_matches_are_ten_with_one_winner_each(self, stack: Stack) -> None:
        skip_without_documents(stack, "lol-last-matches")
        table = table_of(stack, "lol-last-matches")
        assert len({row["match"] for row in table}) == len(table)
        assert len(table) == 10 or not has_generator(stack)
        assert [row["ended"] for row in table] == sorted((row["ended"] for row in table), reverse=True)
        assert {row["winner"] for row in table} <= {100, 200}


@pytest.mark.usefixtures("needs_kibana")
class TestInKibana:
    """Not run during development for lack of a Kibana image: tests/unit/kibana checks the contract instead."""

    @pytest.fixture
    def client(self, stack: Stack) -> SavedObjectClient:
        password = stack.outputs["credentials"]["elasticsearch.admin"]
        return SavedObjectClient(stack.url("kibana", 5601, "").rstrip("/"), "admin", password)

    @pytest.fixture(params=paths(), ids=lambda path: f"{path.parent.name}/{path.stem}")
    def body(self, request: pytest.FixtureRequest) -> dict[str, Any]:
        loaded: dict[str, Any] = json.loads(request.param.read_text())
        return loaded

    def test_saved_object_is_imported_as_declared(self, client: SavedObjectClient, body: dict[str, Any]) -> None:
        assert client.read(body["type"], body["id"]) == canonical(body)

    @pytest.mark.disruptive
    def test_saved_object_can_be_reimported(self, client: SavedObjectClient, body: dict[str, Any]) -> None:
        assert client.put(body) == canonical(body)

    @pytest.fixture
    def page(self, request: pytest.FixtureRequest) -> Page:
        browser: Browser = request.getfixturevalue("browser")  # not started if Kibana is not deployed
        page = browser.new_page(viewport={"width": 1600, "height": 2400})
        page.set_default_timeout(RENDER_TIMEOUT_MS)
        return page

    def test_dashboard_renders_every_panel(self, stack: Stack, page: Page) -> None:
        """Also that the page of the login leads to what was asked for, with the part after `#`."""
        page.goto(stack.url("kibana", 5601, f"/app/dashboards#/view/{dashboard().id}"))
        if stack.outputs["security"] == "strict":
            log_in(page, "operator", stack.outputs["operatorPassword"])
        else:
            page.locator('[data-test-subj="loginCard-anonymous/reading"]').click()
        page.wait_for_url(lambda reached: "/login" not in reached and dashboard().id in reached)
        assert render_errors(page, len(panels())) == []

    def test_guest_can_log_in(self, stack: Stack, page: Page) -> None:
        if stack.outputs["security"] == "strict":
            pytest.skip("there are no guests in `strict`")
        page.goto(stack.url("kibana", 5601, "/app/dashboards?auth_provider_hint=reading"))
        page.locator('[data-test-subj="userMenuButton"]').click()
        page.locator('[data-test-subj="logoutLink"]').click()
        page.locator('[data-test-subj="loginCard-basic/login"]').click()
        log_in(page, "admin", stack.outputs["credentials"]["elasticsearch.admin"])
        page.locator('[data-test-subj="userMenuButton"]').click()
        page.locator('[data-test-subj="profileLink"]').wait_for()  # guests have none


def log_in(page: Page, username: str, password: str) -> None:
    """Fill in Kibana's login form, and wait until it has led to another page."""
    page.locator('[data-test-subj="loginUsername"]').fill(username)
    page.locator('[data-test-subj="loginPassword"]').fill(password)
    page.locator('[data-test-subj="loginSubmit"]').click()
    page.wait_for_url(lambda url: "/login" not in url)


def render_errors(page: Page, panel_count: int) -> list[str]:
    """Errors on the dashboard's page, loaded again, after each of its panels has reported that it is rendered."""
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    # Server errors only: Kibana uses a 404 to probe for objects.
    page.on("response", lambda r: errors.append(f"{r.status} from {r.url}") if r.status >= 500 else None)
    page.reload()
    # Kibana's own screenshots wait for this condition.
    page.wait_for_function(
        """panelCount => {
            const panels = [...document.querySelectorAll("[data-shared-item]")];
            return panels.length === panelCount && panels.every(panel => panel.dataset.renderComplete === "true");
        }""",
        arg=panel_count,
    )
    errors += [f"a panel failed: {text}" for text in page.locator("[data-render-error]").all_inner_texts()]
    errors += [f"a panel is empty: {text}" for text in page.get_by_text("No results found").all_inner_texts()]
    return errors
