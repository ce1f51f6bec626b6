"""Helpers for tests of Grafana's dashboards: their panels, queries and PromQL expressions."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import promql_parser as promql

from infra.names import SCRAPE_SECONDS

# The values that Grafana inserts for a range of an hour and a step of one scrape interval.
VARIABLES = {"$__rate_interval": f"{4 * SCRAPE_SECONDS}s", "$__range": "3600s"}


def panels(dashboard: dict[str, Any]) -> list[dict[str, Any]]:
    """The panels of a dashboard, without its rows."""
    return [panel for panel in dashboard["panels"] if panel["type"] != "row"]


def targets(dashboard: dict[str, Any]) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """Each query of a dashboard with its panel."""
    for panel in panels(dashboard):
        for target in panel["targets"]:
            yield panel, target


def interpolated(expression: str) -> str:
    """`expression` as Grafana sends it, with its variables replaced."""
    for variable, value in VARIABLES.items():
        expression = expression.replace(variable, value)
    assert not re.search(r"\$\D", expression), f"an unknown variable: {expression}"  # $1 is a group of label_replace
    return expression


def parse(expression: str) -> promql.Expr:
    """The expression's syntax tree. Raises ValueError if it is not valid PromQL."""
    return promql.parse(interpolated(expression))


def selectors(expression: str) -> list[promql.VectorSelector]:
    """The series selectors in an expression."""
    found: list[promql.VectorSelector] = []

    def visit(node: promql.Expr) -> None:
        if isinstance(node, promql.VectorSelector):
            found.append(node)

    promql.walk(parse(expression), visit)
    return found
