"""A burst is taken in batches that keep to their time, then all is as before, and nothing of it stays in memory."""

from __future__ import annotations

import pytest

from harness.load import send_backlog
from harness.stack import Stack, total
from harness.waiting import eventually
from job.settings import with_overrides
from tests.support.jvm_heap import live_heap

pytestmark = pytest.mark.disruptive

MESSAGES = 20_000
BOUND_SECONDS = with_overrides({}).batch.max_seconds


def test_no_batch_of_a_burst_is_longer_than_its_bound(stack: Stack) -> None:
    first_bound = with_overrides({}).batch.initial_size(3)

    def done_and_over_the_bound() -> tuple[float, float]:
        """Messages processed so far, and batches that took longer than the bound."""
        samples = stack.job_samples()
        batches = total(samples, "lol_job_batch_duration_seconds_count")
        within = total(samples, "lol_job_batch_duration_seconds_bucket", le=str(float(BOUND_SECONDS)))
        return total(samples, "lol_job_messages_total"), batches - within

    before, over = done_and_over_the_bound()
    send_backlog(stack.outputs["bootstrapServers"], "compact", MESSAGES)

    def drained() -> None:
        done, _ = done_and_over_the_bound()
        assert done - before >= MESSAGES
        assert stack.job_metric("lol_job_kafka_lag_messages") < 100

    eventually(drained, limit_seconds=240)
    assert done_and_over_the_bound()[1] == over
    assert stack.job_metric("lol_job_batch_limit_messages") > first_bound, "the bound did not follow what was measured"

    def batches_and_old_matches() -> tuple[float, float]:
        """Batches so far, and matches that took longer than 2.5 s to be indexed."""
        samples = stack.job_samples()
        young = total(samples, "lol_job_message_age_seconds_bucket", le="2.5")
        old = total(samples, "lol_job_message_age_seconds_count") - young
        return total(samples, "lol_job_batch_duration_seconds_count"), old

    def fresh() -> None:
        """The last batches' matches are indexed within seconds of their arrival again."""
        batches, old = batches_and_old_matches()

        def more() -> None:
            assert batches_and_old_matches()[0] >= batches + 3

        eventually(more, limit_seconds=60)
        older = batches_and_old_matches()[1] - old
        assert older == 0, f"{older:.0f} matches took longer than 2.5 s to be indexed"

    eventually(fresh, limit_seconds=120)


def test_an_executor_keeps_nothing_of_what_it_has_read(stack: Stack) -> None:
    megabyte = 2**20
    matches = 3_000  # of 90 KB
    before, counted = live_heap(stack), stack.job_metric("lol_job_messages_total")
    send_backlog(stack.outputs["bootstrapServers"], "full", matches)

    def nothing() -> None:
        done = stack.job_metric("lol_job_messages_total") - counted
        assert done >= matches, f"the job has done {done:,.0f} of {matches:,} matches"
        more = live_heap(stack) - before
        assert more < 60 * megabyte, f"the executor holds {more / megabyte:.0f} MiB more than before"

    eventually(nothing, limit_seconds=120, every_seconds=3)
