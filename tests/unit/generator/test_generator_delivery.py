"""Sending: acknowledgements are counted, room is waited for, and the exit code is honest. Kafka is played by a fake."""

import logging
import socket
import time
from collections.abc import Callable
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException
from prometheus_client import CollectorRegistry

from generator import __main__ as program
from generator import sender as sender_module
from generator.metrics import Metrics
from generator.report import Report, Throttle
from generator.sender import Sender
from generator.stream import Kind, Message

MESSAGE = Message(b"EUW1_1", b"{}", Kind.MATCH, "SEA_win vs. PHX_lose | Duration: 1845s")


class FakeProducer:
    """Acknowledges on poll or flush; takes `room` messages at a time and fails those whose value is b"bad"."""

    room = 3

    def __init__(self, config: dict[str, Any]) -> None:
        self.config = config
        self.pending: list[tuple[bytes | None, Callable[[KafkaError | None, object], None]]] = []
        self.values: list[bytes | None] = []

    def produce(
        self, _topic: str, value: bytes | None, _key: bytes, on_delivery: Callable[[KafkaError | None, object], None]
    ) -> None:
        if len(self.pending) == self.room:
            raise BufferError
        self.pending.append((value, on_delivery))

    def poll(self, timeout: float) -> int:
        # The real one, too, has the report only some time after the message.
        if timeout:
            self.flush(timeout)
        return 0

    def flush(self, _timeout: float) -> int:
        for value, on_delivery in self.pending:
            on_delivery(KafkaError(KafkaError._MSG_TIMED_OUT) if value == b"bad" else None, None)
            self.values.append(value)
        self.pending.clear()
        return 0

    def __len__(self) -> int:
        return len(self.pending)


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


@pytest.fixture
def report(registry: CollectorRegistry) -> Report:
    return Report(Metrics(registry), rate=2)


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> list[FakeProducer]:
    """The producers that were made."""
    made: list[FakeProducer] = []

    def make(config: dict[str, Any]) -> FakeProducer:
        made.append(FakeProducer(config))
        return made[-1]

    monkeypatch.setattr(sender_module, "Producer", make)
    return made


def never() -> bool:
    return False


class TestSender:
    def test_asks_for_every_acknowledgement(self, report: Report, fake: list[FakeProducer]) -> None:
        Sender("kafka:9092", "t", report)
        config = fake[0].config
        assert (config["acks"], config["enable.idempotence"], config["compression.type"]) == ("all", True, "zstd")

    @pytest.mark.usefixtures("fake")
    def test_waits_for_room(self, report: Report) -> None:
        sender = Sender("kafka:9092", "t", report)
        for _ in range(10):
            sender.send(MESSAGE, never)
        sender.flush(never)
        assert report.sent == report.delivered == {Kind.MATCH: 10}
        assert report.complete

    @pytest.mark.usefixtures("fake")
    def test_does_not_wait_for_room_once_stopped(self, report: Report) -> None:
        sender = Sender("kafka:9092", "t", report)
        sender.send(MESSAGE, lambda: True)
        assert not report.sent

    @pytest.mark.usefixtures("fake")
    def test_counts_failures(self, report: Report, registry: CollectorRegistry) -> None:
        sender = Sender("kafka:9092", "t", report)
        sender.send(MESSAGE, never)
        sender.send(MESSAGE._replace(value=b"bad", kind=Kind.POISON), never)
        sender.flush(never)
        assert report.delivered == {Kind.MATCH: 1}
        assert report.failed == {Kind.POISON: 1}
        assert not report.complete
        assert registry.get_sample_value("generator_delivery_failures_total") == 1
        assert registry.get_sample_value("generator_messages_delivered_total", {"kind": "match"}) == 1
        assert registry.get_sample_value("generator_messages_delivered_total", {"kind": "duplicate"}) == 0
        last = registry.get_sample_value("generator_last_delivery_timestamp_seconds")
        assert last == pytest.approx(time.time(), abs=60)

    def test_too_large_is_counted_and_not_fatal(self, report: Report) -> None:
        """With the real client, whose own limit needs no broker."""
        sender = Sender("127.0.0.1:1", "t", report)
        sender.send(MESSAGE._replace(value=bytes(11_000_000)), never)
        assert report.failed == report.sent == {Kind.MATCH: 1}

    def test_says_what_it_waits_for(self, report: Report, caplog: pytest.LogCaptureFixture) -> None:
        sender = Sender("127.0.0.1:1", "t", report)
        sender.send(MESSAGE, never)
        end = time.monotonic() + 3
        while not caplog.records and time.monotonic() < end:
            sender.wait(0.1)
        assert [record.levelname for record in caplog.records] == ["WARNING"]
        assert "Waiting for Kafka at 127.0.0.1:1" in caplog.text


class TestReport:
    def lines(self, caplog: pytest.LogCaptureFixture) -> list[str]:
        return [record.getMessage() for record in caplog.records]

    def test_a_line_for_each_message_at_low_rates(
        self, registry: CollectorRegistry, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.INFO)
        report = Report(Metrics(registry), rate=10, clock=Clock())
        for kind in (Kind.MATCH, Kind.DUPLICATE):
            report.on_delivered(kind, MESSAGE.text)
        assert self.lines(caplog) == [
            "Sent: SEA_win vs. PHX_lose | Duration: 1845s",
            "Sent: SEA_win vs. PHX_lose | Duration: 1845s (again)",
        ]

    @pytest.mark.parametrize("rate", [0, 11])
    def test_a_line_a_second_above(
        self, rate: float, registry: CollectorRegistry, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.INFO)
        clock = Clock()
        report = Report(Metrics(registry), rate=rate, clock=clock)
        for _ in range(40):
            report.on_delivered(Kind.MATCH, MESSAGE.text)
        clock.now += 1
        report.on_delivered(Kind.MATCH, MESSAGE.text)
        assert len(self.lines(caplog)) == 2
        assert self.lines(caplog)[1].endswith("Duration: 1845s (and 39 more)")

    def test_totals_every_minute_and_at_the_end(
        self, registry: CollectorRegistry, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.INFO)
        clock = Clock()
        report = Report(Metrics(registry), rate=2, clock=clock)
        for _ in range(3):
            report.on_sent(MESSAGE)
        report.on_delivered(Kind.MATCH, MESSAGE.text)
        report.on_failed(Kind.MATCH, MESSAGE.text, "timed out")
        caplog.clear()
        report.tick()
        clock.now += 60
        report.tick()
        report.tick()
        report.summary()
        counts = (
            "sent 3, delivered 1, failed 1, unacknowledged 1 | "
            "delivered by kind: match 1, duplicate 0, remake 0, poison 0"
        )
        assert self.lines(caplog) == [f"Totals: {counts}", f"Summary: {counts} | 60.0 s, 0.0 messages/s"]

    def test_throttle(self) -> None:
        clock = Clock()
        throttle = Throttle(1.0, clock)
        assert [throttle.passes(), throttle.passes(), throttle.passes()] == [0, None, None]
        clock.now += 1
        assert throttle.passes() == 2


class TestProgram:
    @pytest.fixture(autouse=True)
    def own_metrics(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(program, "Metrics", lambda: Metrics(CollectorRegistry()))
        monkeypatch.setattr("signal.signal", lambda *_: None)

    def run(self, monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
        line = ["generator", "--bootstrap-servers", "kafka:9092", "--mode", "batch", "--size", "compact", *arguments]
        monkeypatch.setattr("sys.argv", line)
        return program.main()

    def test_all_acknowledged_is_zero(
        self, monkeypatch: pytest.MonkeyPatch, fake: list[FakeProducer], caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.INFO)
        code = self.run(monkeypatch, "--rate", "0", "--count", "50", "--poison", "0.2", "--metrics-port", "0")
        assert code == 0
        assert len(fake[0].values) == 50
        assert "Summary: sent 50, delivered 50, failed 0, unacknowledged 0" in caplog.text

    def test_same_seed_and_start_same_bytes(self, monkeypatch: pytest.MonkeyPatch, fake: list[FakeProducer]) -> None:
        for _ in range(2):
            assert self.run(
                monkeypatch,
                *("--rate", "0", "--count", "30", "--seed", "9", "--start", "2026-02-01T12:00:00Z"),
                *("--poison", "0.2", "--duplicates", "0.2", "--metrics-port", "0"),
            ) == 0  # fmt: skip
        assert fake[0].values == fake[1].values

    @pytest.mark.usefixtures("fake")
    def test_a_lost_message_is_one(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(program, "_messages", lambda _: iter([MESSAGE, MESSAGE._replace(value=b"bad")]))
        assert self.run(monkeypatch, "--rate", "0", "--count", "2", "--metrics-port", "0") == 1

    @pytest.mark.usefixtures("fake")
    def test_a_broken_producer_is_one(self, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
        def broken(*_: object, **__: object) -> None:
            raise KafkaException(KafkaError(KafkaError._FATAL))

        monkeypatch.setattr(FakeProducer, "produce", broken)
        assert self.run(monkeypatch, "--rate", "0", "--count", "2", "--metrics-port", "0") == 1
        assert "the Kafka client failed" in caplog.text

    @pytest.mark.usefixtures("fake")
    def test_keeps_the_rate(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(FakeProducer, "poll", lambda _, timeout: time.sleep(timeout))
        monkeypatch.setattr(FakeProducer, "room", 100)
        begun = time.monotonic()
        assert self.run(monkeypatch, "--rate", "100", "--count", "41", "--metrics-port", "0") == 0
        assert 0.4 <= time.monotonic() - begun < 1.5

    def test_a_taken_port_is_named(self, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
        with socket.create_server(("0.0.0.0", 0)) as taken:
            port = str(taken.getsockname()[1])
            assert self.run(monkeypatch, "--count", "1", "--metrics-port", port) == 1
        assert f"--metrics-port {port}" in caplog.text
