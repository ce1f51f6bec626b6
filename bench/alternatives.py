"""Alternatives: throughput of plain Kafka consumers that process the same backlog instead of the job."""

from __future__ import annotations

from msgspec import Struct

from bench.bench_container import run_in_network, workload_of
from bench.drain import drain_backlog
from bench.in_network.workload import ConsumerKind
from bench.measured_stack import MeasuredStack
from bench.profiles import Profile
from bench.progress import BenchError, print_progress
from bench.throughput import Throughput, measure_throughput
from generator.match_factory import MatchSize
from harness.load import DOCUMENTS_PER_MATCH, Backlog
from infra.names import MATCHES_ALIAS

CONSUMERS: dict[ConsumerKind, str] = {
    "parallel_bulk": "confluent-kafka, orjson, `parallel_bulk`",
    "bulk": "consumer, `json.loads`, `helpers.bulk` per batch",
    "single_index": "consumer, `json.loads`, `index()` for each document",
}
CONNECTIONS = 4
"""The default of `parallel_bulk`."""
COMPARED_DOCUMENTS = 500


class Alternative(Struct, frozen=True):
    """The rounds of one consumer with a backlog of `messages`."""

    size: MatchSize
    consumer: ConsumerKind
    messages: int
    rounds: list[Throughput]


def measure_alternatives(stack: MeasuredStack, profile: Profile) -> list[Alternative]:
    """Each match size and consumer, with the job stopped. The job drains each backlog first: its documents are the
    reference."""
    backlogs = [drain_backlog(stack, size, profile.backlog[size])[0] for size in profile.sizes]
    with stack.job_stopped():
        return [measure_consumer(stack, profile, backlog, consumer) for backlog in backlogs for consumer in CONSUMERS]


def measure_consumer(stack: MeasuredStack, profile: Profile, backlog: Backlog, consumer: ConsumerKind) -> Alternative:
    """All rounds of one consumer."""
    messages = profile.single_index_matches if consumer == "single_index" else backlog.messages
    rounds = []
    for number in range(1, profile.rounds + 1):
        throughput = run_consumer(stack, backlog, consumer, messages)
        rounds.append(throughput)
        print_progress(
            f"{CONSUMERS[consumer]}, {messages:,} {backlog.size} matches, round {number} of {profile.rounds}: "
            f"{throughput.sustained:,.0f} documents/s sustained, {throughput.overall:,.0f} over all "
            f"{throughput.seconds:.1f} s"
        )
    return Alternative(backlog.size, consumer, messages, rounds)


def run_consumer(stack: MeasuredStack, backlog: Backlog, consumer: ConsumerKind, messages: int) -> Throughput:
    """One round with the first `messages` of the backlog.

    The consumer measures its own time, which excludes the start of its process.
    """
    part = Backlog(backlog.size, messages, backlog.start_offsets, backlog.end_offsets)
    workload = workload_of(part, index=f"bench_{consumer}", consumer=consumer, connections=CONNECTIONS)
    stack.wait_until_merged()
    with (
        stack.temporary_index(workload.index) as index,
        run_in_network(stack, "consumers", workload) as container,
    ):
        observed = measure_throughput(
            stack.elasticsearch, index, part.documents, start=lambda: None, check=container.check
        )
        [timing] = container.wait_for_timings()
        compare_documents(stack, index)
    return Throughput(observed.documents, timing.seconds, observed.sustained)


def compare_documents(stack: MeasuredStack, index: str) -> None:
    """Compare documents of `index` with the job's, field by field. Raises BenchError if one differs."""
    client = stack.elasticsearch
    hits = client.search(index=index, size=COMPARED_DOCUMENTS)["hits"]["hits"]
    documents = {hit["_id"]: hit["_source"] for hit in hits}
    query = {"ids": {"values": list(documents)}}
    hits = client.search(index=MATCHES_ALIAS, size=COMPARED_DOCUMENTS, query=query)["hits"]["hits"]
    expected = {hit["_id"]: hit["_source"] for hit in hits}
    different = [document_id for document_id, document in documents.items() if expected.get(document_id) != document]
    if different or len(documents) < DOCUMENTS_PER_MATCH:
        raise BenchError(
            f"{len(different)} of {len(documents)} documents in {index} differ from the job's, {different[:1]}: "
            "correct bench/in_network/consumers.py"
        )
