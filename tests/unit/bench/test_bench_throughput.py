"""Throughput from Elasticsearch's counters."""

from __future__ import annotations

import pytest

from bench.throughput import Throughput, sustained_throughput, time_of_count


def test_time_of_a_count_is_interpolated_between_samples() -> None:
    samples = [(0.0, 0), (1.0, 0), (2.0, 100), (4.0, 300)]
    assert time_of_count(samples, 50) == 1.5
    assert time_of_count(samples, 200) == 3.0
    with pytest.raises(ValueError, match="there never were 301 documents"):
        time_of_count(samples, 301)


def test_sustained_throughput_excludes_ramp_up_and_last_documents() -> None:
    slow_at_both_ends = [(0.0, 0), (5.0, 100), (6.0, 900), (16.0, 1000)]
    assert sustained_throughput(slow_at_both_ends, 1000) == pytest.approx(800)


def test_overall_throughput_counts_all_documents_and_all_of_the_time() -> None:
    assert Throughput(documents=1000, seconds=16.0, sustained=800.0).overall == 62.5
