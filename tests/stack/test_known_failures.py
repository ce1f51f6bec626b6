"""Five known failures of such stacks, each prevented or recovered from automatically."""

from __future__ import annotations

import pytest

from harness.stack import Stack
from harness.waiting import eventually
from infra.clients.kafka import TopicClient

pytestmark = pytest.mark.disruptive


def test_kafka_and_zookeeper_share_a_volume_and_survive_a_restart(stack: Stack) -> None:
    """With separate volumes, losing one leaves a cluster id mismatch, and Kafka does not start."""

    def volumes(service: str) -> set[str]:
        return {mount["Name"] for mount in stack.container(service).attrs["Mounts"] if mount["Type"] == "volume"}

    assert volumes("kafka") & volumes("zookeeper") == {f"lolstack-{stack.name}-broker"}
    stack.container("kafka").stop()
    stack.container("zookeeper").restart()
    stack.container("kafka").start()
    stack.wait_for_new_documents()


def test_job_continues_when_topic_is_deleted_and_recreated(stack: Stack) -> None:
    """The old incarnation's checkpoint, whose offsets do not apply to the new one, is deleted."""
    topics = TopicClient(stack.outputs["bootstrapServers"])
    old = topics.read("lol_matches")
    assert old is not None
    topics.delete("lol_matches")
    new = topics.create("lol_matches", old.partitions, old.replication_factor, old.config)
    assert new.id != old.id
    stack.wait_for_new_documents(timeout_seconds=180)
    checkpoints = stack.host("spark-job").check_output("ls -d /var/lib/lolstack/checkpoints/*/*").split()
    assert len(checkpoints) == 1, f"the checkpoint of the old incarnation still exists: {checkpoints}"


def test_killed_driver_restarts_automatically(stack: Stack) -> None:
    stack.kill_driver()

    def page_answers() -> None:
        assert stack.get("spark-job", 4040).ok

    eventually(page_answers, timeout_seconds=120)
    stack.wait_for_new_documents()


def test_elasticsearch_restart_neither_stops_nor_restarts_the_job(stack: Stack) -> None:
    """test_exactness tests that no message is lost meanwhile."""
    restarts = stack.container("spark-job").attrs["RestartCount"]
    before = stack.document_count()
    stack.container("elasticsearch").restart()

    def more() -> None:
        assert stack.document_count() > before, f"lol_matches_stream stays at {before} documents"

    eventually(more, timeout_seconds=180)
    assert stack.container("spark-job").attrs["RestartCount"] == restarts


def test_status_names_the_broken_link(stack: Stack) -> None:
    def all_links_work() -> None:
        result = stack.make("status")
        assert result.rc == 0, result.stdout

    eventually(all_links_work, timeout_seconds=60)
    generator = stack.container("generator")
    generator.stop()
    broken = stack.make("status")
    generator.start()
    assert broken.rc != 0
    assert "✗  producer" in broken.stdout
    assert "broken: containers: generator is exited" in broken.stdout
