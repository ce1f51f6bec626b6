"""How much is measured: the run whose figures count, and the quick one that shows that the benchmarks work."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from generator.match import Size


@dataclass(frozen=True)
class Plan:
    """Sizes, lengths and repetitions of the measures."""

    sizes: tuple[Size, ...]
    rounds: int
    """How often each figure is taken."""
    warm_up_rounds: int
    """Backlogs before the first that counts: the JVMs still compile in the first 150,000 matches."""
    freshness_seconds: Mapping[int, int]
    """Rate, matches a second → seconds a round."""
    backlog: Mapping[Size, int]
    """Matches of a backlog."""
    one_by_one: int
    """Matches of the part of a backlog that is sent document by document."""
    growth_partitions: tuple[int, ...]
    growth_multiples: tuple[int, ...]
    """Backlogs of so many times the compact one."""
    burst: int
    """Messages at once."""
    memory_rate: int
    """Matches a second of the long run."""
    memory_minutes: float
    memory_warm_up_minutes: float
    """Before them: a match stays in the statistics' state for twice the watermark's delay of 10 minutes."""


FULL = Plan(
    sizes=("compact", "full"),
    rounds=3,
    warm_up_rounds=8,
    freshness_seconds={2: 100, 50: 40},
    backlog={"compact": 20_000, "full": 5_000},
    one_by_one=500,
    growth_partitions=(1, 2, 4),
    growth_multiples=(1, 4, 16),
    burst=50_000,
    memory_rate=50,
    memory_minutes=30,
    memory_warm_up_minutes=20,
)
QUICK = Plan(
    sizes=("compact", "full"),
    rounds=1,
    warm_up_rounds=1,
    freshness_seconds={2: 5, 50: 3},
    backlog={"compact": 1_000, "full": 200},
    one_by_one=20,
    growth_partitions=(1, 2),
    growth_multiples=(1, 2),
    burst=2_000,
    memory_rate=20,
    memory_minutes=0.5,
    memory_warm_up_minutes=0,
)
