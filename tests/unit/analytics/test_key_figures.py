"""The key figures' numbers in words."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from analytics.key_figures import (
    KeyFigure,
    compact,
    counted,
    duration,
    explain_absent,
    explain_missing_metrics,
    key_figures,
    rate,
)
from analytics.pipeline_metrics import LARGEST_BATCH_SECONDS, LARGEST_FRESHNESS_SECONDS
from analytics.time_range import TimeRange
from job.driver import metrics
from job.tasks.outcomes import AGE_BUCKETS
from tests.support.report_samples import CREATED_AT, FIGURES, MATCHES, TIME_RANGE


@pytest.mark.parametrize(
    ("number", "text"),
    [(0, "0"), (0.00123, "0.0012"), (0.25, "0.25"), (1, "1.0"), (120.04, "120.0"), (1234.5, "1,234")],
)
def test_rate_is_0_only_without_matches(number: float, text: str) -> None:
    assert rate(number) == text


UNITS = {"": 1, "M": 10**6, "G": 10**9, "s": 1, "min": 60, "h": 3600, "d": 86400}


def up_to(limit: float, *bounds: float) -> st.SearchStrategy[float]:
    """Numbers from 0 to `limit`, often a little below one of the bounds, to which they are rounded."""
    below = st.builds(lambda bound, part: bound * (1 - part), st.sampled_from(bounds), st.floats(0, 0.01))
    return st.floats(0, limit) | below


def parsed(text: str) -> tuple[str, str]:
    """The number without its commas, and the unit."""
    number, _, unit = text.partition(" ")
    return number.replace(",", ""), unit


def freshness(seconds: float) -> str:
    figures = replace(FIGURES, freshness_seconds=(seconds, seconds))
    return key_figures(None, figures, TIME_RANGE, CREATED_AT)[0].value


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (compact(999_999), "999,999"),
        (compact(999_999.5), "1.00 M"),
        (compact(9_999_999), "10.0 M"),
        (compact(99_999_999), "100 M"),
        (compact(999_500_000), "1.00 G"),
        (compact(1.2345e12), "1,234 G"),
        (rate(999.97), "1,000"),
        (rate(0.996), "1.0"),
        (freshness(9.996), "10.0 s"),
        (freshness(99.97), "100 s"),
        (duration(119.96), "2 min"),
        (duration(7199), "2 h"),
        (duration(2 * 86400 - 1), "2 d"),
    ],
)
def test_digits_and_unit_are_those_of_the_rounded_number(text: str, expected: str) -> None:
    assert text == expected


@given(up_to(10**12, *(10**power for power in range(5, 13))))
def test_number_in_words_is_near_and_has_three_digits(number: float) -> None:
    digits, unit = parsed(compact(number))
    assert float(digits) * UNITS[unit] == pytest.approx(number, rel=0.005, abs=0.5)
    assert float(digits) < {"": 10**6, "M": 1000, "G": 1001}[unit]
    if unit and float(digits) < 1000:
        assert len(digits.replace(".", "")) == 3


@given(up_to(10**6, 1, 10, 100, 1000))
def test_rate_in_words_is_near_and_has_a_decimal_below_1000(number: float) -> None:
    digits, _ = parsed(rate(number))
    assert float(digits) == pytest.approx(number, rel=0.051)
    if float(digits) >= 1:
        assert digits == f"{float(digits):.{0 if float(digits) >= 1000 else 1}f}"


@given(up_to(3599, 10, 100, 1000))
def test_seconds_in_words_are_near_and_have_three_digits(seconds: float) -> None:
    digits, unit = parsed(freshness(seconds))
    assert unit == "s"
    assert float(digits) == pytest.approx(seconds, rel=0.005, abs=0.005)
    assert len(digits.replace(".", "")) == (3 if float(digits) < 1000 else 4)


@given(up_to(10**8, 120, 2 * 3600, 2 * 86400))
def test_duration_in_words_is_near_and_below_two_of_the_next_unit(seconds: float) -> None:
    digits, unit = parsed(duration(seconds))
    assert float(digits) * UNITS[unit] == pytest.approx(seconds, rel=0.26, abs=0.05)
    assert float(digits) < {"s": 120, "min": 120, "h": 48, "d": 10**8}[unit]
    assert unit == "s" or float(digits) >= 2


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
        (60, "since 2026-03-01 12:00; no older metrics"),
        (None, "in the last hour"),
    ],
)
def test_dead_letters_are_those_since_prometheus_has_data(oldest_minutes: int | None, note: str) -> None:
    oldest = None if oldest_minutes is None else TIME_RANGE.start + timedelta(minutes=oldest_minutes)
    figures = key_figures(None, replace(FIGURES, oldest_sample=oldest), TIME_RANGE, CREATED_AT)
    assert KeyFigure("Dead letters", "5", note, bad=True) in figures
    assert bool(explain_missing_metrics(oldest, TIME_RANGE)) == note.startswith("since")


@pytest.mark.parametrize(
    ("oldest_minutes", "note"),
    [
        (59, "since 2026-03-01 11:59; no older metrics"),
        (60, "no metrics of this time range"),
        (600, "no metrics of this time range"),
    ],
)
def test_dead_letters_of_a_time_range_before_prometheus_has_data_are_unknown(oldest_minutes: int, note: str) -> None:
    over = TimeRange.between(TIME_RANGE.start, TIME_RANGE.end, CREATED_AT)
    oldest = over.start + timedelta(minutes=oldest_minutes)
    figures = key_figures(None, replace(FIGURES, oldest_sample=oldest, new_dead_letters=None), over, CREATED_AT)
    assert KeyFigure("Dead letters", "–", note) in figures


@pytest.mark.parametrize(
    ("number", "noun", "text"),
    [
        (0, "game", "0 games"),
        (1, "game", "1 game"),
        (1.0, "match", "1 match"),
        (2, "match", "2 matches"),
        (1234, "message", "1,234 messages"),
        (None, "match", "unknown matches"),
    ],
)
def test_only_one_is_singular(number: float | None, noun: str, text: str) -> None:
    assert counted(number, noun) == text


def test_ended_and_arriving_matches_are_two_figures() -> None:
    def of(arriving: float | None) -> dict[str, str]:
        found = key_figures(replace(MATCHES, arriving_per_minute=arriving), None, TIME_RANGE, CREATED_AT)
        return {each.name: each.value for each in found if each.name.endswith("per minute")}

    assert of(118.5) == {"Ended per minute": "120.0", "Arriving per minute": "118.5"}
    assert of(None) == {"Ended per minute": "120.0"}, "a time range that is over"


def test_filters_without_any_document_are_named() -> None:
    assert explain_absent(("platform", "champion")).startswith("No document has this platform or this champion:")
    assert explain_absent(()) == "No document matches all of these filters at once: remove one of them."


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
