"""Timings that a benchmark container prints and the benchmark reads."""

from __future__ import annotations

import pytest

from bench.in_network.workload import Timing, parse_timings, print_timing


def test_timings_are_read_from_between_other_log_lines(capsys: pytest.CaptureFixture[str]) -> None:
    timings = [Timing("read", 300, 1.5), Timing("parallel_bulk", 20, 0.25)]
    print("a warning")
    for timing in timings:
        print_timing(timing)
    assert parse_timings(capsys.readouterr().out) == timings
