"""Drain: throughput of the warm job while it processes a backlog."""

from __future__ import annotations

import time
from statistics import median

from msgspec import Struct

from bench.measured_stack import MeasuredStack
from bench.profiles import Profile
from bench.progress import print_progress
from bench.throughput import Throughput, measure_throughput
from generator.match_factory import MatchSize
from harness.load import Backlog
from infra.names import MATCHES_ALIAS


class DrainRound(Struct, frozen=True):
    """One drained backlog. `statistics_seconds`: from the start until the statistics include the whole backlog."""

    throughput: Throughput
    statistics_seconds: float

    @property
    def with_statistics(self) -> float:
        """Documents a second until the statistics include the whole backlog."""
        return self.throughput.documents / self.statistics_seconds


class Drain(Struct, frozen=True):
    """The rounds of one match size."""

    size: MatchSize
    messages: int
    rounds: list[DrainRound]

    def sustained(self) -> float:
        """Sustained throughput in documents a second: the median of the rounds."""
        return median(each.throughput.sustained for each in self.rounds)


def measure_drain(stack: MeasuredStack, profile: Profile) -> list[Drain]:
    """For each match size: warm-up rounds, then the measured rounds."""
    figures = []
    for size in profile.sizes:
        messages = profile.backlog[size]
        for _ in range(profile.warm_up_rounds):
            drain_backlog(stack, size, messages)
        rounds = [drain_backlog(stack, size, messages)[1] for _ in range(profile.rounds)]
        figures.append(Drain(size, messages, rounds))
    return figures


def drain_backlog(stack: MeasuredStack, size: MatchSize, messages: int) -> tuple[Backlog, DrainRound]:
    """Send a new backlog while the job is paused, resume the job, and measure how fast it drains the backlog."""
    stack.wait_until_idle()
    processed_before = stack.job_progress().processed
    with stack.job_paused() as resume:
        backlog = stack.send_backlog(size, messages)
        started = time.perf_counter()
        throughput = measure_throughput(stack.elasticsearch, MATCHES_ALIAS, backlog.documents, resume)
    stack.wait_until_processed(processed_before + messages)
    statistics_seconds = time.perf_counter() - started
    print_progress(
        f"drain of {messages:,} {size} matches: {throughput.sustained:,.0f} documents/s sustained, "
        f"{throughput.overall:,.0f} over all {throughput.seconds:.1f} s; with statistics {statistics_seconds:.1f} s"
    )
    return backlog, DrainRound(throughput, statistics_seconds)
