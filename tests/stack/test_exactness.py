"""Exactly-once results under fault injection (chaos tests): no message is lost or duplicated and all statistics are
right, also when the driver or an executor is killed, and across outages, retries and aborted transactions."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import pytest
from confluent_kafka import Producer
from elasticsearch import Elasticsearch

from analytics.match_statistics import read_match_statistics
from analytics.time_range import TimeRange
from harness.kibana.panel_query import panel_queries
from harness.load import send_backlog
from harness.stack import Stack
from harness.waiting import eventually
from infra.clients.docker_engine import execute
from infra.names import INDEX_ALIASES, MATCHES_ALIAS, TEAMS_ALIAS
from job.ids import monthly_index
from job.times import now_ms
from tests.support.known_messages import SPREAD_MS, WINDOW_SECONDS, KnownMessages
from tests.support.sample_matches import match

pytestmark = pytest.mark.disruptive

CHECKPOINTS = "/var/lib/lolstack/checkpoints"
BACKLOG_MESSAGES = 12_000


def test_each_message_has_exactly_one_outcome(stack: Stack) -> None:
    known = KnownMessages(stack, size="full")
    known.send()
    known.assert_one_outcome_each()


def test_documents_of_a_live_stream_do_not_wait_for_the_refresh_interval(stack: Stack) -> None:
    """Neither those of this month nor those of earlier ones, in which most games ended on the first of a month."""
    client = stack.elasticsearch()
    earlier = match_of_years_ago(7)
    months = {
        alias: monthly_index(alias, earlier["info"]["gameEndTimestamp"]) for alias in (MATCHES_ALIAS, TEAMS_ALIAS)
    }
    for index in months.values():
        client.indices.create(index=index)
    known = KnownMessages(stack, count=150)  # a larger batch would be one of a backlog
    producer = Producer(stack.kafka_settings())
    try:
        for alias in months:  # the settings of all its indices
            client.indices.put_settings(index=alias, settings={"index.refresh_interval": "-1"})
        known.send()
        producer.produce("lol_matches", json.dumps(earlier))
        assert producer.flush(60) == 0
        known.assert_one_outcome_each()
        eventually(lambda: indexed(client, earlier))
    finally:
        for alias in months:
            client.indices.put_settings(index=alias, settings={"index.refresh_interval": "1s"})
        client.indices.delete(index=list(months.values()))


def test_aborted_transaction_is_ignored_and_committed_transaction_is_indexed(stack: Stack) -> None:
    aborted, committed = KnownMessages(stack), KnownMessages(stack)
    producer = Producer({**stack.kafka_settings(), "transactional.id": "known-messages"})
    producer.init_transactions(60)
    producer.begin_transaction()
    aborted.send(producer)
    producer.abort_transaction(60)
    producer.begin_transaction()
    committed.send(producer)
    producer.commit_transaction(60)
    committed.assert_one_outcome_each()
    aborted.assert_no_outcome()


def test_elasticsearch_outage_loses_no_message_and_does_not_restart_the_job(stack: Stack) -> None:
    """The job retries, and reports the wait in its log and metrics."""
    known = KnownMessages(stack)
    elasticsearch, job = stack.container("elasticsearch"), stack.container("spark-job")
    elasticsearch.kill()
    known.send()
    eventually(lambda: waits_for_sink(stack))
    assert "Waiting for Elasticsearch: " in stack.log("spark-job")
    elasticsearch.start()
    known.assert_one_outcome_each()
    started_at = job.attrs["State"]["StartedAt"]
    job.reload()
    assert job.attrs["State"]["StartedAt"] == started_at, "the job was restarted"


def test_missing_index_templates_lose_no_message(stack: Stack) -> None:
    """As after Elasticsearch lost its data. The job waits: an index created without its template would have no alias
    and a dynamic mapping."""
    known = KnownMessages(stack)
    client = stack.elasticsearch()
    for name in INDEX_ALIASES:
        client.indices.delete_index_template(name=name)
        client.indices.delete(index=",".join(client.indices.get_alias(name=name)))
    try:
        known.send()
        eventually(lambda: waits_for_sink(stack))
    finally:
        stack.up()
    known.assert_one_outcome_each()


def test_index_at_fault_makes_no_dead_letter_and_is_named_by_the_status(stack: Stack) -> None:
    """One match each for an index that the cluster has no room for, a closed index, a missing default pipeline and an
    alias without a write index. Each match is indexed once its index is repaired."""
    client = stack.elasticsearch()
    dead_letters = stack.message_count("lol_matches_dlq")
    old = {index_of(match): match for match in (match_of_years_ago(years) for years in (3, 4, 5, 6))}
    without_room, closed, without_pipeline, alias = old
    limit = "cluster.max_shards_per_node"
    client.indices.create(index=closed)
    client.indices.close(index=closed)
    client.indices.create(index=without_pipeline, settings={"index.default_pipeline": "no-such-pipeline"})
    for suffix in ("a", "b"):
        client.indices.create(index=f"{alias}-{suffix}", aliases={alias: {}})
    client.cluster.put_settings(persistent={limit: 1})
    repairs: dict[str, Callable[[], object]] = {
        "maximum normal shards open": lambda: client.cluster.put_settings(persistent={limit: None}),
        f"{closed} (index_closed_exception": lambda: client.indices.open(index=closed),
        "pipeline with id [no-such-pipeline] does not exist": lambda: client.indices.put_settings(
            index=without_pipeline, settings={"index.default_pipeline": None}
        ),
        f"no write index is defined for alias [{alias}]": lambda: client.indices.put_alias(
            index=f"{alias}-a", name=alias, is_write_index=True
        ),
    }

    def waits_because(reason: str) -> None:
        health = stack.get_inside("spark-job", "/health")
        assert "waiting for Elasticsearch: " in health
        assert reason in health

    def indexed() -> None:
        found = client.count(index="lol_matches_stream", query={"terms": {"match_id": match_ids}})["count"]
        assert found == 10 * len(old)

    match_ids = [match["metadata"]["matchId"] for match in old.values()]
    producer = Producer(stack.kafka_settings())
    try:
        for match in old.values():
            producer.produce("lol_matches", json.dumps(match), partition=0)  # in one task, which names the first fault
        assert producer.flush(60) == 0
        for reason, repair in repairs.items():
            eventually(partial(waits_because, reason))
            if closed in reason:
                status = stack.make("status")
                assert status.rc != 0
                assert "✗  job" in status.stdout
                assert "index_closed_exception" in status.stdout
                assert f"closed: {closed}" in " ".join(status.stdout.split())
                assert "✗  documents" not in status.stdout
                assert (
                    read_match_statistics(client, TimeRange.last(timedelta(hours=1), datetime.now(UTC))).total_documents
                    > 0
                )
                for query in panel_queries():
                    query.run(client)
            repair()
        eventually(indexed)
        assert stack.message_count("lol_matches_dlq") == dead_letters
    finally:
        for repair in repairs.values():
            repair()
        client.indices.delete(
            index=[without_room, closed, without_pipeline, f"{alias}-a", f"{alias}-b"], ignore_unavailable=True
        )


def test_unassigned_shard_is_named_and_delays_only_its_own_documents(stack: Stack) -> None:
    client, waiting, other = stack.elasticsearch(), match_of_years_ago(2), match_of_years_ago(1)
    unassigned, assigned = index_of(waiting), index_of(other)
    routing = "index.routing.allocation.require._name"
    client.indices.create(index=unassigned, settings={routing: "no-such-node"}, wait_for_active_shards=0)

    def waits_for_shard() -> None:
        health = stack.get_inside("spark-job", "/health")
        assert f"a document of {unassigned} (unavailable_shards_exception" in health

    producer = Producer(stack.kafka_settings())
    try:
        for message in (waiting, other):
            producer.produce("lol_matches", json.dumps(message), partition=0)  # in one task, probably in one request
        assert producer.flush(60) == 0
        eventually(waits_for_shard)
        eventually(lambda: indexed(client, other))
        waits_for_shard()
        client.indices.put_settings(index=unassigned, settings={routing: None})
        eventually(lambda: indexed(client, waiting))
    finally:
        client.indices.delete(index=[unassigned, assigned], ignore_unavailable=True)


def test_statistics_index_at_fault_stops_no_document(stack: Stack) -> None:
    """The statistics wait for their index, and are complete once it is open."""
    client, known = stack.elasticsearch(), KnownMessages(stack)
    months = {monthly_index("lol_champion_stats", now_ms() - ago) for ago in (0, SPREAD_MS + 1000 * WINDOW_SECONDS)}
    for month in months:
        client.indices.close(index=month, ignore_unavailable=True)
    try:
        known.send()
        known.assert_documents()
        eventually(lambda: waits_for_sink(stack))
        later = KnownMessages(stack)
        later.send()
        later.assert_documents()
    finally:
        for month in months:
            client.indices.open(index=month, ignore_unavailable=True)
    known.assert_one_outcome_each()
    later.assert_one_outcome_each()


def match_of_years_ago(years: int) -> dict[str, Any]:
    """A match with an id of its own in the month of the sample match, that many years earlier."""
    found = match(match_id=f"EUW1_{time.time_ns()}")
    for field in ("gameCreation", "gameStartTimestamp", "gameEndTimestamp"):
        found["info"][field] -= years * 365 * 24 * 3_600_000
    return found


def index_of(match: dict[str, Any]) -> str:
    """The monthly index of the match's documents."""
    return monthly_index("lol_matches_stream", match["info"]["gameEndTimestamp"])


def indexed(client: Elasticsearch, match: dict[str, Any]) -> None:
    """Assert that a search finds the documents of the match's participants."""
    query = {"term": {"match_id": match["metadata"]["matchId"]}}
    assert client.count(index=index_of(match), query=query)["count"] == 10


def waits_for_sink(stack: Stack) -> None:
    """Assert that the job reports waiting for a service."""
    assert stack.job_metric("lol_job_sink_waiting") == 1


def test_killed_driver_restarts_and_loses_and_duplicates_no_message(stack: Stack) -> None:
    known = KnownMessages(stack, count=800)
    known.send()
    stack.kill_driver()
    known.assert_one_outcome_each()
    assert stack.get("spark-job", 4040).ok


def test_killed_executor_loses_and_duplicates_no_message(stack: Stack) -> None:
    """The job's counters stay right: tasks whose results were lost with the executor are retried, and count once."""
    eventually(lambda: idle(stack))
    counted, documents = stack.job_metric("lol_job_messages_total"), stack.document_count()
    known = KnownMessages(stack, count=800)
    known.send()
    send_backlog(stack.kafka_settings(), "compact", BACKLOG_MESSAGES)

    def a_third_is_indexed() -> None:
        assert stack.document_count() > documents + 3 * BACKLOG_MESSAGES, (
            "fewer than a third of the documents are indexed"
        )

    eventually(a_third_is_indexed, poll_seconds=0.1)
    kill = ["pkill", "-KILL", "-f", "CoarseGrainedExecutorBackend"]
    assert execute(stack.container_name("spark-worker"), kill)[0] == 0, "no executor was running"
    known.assert_one_outcome_each()
    eventually(lambda: idle(stack), timeout_seconds=240)
    assert stack.job_metric("lol_job_messages_total") == counted + 800 + BACKLOG_MESSAGES


def idle(stack: Stack) -> None:
    """Assert that the lag is 0 and the last batch ended more than 3 s ago."""
    lag = stack.job_metric("lol_job_kafka_lag_messages")
    assert lag == 0, f"the job is {lag:,.0f} messages behind"
    seconds = time.time() - stack.job_metric("lol_job_last_batch_timestamp_seconds", query="matches")
    assert seconds > 3, f"the last batch ended {seconds:.1f} s ago"


def test_graceful_shutdown_finishes_the_batch_and_an_uncommitted_batch_is_retried_despite_old_checksum_files(
    stack: Stack,
) -> None:
    """The newest commit is deleted from the checkpoint, as if the driver had crashed between the sink's write and the
    commit. Each file gets a checksum of other content, as if an earlier version, which wrote checksum files, had
    crashed between the renames of both."""
    known = KnownMessages(stack, count=800)
    known.send()
    job = stack.container("spark-job")
    job.stop()
    assert job.wait()["StatusCode"] == 0, "the job's exit code after SIGTERM is not 0"
    log = stack.log("spark-job").rpartition("Stopping: ")[2]
    assert "Stopped" in log
    assert "did not finish in time" not in log
    # The workers mount the same volume. The offsets of a following batch, which may have been planned before the
    # shutdown, are deleted as well: Spark would resume from them.
    worker = stack.host("spark-worker")
    folder = f"{CHECKPOINTS}/*/*/matches"
    batch = max(int(name) for name in worker.check_output(f"ls {folder}/commits").split())
    worker.check_output(f"cd {folder} && rm commits/{batch} && rm -f offsets/{batch + 1}")
    assert worker.check_output(f"find {CHECKPOINTS} -name '*.crc'") == ""
    # In Hadoop's format: 512 bytes for each checksum, and the first one.
    script = r'for file; do printf "crc\0\0\0\2\0\0\0\0\0" >"${file%/*}/.${file##*/}.crc"; done'
    worker.check_output(f"find {CHECKPOINTS} -type f -exec sh -c %s sh {{}} +", script)
    job.start()

    def batch_is_retried() -> None:
        log = stack.log("spark-job")
        assert f"Batch {batch}: " in log.rpartition("Starting Spark Structured Streaming Consumer")[2]

    eventually(batch_is_retried)
    known.assert_one_outcome_each()
