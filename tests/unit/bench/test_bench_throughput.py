"""Speeds from Elasticsearch's counters."""

from __future__ import annotations

import pytest

from bench.throughput import Speed, reached, sustained


def test_a_count_is_reached_between_two_looks() -> None:
    points = [(0.0, 0), (1.0, 0), (2.0, 100), (4.0, 300)]
    assert reached(points, 50) == 1.5
    assert reached(points, 200) == 3.0
    with pytest.raises(ValueError, match="there never were 301 documents"):
        reached(points, 301)


def test_sustained_speed_leaves_the_way_to_full_speed_and_the_last_documents_out() -> None:
    slow_at_both_ends = [(0.0, 0), (5.0, 100), (6.0, 900), (16.0, 1000)]
    assert sustained(slow_at_both_ends, 1000) == pytest.approx(800)
    assert Speed(1000, 16.0, 800.0).whole == 62.5
