"""Client for Prometheus's HTTP query API."""

from __future__ import annotations

import math
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import requests

from infra.clients.http import innermost_cause, readable, request

TIMEOUT_SECONDS = 10.0


def offsets_growth(topic: str, window: str) -> str:
    """The expression of how many messages were written to a topic in a window such as `3600s`, as a whole number.

    From the end offsets. Only a recreated topic, whose offsets begin again, needs `increase`: it extrapolates, by less
    than one message in some hundreds.
    """
    ends = f'kafka_log_log_logendoffset{{topic="{topic}"}}[{window}]'
    return f"sum(max_over_time({ends}) - min_over_time({ends}) and resets({ends}) == 0 or round(increase({ends})))"


class PrometheusError(Exception):
    """Prometheus does not answer, or rejects a query."""


@dataclass(frozen=True)
class Series:
    """A time series: its labels and its (time, value) points in time order, times in UTC, without missing values."""

    labels: Mapping[str, str]
    points: tuple[tuple[datetime, float], ...]


@dataclass(frozen=True)
class Alert:
    """An active alert: pending or firing."""

    name: str
    state: str
    severity: str
    summary: str
    description: str
    runbook: str
    active_at: datetime | None


class PrometheusClient:
    """A client of the Prometheus at `url`. Every query raises PrometheusError. `session` can have a login."""

    def __init__(
        self, url: str, session: requests.Session | None = None, timeout_seconds: float = TIMEOUT_SECONDS
    ) -> None:
        self._url = url
        self._timeout = timeout_seconds
        self._session = session or requests.Session()

    def range(self, query: str, start: datetime, end: datetime, step_seconds: int) -> list[Series]:
        """A range query: the values at `start` and every `step_seconds` up to and including `end`."""
        result = self._query(
            "query_range", query=query, start=start.timestamp(), end=end.timestamp(), step=f"{step_seconds}s"
        )
        with self._readable():
            series = [Series(found["metric"], _points(found["values"])) for found in result]
        return [one for one in series if one.points]

    def value(self, query: str, at: datetime | None = None) -> float | None:
        """An instant query with one result, of now or of a time; None if there is no such series or no value then."""
        time = {} if at is None else {"time": at.timestamp()}
        result = self._query("query", query=query, **time)
        with self._readable():
            points = _points([found["value"] for found in result])
        return points[0][1] if points else None

    def values(self, query: str, label: str) -> dict[str, float]:
        """An instant query with one result for each value of `label`: label value → number."""
        result = self._query("query", query=query)
        with self._readable():
            return {found["metric"][label]: float(found["value"][1]) for found in result}

    def alerts(self) -> list[Alert]:
        """The active alerts, the firing ones first."""
        data = self._data("alerts")
        with self._readable():
            alerts = [
                Alert(
                    name=alert["labels"]["alertname"],
                    state=alert["state"],
                    severity=alert["labels"].get("severity", ""),
                    summary=alert["annotations"].get("summary", ""),
                    description=alert["annotations"].get("description", ""),
                    runbook=alert["annotations"].get("runbook", ""),
                    active_at=datetime.fromisoformat(alert["activeAt"]) if alert.get("activeAt") else None,
                )
                for alert in data["alerts"]
            ]
            return sorted(alerts, key=lambda alert: (alert.state, alert.name))

    def _query(self, endpoint: str, **parameters: Any) -> list[Any]:
        data = self._data(endpoint, **parameters)
        with self._readable():
            return list(data["result"])

    def _data(self, endpoint: str, **parameters: Any) -> Any:
        try:
            answer = request(self._session, "GET", f"{self._url}/api/v1/{endpoint}", self._timeout, params=parameters)
        except requests.RequestException as error:
            raise PrometheusError(f"Prometheus does not answer at {self._url}: {innermost_cause(error)}") from error
        with self._readable():
            found = answer.json()
            if found["status"] == "success":
                return found["data"]
            reason = found.get("error")
        raise PrometheusError(f"Prometheus at {self._url} rejects {parameters.get('query', endpoint)}: {reason}")

    def _readable(self) -> AbstractContextManager[None]:
        return readable(PrometheusError, f"Prometheus at {self._url}")


def _points(values: list[Any]) -> tuple[tuple[datetime, float], ...]:
    return tuple((datetime.fromtimestamp(at, UTC), float(value)) for at, value in values if math.isfinite(float(value)))
