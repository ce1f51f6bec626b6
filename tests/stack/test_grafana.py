"""Grafana's dashboards: every PromQL expression returns numbers, and Grafana, if deployed, has provisioned them.

The expressions are sent to Prometheus itself, so that they are tested without Grafana's image too.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from typing import Any

import pytest
import requests

from harness.stack import Stack
from harness.waiting import eventually
from infra.grafana import dashboards
from tests.support.promql import interpolated, panels, selectors, targets

UIDS = list(dashboards(generator=True))

# A rate needs four scrapes of a service that has just started.
TIMEOUT_SECONDS = 120


def dashboard(stack: Stack, uid: str) -> dict[str, Any]:
    """The dashboard's model as the program builds it for this stack."""
    built: dict[str, Any] = json.loads(dashboards(generator="generator" in stack.services)[uid])
    return built


def ask(stack: Stack, path: str, **parameters: str) -> Any:
    """The data of Prometheus's response."""
    url = stack.url("prometheus", 9090, f"/api/v1/{path}")
    response = requests.get(url, params=parameters, auth=stack.login("prometheus"), timeout=10)
    assert response.ok, response.text
    return response.json()["data"]


def numbers(stack: Stack, expression: str) -> list[float]:
    """The current value of each of the expression's series, without NaN."""
    values = [float(series["value"][1]) for series in ask(stack, "query", query=interpolated(expression))["result"]]
    return [value for value in values if not math.isnan(value)]


def unknown_metrics(stack: Stack, expression: str) -> list[str]:
    """The metrics in the expression for which Prometheus has neither a series nor metadata from any target.

    A counter with labels has no series before its first event, and `… or vector(0)` returns a number without it.
    """
    known = {*ask(stack, "label/__name__/values"), *ask(stack, "metadata")}
    return [
        str(selector.name)
        for selector in selectors(expression)
        if not {selector.name, str(selector.name).removesuffix("_total")} & known
    ]


@pytest.mark.usefixtures("has_generator")  # without matches some expressions have no value
class TestExpressions:
    @pytest.mark.parametrize("uid", UIDS)
    def test_every_expression_returns_numbers(self, stack: Stack, uid: str) -> None:
        def all_return_numbers() -> None:
            assert stack.document_count() > 0  # a search, for the search metrics
            silent = [
                f"{panel['title']}: {target['expr']}"
                for panel, target in targets(dashboard(stack, uid))
                if not numbers(stack, target["expr"])
            ]
            assert not silent, f"{len(silent)} expressions return nothing:\n" + "\n".join(silent)

        eventually(all_return_numbers, TIMEOUT_SECONDS, poll_seconds=5)

    @pytest.mark.parametrize("uid", UIDS)
    def test_every_metric_in_an_expression_exists(self, stack: Stack, uid: str) -> None:
        def all_exist() -> None:
            unknown = {
                name for _, target in targets(dashboard(stack, uid)) for name in unknown_metrics(stack, target["expr"])
            }
            assert not unknown, f"no target exports: {', '.join(sorted(unknown))}"

        eventually(all_exist, TIMEOUT_SECONDS, poll_seconds=5)

    def test_misspelt_metric_is_detected(self, stack: Stack) -> None:
        """Neither of the two tests above passes if a metric is misspelt, whatever else is in the expression."""
        assert numbers(stack, "sum(rate(lol_job_mesages_total[$__rate_interval]))") == []
        assert unknown_metrics(stack, "sum(up) + lol_job_mesages_total or vector(0)") == ["lol_job_mesages_total"]


class TestGrafana:
    """Through Grafana's API."""

    @pytest.mark.parametrize("uid", ["prometheus", "elasticsearch"])
    def test_data_source_is_provisioned_read_only_and_healthy(
        self, stack: Stack, grafana: requests.Session, uid: str
    ) -> None:
        path = f"/api/datasources/uid/{uid}"
        assert answer(grafana.get(stack.url("grafana", 3000, path)))["readOnly"] is True

        def healthy() -> None:
            assert answer(grafana.get(stack.url("grafana", 3000, f"{path}/health")))["status"] == "OK"

        eventually(healthy)

    @pytest.mark.parametrize("uid", UIDS)
    def test_dashboard_is_provisioned_as_built_and_read_only(
        self, stack: Stack, grafana: requests.Session, uid: str
    ) -> None:
        def essence(model: dict[str, Any]) -> list[tuple[int, str, list[str]]]:
            return [
                (panel["id"], panel["title"], [target["expr"] for target in panel["targets"]])
                for panel in panels(model)
            ]

        found = answer(grafana.get(stack.url("grafana", 3000, f"/api/dashboards/uid/{uid}")))
        assert found["meta"]["provisioned"] is True
        assert essence(found["dashboard"]) == essence(dashboard(stack, uid))

    @pytest.mark.parametrize("uid", UIDS)
    def test_expressions_return_series_through_grafana(self, stack: Stack, grafana: requests.Session, uid: str) -> None:
        """Grafana interpolates its own variables here."""
        expressions = {f"Q{n}": target["expr"] for n, (_, target) in enumerate(targets(dashboard(stack, uid)))}
        queries = [
            {
                "refId": name,
                "datasource": {"type": "prometheus", "uid": "prometheus"},
                "expr": expression,
                "range": True,
                "intervalMs": 10_000,
                "maxDataPoints": 100,
            }
            for name, expression in expressions.items()
        ]

        def series() -> None:
            asked = {"from": "now-15m", "to": "now", "queries": queries}
            results = answer(grafana.post(stack.url("grafana", 3000, "/api/ds/query"), json=asked))["results"]
            silent = [expression for name, expression in expressions.items() if not results[name].get("frames")]
            assert not silent, "no series for:\n" + "\n".join(silent)

        eventually(series, TIMEOUT_SECONDS, poll_seconds=5)


@pytest.fixture
def grafana(stack: Stack) -> Iterator[requests.Session]:
    """An authenticated session with Grafana."""
    if reason := stack.outputs["leftOut"].get("grafana"):
        pytest.skip(f"Grafana is not deployed: {reason}")
    with requests.Session() as session:
        session.auth = ("admin", stack.outputs["grafanaAdminPassword"])
        yield session


def answer(response: requests.Response) -> Any:
    assert response.ok, f"{response.url}: {response.status_code} {response.text}"
    return response.json()
