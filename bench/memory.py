"""Memory of driver and executor, and of the statistics' state, over a long run at a steady rate."""

from __future__ import annotations

import time
from statistics import median

from msgspec import Struct

from bench.freshness import Sight
from bench.measured_stack import Target
from bench.profiles import Plan
from bench.progress import say
from generator.match import Size

SIZE: Size = "full"
LOOK_SECONDS = 20
"""Between two looks."""
MIB = 2**20


class Look(Struct, frozen=True):
    """The job at a moment of the run: memory of its driver's container and of the worker's, with the executor in it, in
    MiB; rows and MiB of the statistics' state; the median age in seconds at which the matches since the last look were
    found. The minute is negative while the state still grows, since matches have begun to come."""

    minute: float
    driver: float
    executor: float
    state_rows: int
    state: float
    freshness: float


class Memory(Struct, frozen=True):
    """A run at `rate` matches a second."""

    size: Size
    rate: int
    looks: list[Look]


def measure(target: Target, plan: Plan) -> Memory:
    """Send all the time, and look every LOOK_SECONDS."""
    target.settle()
    sight = Sight(target, SIZE)
    begun = time.monotonic() + plan.memory_warm_up_minutes * 60
    looks = []
    while time.monotonic() < begun + plan.memory_minutes * 60:
        ages = sight.ages(plan.memory_rate, LOOK_SECONDS)
        metrics = target.metrics()
        look = Look(
            minute=(time.monotonic() - begun) / 60,
            driver=target.memory("spark-job") / MIB,
            executor=target.memory("spark-worker") / MIB,
            state_rows=int(sum(metrics.get("lol_job_state_rows", []))),
            state=sum(metrics.get("lol_job_state_memory_bytes", [])) / MIB,
            freshness=median(ages),
        )
        looks.append(look)
        say(
            f"minute {look.minute:.1f} of {plan.memory_minutes:g}: driver {look.driver:.0f} MiB, executor "
            f"{look.executor:.0f} MiB, state {look.state_rows:,} rows, {look.state:.1f} MiB; p50 {look.freshness:.2f} s"
        )
    return Memory(SIZE, plan.memory_rate, looks)
