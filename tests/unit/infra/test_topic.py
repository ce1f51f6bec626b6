"""The Kafka topic resource: grows in place, refuses to shrink, reports drift, is recreated if it is gone."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import Future
from typing import Any
from unittest.mock import MagicMock

import pytest
from confluent_kafka import KafkaError, KafkaException

from infra.clients.kafka import KafkaLoginError, KafkaRequestError, KafkaUnavailableError, TopicClient, TopicState
from infra.provisioning import topic
from tests.support.pulumi_program import dynamic_provider

NAME = "lol_matches"
PROVIDER = dynamic_provider(topic)
CONFIG = {"message.timestamp.type": "LogAppendTime"}


class FakeKafka:
    """Stands in for TopicClient: one topic. `error` is what a read raises."""

    def __init__(self) -> None:
        self.state: TopicState | None = None
        self.incarnations = 0
        self.error: KafkaRequestError | None = None

    def create(self, name: str, partitions: int, config: Mapping[str, str]) -> TopicState:
        self.incarnations += 1
        self.state = TopicState(f"id-{self.incarnations}", partitions, dict(config))
        return self.state

    def read(self, name: str) -> TopicState | None:
        if self.error:
            raise self.error
        return self.state

    def change(self, name: str, partitions: int, config: Mapping[str, str]) -> TopicState:
        assert self.state is not None
        self.state = TopicState(self.state.id, partitions, dict(config))
        return self.state

    def delete(self, name: str) -> None:
        self.state = None


@pytest.fixture
def kafka(monkeypatch: pytest.MonkeyPatch) -> FakeKafka:
    fake = FakeKafka()
    monkeypatch.setattr(topic, "TopicClient", lambda client: fake)
    monkeypatch.setattr(topic, "require_published_port", lambda props, url: None)
    return fake


def inputs(**changes: Any) -> dict[str, Any]:
    """What the program declares. Pulumi passes numbers as floats."""
    return {
        "client": {"bootstrap.servers": "localhost:29092", "sasl.username": "admin", "sasl.password": "first"},
        "name": NAME,
        "partitions": 3.0,
        "config": CONFIG,
        "topic_id": None,
    } | changes


@pytest.fixture
def state(kafka: FakeKafka) -> dict[str, Any]:
    """The created topic's state."""
    return dict(PROVIDER.create(inputs()).outs or {})


def test_create_records_the_incarnation(state: dict[str, Any]) -> None:
    assert (state["topic_id"], state["partitions"]) == ("id-1", 3)


def test_refresh_without_changes_reports_no_drift(state: dict[str, Any]) -> None:
    refreshed = PROVIDER.read(NAME, state).outs or {}
    assert not PROVIDER.diff(NAME, refreshed, inputs()).changes


@pytest.mark.parametrize("changes", [{"partitions": 5.0}, {"config": {"retention.ms": "1"}}])
def test_change_of_partitions_or_config_is_an_update_in_place(state: dict[str, Any], changes: dict[str, Any]) -> None:
    wanted = inputs(**changes)
    assert PROVIDER.check(state, wanted).failures == []
    diff = PROVIDER.diff(NAME, state, wanted)
    assert diff.changes
    assert not diff.replaces
    updated = PROVIDER.update(NAME, state, wanted).outs or {}
    assert updated["topic_id"] == state["topic_id"], "an update must not recreate the topic"
    assert not PROVIDER.diff(NAME, updated, wanted).changes


def test_config_changed_by_hand_is_drift(kafka: FakeKafka, state: dict[str, Any]) -> None:
    kafka.change(NAME, 3, CONFIG | {"retention.ms": "1000"})
    drifted = PROVIDER.read(NAME, state).outs or {}
    assert PROVIDER.diff(NAME, drifted, inputs()).changes


def test_shrinking_is_refused_before_anything_changes(state: dict[str, Any]) -> None:
    (failure,) = PROVIDER.check(state, inputs(partitions=2.0)).failures or []
    assert failure.property == "partitions"
    assert "cannot take partitions away: set lolstack:topicPartitions to 3 or more (not 2)" in failure.reason
    assert "--target-dependents --stack NAME`" in failure.reason, "the selected stack would lose its topic"


def test_replication_factor_in_the_state_of_an_earlier_version_is_no_change(state: dict[str, Any]) -> None:
    earlier = state | {"replication_factor": 1.0}
    assert PROVIDER.check(earlier, inputs()).failures == []
    refreshed = PROVIDER.read(NAME, earlier).outs or {}
    assert not PROVIDER.diff(NAME, refreshed, inputs()).changes


def test_changed_name_is_a_replacement_without_shrink_check(state: dict[str, Any]) -> None:
    other = inputs(name="other", partitions=1.0)
    assert PROVIDER.check(state, other).failures == []
    assert PROVIDER.diff(NAME, state, other).replaces == ["name"]


@pytest.mark.parametrize("error", [None, KafkaUnavailableError("no answer"), KafkaLoginError("rejected")])
def test_topic_that_is_missing_or_unreachable_is_recreated(
    kafka: FakeKafka, state: dict[str, Any], error: KafkaRequestError | None
) -> None:
    """A rejected login too: a rotation was interrupted after Kafka had its new passwords."""
    kafka.error = error
    if error is None:
        PROVIDER.delete(NAME, state)
    assert PROVIDER.read(NAME, state).id is None


def test_another_login_is_an_update_in_place(state: dict[str, Any]) -> None:
    """Otherwise the next refresh would use the old one."""
    other = inputs(client=inputs()["client"] | {"sasl.password": "second"})
    diff = PROVIDER.diff(NAME, state, other)
    assert diff.changes
    assert not diff.replaces
    updated = PROVIDER.update(NAME, state, other).outs or {}
    assert updated["topic_id"] == state["topic_id"]
    assert not PROVIDER.diff(NAME, updated, other).changes


def test_topic_of_a_version_without_logins_is_read_without_one_and_updated(
    monkeypatch: pytest.MonkeyPatch, kafka: FakeKafka, state: dict[str, Any]
) -> None:
    clients: list[Mapping[str, Any]] = []

    def connect(client: Mapping[str, Any]) -> FakeKafka:
        clients.append(client)
        return kafka

    monkeypatch.setattr(topic, "TopicClient", connect)
    del state["client"]
    state["bootstrap_servers"] = "localhost:29092"
    refreshed = PROVIDER.read(NAME, state).outs or {}
    assert clients == [{"bootstrap.servers": "localhost:29092"}]
    declared_before = inputs()
    del declared_before["client"]
    assert not PROVIDER.diff(NAME, refreshed, declared_before).changes, "a refresh compares with the former inputs"
    assert PROVIDER.diff(NAME, refreshed, inputs()).changes


class TestClient:
    """Without a broker: what the client decides before it sends a request."""

    @pytest.fixture
    def client(self) -> TopicClient:
        return TopicClient({"bootstrap.servers": "127.0.0.1:1"}, timeout_seconds=1)

    def test_topic_that_exists_gets_the_declared_partitions_and_config(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """For example of a stack whose Pulumi state was lost. Its messages stay."""
        exists: Future[None] = Future()
        exists.set_exception(KafkaException(KafkaError(KafkaError.TOPIC_ALREADY_EXISTS)))
        admin = MagicMock()
        admin.create_topics.return_value = {NAME: exists}
        monkeypatch.setattr("infra.clients.kafka.AdminClient", lambda _: admin)
        client = TopicClient({"bootstrap.servers": "127.0.0.1:1"}, timeout_seconds=1)
        changes: list[tuple[Any, ...]] = []
        monkeypatch.setattr(client, "read", lambda name: TopicState("id", 3, CONFIG))
        monkeypatch.setattr(client, "change", lambda *change: changes.append(change))
        assert client.create(NAME, 3, CONFIG).id == "id"
        assert changes == [(NAME, 3, CONFIG)]

    def test_shrinking_is_refused(self, client: TopicClient, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(client, "read", lambda name: TopicState("id", 3, CONFIG))
        with pytest.raises(
            KafkaRequestError, match=r"topic lol_matches has 3 partitions and .* cannot take partitions away"
        ):
            client.change(NAME, 2, CONFIG)

    def test_change_of_a_missing_topic_is_an_error(self, client: TopicClient, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(client, "read", lambda name: None)
        with pytest.raises(KafkaRequestError, match="topic lol_matches no longer exists"):
            client.change(NAME, 3, CONFIG)

    def test_topic_that_a_starting_broker_does_not_know_yet_is_changed(
        self, client: TopicClient, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        state = TopicState("id", 3, CONFIG)
        answers = [None, None, state]
        monkeypatch.setattr(client, "read", lambda name: answers.pop(0) if len(answers) > 1 else state)
        assert client.change(NAME, 3, CONFIG) == state

    def test_unavailable_broker_is_an_error_of_its_own(self, client: TopicClient) -> None:
        with pytest.raises(KafkaUnavailableError, match=r"Kafka at 127\.0\.0\.1:1 did not read topic lol_matches"):
            client.read(NAME)
