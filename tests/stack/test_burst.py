"""A burst of messages: backpressure limits the batches, freshness recovers, and no memory leaks."""

from __future__ import annotations

import re

import pytest

from harness.load import send_backlog
from harness.stack import Stack, sum_samples
from harness.waiting import eventually
from job.settings import with_overrides
from tests.support.jvm_heap import live_heap_bytes

pytestmark = pytest.mark.disruptive

BURST_MESSAGES = 20_000
PARTICIPANTS_PER_MATCH = 10
FRESH_SECONDS = 10.0
"""A bucket of the metric, which a slow machine reaches at rest too: `python -m bench` measures the goals."""
LEAK_TEST_MATCHES = 3_000
"""Matches of 90 KB."""
MAX_HEAP_GROWTH_MIB = 60


def participants_by_batch(stack: Stack) -> dict[int, int]:
    log = stack.log("spark-job")
    return {int(batch): int(number) for batch, number in re.findall(r"Batch (\d+): (\d+) participants", log)}


@pytest.mark.usefixtures("stream")
def test_back_pressure_limits_batches_of_a_burst_and_freshness_recovers(stack: Stack) -> None:
    initial_batch_size = with_overrides({}).batch.initial_size(3)
    processed_before = stack.job_metric("lol_job_messages_total")
    last_batch = max(participants_by_batch(stack))
    limits = {stack.job_metric("lol_job_batch_limit_messages")}
    send_backlog(stack.kafka_settings(), "compact", BURST_MESSAGES)

    def drained() -> None:
        limits.add(stack.job_metric("lol_job_batch_limit_messages"))
        assert stack.job_metric("lol_job_messages_total") - processed_before >= BURST_MESSAGES
        assert stack.job_metric("lol_job_kafka_lag_messages") < 100

    eventually(drained, timeout_seconds=240)
    assert max(limits) > initial_batch_size, "the batch size did not adapt"
    participants = max(number for batch, number in participants_by_batch(stack).items() if batch > last_batch)
    largest = participants / PARTICIPANTS_PER_MATCH
    assert largest > initial_batch_size, "Kafka's source did not apply the adapted batch size"
    # 1.1: some matches of the generator, which runs beside the burst, have 18 participants.
    assert largest <= 1.1 * max(limits), "a batch took more messages than backpressure allowed"

    def batches_and_late_matches() -> tuple[float, float]:
        """Batches so far, and matches indexed later than FRESH_SECONDS after arrival."""
        samples = stack.job_samples()
        fresh = sum_samples(samples, "lol_job_message_age_seconds_bucket", le=str(FRESH_SECONDS))
        late = sum_samples(samples, "lol_job_message_age_seconds_count") - fresh
        return sum_samples(samples, "lol_job_batch_duration_seconds_count"), late

    def freshness_recovered() -> None:
        """No match of the next three batches is late."""
        batches_before, late_before = batches_and_late_matches()

        def three_more_batches() -> None:
            assert batches_and_late_matches()[0] >= batches_before + 3

        eventually(three_more_batches)
        late = batches_and_late_matches()[1] - late_before
        assert late == 0, f"{late:.0f} matches were indexed later than {FRESH_SECONDS} s after arrival"

    eventually(freshness_recovered)


def test_executor_has_no_memory_leak(stack: Stack) -> None:
    heap_before, processed_before = live_heap_bytes(stack), stack.job_metric("lol_job_messages_total")
    send_backlog(stack.kafka_settings(), "full", LEAK_TEST_MATCHES)

    def heap_is_released() -> None:
        processed = stack.job_metric("lol_job_messages_total") - processed_before
        assert processed >= LEAK_TEST_MATCHES, (
            f"the job has processed {processed:,.0f} of {LEAK_TEST_MATCHES:,} matches"
        )
        growth = (live_heap_bytes(stack) - heap_before) / 2**20
        assert growth < MAX_HEAP_GROWTH_MIB, f"the executor's live heap has grown by {growth:.0f} MiB"

    eventually(heap_is_released, poll_seconds=3)
