"""Load generation: sends a backlog or a stream to Kafka. The producer is a fake."""

from __future__ import annotations

import time
from unittest.mock import MagicMock

import pytest
from confluent_kafka import KafkaError

from harness import load
from harness.load import Backlog, LoadError, background_stream, send_backlog
from harness.waiting import eventually
from tests.support.fakes import FakeProducer

CLIENT = {"bootstrap.servers": "a-broker:9092"}
TOO_LARGE = KafkaError(KafkaError.MSG_SIZE_TOO_LARGE).str()


def values(producer: FakeProducer) -> list[bytes]:
    """What Kafka has."""
    return [message["value"] for message in producer.delivered]


@pytest.fixture
def topics(monkeypatch: pytest.MonkeyPatch) -> None:
    client = MagicMock()
    client.return_value.end_offsets.side_effect = [{0: 7}, {0: 10}]
    monkeypatch.setattr(load, "TopicClient", client)


@pytest.mark.usefixtures("topics")
def test_backlog_has_its_offset_range_and_survives_a_full_producer_queue(monkeypatch: pytest.MonkeyPatch) -> None:
    producer = FakeProducer(queue_size=1)
    monkeypatch.setattr(load, "create_producer", lambda _servers: producer)
    assert send_backlog(CLIENT, "compact", 3) == Backlog("compact", 3, {0: 7}, {0: 10})
    assert len(set(values(producer))) == 3


@pytest.mark.usefixtures("topics")
@pytest.mark.parametrize(
    ("producer", "message"),
    [
        (FakeProducer(*[KafkaError.MSG_SIZE_TOO_LARGE] * 3), f"did not accept 3 matches: {TOO_LARGE}"),
        (FakeProducer(unacknowledged=2), "did not accept 2 matches: no acknowledgement within 60 s"),
    ],
)
def test_unacknowledged_messages_are_an_error(
    monkeypatch: pytest.MonkeyPatch, producer: FakeProducer, message: str
) -> None:
    monkeypatch.setattr(load, "create_producer", lambda _servers: producer)
    with pytest.raises(LoadError, match=f"^Kafka at a-broker:9092 {message}$"):
        send_backlog(CLIENT, "compact", 3)


def test_background_stream_sends_at_its_rate_until_the_block_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    producer = FakeProducer(queue_size=1)
    monkeypatch.setattr(load, "create_producer", lambda _servers: producer)

    def three_are_sent() -> None:
        assert len(values(producer)) >= 3

    started = time.monotonic()
    with background_stream(CLIENT, "compact", rate=20):
        eventually(three_are_sent, timeout_seconds=10, poll_seconds=0.01)
    assert time.monotonic() - started >= 2 / 20
    sent = values(producer)
    assert len(set(sent)) == len(sent)
    time.sleep(2 / 20)
    assert values(producer) == sent


def test_background_stream_reports_unacknowledged_messages(monkeypatch: pytest.MonkeyPatch) -> None:
    producer = FakeProducer(KafkaError.MSG_SIZE_TOO_LARGE)
    monkeypatch.setattr(load, "create_producer", lambda _servers: producer)
    with (
        pytest.raises(LoadError, match=f"^Kafka at a-broker:9092 did not accept 1 matches: {TOO_LARGE}$"),
        background_stream(CLIENT, "compact", rate=0.01),
    ):
        pass
