"""Drain: a backlog, taken by the warm job, beside what the same machine can do at most."""

from __future__ import annotations

import time
from statistics import median

from msgspec import Struct

from bench import indexing
from bench.backlog import Backlog
from bench.guest import guest, task_of
from bench.indexing import Speed
from bench.plan import Plan
from bench.progress import say
from bench.target import MATCHES, Target
from generator.match import Size

CEILINGS = {
    "read": "reading Kafka in Spark, to nowhere",
    "parse": "reading and parsing in Spark, to nowhere",
    "make": "reading, parsing and making the documents' JSON in Spark, to nowhere",
    "bulk": "raw `_bulk` of ready documents",
}
ADDED_UP = ("parse", "bulk")
"""The stages that follow each other on the same cores: `parse` has the reading in it."""


class Round(Struct, frozen=True):
    """A backlog that the job took. `caught_up`: seconds until the statistics had it too."""

    speed: Speed
    caught_up: float


class Drain(Struct, frozen=True):
    """The rounds of one size, and the ceilings by name: documents a second of each round."""

    size: Size
    messages: int
    rounds: list[Round]
    ceilings: dict[str, list[float]]

    def ceiling(self) -> float:
        """What all stages one after the other can do at most, documents a second: 1/(Σ 1/ceiling)."""
        return 1 / sum(1 / median(self.ceilings[stage]) for stage in ADDED_UP)

    def sustained(self) -> list[float]:
        return [each.speed.sustained for each in self.rounds]


def measure(target: Target, plan: Plan) -> list[Drain]:
    """Each size: the job's rounds, after one to get warm; then, with the job away, the ceilings."""
    taken = {size: [take(target, size, plan.backlog[size]) for _ in range(1 + plan.rounds)] for size in plan.sizes}
    with target.job_stopped():
        return [
            Drain(
                size=size,
                messages=plan.backlog[size],
                rounds=[each for _, each in rounds[1:]],
                ceilings=ceilings(target, plan, rounds[0][0], rounds[-1][0]),
            )
            for size, rounds in taken.items()
        ]


def take(target: Target, size: Size, messages: int) -> tuple[Backlog, Round]:
    """Let the job take a new backlog."""
    target.settle()
    read_before = target.progress().read
    with target.job_paused() as resume:
        backlog = target.fill(size, messages)
        begun = time.perf_counter()
        speed = indexing.measure(target.elasticsearch, MATCHES, backlog.documents, resume)
    target.wait_until_read(read_before + messages)
    caught_up = time.perf_counter() - begun
    say(
        f"drain of {messages:,} {size} matches: {speed.sustained:,.0f} documents/s sustained, {speed.whole:,.0f} over "
        f"all {speed.seconds:.1f} s; with statistics after {caught_up:.1f} s"
    )
    return backlog, Round(speed, caught_up)


def ceilings(target: Target, plan: Plan, first: Backlog, last: Backlog) -> dict[str, list[float]]:
    """Each ceiling: in Spark over all backlogs from the first to the last, `_bulk` with the documents of the last."""
    span = Backlog(last.size, sum(last.ends.values()) - sum(first.starts.values()), first.starts, last.ends)
    with guest(target, "ceilings", task_of(span, rounds=plan.rounds)) as running:
        seconds = running.reports()
    found = {name: [span.documents / each for each in rounds] for name, rounds in seconds.items()}
    found["bulk"] = [raw_bulk(target, last).sustained for _ in range(plan.rounds)]
    for name, rounds in found.items():
        say(f"ceiling, {last.size}, {CEILINGS[name]}: {median(rounds):,.0f} documents/s")
    return found


def raw_bulk(target: Target, backlog: Backlog) -> Speed:
    """Send the backlog's documents, made before, over as many connections as the job has tasks at once."""
    task = task_of(backlog, index="bench_raw", connections=target.cores())
    with target.index(task.index) as index, guest(target, "raw_bulk", task) as running:
        return indexing.measure(target.elasticsearch, index, backlog.documents, lambda: None, running.check)
