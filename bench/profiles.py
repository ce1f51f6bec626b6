"""Benchmark profiles: FULL for figures that count, QUICK for a smoke test of the benchmarks themselves."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from generator.match_factory import MatchSize


@dataclass(frozen=True)
class Profile:
    """Match sizes, load and repetitions of the measures."""

    sizes: tuple[MatchSize, ...]
    rounds: int
    """How often each figure is measured."""
    warm_up_rounds: int
    """Backlogs drained before the first measured one: JIT compilation goes on for the first 150,000 matches."""
    freshness_seconds: Mapping[int, int]
    """Send rate in matches a second → seconds of each round."""
    query_matches: int
    """Least number of matches in the dashboard's hour while its queries are measured."""
    query_warm_up_seconds: float
    """Warm-up of the dashboard's queries, with the stream: JIT compilation in Elasticsearch and in the job."""
    backlog: Mapping[MatchSize, int]
    """Matches of a backlog."""
    single_index_matches: int
    """Matches of the part of a backlog that the `single_index` consumer takes: one request for each document."""
    scaling_partitions: tuple[int, ...]
    scaling_multiples: tuple[int, ...]
    """Lengths of the backlogs, as multiples of the compact backlog."""
    burst: int
    """Matches sent at once."""
    rest_warm_up_seconds: float
    """Warm-up at the rate of the rest measure: JIT compilation goes on for minutes after the start."""
    rest_window_seconds: float
    rest_windows: int
    rest_fill: int
    """Matches in the job's state for the last part of the rest measure."""
    start_load_seconds: float
    """Time under load between the first document and the kill of the driver."""
    memory_rate: int
    """Send rate of the memory measure, in matches a second."""
    memory_minutes: float
    memory_warm_up_minutes: float
    """Warm-up before those minutes. A match stays in the statistics' state for twice the watermark's delay of
    10 minutes, so the state grows for 20 minutes."""


FULL = Profile(
    sizes=("compact", "full"),
    rounds=3,
    warm_up_rounds=8,
    freshness_seconds={2: 100, 50: 40},
    query_matches=7_200,  # 2 a second
    query_warm_up_seconds=600,
    backlog={"compact": 20_000, "full": 5_000},
    single_index_matches=500,
    scaling_partitions=(1, 2, 4),
    scaling_multiples=(1, 4, 16),
    burst=50_000,
    rest_warm_up_seconds=300,
    rest_window_seconds=60,
    rest_windows=5,
    rest_fill=150_000,
    start_load_seconds=60,
    memory_rate=50,
    memory_minutes=30,
    memory_warm_up_minutes=20,
)
QUICK = Profile(
    sizes=("compact", "full"),
    rounds=1,
    warm_up_rounds=1,
    freshness_seconds={2: 5, 50: 3},
    query_matches=200,
    query_warm_up_seconds=0,
    backlog={"compact": 1_000, "full": 200},
    single_index_matches=20,
    scaling_partitions=(1, 2),
    scaling_multiples=(1, 2),
    burst=2_000,
    rest_warm_up_seconds=5,
    rest_window_seconds=5,
    rest_windows=1,
    rest_fill=1_000,
    start_load_seconds=5,
    memory_rate=20,
    memory_minutes=0.5,
    memory_warm_up_minutes=0,
)
