"""A burst is taken in batches that keep to their time, and then all is as before."""

from __future__ import annotations

import time

import pytest
from confluent_kafka import Producer

from generator.match import MatchFactory
from job.settings import merged
from tests.stack.stack import Stack, eventually

pytestmark = pytest.mark.disruptive

MESSAGES = 20_000
BOUND_SECONDS = merged({}).batch.max_seconds


def test_no_batch_of_a_burst_is_longer_than_its_bound(stack: Stack) -> None:
    first_bound = merged({}).batch.first_bound(3)

    def done_and_over_the_bound() -> tuple[float, float]:
        """Messages processed so far, and batches that took longer than the bound."""
        batches = stack.job_metric("lol_job_batch_duration_seconds_count")
        within = stack.job_metric("lol_job_batch_duration_seconds_bucket", le=str(float(BOUND_SECONDS)))
        return stack.job_metric("lol_job_messages_total"), batches - within

    before, over = done_and_over_the_bound()
    seed = time.time_ns() // 1_000_000
    factory = MatchFactory(seed=seed, size="compact", start_ms=seed, now=lambda: int(time.time() * 1000))
    producer = Producer({"bootstrap.servers": stack.outputs["bootstrapServers"], "linger.ms": 50})
    for _ in range(MESSAGES):
        match = factory.next()
        producer.produce("lol_matches", match.encode(), match.id.encode())
        producer.poll(0)
    assert producer.flush(60) == 0

    def drained() -> None:
        done, _ = done_and_over_the_bound()
        assert done - before >= MESSAGES
        assert stack.job_metric("lol_job_kafka_lag_messages") < 100

    eventually(drained, limit_seconds=240)
    assert done_and_over_the_bound()[1] == over
    assert stack.job_metric("lol_job_batch_limit_messages") > first_bound, "the bound did not follow what was measured"

    def fresh() -> None:
        """The last batches' matches are indexed within seconds of their arrival again."""
        batches = stack.job_metric("lol_job_batch_duration_seconds_count")
        young = stack.job_metric("lol_job_message_age_seconds_bucket", le="2.5")
        count = stack.job_metric("lol_job_message_age_seconds_count")

        def more() -> None:
            assert stack.job_metric("lol_job_batch_duration_seconds_count") >= batches + 3

        eventually(more, limit_seconds=60)
        older = stack.job_metric("lol_job_message_age_seconds_count") - count
        older -= stack.job_metric("lol_job_message_age_seconds_bucket", le="2.5") - young
        assert older == 0, f"{older:.0f} matches took longer than 2.5 s to be indexed"

    eventually(fresh, limit_seconds=120)
