"""The five troubles such stacks are known for, which must be impossible or heal by themselves; and a killed driver."""

from __future__ import annotations

import pytest

from harness.stack import Stack
from harness.waiting import eventually
from infra.clients.kafka import TopicClient

pytestmark = pytest.mark.disruptive


def documents_rise(stack: Stack, limit_seconds: float = 120) -> None:
    """Wait until more documents can be found than now."""
    before = stack.documents()

    def more() -> None:
        assert stack.documents() > before, f"lol_matches_stream stays at {before} documents"

    eventually(more, limit_seconds)


def test_1_kafka_and_zookeeper_share_one_volume_and_both_survive_a_restart(stack: Stack) -> None:
    def data(service: str) -> set[str]:
        return {mount["Name"] for mount in stack.container(service).attrs["Mounts"] if mount["Type"] == "volume"}

    assert data("kafka") & data("zookeeper") == {f"lolstack-{stack.name}-broker"}
    stack.container("kafka").stop()
    stack.container("zookeeper").restart()
    stack.container("kafka").start()
    documents_rise(stack)


def test_2_a_topic_made_anew_does_not_stop_the_job(stack: Stack) -> None:
    topics = TopicClient(stack.outputs["bootstrapServers"])
    old = topics.read("lol_matches")
    assert old is not None
    topics.delete("lol_matches")
    new = topics.create("lol_matches", old.partitions, old.replication_factor, old.config)
    assert new.id != old.id
    documents_rise(stack, limit_seconds=180)
    folders = stack.host("spark-job").check_output("ls -d /var/lib/lolstack/checkpoints/*/*").split()
    assert len(folders) == 1, f"the old topic's checkpoint is still there: {folders}"


def test_3_a_killed_driver_comes_back_by_itself(stack: Stack) -> None:
    stack.kill_driver()

    def page() -> None:
        assert stack.get("spark-job", 4040).ok

    eventually(page, limit_seconds=120)
    documents_rise(stack)


def test_4_a_restart_of_elasticsearch_neither_stops_nor_restarts_the_job(stack: Stack) -> None:
    """That nothing is lost meanwhile is test_exactness's to say."""
    restarts = stack.container("spark-job").attrs["RestartCount"]
    before = stack.documents()
    stack.container("elasticsearch").restart()

    def more() -> None:
        assert stack.documents() > before, f"lol_matches_stream stays at {before} documents"

    eventually(more, limit_seconds=180)
    assert stack.container("spark-job").attrs["RestartCount"] == restarts


def test_5_status_says_which_link_of_the_chain_is_broken(stack: Stack) -> None:
    def well() -> None:
        result = stack.make("status")
        assert result.rc == 0, result.stdout

    eventually(well, limit_seconds=60)
    generator = stack.container("generator")
    generator.stop()
    broken = stack.make("status")
    generator.start()
    assert broken.rc != 0
    assert "✗  producer" in broken.stdout
    assert "broken: containers: generator is exited" in broken.stdout
