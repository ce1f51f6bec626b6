"""The key figures' numbers in words."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from analytics.key_figures import KeyFigure, explain_absent, explain_missing_metrics, key_figures, rate
from analytics.pipeline_metrics import LARGEST_BATCH_SECONDS, LARGEST_FRESHNESS_SECONDS
from job.driver import metrics
from job.tasks.outcomes import AGE_BUCKETS
from tests.support.report_samples import CREATED_AT, FIGURES, MATCHES, TIME_RANGE


@pytest.mark.parametrize(
    ("number", "text"),
    [(0, "0"), (0.00123, "0.0012"), (0.25, "0.25"), (1, "1.0"), (120.04, "120.0"), (1234.5, "1,234")],
)
def test_rate_is_0_only_without_matches(number: float, text: str) -> None:
    assert rate(number) == text


@pytest.mark.parametrize(
    ("seconds", "text", "bad"), [(-0.04, "0.0 s", False), (1, "1.0 s", False), (61, "61.0 s", True)]
)
def test_age_of_the_newest_document_is_not_negative(seconds: float, text: str, bad: bool) -> None:
    """It can arrive after the time was read, and before Elasticsearch answers."""
    matches = replace(MATCHES, newest_arrived_at=CREATED_AT - timedelta(seconds=seconds))
    note = "since its message arrived in Kafka"
    assert KeyFigure("Newest document", text, note, bad) in key_figures(matches, None, TIME_RANGE, CREATED_AT)


@pytest.mark.parametrize(
    ("oldest_minutes", "note"),
    [
        (-1, "in the last hour"),
        (0, "in the last hour"),
        (5, "since 2026-03-01 11:05; no older metrics"),
        (None, "in the last hour"),
    ],
)
def test_dead_letters_are_those_since_prometheus_has_data(oldest_minutes: int | None, note: str) -> None:
    oldest = None if oldest_minutes is None else TIME_RANGE.start + timedelta(minutes=oldest_minutes)
    figures = key_figures(None, replace(FIGURES, oldest_sample=oldest), TIME_RANGE, CREATED_AT)
    assert KeyFigure("Dead letters", "5", note, bad=True) in figures
    assert bool(explain_missing_metrics(oldest, TIME_RANGE)) == note.startswith("since")


def test_ended_and_arriving_matches_are_two_figures() -> None:
    def of(arriving: float | None) -> dict[str, str]:
        found = key_figures(replace(MATCHES, arriving_per_minute=arriving), None, TIME_RANGE, CREATED_AT)
        return {each.name: each.value for each in found if each.name.endswith("per minute")}

    assert of(118.5) == {"Ended per minute": "120.0", "Arriving per minute": "118.5"}
    assert of(None) == {"Ended per minute": "120.0"}, "a time range that is over"


def test_filters_without_any_document_are_named() -> None:
    assert explain_absent(("platform", "champion")).startswith("No document has this platform or this champion:")


def test_percentile_at_the_last_bound_of_its_histogram_is_more_than_that() -> None:
    figures = replace(FIGURES, batch_seconds=(299.9, 300), freshness_seconds=(45.6, 3600))
    shown = {each.name: (each.value, each.note) for each in key_figures(None, figures, TIME_RANGE, CREATED_AT)}
    assert shown["Freshness"] == ("45.6 s", "p99 > 1 h; from Kafka to indexed")
    assert shown["Batch time"] == ("300 s", "p95 > 5 min")
    assert AGE_BUCKETS[-1] == LARGEST_FRESHNESS_SECONDS
    assert metrics._BATCH_DURATION_BUCKETS[-1] == LARGEST_BATCH_SECONDS


def test_documents_are_those_of_the_index_with_the_selected_ones_in_the_note() -> None:
    """No filter applies to the number."""
    note = "in the index; 72,000 selected in the last hour"
    assert KeyFigure("Documents", "1.23 M", note) in key_figures(MATCHES, None, TIME_RANGE, CREATED_AT)
