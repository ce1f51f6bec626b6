"""The key figures' numbers in words."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from analytics.key_figures import KeyFigure, key_figures, rate
from tests.support.report_samples import CREATED_AT, MATCHES, TIME_RANGE


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
