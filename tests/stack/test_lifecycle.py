"""The stack's life: nothing to do the second time, drift is seen and mended, destroy leaves nothing."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

import pytest
from pulumi.automation import CommandError, OpType

from harness.stack import ROOT, Stack
from harness.waiting import eventually
from infra.clients.kafka import TopicClient
from tools import backfill

pytestmark = pytest.mark.disruptive


def changes(summary: Mapping[OpType, int] | None) -> dict[str, int]:
    """What an operation did, without what it left alone."""
    return {str(op): n for op, n in (summary or {}).items() if op not in (OpType.SAME, "same")}


def has_documents(stack: Stack) -> None:
    """Wait until a document can be found."""

    def documents() -> None:
        assert stack.documents() > 0, "no document can be found"

    eventually(documents, limit_seconds=120)


def test_a_second_up_changes_nothing(stack: Stack) -> None:
    assert changes(stack.up().summary.resource_changes) == {}


def test_a_deleted_topic_is_seen_and_made_again(stack: Stack) -> None:
    topics = TopicClient(stack.outputs["bootstrapServers"])
    topics.delete("lol_matches_dlq")
    stack.refresh()
    assert changes(stack.preview().change_summary) == {"create": 1}
    stack.up(refresh=False)
    assert topics.read("lol_matches_dlq") is not None


def test_a_changed_index_template_is_seen_and_mended(stack: Stack) -> None:
    client = stack.elasticsearch()
    name = "lol_champion_stats"
    body = client.indices.get_index_template(name=name)["index_templates"][0]["index_template"]
    body["template"]["settings"]["index"]["number_of_replicas"] = "2"
    client.indices.put_index_template(name=name, body=body)
    stack.refresh()
    assert changes(stack.preview().change_summary) == {"update": 1}
    stack.up(refresh=False)
    mended = client.indices.get_index_template(name=name)["index_templates"][0]["index_template"]
    assert mended["template"]["settings"]["index"]["number_of_replicas"] == "0"


def test_stopped_containers_are_seen_and_run_again_and_what_they_hold_is_adopted(stack: Stack) -> None:
    """As `make up` does it: what lives in a server that is away can be asked for nothing."""
    before = stack.documents()
    stopped = ("cassandra", "elasticsearch", "kafka")
    for service in stopped:
        stack.container(service).stop()
    stack.refresh()
    assert changes(stack.preview().change_summary) != {}
    stack.up()
    assert {stack.container(service).status for service in stopped} == {"running"}
    assert stack.documents() >= before > 0
    assert changes(stack.up().summary.resource_changes) == {}


def test_a_deployment_that_is_killed_in_the_middle_is_mended_by_the_next(stack: Stack) -> None:
    """What Pulumi leaves of it: its lock, and a container that it began to make and never noted."""
    stack.container("alertmanager").remove(force=True)
    up = subprocess.Popen(["pulumi", "up", "--stack", stack.name, "--yes", "--skip-preview", "--refresh"], cwd=ROOT)

    def is_made() -> None:
        stack.container("alertmanager")

    try:
        eventually(is_made, limit_seconds=300, every_seconds=0.02)
    finally:
        up.kill()
        up.wait()
    with pytest.raises(CommandError, match=r"locked|already in use"):
        stack.up()
    mended = stack.make("up")
    assert mended.rc == 0, mended.stdout + mended.stderr
    assert f"removed {stack.container_name('alertmanager')}" in mended.stdout
    assert changes(stack.up().summary.resource_changes) == {}


def test_partitions_grow_in_place_and_never_shrink(stack: Stack) -> None:
    topics = TopicClient(stack.outputs["bootstrapServers"])
    before = topics.read("lol_matches_dlq")
    assert before is not None
    topics.change("lol_matches_dlq", 2, before.config)
    grown = topics.read("lol_matches_dlq")
    assert grown is not None
    assert (grown.id, grown.partitions) == (before.id, 2)
    with pytest.raises(Exception, match="cannot take partitions away"):
        topics.change("lol_matches_dlq", 1, before.config)
    topics.delete("lol_matches_dlq")
    stack.up()


def test_destroy_of_a_loaded_stack_leaves_nothing_and_up_works_again(stack: Stack) -> None:
    """A backfill that runs meanwhile goes with it. The second time is the fixture's: it destroys what this test has
    made, and nothing may be left of that either."""
    has_documents(stack)
    start = datetime.now(UTC) - timedelta(hours=1)
    backfill.create(stack.engine, stack.name, ["--from", start.isoformat(), "--rate", "1"]).start()
    down = stack.make("down")
    assert down.rc == 0, down.stdout + down.stderr
    assert stack.leftovers() == []
    stack.up()
    has_documents(stack)
    assert "offset was changed" not in stack.log("spark-job")
