"""Pipeline metrics from a Prometheus that has only some series."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import pytest

from analytics.pipeline_metrics import (
    read_dead_letter_metrics,
    read_pipeline_figures,
    read_pipeline_metrics,
)
from analytics.time_range import TimeRange
from infra.clients.prometheus import PrometheusClient, Series
from infra.names import SCRAPE_SECONDS
from tests.support.promql import rule_test_cases
from tests.support.report_samples import TIME_RANGE


class FakePrometheus(PrometheusClient):
    """Single values by a part of the query, also over time; no series by label."""

    def __init__(self, values: dict[str, float]) -> None:
        self._values = values
        self.times: set[datetime | None] = set()
        self.queries: set[str] = set()
        self.ranges = 0

    def range(self, query: str, start: datetime, end: datetime, step_seconds: int) -> list[Series]:
        self.ranges += 1
        value = self.value(query)
        return [] if value is None else [Series({}, ((end, value),))]

    def value(self, query: str, at: datetime | None = None) -> float | None:
        self.times.add(at)
        self.queries.add(query)
        return next((value for part, value in self._values.items() if part in query), None)

    def values(self, query: str, label: str) -> dict[str, float]:
        return {}


def test_new_dead_letters_include_those_before_the_jobs_restart() -> None:
    """A job that has just started has no counter yet, so they are counted from the topic's end offsets."""
    prometheus = FakePrometheus({'kafka_log_log_logendoffset{topic="lol_matches_dlq"}[3600s]': 5})
    assert read_pipeline_metrics(prometheus, TIME_RANGE).dead_letters == {}
    assert read_pipeline_figures(prometheus, TIME_RANGE).new_dead_letters == 5


def test_messages_into_the_topic_are_those_of_all_producers() -> None:
    """Counted by the broker, as in Grafana, not by the generator."""
    messages = read_pipeline_metrics(
        FakePrometheus({'sum(rate(kafka_log_log_logendoffset{topic="lol_matches"}[70s]))': 2}), TIME_RANGE
    ).messages
    assert messages == {"into the topic": ((TIME_RANGE.end, 2),), "processed": ()}


def test_figures_need_no_query_over_time() -> None:
    prometheus = FakePrometheus({})
    read_pipeline_figures(prometheus, TIME_RANGE)
    assert prometheus.ranges == 0


def test_figures_of_a_time_range_that_is_over_are_those_of_its_end() -> None:
    end = datetime(2026, 2, 22, 12, tzinfo=UTC)
    prometheus = FakePrometheus({})
    read_pipeline_figures(prometheus, TimeRange.between(end - timedelta(hours=6), end, datetime.now(UTC)))
    assert prometheus.times == {end, None}, "None: of the oldest sample"
    prometheus = FakePrometheus({})
    read_pipeline_figures(prometheus, TIME_RANGE)
    assert prometheus.times == {None}


def test_late_matches_are_unknown_without_the_jobs_counter() -> None:
    assert read_pipeline_figures(FakePrometheus({}), TIME_RANGE).late_matches is None
    assert read_pipeline_figures(FakePrometheus({"sum(lol_job_late_matches_total)": 7}), TIME_RANGE).late_matches == 7


def test_oldest_sample_in_prometheus() -> None:
    oldest = datetime(2026, 2, 22, 12, tzinfo=UTC)
    values = {"prometheus_tsdb_lowest_timestamp_seconds": oldest.timestamp()}
    assert read_dead_letter_metrics(FakePrometheus(values), TIME_RANGE).oldest_sample == oldest
    assert read_dead_letter_metrics(FakePrometheus({}), TIME_RANGE).oldest_sample is None
    assert read_pipeline_figures(FakePrometheus(values), TIME_RANGE).oldest_sample == oldest


def test_dead_letters_without_metrics_of_the_job_are_unknown() -> None:
    """Not zero: a reason without dead letters has zeros."""
    assert read_dead_letter_metrics(FakePrometheus({}), TIME_RANGE).rates == {}
    zeros = FakePrometheus({"lol_job_dead_letters_total": 0})
    assert read_dead_letter_metrics(zeros, TIME_RANGE).rates == {"": ((TIME_RANGE.end, 0),)}
    assert not [query for query in zeros.queries if "dead_letters_total" in query and ">" in query]


@pytest.mark.parametrize("minutes", [15, 60, 90, 1440])
def test_increase_between_two_steps_is_in_a_window(minutes: int) -> None:
    """Neighbouring windows share a sample."""
    time_range = TimeRange.last(timedelta(minutes=minutes), datetime(2026, 3, 1, 12, tzinfo=UTC))
    prometheus = FakePrometheus({})
    read_pipeline_metrics(prometheus, time_range)
    read_dead_letter_metrics(prometheus, time_range)
    windows = {int(found) for query in prometheus.queries for found in re.findall(r"\[(\d+)s\]", query)}
    assert min(windows) >= time_range.step_seconds + SCRAPE_SECONDS


@pytest.mark.parametrize(
    "metric", ["lol_job_dead_letters_total[", "lol_job_sink_waits_total[", '{topic="lol_matches_dlq"}[']
)
def test_promtool_evaluates_the_query(metric: str) -> None:
    """In tests/stack."""
    evaluated = {case["expr"] for case in rule_test_cases()}
    prometheus = FakePrometheus({})
    for read in (read_pipeline_metrics, read_dead_letter_metrics, read_pipeline_figures):
        read(prometheus, TIME_RANGE)
    queries = {query for query in prometheus.queries if metric in query}
    assert queries
    assert queries <= evaluated
