"""Load generation: sends a backlog or a stream to Kafka. The producer is a fake."""

from __future__ import annotations

import time
from typing import Any
from unittest.mock import MagicMock

import pytest

from harness import load
from harness.load import Backlog, LoadError, background_stream, send_backlog
from harness.waiting import eventually

CLIENT = {"bootstrap.servers": "a-broker:9092"}


class FakeProducer:
    """A producer with a local queue for one message; `error` is the delivery error of each."""

    def __init__(self, error: object = None, lost: int = 0) -> None:
        self.sent: list[bytes] = []
        self._error = error
        self._lost = lost
        self._queued: list[Any] = []

    def produce(self, _topic: str, value: bytes, key: bytes, on_delivery: Any) -> None:
        if self._queued:
            raise BufferError
        self._queued.append(on_delivery)
        self.sent.append(value)

    def poll(self, timeout: float) -> None:
        if timeout:
            self.flush(timeout)

    def flush(self, _timeout: float) -> int:
        for on_delivery in self._queued:
            on_delivery(self._error, None)
        self._queued.clear()
        return self._lost


@pytest.fixture
def topics(monkeypatch: pytest.MonkeyPatch) -> None:
    client = MagicMock()
    client.return_value.end_offsets.side_effect = [{0: 7}, {0: 10}]
    monkeypatch.setattr(load, "TopicClient", client)


@pytest.mark.usefixtures("topics")
def test_backlog_has_its_offset_range_and_survives_a_full_producer_queue(monkeypatch: pytest.MonkeyPatch) -> None:
    producer = FakeProducer()
    monkeypatch.setattr(load, "create_producer", lambda _servers: producer)
    assert send_backlog(CLIENT, "compact", 3) == Backlog("compact", 3, {0: 7}, {0: 10})
    assert len(set(producer.sent)) == 3


@pytest.mark.usefixtures("topics")
@pytest.mark.parametrize(
    ("producer", "message"),
    [
        (FakeProducer(error=MagicMock(str=lambda: "message too large")), "did not accept 3 matches: message too large"),
        (FakeProducer(lost=2), "did not accept 2 matches: no acknowledgement within 60 s"),
    ],
)
def test_unacknowledged_messages_are_an_error(
    monkeypatch: pytest.MonkeyPatch, producer: FakeProducer, message: str
) -> None:
    monkeypatch.setattr(load, "create_producer", lambda _servers: producer)
    with pytest.raises(LoadError, match=f"^Kafka at a-broker:9092 {message}$"):
        send_backlog(CLIENT, "compact", 3)


def test_background_stream_sends_at_its_rate_until_the_block_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    producer = FakeProducer()
    monkeypatch.setattr(load, "create_producer", lambda _servers: producer)

    def three_are_sent() -> None:
        assert len(producer.sent) >= 3

    started = time.monotonic()
    with background_stream(CLIENT, "compact", rate=20):
        eventually(three_are_sent, timeout_seconds=10, poll_seconds=0.01)
    assert time.monotonic() - started >= 2 / 20
    sent = list(producer.sent)
    assert len(set(sent)) == len(sent)
    time.sleep(2 / 20)
    assert producer.sent == sent


def test_background_stream_reports_unacknowledged_messages(monkeypatch: pytest.MonkeyPatch) -> None:
    producer = FakeProducer(error=MagicMock(str=lambda: "message too large"))
    monkeypatch.setattr(load, "create_producer", lambda _servers: producer)
    with (
        pytest.raises(LoadError, match=r"^Kafka at a-broker:9092 did not accept 1 matches: message too large$"),
        background_stream(CLIENT, "compact", rate=0.01),
    ):
        pass
