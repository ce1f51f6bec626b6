"""Known failures of such stacks, each prevented or recovered from automatically.

Three more are in test_exactness: a killed driver, an outage of Elasticsearch, and checksum files of an earlier version.
A replaced Spark master is in test_lifecycle.
"""

from __future__ import annotations

import pytest

from harness.stack import Stack
from harness.waiting import eventually
from infra.clients.docker_engine import execute
from infra.clients.kafka import TopicClient
from infra.names import CHECKPOINTS
from infra.provisioning.health_gate import wait_until_healthy
from infra.services.spark_master import HEALTH_CHECK, RECOVERY_DIRECTORY
from infra.services.zookeeper import LOGS
from tests.support.known_messages import KnownMessages

pytestmark = pytest.mark.disruptive


def test_kafka_and_zookeeper_share_a_volume(stack: Stack) -> None:
    """With separate volumes, losing one leaves a cluster id mismatch, and Kafka does not start."""

    def volumes(service: str) -> set[str]:
        return {mount["Name"] for mount in stack.container(service).attrs["Mounts"] if mount["Type"] == "volume"}

    assert volumes("kafka") & volumes("zookeeper") == {f"lolstack-{stack.name}-broker"}


@pytest.mark.usefixtures("stream")
def test_job_continues_when_topic_is_deleted_and_recreated(stack: Stack) -> None:
    """The old incarnation's checkpoint, whose offsets do not apply to the new one, is deleted."""

    def checkpoints() -> set[str]:
        return set(stack.host("spark-job").check_output("ls -d /var/lib/lolstack/checkpoints/*/*").split())

    before = checkpoints()
    topics = TopicClient(stack.kafka_settings())
    old = topics.read("lol_matches")
    assert old is not None
    topics.delete("lol_matches")
    new = topics.create("lol_matches", old.partitions, old.config)
    assert new.id != old.id

    def replaced() -> None:
        found = checkpoints()
        assert len(found) == 1, f"not one checkpoint, but {found}"
        assert not found & before, "the job still has the checkpoint of the old incarnation"

    eventually(replaced)
    stack.wait_for_new_documents()


def test_damaged_state_of_the_statistics_is_dropped_and_stops_no_document(stack: Stack) -> None:
    """As a crash of the machine can leave it: Spark alone ends the job at each start."""
    before, skipped, counted = KnownMessages(stack), KnownMessages(stack), KnownMessages(stack)
    before.send()
    before.assert_one_outcome_each()  # so there is a state
    job = stack.container("spark-job")
    job.stop()
    try:
        state = f"{CHECKPOINTS}/*/*/statistics/state/*/*"
        stack.host("spark-worker").check_output(f"truncate --size=0 {state}/*.delta && rm -f {state}/*.snapshot")
    finally:
        job.start()
    skipped.send()  # the first batch of the statistics finds the damage

    def dropped() -> None:
        assert stack.job_metric("lol_job_statistics_reset_timestamp_seconds") > 0, "the state was not dropped"

    eventually(dropped)
    counted.send()
    counted.assert_one_outcome_each()
    skipped.assert_documents()


@pytest.mark.usefixtures("stream")
def test_zookeeper_starts_with_an_empty_transaction_log(stack: Stack) -> None:
    """As a full disk can leave it: ZooKeeper 3.8 alone ends with an EOFException at each start."""
    host = stack.host("zookeeper")
    log = f"{LOGS}/log.7fffffffffffffff"  # behind all others
    host.check_output(f"touch {log}")
    stack.container("zookeeper").restart()
    stack.wait_until_healthy()
    assert not host.file(log).exists
    stack.wait_for_new_documents()


def restart_with_recovery_file(stack: Stack, content: str) -> str:
    """Restart Spark's master with a recovery file of this content, and return the file's path."""
    file = f"{RECOVERY_DIRECTORY}/app_damaged"
    stack.host("spark-master").check_output("printf %s >%s", content, file)
    stack.container("spark-master").restart()
    return file


def wait_for_master(stack: Stack) -> None:
    """Wait until Spark's master is healthy."""
    wait_until_healthy(stack.container_name("spark-master"), ["sh", "-c", HEALTH_CHECK], timeout_seconds=90)


@pytest.mark.usefixtures("stream")
def test_spark_master_starts_with_an_empty_recovery_file(stack: Stack) -> None:
    """As a full disk or a crash can leave it: the master alone stays STANDBY at each start."""
    file = restart_with_recovery_file(stack, "")
    wait_for_master(stack)
    assert not stack.host("spark-master").file(file).exists
    stack.wait_for_new_documents()


def test_spark_master_starts_with_a_damaged_recovery_file_and_a_lost_checkpoint_loses_and_duplicates_no_message(
    stack: Stack,
) -> None:
    """The master's health check finds it on standby, and ends it after minutes. A master without any of its files ends
    the job's executors, and the job's health check restarts it minutes later.

    That restart finds no checkpoint: the topic, a new one, is read from its beginning, although the job's starting
    offsets are `latest`.
    """
    host = stack.host("spark-master")
    file = restart_with_recovery_file(stack, "half a file")

    def on_standby() -> None:
        assert execute(stack.container_name("spark-master"), ["sh", "-c", HEALTH_CHECK])[0] != 0
        assert host.file(f"{RECOVERY_DIRECTORY}/unreadable").exists

    eventually(on_standby)
    stack.container("spark-master").restart()
    wait_for_master(stack)
    assert not host.file(file).exists
    job = stack.container("spark-job")
    job.stop()
    known = KnownMessages(stack)
    try:
        stack.host("spark-worker").check_output(f"rm -r {CHECKPOINTS}/*/*")
        known.send()
    finally:
        job.start()
    known.assert_one_outcome_each()


@pytest.mark.usefixtures("stream")
def test_status_names_the_broken_link(stack: Stack) -> None:
    stack.wait_until_healthy()
    stack.container("generator").stop()
    broken = stack.make("status")
    assert broken.rc != 0
    assert "✗  producer" in broken.stdout
    assert "●  monitoring" in broken.stdout
    assert "broken: containers: generator is exited" in broken.stdout
