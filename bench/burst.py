"""Burst: batch durations and freshness when many messages arrive at once (backpressure of the running stream)."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from statistics import median

from msgspec import Struct

from bench.freshness import FreshnessProbe
from bench.measured_stack import MeasuredStack
from bench.profiles import Profile
from bench.progress import print_progress
from generator.match_factory import MatchSize
from harness.stack import sum_samples
from harness.waiting import eventually
from job.settings import with_overrides

SIZE: MatchSize = "compact"
BASELINE_RATE = 2
"""Matches a second before and after the burst."""
BASELINE_SECONDS = 20
"""One period at the baseline rate before the burst, two after it."""
POLL_SECONDS = 0.2
TIMEOUT_SECONDS = 600
MAX_BATCH_SECONDS = with_overrides({}).batch.max_seconds


class Burst(Struct, frozen=True):
    """Figures of one burst.

    `batch_seconds`: duration of each batch between the burst's first message and lag 0, which is `drain_seconds`
    later. Freshness is the p50 in seconds at the baseline rate: before the burst, in the first period after it, and in
    the next.
    """

    size: MatchSize
    messages: int
    max_batch_seconds: float
    batch_seconds: list[float]
    drain_seconds: float
    freshness_before: float
    freshness_after: float
    freshness_later: float


class BatchDurations:
    """Collects the durations of the batches of documents from the job's metrics."""

    def __init__(self, stack: MeasuredStack) -> None:
        self._stack = stack
        self._count, self._sum = self._totals()
        self.seconds: list[float] = []

    def poll(self) -> None:
        """Add the batches that ended since the last poll. If there were several, each gets their mean duration."""
        count, total = self._totals()
        ended = count - self._count
        self.seconds += [(total - self._sum) / ended] * ended if ended else []
        self._count, self._sum = count, total

    def _totals(self) -> tuple[int, float]:
        samples = self._stack.deployment.job_samples()
        count, total = (
            sum_samples(samples, f"lol_job_batch_duration_seconds_{part}", query="matches") for part in ("count", "sum")
        )
        return int(count), total


def measure_burst(stack: MeasuredStack, profile: Profile) -> Burst:
    """The baseline rate, the burst, the baseline rate again."""
    stack.wait_until_idle()
    probe = FreshnessProbe(stack, SIZE)
    before = median(probe.latencies(BASELINE_RATE, BASELINE_SECONDS))
    expected = stack.job_progress().processed + profile.burst
    batches = BatchDurations(stack)
    started = time.monotonic()
    with ThreadPoolExecutor(1) as pool:
        sending = pool.submit(stack.send_backlog, SIZE, profile.burst)

        def drained() -> None:
            if sending.done():
                sending.result()  # raises the sender's error
            batches.poll()
            progress = stack.job_progress()
            left = expected - progress.processed
            assert left <= 0, f"the job has {left:,} of {profile.burst:,} messages left to process"
            assert progress.lag == 0, f"the job's lag is {progress.lag} messages"

        eventually(drained, TIMEOUT_SECONDS, poll_seconds=POLL_SECONDS)
    drain_seconds = time.monotonic() - started
    after, later = (median(probe.latencies(BASELINE_RATE, BASELINE_SECONDS)) for _ in range(2))
    print_progress(
        f"burst of {profile.burst:,} matches: {len(batches.seconds)} batches, the longest "
        f"{max(batches.seconds):.1f} s; drained after {drain_seconds:.1f} s; freshness p50 {before:.2f} s before, "
        f"{after:.2f} s and {later:.2f} s after"
    )
    return Burst(SIZE, profile.burst, MAX_BATCH_SECONDS, batches.seconds, drain_seconds, before, after, later)
