"""The stack's lifecycle: `up` is idempotent, drift is detected and repaired, interrupted deployments are recovered, and
`destroy` leaves nothing."""

from __future__ import annotations

import gc
import select
import socket
import subprocess
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from docker.models.containers import Container
from pulumi.automation import CommandError, OpType

from harness.stack import Stack, selection_kept
from harness.waiting import eventually
from infra.clients.docker_engine import stack_containers
from infra.clients.kafka import TopicClient
from infra.clients.kafka_users import UsersClient, UsersState
from infra.kafka_acls import ACLS_BY_USER, acls
from infra.logins import CASSANDRA_ADMIN, login_of
from infra.names import (
    CASSANDRA_PORT,
    ELASTICSEARCH_PORT,
    KAFKA_HOST_LISTENER_PORT,
    MATCHES_ALIAS,
    POSITIONS_ALIAS,
    ROOT,
    SPARK_MASTER_UI_PORT,
    stack_prefix,
)
from job.ids import monthly_index
from job.times import now_ms
from tests.stack.test_logins_cassandra import archive_node
from tools import backfill

pytestmark = pytest.mark.disruptive


def changes(summary: Mapping[OpType, int] | None) -> dict[str, int]:
    """Resource counts of an operation by type, without unchanged resources."""
    return {str(op): n for op, n in (summary or {}).items() if op not in (OpType.SAME, "same")}


def container_states(stack: Stack) -> dict[str, tuple[str, str]]:
    """Id and status of each of the stack's containers, by name."""
    return {str(each.name): (str(each.id), each.status) for each in stack_containers(stack.engine, stack.name)}


def wait_for_documents(stack: Stack) -> None:
    """Wait until at least one document is indexed."""

    def has_documents() -> None:
        assert stack.document_count() > 0, "no document is indexed"

    eventually(has_documents)


@pytest.mark.parametrize("target", ["up", "down"])
def test_stack_of_another_pulumi_state_is_refused_and_stays_as_it_is(stack: Stack, target: str, tmp_path: Path) -> None:
    """As for another user of the Docker engine, whose state does not contain the stack."""
    before = container_states(stack)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PULUMI_BACKEND_URL", tmp_path.as_uri())
        refused = stack.make(target)
    assert refused.rc != 0, refused.stdout
    assert "deployed on this Docker engine by another user, or from another Pulumi backend" in refused.stderr
    assert f"this state does not contain {stack.container_name('alertmanager')}, " in refused.stderr
    assert f"have its owner run `make down STACK={stack.name}`" in refused.stderr
    assert container_states(stack) == before
    assert not list(tmp_path.glob("**/stacks")), "the other state has got a stack"


def test_topic_partitions_grow_in_place_and_never_shrink(stack: Stack) -> None:
    """A topic of its own: its partitions cannot be taken away."""
    topics, name = TopicClient(stack.kafka_settings()), "of-a-test"
    before = topics.create(name, 1, {"retention.ms": "60000"})
    try:
        topics.change(name, 2, before.config)
        grown = topics.read(name)
        assert grown is not None
        assert (grown.id, grown.partitions, grown.config) == (before.id, 2, before.config)
        with pytest.raises(Exception, match="cannot take partitions away"):
            topics.change(name, 1, before.config)
    finally:
        topics.delete(name)


@pytest.mark.usefixtures("stream")
def test_drift_is_detected_and_repaired_and_a_replaced_spark_master_knows_the_job_and_its_workers(stack: Stack) -> None:
    """A deleted topic is recreated; a changed template is updated; a Kafka user that is not declared and its ACL are
    removed, and so is a role of Cassandra.

    So is one of a version without some fields, whose index and documents stay: the index gets the fields. This month's
    index of another template gets its alias and settings back; until then the status names it. The state of Spark's
    master is in a volume: without it the job would lose its executors, and never get new ones.
    """
    job_started_at = stack.container("spark-job").attrs["State"]["StartedAt"]
    topics, client = TopicClient(stack.kafka_settings()), stack.elasticsearch()
    template = "lol_champion_stats"

    def read_template(name: str = template) -> dict[str, Any]:
        found: dict[str, Any] = client.indices.get_index_template(name=name)["index_templates"][0]["index_template"]
        return found

    users = UsersClient(stack.kafka_settings())
    passwords = {user: stack.outputs["credentials"][login_of("kafka", user)] for user in ACLS_BY_USER}
    users.apply(passwords | {"mallory": "x"}, [*acls(), "ALLOW User:mallory * WRITE TOPIC LITERAL lol_matches"])
    with stack.cassandra(CASSANDRA_ADMIN) as session:
        session.execute("CREATE ROLE intruder WITH PASSWORD = 'x' AND LOGIN = true AND SUPERUSER = true")
    topics.delete("lol_matches_dlq")
    changed = read_template()
    changed["template"]["settings"]["index"]["number_of_replicas"] = "2"
    client.indices.put_index_template(name=template, body=changed)
    older = read_template(MATCHES_ALIAS)
    fields = older["template"]["mappings"]["properties"]
    added = {name: fields.pop(name) for name in ("puuid", "items", "gold_share")}
    client.indices.put_index_template(name=MATCHES_ALIAS, body=older)
    old_index = f"{MATCHES_ALIAS}-2019.02"
    client.index(index=old_index, id="old", document={"match_id": "old", "kills": 1}, refresh=True)
    positions = monthly_index(POSITIONS_ALIAS, now_ms())
    client.indices.delete_alias(index=positions, name=POSITIONS_ALIAS)
    client.indices.put_settings(index=positions, settings={"index.refresh_interval": "-1"})
    status = " ".join(stack.make("status").stdout.replace("│", " ").split())
    assert f"{positions} is not in the alias {POSITIONS_ALIAS}" in status
    assert f"{positions} is not refreshed (refresh_interval -1)" in status
    stack.container("spark-master").remove(force=True)
    # The topic, two templates (of other settings than this month's index), the master and its health gate; the users,
    # the roles and a template.
    assert changes(stack.up().summary.resource_changes) == {"create": 5, "update": 3}
    stack.wait_for_new_documents()
    assert stack.container("spark-job").attrs["State"]["StartedAt"] == job_started_at
    (application,) = stack.get("spark-master", SPARK_MASTER_UI_PORT, "/json/").json()["activeapps"]
    assert application["state"] == "RUNNING"
    restored = client.indices.get(index=positions)[positions]
    assert POSITIONS_ALIAS in restored["aliases"]
    assert restored["settings"]["index"]["refresh_interval"] == "1s"
    assert users.read(passwords) == UsersState(sorted(ACLS_BY_USER), acls())
    assert archive_node(stack).differences() == []
    mapped = client.indices.get_mapping(index=old_index)[old_index]["mappings"]["properties"]
    assert mapped == fields | added
    assert client.get(index=old_index, id="old")["_source"] == {"match_id": "old", "kills": 1}
    client.indices.delete(index=old_index)
    recreated = topics.read("lol_matches_dlq")
    assert recreated is not None
    assert recreated.partitions == 1
    assert read_template()["template"]["settings"]["index"]["number_of_replicas"] == "0"


def has_connection(listener: socket.socket) -> bool:
    """Whether a client has connected to this listener."""
    return bool(select.select([listener], [], [], 0)[0])


def test_no_login_is_sent_to_whoever_listens_on_the_ports_of_stopped_servers_and_up_restarts_them_with_their_data(
    stack: Stack,
) -> None:
    """At a reboot, or while the stack is stopped, any local user can listen there before `up` or `refresh`.

    Resources inside a stopped server cannot be read during the refresh, and are adopted.
    """
    ports = {"cassandra": CASSANDRA_PORT, "elasticsearch": ELASTICSEARCH_PORT, "kafka": KAFKA_HOST_LISTENER_PORT}
    addresses = [stack.outputs["services"][service][str(port)].split(":") for service, port in ports.items()]
    busy_at = time.monotonic()

    def idle() -> None:
        nonlocal busy_at
        lags = [stack.job_metric(f"lol_job_{name}_lag_messages") for name in ("kafka", "statistics")]
        if any(lags):
            busy_at = time.monotonic()
        assert time.monotonic() > busy_at + 5, f"lags {lags}, from offsets that can be some seconds old"

    eventually(idle)
    job, before = stack.container("spark-job"), stack.document_count()
    with ThreadPoolExecutor() as pool:
        list(pool.map(Container.stop, [stack.container(service) for service in ports]))
    # Earlier tests' Kafka clients that are still in reference cycles would connect again.
    gc.collect()
    with ExitStack() as opened:
        listeners = [opened.enter_context(socket.create_server((host, int(port)))) for host, port in addresses]
        with pytest.raises(CommandError, match="port conflict: another program uses port"):
            stack.up()  # its refresh comes before the check of the ports
        assert [listener.getsockname() for listener in listeners if has_connection(listener)] == []
    stack.up()
    assert {stack.container(service).status for service in (*ports, "generator")} == {"running"}
    assert stack.document_count() >= before > 0
    started_at = job.attrs["State"]["StartedAt"]
    job.reload()
    assert job.attrs["State"]["StartedAt"] == started_at, "the outage has ended the job"
    assert changes(stack.preview().change_summary) == {}


@pytest.mark.usefixtures("stream")
def test_destroy_under_load_leaves_nothing_and_a_deployment_that_is_killed_after_it_is_recovered(stack: Stack) -> None:
    """While a container of others is on the stack's network, it is refused. A running backfill is removed too. A killed
    Pulumi leaves its lock, and a container that it began to create and did not record. The fixture destroys the
    recovered stack, and checks again that nothing is left."""
    wait_for_documents(stack)
    network, image = stack_prefix(stack.name), str(stack.container("archive").attrs["Image"])
    # It removes itself, because `clean_up` after a killed test run cannot: it has no label of the stack.
    foreign = stack.engine.containers.run(
        image, ["sleep", "300"], name=f"foreign-to-{network}", network=network, init=True, detach=True, auto_remove=True
    )
    try:
        before, refused = container_states(stack), stack.make("down")
        assert refused.rc != 0, refused.stdout
        assert f"other containers are connected to the network {network} of the stack {stack.name}" in refused.stderr
        assert f": foreign-to-{network}. For each: `docker network disconnect {network} NAME`" in refused.stderr
        assert container_states(stack) == before
    finally:
        foreign.remove(force=True)
    start = datetime.now(UTC) - timedelta(hours=1)
    backfill.create(stack.engine, stack.name, ["--from", start.isoformat(), "--rate", "1"]).start()
    down = stack.make("down")
    assert down.rc == 0, down.stdout + down.stderr
    assert stack.leftovers() == []

    alertmanager = stack.container_name("alertmanager")
    # Docker ends the stream of events at the deadline.
    created = stack.engine.events(
        decode=True,
        filters={"type": "container", "event": "create", "container": alertmanager},
        until=int(time.time()) + 600,
    )
    up = subprocess.Popen(
        ["pulumi", "up", "--stack", stack.name, "--yes", "--skip-preview", "--refresh"],
        cwd=ROOT,
        start_new_session=True,  # so that the providers, which have process groups of their own, are killed too
    )
    try:
        assert next(created, None), "the deployment has not created the container in time"
        # At once, so that Pulumi cannot record the container meanwhile; one process after another is killed.
        subprocess.run(["pkill", "--signal", "STOP", "--session", str(up.pid)], check=True)
    finally:
        subprocess.run(["pkill", "--signal", "KILL", "--session", str(up.pid)], check=True)
        up.wait()
    with pytest.raises(CommandError, match=r"locked|already in use"):
        stack.up()
    with selection_kept():
        repaired = stack.make("up")
    assert repaired.rc == 0, repaired.stdout + repaired.stderr
    assert f"removed {alertmanager}" in repaired.stdout
    assert changes(stack.up().summary.resource_changes) == {}
    wait_for_documents(stack)  # with the new passwords, which `up` has read
    assert "offset was changed" not in stack.log("spark-job")
    # The images were built again. In containerd's image store, another id would replace that of a stack beside it.
    assert stack.container("archive").attrs["Image"] == image
