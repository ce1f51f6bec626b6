"""Drain: a backlog, taken by the warm job."""

from __future__ import annotations

import time
from statistics import median

from msgspec import Struct

from bench import throughput
from bench.measured_stack import MATCHES, Target
from bench.profiles import Plan
from bench.progress import say
from bench.throughput import Speed
from generator.match import Size
from harness.load import Backlog


class Round(Struct, frozen=True):
    """A backlog that the job took. `caught_up`: seconds until the statistics had it too."""

    speed: Speed
    caught_up: float


class Drain(Struct, frozen=True):
    """The rounds of one size."""

    size: Size
    messages: int
    rounds: list[Round]

    def sustained(self) -> float:
        """Documents a second, sustained: the median of the rounds."""
        return median(each.speed.sustained for each in self.rounds)


def measure(target: Target, plan: Plan) -> list[Drain]:
    """Each size, after rounds to get warm."""
    figures = []
    for size in plan.sizes:
        messages = plan.backlog[size]
        for _ in range(plan.warm_up_rounds):
            take(target, size, messages)
        figures.append(Drain(size, messages, [take(target, size, messages)[1] for _ in range(plan.rounds)]))
    return figures


def take(target: Target, size: Size, messages: int) -> tuple[Backlog, Round]:
    """Let the job take a new backlog."""
    target.settle()
    done_before = target.progress().done
    with target.job_paused() as resume:
        backlog = target.fill(size, messages)
        begun = time.perf_counter()
        speed = throughput.measure(target.elasticsearch, MATCHES, backlog.documents, resume)
    target.wait_until_done(done_before + messages)
    caught_up = time.perf_counter() - begun
    say(
        f"drain of {messages:,} {size} matches: {speed.sustained:,.0f} documents/s sustained, {speed.whole:,.0f} over "
        f"all {speed.seconds:.1f} s; with statistics after {caught_up:.1f} s"
    )
    return backlog, Round(speed, caught_up)
