"""A burst into the running stream: how long its batches take, and when matches are as fresh as before."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from statistics import median

from msgspec import Struct

from bench.freshness import Sight
from bench.measured_stack import Target
from bench.profiles import Plan
from bench.progress import say
from generator.match import Size
from harness.waiting import eventually
from job.settings import merged

SIZE: Size = "compact"
RATE = 2
STEADY_SECONDS = 20
"""Of the usual rate, before the burst and twice after it."""
LOOK_SECONDS = 0.2
LIMIT_SECONDS = 600
BOUND_SECONDS = merged({}).batch.max_seconds


class Burst(Struct, frozen=True):
    """So many messages at once. `batches`: seconds of each batch from the burst's first message until nothing was left,
    `seconds` later. Ages are medians in seconds, at the usual rate before it, right after it, and after that."""

    size: Size
    messages: int
    bound: float
    batches: list[float]
    seconds: float
    before: float
    after: float
    later: float


class Batches:
    """The job's batches as they end, by its metrics."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._count, self._sum = self._totals()
        self.seconds: list[float] = []

    def look(self) -> None:
        """Take in what ended since the last look; batches that ended between two looks are taken as equally long."""
        count, total = self._totals()
        ended = count - self._count
        self.seconds += [(total - self._sum) / ended] * ended if ended else []
        self._count, self._sum = count, total

    def _totals(self) -> tuple[int, float]:
        metrics = self._target.metrics()
        return (
            int(sum(metrics["lol_job_batch_duration_seconds_count"])),
            sum(metrics["lol_job_batch_duration_seconds_sum"]),
        )


def measure(target: Target, plan: Plan) -> Burst:
    """The usual rate, the burst, the usual rate again."""
    target.settle()
    sight = Sight(target, SIZE)
    before = median(sight.ages(RATE, STEADY_SECONDS))
    done = target.progress().done + plan.burst
    batches = Batches(target)
    begun = time.monotonic()
    with ThreadPoolExecutor(1) as pool:
        filling = pool.submit(target.fill, SIZE, plan.burst)

        def over() -> None:
            if filling.done():
                filling.result()
            batches.look()
            progress = target.progress()
            assert progress.done >= done, f"the job still has {done - progress.done:,} of {plan.burst:,} messages to do"
            assert progress.behind == 0, f"the job is {progress.behind:,} messages behind"

        eventually(over, LIMIT_SECONDS, every_seconds=LOOK_SECONDS)
    seconds = time.monotonic() - begun
    after, later = (median(sight.ages(RATE, STEADY_SECONDS)) for _ in range(2))
    say(
        f"burst of {plan.burst:,} matches: {len(batches.seconds)} batches, the longest {max(batches.seconds):.1f} s; "
        f"all done after {seconds:.1f} s; freshness p50 {before:.2f} s before, {after:.2f} s and {later:.2f} s after"
    )
    return Burst(SIZE, plan.burst, BOUND_SECONDS, batches.seconds, seconds, before, after, later)
