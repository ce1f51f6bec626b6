"""Health from the queries' events, waiting sinks and the topic: /health, /alive, and the metrics of waits."""

import pytest
from prometheus_client import CollectorRegistry

from job.driver.health import JobHealth, QueryHealth
from job.driver.metrics import Metrics
from job.sinks.sink_wait import SinkProgress, SinkWait
from job.topic import PartitionOffsets
from tests.support.sample_matches import ALIASES
from tests.unit.conftest import Clock


def test_health_check_follows_the_query(clock: Clock, health: JobHealth) -> None:
    assert health.unhealthy_reason() == "query matches is not running"
    health.matches.query_started()
    assert health.unhealthy_reason() == "query matches has not finished its first batch"
    health.matches.batch_finished()
    assert health.unhealthy_reason() == ""
    clock.now += 61
    assert health.unhealthy_reason() == "query matches has made no progress for 61 s"
    health.matches.batch_finished()
    assert health.unhealthy_reason() == ""
    health.matches.query_terminated()
    assert health.unhealthy_reason() == "query matches is not running"


def test_job_is_as_healthy_as_each_of_its_queries(health: JobHealth) -> None:
    """The second is started after the first batch of the first."""
    assert health.unhealthy_reason() == "query matches is not running"
    health.matches.query_started()
    assert health.unhealthy_reason() == "query matches has not finished its first batch"
    health.matches.batch_finished()
    assert health.unhealthy_reason() == ""
    health.statistics.query_started()
    assert health.unhealthy_reason() == "query statistics has not finished its first batch"
    health.statistics.batch_finished()
    assert health.unhealthy_reason() == ""
    health.statistics.query_terminated()
    assert health.unhealthy_reason() == "query statistics is not running"


def test_one_of_two_queries_that_hangs_is_named(clock: Clock, health: JobHealth) -> None:
    health.statistics.query_started()
    health.statistics.batch_finished()
    clock.now += 61
    health.matches.query_started()
    health.matches.batch_finished()
    assert health.hanging_reason() == "query statistics has made no progress for 61 s"


def test_documents_that_wait_for_elasticsearch_hold_the_cores_of_the_statistics(
    clock: Clock, health: JobHealth
) -> None:
    """Waiting tasks of the documents can hold every core: then the statistics have no task, and report no wait."""
    for each in (health.matches, health.statistics):
        each.query_started()
        each.batch_finished()
    for _ in range(30):
        clock.now += 10
        health.record_sink_wait(SinkWait("Elasticsearch", "no answer", seconds=5, query="matches"))
        assert health.hanging_reason() == ""
    health.matches.batch_finished()
    clock.now += 59
    health.matches.batch_finished()
    assert health.hanging_reason() == "", "the statistics have had no core before"
    clock.now += 2
    health.matches.batch_finished()
    assert health.hanging_reason() == "query statistics has made no progress for 361 s"


def test_health_check_names_the_service_a_sink_waits_for(clock: Clock, health: JobHealth) -> None:
    health.matches.query_started()
    health.matches.batch_finished()
    health.record_sink_wait(SinkWait("Elasticsearch", "it cannot be reached", seconds=300))
    assert health.unhealthy_reason() == ""
    clock.now += 61
    assert health.unhealthy_reason().endswith("waiting for Elasticsearch: it cannot be reached")


def test_health_check_gives_the_reason_of_a_wait_in_one_line(health: JobHealth) -> None:
    health.record_sink_wait(SinkWait("Elasticsearch", "it answers 503\n✓ all is well\x1b[2J", seconds=5))
    assert health.wait_reason() == "waiting for Elasticsearch: it answers 503\\n✓ all is well\\x1b[2J"


def test_query_hangs_without_progress_but_not_while_a_sink_waits(clock: Clock, health: JobHealth) -> None:
    """A restart would not help the driver during another service's outage, nor in the batch that follows it."""
    health.matches.query_started()
    health.matches.batch_finished()
    clock.now += 50
    health.record_sink_wait(SinkWait("Elasticsearch", "it cannot be reached", seconds=5))
    clock.now += 60
    assert health.unhealthy_reason() == "query matches has made no progress for 110 s"
    assert health.hanging_reason() == ""
    clock.now += 50
    assert health.hanging_reason() == "query matches has made no progress for 160 s"
    health.matches.batch_finished()
    assert health.hanging_reason() == ""


def test_query_whose_tasks_end_does_not_hang_however_long_its_batch_takes(clock: Clock, health: JobHealth) -> None:
    """A batch of full-size matches on a slow machine: a restart would repeat it from its beginning."""
    health.matches.query_started()
    health.matches.batch_finished()
    for _ in range(10):
        clock.now += 50
        health.matches.made_progress()
        assert health.hanging_reason() == health.unhealthy_reason() == ""
    clock.now += 61
    assert health.hanging_reason() == "query matches has made no progress for 61 s"


def test_query_whose_requests_are_acknowledged_does_not_hang_however_long_its_task_takes(
    clock: Clock, health: JobHealth
) -> None:
    """The last task of the statistics indexes the rows of the whole batch."""
    for each in (health.matches, health.statistics):
        each.query_started()
        each.batch_finished()
    health.statistics.made_progress()  # the last one that decodes
    for _ in range(30):
        clock.now += 10
        health.matches.batch_finished()
        health.record_sink_progress(SinkProgress("statistics"))
        assert health.hanging_reason() == health.unhealthy_reason() == ""
    for _ in range(7):
        clock.now += 10
        health.matches.batch_finished()
        health.record_sink_progress(SinkProgress("matches"))
    assert health.hanging_reason() == "query statistics has made no progress for 70 s"


def test_query_that_hangs_is_noticed_while_another_query_waits(clock: Clock, health: JobHealth) -> None:
    """The index of the statistics is closed, and the documents' query hangs."""
    for each in (health.matches, health.statistics):
        each.query_started()
        each.batch_finished()
    for _ in range(20):
        clock.now += 5
        health.record_sink_wait(SinkWait("Elasticsearch", "closed", seconds=5, query="statistics"))
    hanging = "query matches has made no progress for 100 s"
    assert health.hanging_reason() == health.unhealthy_reason() == hanging
    health.matches.batch_finished()
    assert health.hanging_reason() == ""
    waiting = "query statistics has made no progress for 100 s; waiting for Elasticsearch: closed"
    assert health.unhealthy_reason() == waiting


def test_query_that_finishes_no_first_batch_hangs(clock: Clock, health: JobHealth) -> None:
    health.matches.query_started()
    assert health.hanging_reason() == ""
    clock.now += 61
    assert health.hanging_reason() == "query matches has not finished its first batch"


def test_sink_wait_ends_after_the_next_attempt(registry: CollectorRegistry, clock: Clock, health: JobHealth) -> None:
    assert registry.get_sample_value("lol_job_sink_waiting") == 0
    health.record_sink_wait(SinkWait("Elasticsearch", "429", seconds=1))
    assert registry.get_sample_value("lol_job_sink_waiting") == 1
    assert registry.get_sample_value("lol_job_sink_waits_total", {"service": "Elasticsearch"}) == 1
    clock.now += 37
    assert registry.get_sample_value("lol_job_sink_waiting") == 0


@pytest.mark.parametrize("attempt_seconds", [30, 60, 240])
def test_sink_wait_is_visible_during_attempts_that_end_by_a_timeout(
    clock: Clock, registry: CollectorRegistry, attempt_seconds: int
) -> None:
    """The alert needs the gauge without a gap, and a restart (/alive) would not help."""
    metrics = Metrics(ALIASES, registry)
    health = JobHealth(QueryHealth("matches"), QueryHealth("statistics"), 120, attempt_seconds, metrics.count_wait)
    metrics.export_waits(health)
    health.matches.query_started()
    for _ in range(4):
        health.record_sink_wait(SinkWait("Elasticsearch", "no answer", 5, "matches"))
        for _ in range(5 + attempt_seconds):
            assert waiting(registry) == [1, 0]
            assert registry.get_sample_value("lol_job_sink_waiting") == 1
            assert health.wait_reason() == "waiting for Elasticsearch: no answer"
            assert health.hanging_reason() == ""
            clock.now += 1


def waiting(registry: CollectorRegistry, query: str = "matches") -> list[float | None]:
    """Whether the query waits for Elasticsearch, and for Kafka."""
    return [
        registry.get_sample_value("lol_job_query_waiting", {"query": query, "service": service})
        for service in ("Elasticsearch", "Kafka")
    ]


def test_sink_wait_ends_with_the_querys_progress(health: JobHealth, registry: CollectorRegistry) -> None:
    health.record_sink_wait(SinkWait("Elasticsearch", "closed", seconds=5, query="matches"))
    health.statistics.batch_finished()
    assert (waiting(registry), waiting(registry, "statistics")) == ([1, 0], [0, 0])
    health.matches.batch_finished()
    assert waiting(registry) == [0, 0]
    assert registry.get_sample_value("lol_job_sink_waiting") == 0
    assert health.wait_reason() == ""


def test_new_sink_wait_is_logged_at_once(clock: Clock, health: JobHealth, caplog: pytest.LogCaptureFixture) -> None:
    health.record_sink_wait(SinkWait("Elasticsearch", "429", seconds=1))
    clock.now += 7
    health.record_sink_wait(SinkWait("Kafka", "no answer", seconds=1))
    assert [record.getMessage() for record in caplog.records] == [
        "Waiting for Elasticsearch: 429; retrying",
        "Waiting for Kafka: no answer; retrying",
    ]


def test_sink_wait_log_is_rate_limited(clock: Clock, health: JobHealth, caplog: pytest.LogCaptureFixture) -> None:
    for _ in range(3):
        health.record_sink_wait(SinkWait("Elasticsearch", "429", seconds=60))
    clock.now += 11
    health.record_sink_wait(SinkWait("Elasticsearch", "429", seconds=60))
    assert [record.getMessage() for record in caplog.records] == ["Waiting for Elasticsearch: 429; retrying"] * 2


def test_job_that_waits_for_kafka_is_unhealthy_with_the_reason_and_does_not_hang(
    clock: Clock, health: JobHealth, registry: CollectorRegistry
) -> None:
    health.matches.query_started()
    health.matches.batch_finished()
    for _ in range(10):
        clock.now += 20
        health.record_topic_wait("Connection refused")
        assert health.hanging_reason() == ""
    assert health.unhealthy_reason() == (
        "query matches has made no progress for 200 s; waiting for Kafka: Connection refused"
    )
    assert registry.get_sample_value("lol_job_sink_waiting") == 1
    assert waiting(registry) == [0, 1]
    health.set_topic_offsets({})
    assert waiting(registry) == [0, 1]
    health.set_topic_offsets({0: PartitionOffsets(0, 10, 10)})
    assert registry.get_sample_value("lol_job_sink_waiting") == 0
    clock.now += 61
    assert health.hanging_reason() == "query matches has made no progress for 261 s"
