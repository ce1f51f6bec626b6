"""Drain: throughput of the warm job while it processes a backlog."""

from __future__ import annotations

import time
from collections.abc import Sequence
from itertools import chain
from statistics import median

from msgspec import Struct

from bench.measured_stack import MeasuredStack
from bench.profiles import Profile
from bench.progress import print_progress
from bench.throughput import Throughput, indexed_count, measure_throughput
from generator.match_factory import MatchSize
from harness.load import Backlog
from infra.names import MATCHES_ALIAS

FIRST_SECONDS = 30
"""Start of draining, for the throughput of a new stack, whose JVMs have compiled nothing yet."""


class DrainRound(Struct, frozen=True):
    """One drained backlog. `statistics_seconds`: from the start until the statistics include the whole backlog."""

    throughput: Throughput
    statistics_seconds: float

    @property
    def with_statistics(self) -> float:
        """Documents a second until the statistics include the whole backlog."""
        return self.throughput.documents / self.statistics_seconds


class FirstSeconds(Struct, frozen=True):
    """The first rounds, warm-up included, until they took FIRST_SECONDS together, without the pauses between them.

    `indexed_before`: documents that the stack had indexed before; 0 if it was new.
    """

    seconds: float
    documents: int
    indexed_before: int

    @property
    def throughput(self) -> float:
        """Documents a second."""
        return self.documents / self.seconds


class Drain(Struct, frozen=True):
    """The rounds of one match size."""

    size: MatchSize
    messages: int
    rounds: list[DrainRound]
    first: FirstSeconds

    def sustained(self) -> float:
        """Sustained throughput in documents a second: the median of the rounds."""
        return median(each.throughput.sustained for each in self.rounds)


def measure_drain(stack: MeasuredStack, profile: Profile) -> list[Drain]:
    """For each match size: warm-up rounds, then the measured rounds."""
    figures = []
    for size in profile.sizes:
        messages = profile.backlog[size]
        indexed_before = indexed_count(stack.elasticsearch, MATCHES_ALIAS)
        warm_up, rounds = (
            [drain_backlog(stack, size, messages)[1] for _ in range(number)]
            for number in (profile.warm_up_rounds, profile.rounds)
        )
        first = first_seconds([each.throughput for each in chain(warm_up, rounds)], indexed_before)
        figures.append(Drain(size, messages, rounds, first))
    return figures


def first_seconds(rounds: Sequence[Throughput], indexed_before: int) -> FirstSeconds:
    """The first of these rounds, as many as took FIRST_SECONDS together."""
    seconds, documents = 0.0, 0
    for each in rounds:
        if seconds < FIRST_SECONDS:
            seconds, documents = seconds + each.seconds, documents + each.documents
    return FirstSeconds(seconds, documents, indexed_before)


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
