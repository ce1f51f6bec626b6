"""The Kafka topic resource: grows in place, refuses to shrink, reports drift, is recreated if it is gone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from infra.clients.kafka import KafkaUnavailableError, TopicClient, TopicError, TopicState
from infra.provisioning import topic
from tests.support.pulumi_program import dynamic_provider

NAME = "lol_matches"
PROVIDER = dynamic_provider(topic)
CONFIG = {"message.timestamp.type": "LogAppendTime"}


class FakeKafka:
    """Stands in for TopicClient: one topic. `down`: it does not answer."""

    def __init__(self) -> None:
        self.state: TopicState | None = None
        self.incarnations = 0
        self.down = False

    def create(self, name: str, partitions: int, replication_factor: int, config: Mapping[str, str]) -> TopicState:
        self.incarnations += 1
        self.state = TopicState(f"id-{self.incarnations}", partitions, replication_factor, dict(config))
        return self.state

    def read(self, name: str) -> TopicState | None:
        if self.down:
            raise KafkaUnavailableError("Kafka does not answer")
        return self.state

    def change(self, name: str, partitions: int, config: Mapping[str, str]) -> TopicState:
        assert self.state is not None
        self.state = TopicState(self.state.id, partitions, self.state.replication_factor, dict(config))
        return self.state

    def delete(self, name: str) -> None:
        self.state = None


@pytest.fixture
def kafka(monkeypatch: pytest.MonkeyPatch) -> FakeKafka:
    fake = FakeKafka()
    monkeypatch.setattr(topic, "TopicClient", lambda bootstrap_servers: fake)
    return fake


def inputs(**changes: Any) -> dict[str, Any]:
    """What the program declares. Pulumi passes numbers as floats."""
    return {
        "bootstrap_servers": "localhost:29092",
        "name": NAME,
        "partitions": 3.0,
        "replication_factor": 1.0,
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


def test_change_of_replication_factor_is_refused(state: dict[str, Any]) -> None:
    (failure,) = PROVIDER.check(state, inputs(replication_factor=2.0)).failures or []
    assert failure.property == "replication_factor"


def test_changed_name_is_a_replacement_without_shrink_check(state: dict[str, Any]) -> None:
    other = inputs(name="other", partitions=1.0)
    assert PROVIDER.check(state, other).failures == []
    assert PROVIDER.diff(NAME, state, other).replaces == ["name"]


@pytest.mark.parametrize("down", [False, True])
def test_topic_that_is_missing_or_unreachable_is_recreated(kafka: FakeKafka, state: dict[str, Any], down: bool) -> None:
    if down:
        kafka.down = True
    else:
        PROVIDER.delete(NAME, state)
    assert PROVIDER.read(NAME, state).id is None


class TestClient:
    """Without a broker: what the client decides before it sends a request."""

    @pytest.fixture
    def client(self) -> TopicClient:
        return TopicClient("127.0.0.1:1", timeout_seconds=1)

    def test_shrinking_is_refused(self, client: TopicClient, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(client, "read", lambda name: TopicState("id", 3, 1, CONFIG))
        with pytest.raises(TopicError, match=r"topic lol_matches has 3 partitions and .* cannot take partitions away"):
            client.change(NAME, 2, CONFIG)

    def test_change_of_a_missing_topic_is_an_error(self, client: TopicClient, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(client, "read", lambda name: None)
        with pytest.raises(TopicError, match="topic lol_matches no longer exists"):
            client.change(NAME, 3, CONFIG)

    def test_unavailable_broker_is_an_error_of_its_own(self, client: TopicClient) -> None:
        with pytest.raises(KafkaUnavailableError, match=r"Kafka at 127\.0\.0\.1:1 did not read topic lol_matches"):
            client.read(NAME)
