"""Helpers for tests of Grafana's dashboards and of the alert rules: panels, queries, PromQL expressions, test cases."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from typing import Any

import promql_parser as promql
import yaml

from infra.names import SCRAPE_SECONDS
from infra.services.prometheus import RULES

RULE_TESTS = sorted(RULES.parent.glob("alert_rules*_test.yml"))
"""The files of test cases for promtool, which tests/stack runs."""

# The values that Grafana inserts for a range of an hour and a step of one scrape interval.
VARIABLES = {"$__rate_interval": f"{4 * SCRAPE_SECONDS}s", "$__range": "3600s"}


@cache
def rule_test_cases() -> list[dict[str, Any]]:
    """The queries of all test cases, each with its expected samples."""
    tests = [test for file in RULE_TESTS for test in yaml.safe_load(file.read_text())["tests"]]
    return [case for test in tests for case in test["promql_expr_test"]]


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
