"""Memory soak test: a long run at a constant rate finds memory leaks in driver, executor and state."""

from __future__ import annotations

import time
from statistics import median

from msgspec import Struct

from bench.freshness import FreshnessProbe
from bench.measured_stack import MeasuredStack
from bench.profiles import Profile
from bench.progress import print_progress
from generator.match_factory import MatchSize

SIZE: MatchSize = "full"
SAMPLE_SECONDS = 20
MIB = 2**20


class MemorySample(Struct, frozen=True):
    """Memory at one moment of the run.

    `minute` is negative during the warm-up, while the statistics' state still grows. `worker_mib` is the Spark worker's
    container with the executor in it. `freshness` is the p50 in seconds of the matches since the last sample.
    """

    minute: float
    driver_mib: float
    worker_mib: float
    state_rows: int
    state_mib: float
    freshness: float


class Memory(Struct, frozen=True):
    """A run at `rate` matches a second."""

    size: MatchSize
    rate: int
    samples: list[MemorySample]


def measure_memory(stack: MeasuredStack, profile: Profile) -> Memory:
    """Send matches without a break and take a sample every SAMPLE_SECONDS."""
    stack.wait_until_idle()
    probe = FreshnessProbe(stack, SIZE)
    started = time.monotonic() + profile.memory_warm_up_minutes * 60
    samples = []
    while time.monotonic() < started + profile.memory_minutes * 60:
        latencies = probe.latencies(profile.memory_rate, SAMPLE_SECONDS)
        metrics = stack.job_metrics()
        sample = MemorySample(
            minute=(time.monotonic() - started) / 60,
            driver_mib=stack.resident_memory("spark-job") / MIB,
            worker_mib=stack.resident_memory("spark-worker") / MIB,
            state_rows=int(sum(metrics.get("lol_job_state_rows", []))),
            state_mib=sum(metrics.get("lol_job_state_memory_bytes", [])) / MIB,
            freshness=median(latencies),
        )
        samples.append(sample)
        print_progress(
            f"minute {sample.minute:.1f} of {profile.memory_minutes:g}: driver {sample.driver_mib:.0f} MiB, worker "
            f"{sample.worker_mib:.0f} MiB, state {sample.state_rows:,} rows, {sample.state_mib:.1f} MiB; "
            f"freshness p50 {sample.freshness:.2f} s"
        )
    return Memory(SIZE, profile.memory_rate, samples)
