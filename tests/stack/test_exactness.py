"""Nothing lost, nothing doubled, every figure right: undisturbed, and whatever is killed or done a second time."""

from __future__ import annotations

import json
import time

import pytest
from confluent_kafka import Producer

from harness.load import send_backlog
from harness.stack import Stack
from harness.waiting import eventually
from infra.clients.docker_engine import execute
from tests.support.known_messages import KnownMessages
from tests.support.sample_matches import match

pytestmark = pytest.mark.disruptive

CHECKPOINTS = "/var/lib/lolstack/checkpoints"
MESSAGES = 12_000


def test_each_message_has_exactly_one_fate(stack: Stack) -> None:
    known = KnownMessages(stack)
    known.send()
    known.assert_one_fate_each()


def test_a_transaction_that_is_aborted_leaves_nothing_and_one_that_is_committed_all(stack: Stack) -> None:
    aborted, committed = KnownMessages(stack), KnownMessages(stack)
    producer = Producer({"bootstrap.servers": stack.outputs["bootstrapServers"], "transactional.id": "known-messages"})
    producer.init_transactions(60)
    producer.begin_transaction()
    aborted.send(producer)
    producer.abort_transaction(60)
    producer.begin_transaction()
    committed.send(producer)
    producer.commit_transaction(60)
    committed.assert_one_fate_each()
    aborted.assert_no_fate()


def test_messages_that_come_while_elasticsearch_is_away_are_found_when_it_is_back(stack: Stack) -> None:
    """The job waits, and says so in its log and metrics."""
    known = KnownMessages(stack)
    elasticsearch = stack.container("elasticsearch")
    elasticsearch.kill()
    known.send()
    eventually(lambda: waiting(stack), limit_seconds=60)
    assert "Waiting for Elasticsearch: " in stack.log("spark-job")
    elasticsearch.start()
    known.assert_one_fate_each()


def test_messages_that_come_before_elasticsearch_has_its_templates_are_found_when_it_has_them(stack: Stack) -> None:
    """As after its data were lost: an index that it made by itself would be under no alias, and of any mapping."""
    known = KnownMessages(stack)
    client = stack.elasticsearch()
    for name in ("lol_matches_stream", "lol_champion_stats", "lol_position_stats"):
        client.indices.delete_index_template(name=name)
        client.indices.delete(index=",".join(client.indices.get_alias(name=name)))
    known.send()
    eventually(lambda: waiting(stack), limit_seconds=60)
    stack.up()
    known.assert_one_fate_each()


def test_a_match_for_whose_index_there_is_no_room_is_found_when_there_is(stack: Stack) -> None:
    client = stack.elasticsearch()
    dead_letters = stack.messages("lol_matches_dlq")
    years = 5 * 365 * 24 * 3_600_000  # the index of its month is not there
    times = ("gameCreation", "gameStartTimestamp", "gameEndTimestamp")
    old = match(match_id=f"EUW1_{time.time_ns()}")
    old["info"] |= {field: old["info"][field] - years for field in times}

    def found() -> None:
        assert client.count(index="lol_matches_stream", q=f"match_id:{old['metadata']['matchId']}")["count"] == 10

    def says_why() -> None:
        assert "maximum normal shards open" in stack.log("spark-job")

    limit = "cluster.max_shards_per_node"
    client.cluster.put_settings(persistent={limit: client.cluster.health()["active_primary_shards"]})
    try:
        producer = Producer({"bootstrap.servers": stack.outputs["bootstrapServers"]})
        producer.produce("lol_matches", json.dumps(old))
        assert producer.flush(60) == 0
        eventually(says_why, limit_seconds=60)
    finally:
        client.cluster.put_settings(persistent={limit: None})
    eventually(found, limit_seconds=60)
    assert stack.messages("lol_matches_dlq") == dead_letters


def waiting(stack: Stack) -> None:
    """The job waits for a sink."""
    assert stack.job_metric("lol_job_sink_waiting") == 1


def test_a_driver_that_is_killed_in_the_middle_loses_and_doubles_nothing(stack: Stack) -> None:
    known = KnownMessages(stack, count=800)
    known.send()
    stack.kill_driver()
    known.assert_one_fate_each()


def test_an_executor_that_is_killed_in_the_middle_loses_and_doubles_nothing(stack: Stack) -> None:
    """Nor do the job's counters: tasks whose results are lost with the executor are done again, and count once."""
    generator = stack.container("generator")
    generator.stop()
    try:
        eventually(lambda: idle(stack), limit_seconds=120)
        counted, documents = stack.job_metric("lol_job_messages_total"), stack.documents()
        known = KnownMessages(stack, count=800)
        known.send()
        send_backlog(stack.outputs["bootstrapServers"], "compact", MESSAGES)

        def halfway() -> None:
            assert stack.documents() > documents + 3 * MESSAGES, "not a third of the documents is there"

        eventually(halfway, limit_seconds=120, every_seconds=0.1)
        killing = ["pkill", "-KILL", "-f", "CoarseGrainedExecutorBackend"]
        assert execute(stack.container_name("spark-worker"), killing)[0] == 0, "there was no executor to kill"
        known.assert_one_fate_each()
        eventually(lambda: idle(stack), limit_seconds=240)
        assert stack.job_metric("lol_job_messages_total") == counted + 800 + MESSAGES
    finally:
        generator.start()


def idle(stack: Stack) -> None:
    """The job has done all that there is, and has had nothing to do for some seconds."""
    lag = stack.job_metric("lol_job_kafka_lag_messages")
    assert lag == 0, f"the job is {lag:,.0f} messages behind"
    rest = time.time() - stack.job_metric("lol_job_last_batch_timestamp_seconds")
    assert rest > 3, f"the last batch ended {rest:.1f} s ago"


def test_sigterm_finishes_the_batch_in_hand_and_one_that_was_not_committed_is_done_again(stack: Stack) -> None:
    """The newest file of the checkpoint's commits is taken away, as if the driver had died between sink and commit."""
    known = KnownMessages(stack, count=800)
    known.send()
    job = stack.container("spark-job")
    job.stop()
    assert job.wait()["StatusCode"] == 0, "the job did not end well at SIGTERM"
    log = stack.log("spark-job").rpartition("Stopping: ")[2]
    assert "Stopped" in log
    assert "did not finish in time" not in log
    # The workers have the same volume; a checksum beside a file must go with it. Perhaps a batch behind it was planned,
    # and refused at the gate: Spark would begin there.
    worker = stack.host("spark-worker")
    folder = f"{CHECKPOINTS}/*/*/matches"
    batch = max(int(name) for name in worker.check_output(f"ls {folder}/commits").split())
    worker.check_output(
        f"cd {folder} && rm commits/{batch} commits/.{batch}.crc && rm -f offsets/{batch + 1} offsets/.{batch + 1}.crc"
    )
    job.start()

    def again() -> None:
        log = stack.log("spark-job")
        assert f"Batch {batch}: " in log.rpartition("Starting Spark Structured Streaming Consumer")[2]

    eventually(again, limit_seconds=120)
    known.assert_one_fate_each()
