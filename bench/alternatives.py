"""Beside the alternatives: the same backlog, taken by what one could have instead of the job."""

from __future__ import annotations

from msgspec import Struct

from bench import throughput
from bench.drain import take
from bench.job_container import guest, task_of
from bench.measured_stack import MATCHES, Target
from bench.profiles import Plan
from bench.progress import BenchError, say
from bench.throughput import Speed
from generator.match import Size
from harness.load import DOCUMENTS_A_MATCH, Backlog

WAYS = {
    "engineer": "confluent-kafka, orjson, `parallel_bulk`",
    "guide": "consumer, `json.loads`, `helpers.bulk` per batch",
    "one_by_one": "consumer, `json.loads`, `index()` document by document",
}
CONNECTIONS = 4
"""The default of `parallel_bulk`."""
COMPARED = 500


class Alternative(Struct, frozen=True):
    """What one way did with a backlog of so many matches, each round."""

    size: Size
    way: str
    messages: int
    rounds: list[Speed]


def measure(target: Target, plan: Plan) -> list[Alternative]:
    """Each size, each way, with the job away; the job takes the same backlog first, to compare the documents."""
    backlogs = [take(target, size, plan.backlog[size])[0] for size in plan.sizes]
    with target.job_stopped():
        return [alternative(target, plan, backlog, way) for backlog in backlogs for way in WAYS]


def alternative(target: Target, plan: Plan, backlog: Backlog, way: str) -> Alternative:
    """One way."""
    messages = plan.one_by_one if way == "one_by_one" else backlog.messages
    rounds = []
    for number in range(plan.rounds):
        speed = run(target, backlog, way, messages)
        rounds.append(speed)
        say(
            f"{WAYS[way]}, {messages:,} {backlog.size} matches, round {number + 1} of {plan.rounds}: "
            f"{speed.sustained:,.0f} documents/s sustained, {speed.whole:,.0f} over all {speed.seconds:.1f} s"
        )
    return Alternative(backlog.size, way, messages, rounds)


def run(target: Target, backlog: Backlog, way: str, messages: int) -> Speed:
    """One round. The time of the whole is the consumer's own, without the start of its process."""
    part = Backlog(backlog.size, messages, backlog.starts, backlog.ends)
    task = task_of(part, index=f"bench_{way}", way=way, connections=CONNECTIONS)
    target.settle_elasticsearch()
    with target.index(task.index) as index, guest(target, "consumers", task) as running:
        seen = throughput.measure(target.elasticsearch, index, part.documents, lambda: None, running.check)
        seconds = running.reports()[way][0].seconds
        compare(target, index)
    return Speed(seen.documents, seconds, seen.sustained)


def compare(target: Target, index: str) -> None:
    """The documents of `index` must be the job's, field by field. Raises BenchError where one is not."""
    client = target.elasticsearch
    theirs = {hit["_id"]: hit["_source"] for hit in client.search(index=index, size=COMPARED)["hits"]["hits"]}
    query = {"ids": {"values": list(theirs)}}
    ours = {
        hit["_id"]: hit["_source"] for hit in client.search(index=MATCHES, size=COMPARED, query=query)["hits"]["hits"]
    }
    different = [name for name, document in theirs.items() if ours.get(name) != document]
    if different or len(theirs) < DOCUMENTS_A_MATCH:
        raise BenchError(
            f"{len(different)} of {len(theirs)} documents in {index} are not the job's, {different[:1]}: correct "
            "bench/in_network/consumers.py"
        )
