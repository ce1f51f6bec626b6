"""Growth: partitions and parallelism, and the length of a backlog, against the time a message takes."""

from __future__ import annotations

from msgspec import Struct

from bench.drain import Round, take
from bench.measured_stack import MATCHES, Target
from bench.profiles import Plan
from bench.progress import say
from harness.load import TOPIC
from infra.clients.kafka import TopicClient


class Growth(Struct, frozen=True):
    """A backlog of compact matches, `multiple` times the usual one, with so many partitions of the topic and of the
    statistics."""

    partitions: int
    multiple: int
    messages: int
    round: Round

    @property
    def milliseconds_a_message(self) -> float:
        """Until everything was found and the statistics had it, for each message."""
        return self.round.caught_up * 1000 / self.messages


def measure(target: Target, plan: Plan) -> list[Growth]:
    """Each number of partitions: the job made anew for it and warmed up, then backlogs of each length."""
    figures = []
    usual = plan.backlog["compact"]
    for partitions in plan.growth_partitions:
        deploy(target, partitions)
        take(target, "compact", usual)
        for multiple in plan.growth_multiples:
            _, round_ = take(target, "compact", usual * multiple)
            figures.append(Growth(partitions, multiple, usual * multiple, round_))
            say(
                f"growth, {partitions} partitions, backlog ×{multiple}: {figures[-1].milliseconds_a_message:.3f} ms a "
                "message"
            )
    return figures


def deploy(target: Target, partitions: int) -> None:
    """An empty topic and index, and a job, for so many partitions."""
    say(f"deploying the job for {partitions} partitions")
    target.stack.container("spark-job").stop()
    topics = TopicClient(target.bootstrap_servers)
    topic = topics.read(TOPIC)
    assert topic is not None
    topics.delete(TOPIC)
    topics.create(TOPIC, partitions, topic.replication_factor, topic.config)
    for index in target.elasticsearch.indices.get(index=MATCHES):
        target.elasticsearch.indices.delete(index=index)
    # Without a refresh: Pulumi would bring the topic back to the partitions that it knows of.
    target.stack.up(refresh=False, **{"job.parallelism": str(partitions)})
