"""Rest: the processor time and memory of each service while little or nothing arrives."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from statistics import median
from typing import Any

from msgspec import Struct

from bench.measured_stack import MeasuredStack
from bench.profiles import Profile
from bench.progress import print_progress
from generator.match_factory import MatchSize
from harness.load import background_stream

SIZE: MatchSize = "full"
RATE = 2
"""Matches a second; the other rate is 0."""
FILL_SIZE: MatchSize = "compact"
NANOSECONDS = 10**9
MIB = 2**20


class Rest(Struct, frozen=True):
    """One load: `rate` matches a second, with `state_rows` rows in the job's state.

    `windows`: cores in use by service, for each window. `memory_mib`: resident memory by service at the end, when the
    stack had run for `minutes`.
    """

    size: MatchSize
    rate: int
    state_rows: int
    windows: list[dict[str, float]]
    memory_mib: dict[str, float]
    minutes: float

    def cores(self, service: str) -> float:
        """Cores in use by the service: the median of the windows."""
        return median(window[service] for window in self.windows)

    def all_cores(self) -> list[float]:
        """Cores in use by all services together, for each window."""
        return [sum(window.values()) for window in self.windows]


def measure_rest(stack: MeasuredStack, profile: Profile) -> list[Rest]:
    """At the rate with the state of a few minutes, without messages, and at the rate with many matches in the state."""
    stack.wait_until_idle()
    with background_stream(stack.kafka_settings, SIZE, RATE):
        time.sleep(profile.rest_warm_up_seconds)
        streaming = measure_windows(stack, profile, RATE)
    stack.wait_until_idle()
    time.sleep(profile.rest_window_seconds / 4)  # the statistics' last batch
    silent = measure_windows(stack, profile, 0)
    stack.send_backlog(FILL_SIZE, profile.rest_fill)
    stack.wait_until_idle()
    stack.wait_until_archived()
    with background_stream(stack.kafka_settings, SIZE, RATE):
        time.sleep(profile.rest_window_seconds)  # the merges and garbage collections after the fill
        filled = measure_windows(stack, profile, RATE)
    return [streaming, silent, filled]


def measure_windows(stack: MeasuredStack, profile: Profile, rate: int) -> Rest:
    """Cores by service in each window, and memory at the end of the last one."""
    before = read_usage(stack)
    windows = []
    for _ in range(profile.rest_windows):
        time.sleep(profile.rest_window_seconds)
        now = read_usage(stack)
        windows.append(
            {name: (at.busy - before[name].busy) / (at.read - before[name].read) for name, at in now.items()}
        )
        before = now
    rest = Rest(
        size=SIZE,
        rate=rate,
        state_rows=int(sum(stack.job_metrics().get("lol_job_state_rows", []))),
        windows=windows,
        memory_mib={name: stack.resident_memory(name) / MIB for name in before},
        minutes=stack.minutes_since_start(),
    )
    print_progress(
        f"rest, {rate} matches/s, {rest.state_rows:,} rows of state: {median(rest.all_cores()):.2f} cores, "
        f"{sum(rest.memory_mib.values()):,.0f} MiB after {rest.minutes:.0f} minutes"
    )
    return rest


class Usage(Struct, frozen=True):
    """Processor time that a container has used, and the time at which the engine read it, in seconds."""

    busy: float
    read: float


def read_usage(stack: MeasuredStack) -> dict[str, Usage]:
    """The processor time of each service's container. Concurrently: an engine can take a second for each."""

    def read(service: str) -> Usage:
        container = stack.deployment.container(service)
        stats: Any = container.stats(stream=False, one_shot=True)
        return Usage(
            stats["cpu_stats"]["cpu_usage"]["total_usage"] / NANOSECONDS,
            datetime.fromisoformat(stats["read"]).timestamp(),
        )

    with ThreadPoolExecutor() as pool:
        return dict(zip(stack.deployment.services, pool.map(read, stack.deployment.services), strict=True))
