"""Logins of Kafka and ZooKeeper: what each user may and may not do, refusals without or with a wrong login, secrets.

Read-only: a permitted write is one that Kafka refuses for its size, which it checks after the ACLs.
"""

from __future__ import annotations

import logging
import socket
import struct
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import (
    OFFSET_END,
    Consumer,
    ConsumerGroupTopicPartitions,
    KafkaError,
    KafkaException,
    Producer,
    TopicPartition,
)
from confluent_kafka.admin import (
    AclBinding,
    AclOperation,
    AclPermissionType,
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewTopic,
    ResourcePatternType,
    ResourceType,
)
from prometheus_client import CollectorRegistry

from generator.delivery_report import DeliveryReport
from generator.messages import GeneratedMessage, MessageKind
from generator.metrics import GeneratorMetrics
from generator.producer import MessageProducer
from harness.stack import Stack
from infra.clients.kafka import KafkaLoginError, TopicClient
from infra.clients.kafka_users import UsersClient, UsersState
from infra.kafka_acls import ACLS_BY_USER, ADMIN, acls
from infra.logins import login_of
from infra.names import DEAD_LETTER_TOPIC, KAFKA_HOST_LISTENER_PORT, KAFKA_PORT, MATCHES_TOPIC
from infra.services.kafka import LOCAL_PORT
from job import topic as job_topic
from job.errors import JobError
from job.settings import with_overrides
from job.topic import TopicInspector
from tests.support import zookeeper_request
from tools.credentials import credential_files
from tools.dlq import dead_letters
from tools.dlq.dead_letters import DlqError, read_dead_letters

TIMEOUT_SECONDS = 10
COORDINATOR_SECONDS = 60
"""For requests to a coordinator: the first one to a new broker waits until an internal topic is created."""
NOT_PERMITTED = (
    KafkaError.TOPIC_AUTHORIZATION_FAILED,
    KafkaError.GROUP_AUTHORIZATION_FAILED,
    KafkaError.CLUSTER_AUTHORIZATION_FAILED,
    KafkaError.TRANSACTIONAL_ID_AUTHORIZATION_FAILED,
)
Client = dict[str, Any]


def code_of(request: Callable[[], object]) -> int | None:
    """The error code of a request; None if Kafka accepts it."""
    try:
        request()
    except KafkaException as error:
        return int(error.args[0].code())
    return None


def read(client: Client, topic: str, group: str) -> int | None:
    """Fetch from the end of a partition."""
    consumer = Consumer({**client, "group.id": group, "enable.auto.commit": False, "enable.partition.eof": True})
    try:
        if error := consumer.list_topics(topic, timeout=TIMEOUT_SECONDS).topics[topic].error:
            return int(error.code())
        consumer.assign([TopicPartition(topic, 0, OFFSET_END)])
        deadline = time.monotonic() + TIMEOUT_SECONDS
        while time.monotonic() < deadline:
            polled: Any = consumer.poll(1)
            if polled is None:
                continue
            if polled.error() is None or polled.error().code() == KafkaError._PARTITION_EOF:
                return None
            if polled.error().code() != KafkaError.GROUP_AUTHORIZATION_FAILED:  # of no use for a fetch
                return int(polled.error().code())
        raise AssertionError(f"no answer to a fetch from {topic}")
    finally:
        consumer.close()


def join_group(client: Client, group: str) -> int | None:
    """Join a consumer group, which Kafka forgets when its only member leaves: there is no commit."""
    consumer = Consumer({**client, "group.id": group, "enable.auto.commit": False})
    try:
        consumer.subscribe([MATCHES_TOPIC])
        deadline = time.monotonic() + COORDINATOR_SECONDS
        while time.monotonic() < deadline:
            polled: Any = consumer.poll(1)
            if consumer.assignment():
                return None
            if polled is not None and polled.error() and polled.error().code() in NOT_PERMITTED:
                return int(polled.error().code())
        raise AssertionError(f"neither a member of the group {group} nor refused")
    finally:
        consumer.close()


def write(client: Client, topic: str) -> int | None:
    """Send a message that is too large for the topic."""
    producer = Producer({**client, "message.max.bytes": 20_000_000, "acks": "all", "enable.idempotence": False})
    codes: list[int] = []
    try:
        producer.produce(
            topic, bytes(12_000_000), on_delivery=lambda error, _: codes.append(error.code() if error else 0)
        )
    except KafkaException as error:  # the client has learnt it from the topic's metadata
        return int(error.args[0].code())
    assert producer.flush(TIMEOUT_SECONDS) == 0, f"no answer to a message for {topic}"
    (code,) = codes
    return None if code == KafkaError.MSG_SIZE_TOO_LARGE else code


def transact(client: Client, transactional_id: str) -> int | None:
    quiet = logging.getLogger("librdkafka")  # it logs a refusal as fatal
    settings: dict[str, Any] = {**client, "transactional.id": transactional_id, "logger": quiet}
    producer = Producer(settings)
    return code_of(lambda: producer.init_transactions(COORDINATOR_SECONDS))


def administrate(client: Client, request: Callable[[AdminClient], dict[Any, Any]]) -> int | None:
    admin = AdminClient(client)  # its requests end with it
    (future,) = request(admin).values()
    return code_of(lambda: future.result(COORDINATOR_SECONDS))


def read_settings(admin: AdminClient, topic: str) -> dict[Any, Any]:
    return admin.describe_configs([ConfigResource(ResourceType.TOPIC, topic)])


def set_retention(admin: AdminClient) -> dict[Any, Any]:
    change = ConfigEntry("retention.ms", "1", incremental_operation=AlterConfigOpType.SET)
    resource = ConfigResource(ResourceType.TOPIC, MATCHES_TOPIC, incremental_configs=[change])
    return admin.incremental_alter_configs([resource], validate_only=True)


def permit_everything(admin: AdminClient) -> dict[Any, Any]:
    everyone = AclBinding(
        ResourceType.TOPIC,
        "of-a-test",
        ResourcePatternType.LITERAL,
        "User:*",
        "*",
        AclOperation.ALL,
        AclPermissionType.ALLOW,
    )
    return admin.create_acls([everyone])


ACTIONS: dict[str, Callable[[Client], int | None]] = {
    "read matches": lambda client: read(client, MATCHES_TOPIC, "dlq"),
    "read dead letters": lambda client: read(client, DEAD_LETTER_TOPIC, "dlq"),
    "write matches": lambda client: write(client, MATCHES_TOPIC),
    "write dead letters": lambda client: write(client, DEAD_LETTER_TOPIC),
    "read the archive's offsets": lambda client: administrate(
        client,
        lambda admin: admin.list_consumer_group_offsets([ConsumerGroupTopicPartitions("lol-archive-of-a-test")]),
    ),
    "read in a group": lambda client: join_group(client, "operator-9"),
    "read in one of any number of groups": lambda client: join_group(client, "operator-of-a-test"),
    "read the settings of matches": lambda client: administrate(
        client, lambda admin: read_settings(admin, MATCHES_TOPIC)
    ),
    "read the settings of dead letters": lambda client: administrate(
        client, lambda admin: read_settings(admin, DEAD_LETTER_TOPIC)
    ),
    "send in transactions": lambda client: transact(client, "producer-of-a-test"),
    "create a topic": lambda client: administrate(
        client, lambda admin: admin.create_topics([NewTopic("of-a-test", 1, 1)], validate_only=True)
    ),
    "delete a topic": lambda client: administrate(client, lambda admin: admin.delete_topics(["of-a-test"])),
    "change a topic's settings": lambda client: administrate(client, set_retention),
    "create ACLs": lambda client: administrate(client, permit_everything),
}
MAY: dict[str, set[str]] = {
    "job": {"read matches", "write dead letters"},
    "archive": {"read matches", "read the archive's offsets"},
    "generator": {"write matches"},
    "producer": {"write matches", "read the settings of matches", "send in transactions"},
    "operator": {
        *("read matches", "read dead letters", "read in a group"),
        *("read the settings of matches", "read the settings of dead letters"),
    },
    "dashboard": {"read dead letters"},
}


@pytest.mark.parametrize("user", sorted(ACLS_BY_USER))
def test_login_has_its_rights_and_no_other(stack: Stack, user: str) -> None:
    client = stack.kafka_settings(user) | {"log_level": 0}
    with ThreadPoolExecutor(len(ACTIONS)) as pool:
        codes = dict(zip(ACTIONS, pool.map(lambda action: action(client), ACTIONS.values()), strict=True))
    assert {name for name, code in codes.items() if code is None} == MAY[user], codes
    assert {code for code in codes.values() if code is not None} <= set(NOT_PERMITTED), codes


@pytest.mark.parametrize("user", ["producer", "operator"])
def test_properties_file_is_a_login_for_librdkafka(stack: Stack, tmp_path: Path, user: str) -> None:
    """kcat reads it, a line a setting."""
    file = credential_files(tmp_path, stack.outputs)[f"kafka-{user}.properties"]
    settings: dict[str, Any] = dict(line.split("=", 1) for line in file.splitlines())
    assert MATCHES_TOPIC in Producer(settings).list_topics(timeout=TIMEOUT_SECONDS).topics


def test_kafka_has_the_declared_users_and_rights_only(stack: Stack) -> None:
    passwords = {user: stack.outputs["credentials"][login_of("kafka", user)] for user in ACLS_BY_USER}
    assert UsersClient(stack.kafka_settings(ADMIN)).read(passwords) == UsersState(sorted(ACLS_BY_USER), acls())


def test_client_without_a_login_gets_no_answer(stack: Stack) -> None:
    """Not even to a request for no topic, which every listener without a login answers. Not by a client library: its
    next request goes to the broker's advertised address, which the host cannot resolve for the inside listener."""
    metadata = struct.pack(">ihhihi", 14, 3, 1, 1, -1, 0)
    host, _, port = stack.outputs["bootstrapServers"].partition(":")
    address = stack.address("kafka")
    for server in ((host, int(port)), (address, KAFKA_HOST_LISTENER_PORT), (address, KAFKA_PORT)):
        with socket.create_connection(server, timeout=TIMEOUT_SECONDS) as connection:
            connection.sendall(metadata)
            assert connection.recv(100) == b"", f"{server} answers without a login"


def test_listener_of_the_health_check_has_no_rights(stack: Stack) -> None:
    tool = "java -XX:TieredStopAtLevel=1 -cp '/opt/kafka/libs/*' org.apache.kafka.tools.TopicCommand"
    command = f"{tool} --bootstrap-server 127.0.0.1:{LOCAL_PORT}"
    kafka = stack.host("kafka")
    listed = kafka.run(f"{command} --list")
    assert (listed.rc, listed.stdout.strip()) == (0, ""), listed.stderr
    created = kafka.run(f"{command} --create --topic of-a-test --partitions 1")
    assert created.rc != 0
    assert "Authorization failed" in created.stdout + created.stderr


@pytest.mark.parametrize(
    "request_",
    [
        zookeeper_request.get_children("/brokers/ids"),
        zookeeper_request.get_data("/config/users/admin"),
        zookeeper_request.create("/of-a-test"),
        zookeeper_request.set_data("/config/users/admin"),
        zookeeper_request.delete("/config/users/admin"),
    ],
    ids=["list", "read", "create", "write", "delete"],
)
def test_zookeeper_refuses_a_client_without_its_login(stack: Stack, request_: bytes) -> None:
    """By its address only: its port is not published. A session is opened, but its first request ends it."""
    assert not stack.outputs["services"]["zookeeper"]
    assert zookeeper_request.error_of(stack.address("zookeeper"), request_) in zookeeper_request.REFUSED


def test_wrong_password_is_one_clear_line_in_each_client(
    stack: Stack, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dead_letters, "METADATA_TIMEOUT_SECONDS", 5)
    monkeypatch.setattr(job_topic, "_REQUEST_TIMEOUT_SECONDS", 60)
    servers = stack.outputs["bootstrapServers"]
    wrong = stack.kafka_settings("job") | {"sasl.password": "wrong"}
    login = {"security_protocol": "SASL_PLAINTEXT", "username": "job", "password": "wrong"}
    started = time.monotonic()
    rejected = f"Kafka at {servers} rejects the login of the user job; correct username and password"
    with pytest.raises(JobError) as of_job:
        TopicInspector(with_overrides({"kafka": {"bootstrap_servers": servers, **login}}).kafka).connect()
    assert str(of_job.value) == f"kafka.username, kafka.password: {rejected}"
    with pytest.raises(KafkaLoginError, match=rejected):
        TopicClient(wrong, timeout_seconds=60).read(MATCHES_TOPIC)
    assert time.monotonic() < started + 50, "a request's timeout has ended the wait, not the rejection"
    with pytest.raises(DlqError, match=rejected):
        list(read_dead_letters(wrong))
    report = DeliveryReport(GeneratorMetrics(CollectorRegistry()), 1)
    sender = MessageProducer(servers, MATCHES_TOPIC, report, client_config=wrong | {"message.timeout.ms": "5000"})
    deadline = time.monotonic() + TIMEOUT_SECONDS
    sender.send(GeneratedMessage(b"k", b"v", MessageKind.MATCH, "a match"), lambda: time.monotonic() > deadline)
    reason = "it rejects the login of the user job: correct the file of --client-config"
    line = f"Waiting for Kafka at {servers}: {reason}"
    while line not in caplog.messages and time.monotonic() < deadline:
        sender.poll(0.1)
    assert line in caplog.messages
    # A client with a message in its queue lives as long as the process, and tries to connect in later tests.
    sender.flush(lambda: time.monotonic() > deadline)
