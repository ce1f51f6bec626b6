"""Prometheus, asked through its HTTP API."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import requests

TIMEOUT_SECONDS = 10


class PrometheusError(Exception):
    """Prometheus does not answer, or refuses the question."""


@dataclass(frozen=True)
class Series:
    """The values of one set of labels in time order; times in UTC, without the moments that had no value."""

    labels: Mapping[str, str]
    points: tuple[tuple[datetime, float], ...]


class PrometheusClient:
    """A client of the Prometheus at `url`. Each question raises PrometheusError."""

    def __init__(self, url: str) -> None:
        self._url = url

    def range(self, query: str, start: datetime, end: datetime, step_seconds: int) -> list[Series]:
        """`query` at `start` and every `step_seconds` up to and including `end`."""
        result = self._ask(
            "query_range", query=query, start=start.timestamp(), end=end.timestamp(), step=f"{step_seconds}s"
        )
        series = (Series(found["metric"], _points(found["values"])) for found in result)
        return [one for one in series if one.points]

    def value(self, query: str) -> float | None:
        """`query` now, where it is one number; None where there is no such series, or no value yet."""
        points = _points([found["value"] for found in self._ask("query", query=query)])
        return points[0][1] if points else None

    def values(self, query: str, label: str) -> dict[str, float]:
        """`query` now, where it is one number for each value of `label`."""
        return {found["metric"][label]: float(found["value"][1]) for found in self._ask("query", query=query)}

    def _ask(self, what: str, **parameters: Any) -> list[Any]:
        try:
            response = requests.get(f"{self._url}/api/v1/{what}", params=parameters, timeout=TIMEOUT_SECONDS)
            answer = response.json()
        except requests.RequestException as error:
            raise PrometheusError(f"Prometheus does not answer at {self._url}: {root_cause(error)}") from error
        if answer.get("status") != "success":
            raise PrometheusError(f"Prometheus at {self._url} refuses {parameters['query']}: {answer.get('error')}")
        return list(answer["data"]["result"])


def _points(values: list[Any]) -> tuple[tuple[datetime, float], ...]:
    return tuple((datetime.fromtimestamp(at, UTC), float(value)) for at, value in values if math.isfinite(float(value)))


def root_cause(error: requests.RequestException) -> str:
    """Why there was no answer, in few words: the innermost error's. The outer ones repeat the address and the path."""
    cause: BaseException = error
    while cause.__cause__ or cause.__context__:
        cause = cause.__cause__ or cause.__context__ or cause
    return str(cause)
