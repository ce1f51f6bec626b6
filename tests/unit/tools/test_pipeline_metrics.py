"""The pipeline's figures, from a Prometheus that has some series only."""

from __future__ import annotations

from datetime import UTC, datetime

from infra.clients.prometheus import PrometheusClient, Series
from tests.support.report_samples import PERIOD
from tools import pipeline_metrics


class FakePrometheus(PrometheusClient):
    """Its figures now, by a part of the question; it has no series by label, and none over time."""

    def __init__(self, figures: dict[str, float]) -> None:
        self._figures = figures

    def range(self, query: str, start: datetime, end: datetime, step_seconds: int) -> list[Series]:
        return []

    def value(self, query: str) -> float | None:
        return next((value for part, value in self._figures.items() if part in query), None)

    def values(self, query: str, label: str) -> dict[str, float]:
        return {}


def test_dead_letters_of_before_the_jobs_last_start_count() -> None:
    """A job that has just started has no counter yet."""
    found = pipeline_metrics.read(
        FakePrometheus({'kafka_log_log_logendoffset{topic="lol_matches_dlq"}[3600s]': 5}), PERIOD
    )
    assert found.dead_letters == {}
    assert found.dead_letters_arrived == 5


def test_how_far_back_prometheus_goes() -> None:
    begun = datetime(2026, 2, 22, 12, tzinfo=UTC)
    figures = {"prometheus_tsdb_lowest_timestamp_seconds": begun.timestamp()}
    assert pipeline_metrics.read(FakePrometheus(figures), PERIOD).oldest == begun
    assert pipeline_metrics.read(FakePrometheus({}), PERIOD).oldest is None
