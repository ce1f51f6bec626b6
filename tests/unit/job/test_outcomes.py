"""Outcome counts of a task. Summed over a batch's tasks: tests/integration/spark."""

import pytest

from job.tasks.outcomes import AGE_BUCKETS, BatchCounts


@pytest.mark.parametrize(("age", "bucket"), [(0.0, 0), (0.25, 0), (0.26, 1), (3600, 13), (3601, 14)])
def test_latency_histogram_buckets_include_their_upper_bound(age: float, bucket: int) -> None:
    counts = BatchCounts()
    counts.add(participants=10, indexed=10, reason=None, age_seconds=age)
    assert len(counts.age_counts) == len(AGE_BUCKETS) + 1
    assert [index for index, count in enumerate(counts.age_counts) if count] == [bucket]
