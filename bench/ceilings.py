"""Ceilings: the highest throughput of each stage of the job alone on the same machine."""

from __future__ import annotations

from statistics import median
from typing import Literal

from msgspec import Struct

from bench.bench_container import run_in_network, workload_of
from bench.drain import drain_backlog
from bench.in_network.workload import SparkStage
from bench.measured_stack import MeasuredStack
from bench.profiles import Profile
from bench.progress import print_progress
from bench.throughput import measure_throughput
from generator.match_factory import MatchSize
from harness.load import DOCUMENTS_PER_MATCH, Backlog

Stage = SparkStage | Literal["bulk"]
STAGES: dict[Stage, str] = {
    "read": "reading Kafka in Spark, no sink",
    "parse": "reading and parsing in Spark, no sink",
    "build_documents": "reading, parsing and serializing the documents in Spark, no sink",
    "bulk": "raw `_bulk` of prepared documents",
}
COMBINED_STAGES: tuple[Stage, ...] = ("parse", "bulk")
"""Stages that run one after the other on the same cores; `parse` includes reading."""


class Ceilings(Struct, frozen=True):
    """Documents a second of each round, by stage."""

    size: MatchSize
    messages: int
    stages: dict[Stage, list[float]]

    def combined(self) -> float:
        """The ceiling of COMBINED_STAGES together in documents a second: 1/(Σ 1/ceiling)."""
        return 1 / sum(1 / median(self.stages[stage]) for stage in COMBINED_STAGES)


def measure_ceilings(stack: MeasuredStack, profile: Profile) -> list[Ceilings]:
    """Each match size, with the job stopped and its cores free."""
    backlogs = [drain_backlog(stack, size, profile.backlog[size])[0] for size in profile.sizes]
    figures = []
    with stack.job_stopped():
        for backlog in backlogs:
            stages = spark_ceilings(stack, backlog, profile.rounds)
            stages["bulk"] = [bulk_ceiling(stack, backlog) for _ in range(profile.rounds)]
            for stage, rounds in stages.items():
                print_progress(f"ceiling, {backlog.size}, {STAGES[stage]}: {median(rounds):,.0f} documents/s")
            figures.append(Ceilings(backlog.size, backlog.messages, stages))
    return figures


def spark_ceilings(stack: MeasuredStack, backlog: Backlog, rounds: int) -> dict[Stage, list[float]]:
    """Documents a second of each Spark stage and round."""
    with run_in_network(stack, "spark_stages", workload_of(backlog, rounds=rounds)) as container:
        timings = container.wait_for_timings()
    stages: tuple[SparkStage, ...] = ("read", "parse", "build_documents")
    return {
        stage: [each.messages * DOCUMENTS_PER_MATCH / each.seconds for each in timings if each.name == stage]
        for stage in stages
    }


def bulk_ceiling(stack: MeasuredStack, backlog: Backlog) -> float:
    """Documents a second of prepared `_bulk` requests, over as many connections as the job runs tasks at once."""
    workload = workload_of(backlog, index="bench_raw", connections=stack.spark_cores())
    stack.wait_until_merged()
    with (
        stack.temporary_index(workload.index) as index,
        run_in_network(stack, "raw_bulk", workload) as container,
    ):
        throughput = measure_throughput(
            stack.elasticsearch, index, backlog.documents, start=lambda: None, check=container.check
        )
    return throughput.sustained
