"""What Grafana shows: every expression of every dashboard gives numbers; where Grafana runs, it has them all.

The expressions are asked of Prometheus itself, so that they are tested where Grafana's image cannot be had too.
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

# A rate needs four scrapes of a service that has just come up.
LIMIT_SECONDS = 120


def dashboard(stack: Stack, uid: str) -> dict[str, Any]:
    """The dashboard as the program builds it for this stack."""
    built: dict[str, Any] = json.loads(dashboards(generator="generator" in stack.services)[uid])
    return built


def ask(stack: Stack, path: str, **parameters: str) -> Any:
    """What Prometheus answers."""
    response = requests.get(stack.url("prometheus", 9090, f"/api/v1/{path}"), params=parameters, timeout=10)
    assert response.ok, response.text
    return response.json()["data"]


def numbers(stack: Stack, expression: str) -> list[float]:
    """The expression's value now, for each of its series; those that are no number are none."""
    values = [float(series["value"][1]) for series in ask(stack, "query", query=interpolated(expression))["result"]]
    return [value for value in values if not math.isnan(value)]


def unknown_metrics(stack: Stack, expression: str) -> list[str]:
    """The metrics in the expression of which Prometheus has no series, and whose type no target has named either.

    A counter with labels has no series before its first event, and `… or vector(0)` gives numbers without it.
    """
    known = {*ask(stack, "label/__name__/values"), *ask(stack, "metadata")}
    return [
        str(selector.name)
        for selector in selectors(expression)
        if not {selector.name, str(selector.name).removesuffix("_total")} & known
    ]


class TestExpressions:
    @pytest.mark.parametrize("uid", UIDS)
    def test_each_gives_numbers(self, stack: Stack, uid: str) -> None:
        def all_do() -> None:
            assert stack.documents() > 0  # a search too, for what is measured of searches
            silent = [
                f"{panel['title']}: {target['expr']}"
                for panel, target in targets(dashboard(stack, uid))
                if not numbers(stack, target["expr"])
            ]
            assert not silent, f"{len(silent)} expressions give nothing:\n" + "\n".join(silent)

        eventually(all_do, LIMIT_SECONDS, every_seconds=5)

    @pytest.mark.parametrize("uid", UIDS)
    def test_each_names_metrics_that_exist(self, stack: Stack, uid: str) -> None:
        def all_do() -> None:
            unknown = {
                name for _, target in targets(dashboard(stack, uid)) for name in unknown_metrics(stack, target["expr"])
            }
            assert not unknown, f"no target has: {', '.join(sorted(unknown))}"

        eventually(all_do, LIMIT_SECONDS, every_seconds=5)

    def test_a_metric_that_does_not_exist_is_seen(self, stack: Stack) -> None:
        """Of the two tests above: a misspelt metric passes neither, whatever stands beside it."""
        assert numbers(stack, "sum(rate(lol_job_mesages_total[$__rate_interval]))") == []
        assert unknown_metrics(stack, "sum(up) + lol_job_mesages_total or vector(0)") == ["lol_job_mesages_total"]


class TestGrafana:
    """By Grafana's API."""

    @pytest.mark.parametrize("uid", ["prometheus", "elasticsearch"])
    def test_a_data_source_is_there_reaches_its_server_and_cannot_be_edited(
        self, stack: Stack, grafana: requests.Session, uid: str
    ) -> None:
        path = f"/api/datasources/uid/{uid}"
        assert answer(grafana.get(stack.url("grafana", 3000, path)))["readOnly"] is True

        def healthy() -> None:
            assert answer(grafana.get(stack.url("grafana", 3000, f"{path}/health")))["status"] == "OK"

        eventually(healthy, limit_seconds=30)

    @pytest.mark.parametrize("uid", UIDS)
    def test_a_dashboard_is_there_as_it_was_built_and_cannot_be_edited(
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
    def test_its_expressions_give_series_through_grafana(
        self, stack: Stack, grafana: requests.Session, uid: str
    ) -> None:
        """Grafana fills in its own variables here."""
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
            assert not silent, "these give nothing:\n" + "\n".join(silent)

        eventually(series, LIMIT_SECONDS, every_seconds=5)


@pytest.fixture
def grafana(stack: Stack) -> Iterator[requests.Session]:
    """A session that is signed in to Grafana."""
    if reason := stack.outputs["leftOut"].get("grafana"):
        pytest.skip(f"Grafana is left out: {reason}")
    with requests.Session() as session:
        session.auth = ("admin", stack.outputs["grafanaAdminPassword"])
        yield session


def answer(response: requests.Response) -> Any:
    assert response.ok, f"{response.url}: {response.status_code} {response.text}"
    return response.json()
