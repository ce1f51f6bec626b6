"""Scaling: processing time per message by number of partitions (and parallelism) and by length of the backlog."""

from __future__ import annotations

from msgspec import Struct

from bench.drain import DrainRound, drain_backlog
from bench.measured_stack import MeasuredStack
from bench.profiles import Profile
from bench.progress import print_progress
from infra.clients.kafka import TopicClient
from infra.names import MATCHES_ALIAS, MATCHES_TOPIC


class ScalingPoint(Struct, frozen=True):
    """A drained backlog of compact matches, `multiple` times the usual length.

    `partitions`: of the topic, and of the statistics' shuffle and state.
    """

    partitions: int
    multiple: int
    messages: int
    round: DrainRound

    @property
    def milliseconds_per_message(self) -> float:
        """Time until all documents were found and the statistics were complete, divided by the messages."""
        return self.round.statistics_seconds * 1000 / self.messages


def measure_scaling(stack: MeasuredStack, profile: Profile) -> list[ScalingPoint]:
    """For each number of partitions: deploy the job for it, warm up, then drain a backlog of each length."""
    figures = []
    usual = profile.backlog["compact"]
    for partitions in profile.scaling_partitions:
        deploy_with_partitions(stack, partitions)
        drain_backlog(stack, "compact", usual)
        for multiple in profile.scaling_multiples:
            _, drained = drain_backlog(stack, "compact", usual * multiple)
            point = ScalingPoint(partitions, multiple, usual * multiple, drained)
            figures.append(point)
            print_progress(
                f"scaling, {partitions} partitions, backlog ×{multiple}: "
                f"{point.milliseconds_per_message:.3f} ms per message"
            )
    return figures


def deploy_with_partitions(stack: MeasuredStack, partitions: int) -> None:
    """Recreate the topic with `partitions`, delete the match indices, and deploy the job with that parallelism."""
    print_progress(f"deploying the job for {partitions} partitions")
    stack.deployment.container("spark-job").stop()
    topics = TopicClient(stack.kafka_settings)
    topic = topics.read(MATCHES_TOPIC)
    assert topic is not None
    topics.delete(MATCHES_TOPIC)
    topics.create(MATCHES_TOPIC, partitions, topic.config)
    for index in stack.elasticsearch.indices.get(index=MATCHES_ALIAS):
        stack.elasticsearch.indices.delete(index=index)
    # Without a refresh: it would show drift of the topic, which Pulumi would correct to its old number of partitions.
    stack.deployment.up(refresh=False, **{"job.parallelism": str(partitions)})
