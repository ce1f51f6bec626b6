"""A burst of messages: back-pressure limits the batches' duration, freshness recovers, and no memory leaks."""

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
MAX_BATCH_SECONDS = with_overrides({}).batch.max_seconds
FRESHNESS_GOAL_SECONDS = 2.5
LEAK_TEST_MATCHES = 3_000
"""Matches of 90 KB."""
MAX_HEAP_GROWTH_MIB = 60


def test_back_pressure_keeps_batches_of_a_burst_below_max_seconds_and_freshness_recovers(stack: Stack) -> None:
    initial_batch_size = with_overrides({}).batch.initial_size(3)

    def processed_messages_and_long_batches() -> tuple[float, float]:
        """Messages processed so far, and batches longer than `batch.max_seconds`."""
        samples = stack.job_samples()
        of_documents = {"query": "matches"}
        batches = sum_samples(samples, "lol_job_batch_duration_seconds_count", **of_documents)
        limit = str(float(MAX_BATCH_SECONDS))
        within = sum_samples(samples, "lol_job_batch_duration_seconds_bucket", le=limit, **of_documents)
        return sum_samples(samples, "lol_job_messages_total"), batches - within

    processed_before, long_batches_before = processed_messages_and_long_batches()
    send_backlog(stack.kafka_settings(), "compact", BURST_MESSAGES)

    def drained() -> None:
        processed, _ = processed_messages_and_long_batches()
        assert processed - processed_before >= BURST_MESSAGES
        assert stack.job_metric("lol_job_kafka_lag_messages") < 100

    eventually(drained, timeout_seconds=240)
    assert processed_messages_and_long_batches()[1] == long_batches_before
    assert stack.job_metric("lol_job_batch_limit_messages") > initial_batch_size, "the batch size did not adapt"
    participants = [int(number) for number in re.findall(r"Batch \d+: (\d+) participants", stack.log("spark-job"))]
    assert max(participants) > 10 * initial_batch_size, "Kafka's source did not apply the adapted batch size"

    def batches_and_late_matches() -> tuple[float, float]:
        """Batches so far, and matches indexed later than the freshness goal."""
        samples = stack.job_samples()
        fresh = sum_samples(samples, "lol_job_message_age_seconds_bucket", le=str(FRESHNESS_GOAL_SECONDS))
        late = sum_samples(samples, "lol_job_message_age_seconds_count") - fresh
        return sum_samples(samples, "lol_job_batch_duration_seconds_count"), late

    def freshness_recovered() -> None:
        """No match of the next three batches is late."""
        batches_before, late_before = batches_and_late_matches()

        def three_more_batches() -> None:
            assert batches_and_late_matches()[0] >= batches_before + 3

        eventually(three_more_batches, timeout_seconds=60)
        late = batches_and_late_matches()[1] - late_before
        assert late == 0, f"{late:.0f} matches were indexed later than {FRESHNESS_GOAL_SECONDS} s after arrival"

    eventually(freshness_recovered, timeout_seconds=120)


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

    eventually(heap_is_released, timeout_seconds=120, poll_seconds=3)
