"""Ceilings: what the same machine can do at most with a backlog, stage by stage."""

from __future__ import annotations

from statistics import median

from msgspec import Struct

from bench import throughput
from bench.drain import take
from bench.job_container import guest, task_of
from bench.measured_stack import Target
from bench.profiles import Plan
from bench.progress import say
from generator.match import Size
from harness.load import DOCUMENTS_A_MATCH, Backlog

STAGES = {
    "read": "reading Kafka in Spark, to nowhere",
    "parse": "reading and parsing in Spark, to nowhere",
    "make": "reading, parsing and making the documents' JSON in Spark, to nowhere",
    "parse_in_jvm": "reading and parsing by Spark's `from_json` instead, to nowhere",
    "make_in_jvm": "reading, parsing by `from_json` and making the documents' JSON by `to_json` instead, to nowhere",
    "bulk": "raw `_bulk` of ready documents",
}
ADDED_UP = ("parse", "bulk")
"""The stages that follow each other on the same cores: `parse` has the reading in it."""


class Ceilings(Struct, frozen=True):
    """By stage, the documents a second of each round."""

    size: Size
    messages: int
    stages: dict[str, list[float]]

    def added_up(self) -> float:
        """What all stages one after the other can do at most, documents a second: 1/(Σ 1/ceiling)."""
        return 1 / sum(1 / median(self.stages[stage]) for stage in ADDED_UP)


def measure(target: Target, plan: Plan) -> list[Ceilings]:
    """Each size, with the job away and its cores free."""
    backlogs = [take(target, size, plan.backlog[size])[0] for size in plan.sizes]
    figures = []
    with target.job_stopped():
        for backlog in backlogs:
            stages = in_spark(target, backlog, plan.rounds)
            stages["bulk"] = [raw_bulk(target, backlog) for _ in range(plan.rounds)]
            for stage, speeds in stages.items():
                say(f"ceiling, {backlog.size}, {STAGES[stage]}: {median(speeds):,.0f} documents/s")
            figures.append(Ceilings(backlog.size, backlog.messages, stages))
    return figures


def in_spark(target: Target, backlog: Backlog, rounds: int) -> dict[str, list[float]]:
    """Documents a second of each stage in Spark."""
    with guest(target, "spark_stages", task_of(backlog, rounds=rounds)) as running:
        reports = running.reports()
    return {
        stage: [report.messages * DOCUMENTS_A_MATCH / report.seconds for report in of_rounds]
        for stage, of_rounds in reports.items()
    }


def raw_bulk(target: Target, backlog: Backlog) -> float:
    """Documents a second where they were made before, over as many connections as the job has tasks at once."""
    task = task_of(backlog, index="bench_raw", connections=target.cores())
    target.settle_elasticsearch()
    with target.index(task.index) as index, guest(target, "raw_bulk", task) as running:
        return throughput.measure(target.elasticsearch, index, backlog.documents, lambda: None, running.check).sustained
