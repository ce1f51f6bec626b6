"""Metrics and health from Spark's progress events, the tasks' outcome counts and waiting sinks."""

import time
import tracemalloc
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from job.driver.metrics import Metrics, QueryMetrics, freshness_goal
from job.lag import ConsumerLag
from job.match import UNCOUNTED_REASONS
from job.sinks.sink_wait import SinkProgress, SinkWait
from job.tasks.index_statistics import StatisticsCounts
from job.tasks.outcomes import AGE_BUCKETS, BatchCounts
from job.topic import PartitionOffsets
from tests.support.sample_matches import ALIASES
from tests.unit.conftest import Clock

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
    assert reasons == {"queue": 2, "remake": 1, "no_winner": 0}
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


def test_health_check_follows_the_query(metrics: Metrics, query: QueryMetrics, monkeypatch: pytest.MonkeyPatch) -> None:
    assert metrics.unhealthy_reason() == "query matches is not running"
    query.query_started()
    assert metrics.unhealthy_reason() == "query matches has not finished its first batch"
    query.query_idle()
    assert metrics.unhealthy_reason() == ""
    later = time.monotonic() + 61
    monkeypatch.setattr(time, "monotonic", lambda: later)
    assert metrics.unhealthy_reason() == "query matches has made no progress for 61 s"
    query.record_progress(PROGRESS)
    assert metrics.unhealthy_reason() == ""
    query.query_terminated()
    assert metrics.unhealthy_reason() == "query matches is not running"


def test_job_is_as_healthy_as_each_of_its_queries(
    metrics: Metrics, query: QueryMetrics, statistics: QueryMetrics
) -> None:
    """The second is started after the first batch of the first."""
    assert metrics.unhealthy_reason() == "query matches is not running"
    query.query_started()
    assert metrics.unhealthy_reason() == "query matches has not finished its first batch"
    query.query_idle()
    assert metrics.unhealthy_reason() == ""
    statistics.query_started()
    assert metrics.unhealthy_reason() == "query statistics has not finished its first batch"
    statistics.query_idle()
    assert metrics.unhealthy_reason() == ""
    statistics.query_terminated()
    assert metrics.unhealthy_reason() == "query statistics is not running"


def test_one_of_two_queries_that_hangs_is_named(
    metrics: Metrics, query: QueryMetrics, monkeypatch: pytest.MonkeyPatch, statistics: QueryMetrics
) -> None:
    statistics.query_started()
    statistics.query_idle()
    later = time.monotonic() + 61
    monkeypatch.setattr(time, "monotonic", lambda: later)
    query.query_started()
    query.query_idle()
    assert metrics.hanging_reason() == "query statistics has made no progress for 61 s"


def test_documents_that_wait_for_elasticsearch_hold_the_cores_of_the_statistics(
    clock: Clock, metrics: Metrics, query: QueryMetrics, statistics: QueryMetrics
) -> None:
    """Waiting tasks of the documents can hold every core: then the statistics have no task, and report no wait."""
    for each in (query, statistics):
        each.query_started()
        each.query_idle()
    for _ in range(30):
        clock.now += 10
        metrics.record_sink_wait(SinkWait("Elasticsearch", "no answer", seconds=5, attempt=1, query="matches"))
        assert metrics.hanging_reason() == ""
    query.query_idle()
    clock.now += 59
    query.query_idle()
    assert metrics.hanging_reason() == "", "the statistics have had no core before"
    clock.now += 2
    query.query_idle()
    assert metrics.hanging_reason() == "query statistics has made no progress for 361 s"


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


def test_health_check_names_the_service_a_sink_waits_for(
    metrics: Metrics, query: QueryMetrics, monkeypatch: pytest.MonkeyPatch
) -> None:
    query.query_started()
    query.query_idle()
    metrics.record_sink_wait(SinkWait("Elasticsearch", "it cannot be reached", seconds=300, attempt=9))
    assert metrics.unhealthy_reason() == ""
    later = time.monotonic() + 61
    monkeypatch.setattr(time, "monotonic", lambda: later)
    assert metrics.unhealthy_reason().endswith("waiting for Elasticsearch: it cannot be reached")


@pytest.mark.usefixtures("query")
def test_health_check_gives_the_reason_of_a_wait_in_one_line(metrics: Metrics) -> None:
    metrics.record_sink_wait(SinkWait("Elasticsearch", "it answers 503\n✓ all is well\x1b[2J", seconds=5, attempt=1))
    assert metrics.wait_reason() == "waiting for Elasticsearch: it answers 503\\n✓ all is well\\x1b[2J"


def test_query_hangs_without_progress_but_not_while_a_sink_waits(
    clock: Clock, metrics: Metrics, query: QueryMetrics
) -> None:
    """A restart would not help the driver during another service's outage, nor in the batch that follows it."""
    query.query_started()
    query.query_idle()
    clock.now += 50
    metrics.record_sink_wait(SinkWait("Elasticsearch", "it cannot be reached", seconds=5, attempt=9))
    clock.now += 60
    assert metrics.unhealthy_reason() == "query matches has made no progress for 110 s"
    assert metrics.hanging_reason() == ""
    clock.now += 50
    assert metrics.hanging_reason() == "query matches has made no progress for 160 s"
    query.record_progress(PROGRESS)
    assert metrics.hanging_reason() == ""


def test_query_whose_tasks_end_does_not_hang_however_long_its_batch_takes(
    clock: Clock, metrics: Metrics, query: QueryMetrics
) -> None:
    """A batch of full-size matches on a slow machine: a restart would repeat it from its beginning."""
    query.query_started()
    query.query_idle()
    for _ in range(10):
        clock.now += 50
        query.task_ended()
        assert metrics.hanging_reason() == metrics.unhealthy_reason() == ""
    clock.now += 61
    assert metrics.hanging_reason() == "query matches has made no progress for 61 s"


def test_query_whose_requests_are_acknowledged_does_not_hang_however_long_its_task_takes(
    clock: Clock, metrics: Metrics, query: QueryMetrics, statistics: QueryMetrics
) -> None:
    """The last task of the statistics indexes the rows of the whole batch."""
    for each in (query, statistics):
        each.query_started()
        each.query_idle()
    statistics.task_ended()  # the last one that decodes
    for _ in range(30):
        clock.now += 10
        query.query_idle()
        metrics.record_sink_progress(SinkProgress("statistics"))
        assert metrics.hanging_reason() == metrics.unhealthy_reason() == ""
    for _ in range(7):
        clock.now += 10
        query.query_idle()
        metrics.record_sink_progress(SinkProgress("matches"))
    assert metrics.hanging_reason() == "query statistics has made no progress for 70 s"


def test_query_that_hangs_is_noticed_while_another_query_waits(
    clock: Clock, metrics: Metrics, query: QueryMetrics, statistics: QueryMetrics
) -> None:
    """The index of the statistics is closed, and the documents' query hangs."""
    for each in (query, statistics):
        each.query_started()
        each.query_idle()
    for _ in range(20):
        clock.now += 5
        metrics.record_sink_wait(SinkWait("Elasticsearch", "closed", seconds=5, attempt=1, query="statistics"))
    hanging = "query matches has made no progress for 100 s"
    assert metrics.hanging_reason() == metrics.unhealthy_reason() == hanging
    query.record_progress(PROGRESS)
    assert metrics.hanging_reason() == ""
    waiting = "query statistics has made no progress for 100 s; waiting for Elasticsearch: closed"
    assert metrics.unhealthy_reason() == waiting


def test_query_has_the_time_of_its_start_until_its_first_batch(
    registry: CollectorRegistry, query: QueryMetrics
) -> None:
    """Otherwise no alert sees a query that hangs in its first batch while another one goes on."""
    name, labels = "lol_job_last_batch_timestamp_seconds", {"query": "matches"}
    assert registry.get_sample_value(name, labels) is None
    query.query_started()
    assert registry.get_sample_value(name, labels) == pytest.approx(time.time(), abs=5)


def test_query_that_finishes_no_first_batch_hangs(
    metrics: Metrics, query: QueryMetrics, monkeypatch: pytest.MonkeyPatch
) -> None:
    query.query_started()
    assert metrics.hanging_reason() == ""
    later = time.monotonic() + 61
    monkeypatch.setattr(time, "monotonic", lambda: later)
    assert metrics.hanging_reason() == "query matches has not finished its first batch"


@pytest.mark.usefixtures("query")
def test_sink_wait_ends_after_the_next_attempt(
    registry: CollectorRegistry, metrics: Metrics, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert registry.get_sample_value("lol_job_sink_waiting") == 0
    metrics.record_sink_wait(SinkWait("Elasticsearch", "429", seconds=1, attempt=1))
    assert registry.get_sample_value("lol_job_sink_waiting") == 1
    assert registry.get_sample_value("lol_job_sink_waits_total", {"service": "Elasticsearch"}) == 1
    later = time.monotonic() + 37
    monkeypatch.setattr(time, "monotonic", lambda: later)
    assert registry.get_sample_value("lol_job_sink_waiting") == 0


@pytest.mark.parametrize("attempt_seconds", [30, 60, 240])
def test_sink_wait_is_visible_during_attempts_that_end_by_a_timeout(
    clock: Clock, registry: CollectorRegistry, attempt_seconds: int
) -> None:
    """The alert needs the gauge without a gap, and a restart (/alive) would not help."""
    metrics = Metrics(ALIASES, max_batch_age=120, attempt_seconds=attempt_seconds, registry=registry)
    metrics.add_query("matches", ConsumerLag("lol_job_kafka_lag_messages", query="matches")).query_started()
    for attempt in range(4):
        metrics.record_sink_wait(SinkWait("Elasticsearch", "no answer", 5, attempt, "matches"))
        for _ in range(5 + attempt_seconds):
            assert waiting(registry) == [1, 0]
            assert registry.get_sample_value("lol_job_sink_waiting") == 1
            assert metrics.wait_reason() == "waiting for Elasticsearch: no answer"
            assert metrics.hanging_reason() == ""
            clock.now += 1


def waiting(registry: CollectorRegistry, query: str = "matches") -> list[float | None]:
    """Whether the query waits for Elasticsearch, and for Kafka."""
    return [
        registry.get_sample_value("lol_job_query_waiting", {"query": query, "service": service})
        for service in ("Elasticsearch", "Kafka")
    ]


@pytest.mark.parametrize("progress", [lambda query: query.record_progress(PROGRESS), QueryMetrics.query_idle])
def test_sink_wait_ends_with_the_querys_progress(
    metrics: Metrics,
    query: QueryMetrics,
    statistics: QueryMetrics,
    registry: CollectorRegistry,
    progress: Callable[[QueryMetrics], None],
) -> None:
    metrics.record_sink_wait(SinkWait("Elasticsearch", "closed", seconds=5, attempt=1, query="matches"))
    progress(statistics)
    assert (waiting(registry), waiting(registry, "statistics")) == ([1, 0], [0, 0])
    progress(query)
    assert waiting(registry) == [0, 0]
    assert registry.get_sample_value("lol_job_sink_waiting") == 0
    assert metrics.wait_reason() == ""


@pytest.mark.usefixtures("query")
def test_new_sink_wait_is_logged_at_once(
    metrics: Metrics, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    metrics.record_sink_wait(SinkWait("Elasticsearch", "429", seconds=1, attempt=1))
    later = time.monotonic() + 7
    monkeypatch.setattr(time, "monotonic", lambda: later)
    metrics.record_sink_wait(SinkWait("Kafka", "no answer", seconds=1, attempt=1))
    assert [record.getMessage() for record in caplog.records] == [
        "Waiting for Elasticsearch: 429; retrying",
        "Waiting for Kafka: no answer; retrying",
    ]


@pytest.mark.usefixtures("query")
def test_sink_wait_log_is_rate_limited(
    metrics: Metrics, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(3):
        metrics.record_sink_wait(SinkWait("Elasticsearch", "429", seconds=60, attempt=1))
    later = time.monotonic() + 11
    monkeypatch.setattr(time, "monotonic", lambda: later)
    metrics.record_sink_wait(SinkWait("Elasticsearch", "429", seconds=60, attempt=2))
    assert [record.getMessage() for record in caplog.records] == ["Waiting for Elasticsearch: 429; retrying"] * 2


def test_job_that_waits_for_kafka_is_unhealthy_with_the_reason_and_does_not_hang(
    clock: Clock, metrics: Metrics, query: QueryMetrics, registry: CollectorRegistry
) -> None:
    query.query_started()
    query.query_idle()
    for _ in range(10):
        clock.now += 20
        metrics.record_kafka_wait("Connection refused")
        assert metrics.hanging_reason() == ""
    assert metrics.unhealthy_reason() == (
        "query matches has made no progress for 200 s; waiting for Kafka: Connection refused"
    )
    assert registry.get_sample_value("lol_job_sink_waiting") == 1
    assert waiting(registry) == [0, 1]
    metrics.set_topic_offsets(OFFSETS)
    assert registry.get_sample_value("lol_job_sink_waiting") == 0
    clock.now += 61
    assert metrics.hanging_reason() == "query matches has made no progress for 261 s"


@pytest.mark.parametrize(("milliseconds", "goal"), [(0, 2.5), (1000, 2.5), (1001, 3), (3000, 5), (30_000, 60)])
def test_freshness_goal_leaves_time_for_the_trigger_interval_and_a_batch(milliseconds: int, goal: float) -> None:
    assert freshness_goal(milliseconds / 1000) == goal
    assert goal in AGE_BUCKETS, "elsewhere a quantile of the histogram is interpolated, and can be too high"
