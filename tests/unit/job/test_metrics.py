"""Metrics from Spark's progress events and the tasks' outcome counts."""

import time
import tracemalloc
from collections import Counter
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from job.dead_letter import REASONS
from job.driver.metrics import Metrics, QueryMetrics, freshness_goal
from job.lag import ConsumerLag
from job.match import UNCOUNTED_REASONS
from job.tasks.index_statistics import StatisticsCounts
from job.tasks.outcomes import AGE_BUCKETS, BatchCounts
from job.topic import PartitionOffsets

PROGRESS: dict[str, Any] = {
    "name": "matches",
    "batchId": 7,
    "numInputRows": 30,
    "inputRowsPerSecond": 60.0,
    "processedRowsPerSecond": 120.0,
    "durationMs": {"triggerExecution": 250},
    "eventTime": {"watermark": "2026-02-02T02:30:00.000Z"},
    "sources": [
        {
            "endOffset": {"lol_matches": {"0": 10, "1": 20}},
            "latestOffset": {"lol_matches": {"0": 10, "1": 25, "2": 3}},
        }
    ],
    "stateOperators": [
        {"operatorName": "dedupe", "numRowsTotal": 5, "memoryUsedBytes": 900, "numRowsDroppedByWatermark": 2}
    ],
}


OFFSETS = {number: PartitionOffsets(0, end, end) for number, end in enumerate((10, 20, 3))}
"""Offsets of the topic, at some time before the batch."""


@pytest.fixture
def statistics(metrics: Metrics, query: QueryMetrics) -> QueryMetrics:
    """The second query: the first is `query`, that of the documents."""
    return metrics.add_query("statistics", ConsumerLag("lol_job_statistics_lag_messages"))


def test_progress_event_becomes_metrics(registry: CollectorRegistry, metrics: Metrics, query: QueryMetrics) -> None:
    metrics.set_topic_offsets(OFFSETS)
    query.record_progress(PROGRESS)
    query.record_progress(PROGRESS)

    def sample(name: str, **labels: str) -> float | None:
        return registry.get_sample_value(f"lol_job_{name}", {"query": "matches", **labels})

    assert sample("input_rows_total") == 60
    assert sample("input_rows_per_second") == 60
    assert sample("processed_rows_per_second") == 120
    assert sample("last_batch_id") == 7
    assert sample("last_batch_timestamp_seconds") == pytest.approx(time.time(), abs=5)
    assert sample("batch_duration_seconds_sum") == 0.5
    assert [sample("kafka_lag_messages", partition=each) for each in "012"] == [0, 5, 3]
    assert sample("state_rows", operator="dedupe") == 5
    assert sample("state_memory_bytes", operator="dedupe") == 900
    assert sample("rows_dropped_by_watermark_total", operator="dedupe") == 4
    watermark = 1_769_999_400
    assert sample("watermark_delay_seconds") == pytest.approx(time.time() - watermark, abs=5)


@pytest.mark.usefixtures("metrics")
def test_counter_of_dead_letters_exists_for_each_reason_before_the_first_one(registry: CollectorRegistry) -> None:
    """Prometheus's rate() and increase() do not count the sample with which a counter begins."""
    counts = [registry.get_sample_value("lol_job_dead_letters_total", {"reason": reason}) for reason in REASONS]
    assert counts == [0] * len(REASONS)


def test_outcome_counts_of_a_batch_add_up(
    registry: CollectorRegistry, metrics: Metrics, caplog: pytest.LogCaptureFixture
) -> None:
    """Messages = indexed matches + dead letters; participants = indexed + rejected documents."""
    counts = BatchCounts()
    for age in (1.6, 1.7, 1.8, 1.9, 2.0, 3.5):
        counts.add(participants=10, indexed=10, reason=None, age_seconds=age)
    counts.add(participants=10, indexed=8, reason="rejected_by_elasticsearch", age_seconds=1)
    for _ in range(2):
        counts.add(participants=0, indexed=0, reason="not_json", age_seconds=1)
    counts.teams, counts.indexed_teams = 14, 13
    counts.dropped_details.update(["puuid", "perks", "puuid"])
    counts.uncounted.update(["queue", "remake", "queue"])
    with caplog.at_level("INFO"):
        metrics.record_outcomes(7, counts)
    assert [record.getMessage() for record in caplog.records] == [
        "Batch 7: 70 participants, 68 indexed, 2 failed",
        "Batch 7: 3 dead letters (not_json 2, rejected_by_elasticsearch 1)",
    ]
    teams = {"name": "lol_teams_stream"}
    assert registry.get_sample_value("lol_job_indexed_documents_total", teams) == 13
    assert registry.get_sample_value("lol_job_rejected_documents_total", teams) == 1
    reasons = {
        reason: registry.get_sample_value("lol_job_uncounted_matches_total", {"reason": reason})
        for reason in UNCOUNTED_REASONS
    }
    assert reasons == {"queue": 2, "remake": 1, "no_winner": 0, "too_many_participants": 0}
    assert registry.get_sample_value("lol_job_dropped_fields_total", {"field": "puuid"}) == 2
    name = {"name": "lol_matches_stream"}
    samples = {
        "messages_total": ({}, 9),
        "matches_total": ({}, 6),
        "participants_total": ({}, 70),
        "indexed_documents_total": (name, 68),
        "rejected_documents_total": (name, 2),
        "message_age_seconds_count": ({}, 6),
        "message_age_seconds_sum": ({}, 12.5),
    }
    assert {each: registry.get_sample_value(f"lol_job_{each}", labels) for each, (labels, _) in samples.items()} == {
        each: number for each, (_, number) in samples.items()
    }
    assert registry.get_sample_value("lol_job_dead_letters_total", {"reason": "not_json"}) == 2
    buckets = {le: registry.get_sample_value("lol_job_message_age_seconds_bucket", {"le": le}) for le in ("1.5", "2.0")}
    assert buckets == {"1.5": 0, "2.0": 5}


def test_metrics_keep_nothing_of_single_matches(metrics: Metrics) -> None:
    """Memory leak: a driver runs for months."""
    tracemalloc.start()
    try:
        for number in range(60):
            if number == 10:  # the first batches also fill caches
                before, _ = tracemalloc.get_traced_memory()
            counts = BatchCounts()
            for _ in range(500):
                counts.add(participants=10, indexed=10, reason=None, age_seconds=1)
            metrics.record_outcomes(number, counts)
        del counts
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert after - before < 500_000, f"{after - before:,} bytes for 25,000 matches"


def test_late_matches_add_up(registry: CollectorRegistry, metrics: Metrics, caplog: pytest.LogCaptureFixture) -> None:
    assert registry.get_sample_value("lol_job_late_matches_total") == 0, "an alert needs the counter's first increase"
    with caplog.at_level("INFO"):
        for batch, matches in ((7, 3), (8, 0), (9, 1)):
            metrics.record_late_matches(batch, matches)
    assert registry.get_sample_value("lol_job_late_matches_total") == 4
    assert [record.getMessage() for record in caplog.records] == [
        "Batch 7 of the statistics: 3 matches too late for the windows (older than the watermark)",
        "Batch 9 of the statistics: 1 matches too late for the windows (older than the watermark)",
    ]


def test_batch_without_messages_is_not_logged(metrics: Metrics, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO"):
        metrics.record_outcomes(7, BatchCounts())
    assert caplog.records == []


def test_batch_without_input_has_no_duration_and_no_watermark_delay(
    registry: CollectorRegistry, query: QueryMetrics
) -> None:
    query.record_progress({**PROGRESS, "numInputRows": 0, "eventTime": {"watermark": "1970-01-01T00:00:00.000Z"}})
    assert registry.get_sample_value("lol_job_batch_duration_seconds_count", {"query": "matches"}) is None
    assert registry.get_sample_value("lol_job_watermark_delay_seconds", {"query": "matches"}) is None


def test_watermark_delay_grows_while_no_messages_arrive(
    registry: CollectorRegistry, query: QueryMetrics, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without messages the watermark does not advance, but the clock does."""
    watermark = 1_769_999_400
    query.record_progress(PROGRESS)
    for delay in (600, 4200):
        monkeypatch.setattr(time, "time", lambda now=watermark + delay: float(now))
        query.query_idle()
        assert registry.get_sample_value("lol_job_watermark_delay_seconds", {"query": "matches"}) == delay


def test_input_rate_of_an_idle_query_is_zero(registry: CollectorRegistry, query: QueryMetrics) -> None:
    """Spark reports no progress while no messages arrive. The processing rate is that of the last batch."""
    query.record_progress(PROGRESS)
    query.query_idle()
    assert registry.get_sample_value("lol_job_input_rows_per_second", {"query": "matches"}) == 0
    assert registry.get_sample_value("lol_job_processed_rows_per_second", {"query": "matches"}) == 120


def lag(registry: CollectorRegistry, partition: int) -> float | None:
    return registry.get_sample_value("lol_job_kafka_lag_messages", {"query": "matches", "partition": str(partition)})


def test_lag_before_the_first_batch_counts_from_the_starting_offsets(
    registry: CollectorRegistry, metrics: Metrics, query: QueryMetrics
) -> None:
    """A partition without a starting offset, which was added later, is read from its beginning."""
    assert lag(registry, 0) is None
    query.lag.set_processed_offsets({0: 4, 1: 20})
    metrics.set_topic_offsets({**OFFSETS, 3: PartitionOffsets(1_000, 6_000, 6_000)})
    query.record_progress({**PROGRESS, "sources": [{"startOffset": None, "endOffset": None, "latestOffset": None}]})
    assert [lag(registry, partition) for partition in range(4)] == [6, 0, 3, 5_000]


def test_lag_is_zero_after_a_batch_that_was_repeated_after_a_restart(
    registry: CollectorRegistry, metrics: Metrics, query: QueryMetrics
) -> None:
    """Spark takes its offsets from the checkpoint, so its progress has no latest offset."""
    query.lag.set_processed_offsets({0: 4, 1: 20, 2: 3})
    metrics.set_topic_offsets(OFFSETS)
    query.record_progress({**PROGRESS, "sources": [{**PROGRESS["sources"][0], "latestOffset": None}]})
    assert [lag(registry, partition) for partition in range(3)] == [0, 0, 0]


def test_lag_grows_while_a_batch_is_running(registry: CollectorRegistry, metrics: Metrics, query: QueryMetrics) -> None:
    query.record_progress(PROGRESS)
    metrics.set_topic_offsets({0: PartitionOffsets(0, 12, 12), 1: PartitionOffsets(0, 40, 40)})
    assert [lag(registry, partition) for partition in range(2)] == [2, 20]


def test_lag_is_unknown_while_kafka_does_not_tell_its_offsets(
    registry: CollectorRegistry, metrics: Metrics, query: QueryMetrics
) -> None:
    metrics.set_topic_offsets(OFFSETS)
    query.record_progress(PROGRESS)
    metrics.set_topic_offsets({})
    assert lag(registry, 0) is None


def test_open_transaction_is_measured(registry: CollectorRegistry, metrics: Metrics) -> None:
    metrics.set_topic_offsets({1: PartitionOffsets(0, 20, 50)})
    assert registry.get_sample_value("lol_job_open_transaction_messages", {"partition": "1"}) == 30


def test_unknown_rate_is_not_reported_as_zero(registry: CollectorRegistry, query: QueryMetrics) -> None:
    """Spark leaves it out of the first batch's progress."""
    query.record_progress({key: value for key, value in PROGRESS.items() if key != "inputRowsPerSecond"})
    assert registry.get_sample_value("lol_job_input_rows_per_second", {"query": "matches"}) is None
    assert registry.get_sample_value("lol_job_processed_rows_per_second", {"query": "matches"}) == 120


def test_lag_of_the_statistics_is_a_metric_of_its_own(
    registry: CollectorRegistry, metrics: Metrics, query: QueryMetrics, statistics: QueryMetrics
) -> None:
    """Alerts and status look at the lag of the documents: statistics are seconds behind by their trigger interval."""
    metrics.set_topic_offsets(OFFSETS)
    query.record_progress(PROGRESS)
    statistics.lag.set_processed_offsets({0: 4, 1: 20, 2: 0})
    found = [registry.get_sample_value("lol_job_statistics_lag_messages", {"partition": each}) for each in "012"]
    assert found == [6, 0, 3]
    assert [lag(registry, partition) for partition in range(3)] == [0, 5, 3]


def test_statistics_documents_are_counted_by_alias(registry: CollectorRegistry, metrics: Metrics) -> None:
    metrics.record_statistics(StatisticsCounts(Counter(champions=7, positions=2)))
    for name, number in (("champions", 7), ("positions", 2)):
        assert registry.get_sample_value("lol_job_indexed_documents_total", {"name": name}) == number


def test_query_has_the_time_of_its_start_until_its_first_batch(
    registry: CollectorRegistry, query: QueryMetrics
) -> None:
    """Otherwise no alert sees a query that hangs in its first batch while another one goes on."""
    name, labels = "lol_job_last_batch_timestamp_seconds", {"query": "matches"}
    assert registry.get_sample_value(name, labels) is None
    query.query_started()
    assert registry.get_sample_value(name, labels) == pytest.approx(time.time(), abs=5)


@pytest.mark.parametrize(("milliseconds", "goal"), [(0, 2.5), (1000, 2.5), (1001, 3), (3000, 5), (30_000, 60)])
def test_freshness_goal_leaves_time_for_the_trigger_interval_and_a_batch(milliseconds: int, goal: float) -> None:
    assert freshness_goal(milliseconds / 1000) == goal
    assert goal in AGE_BUCKETS, "elsewhere a quantile of the histogram is interpolated, and can be too high"
