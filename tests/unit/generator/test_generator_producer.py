"""Kafka producer of the generator: delivery reports, backpressure, log rate limit and exit code."""

import logging
import signal
import socket
import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException
from prometheus_client import CollectorRegistry

from generator import __main__ as program
from generator import producer as producer_module
from generator.delivery_report import DeliveryReport
from generator.log_rate_limiter import LogRateLimiter
from generator.messages import GeneratedMessage, MessageKind
from generator.metrics import GeneratorMetrics
from generator.producer import MessageProducer
from tests.unit.conftest import Clock

MESSAGE = GeneratedMessage(b"EUW1_1", b"{}", MessageKind.MATCH, "SEA_win vs. PHX_lose | Duration: 1845s")


class FakeProducer:
    """Fake Kafka producer with a buffer of `room` messages: acknowledges on poll or flush, fails the value b"bad"."""

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
        # As with the real producer, the delivery callback runs some time after the message was queued.
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


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


@pytest.fixture
def report(registry: CollectorRegistry) -> DeliveryReport:
    return DeliveryReport(GeneratorMetrics(registry), rate=2)


@pytest.fixture
def fakes(monkeypatch: pytest.MonkeyPatch) -> list[FakeProducer]:
    """The fake producers that were created."""
    created: list[FakeProducer] = []

    def create(config: dict[str, Any]) -> FakeProducer:
        created.append(FakeProducer(config))
        return created[-1]

    monkeypatch.setattr(producer_module, "Producer", create)
    return created


def never() -> bool:
    return False


def refuse_messages(monkeypatch: pytest.MonkeyPatch, count: int) -> list[KafkaException]:
    """Let the next calls of `produce` fail because the topic is unknown. Returns the errors that are still to come."""
    errors = [KafkaException(KafkaError(KafkaError._UNKNOWN_TOPIC)) for _ in range(count)]
    produce = FakeProducer.produce

    def produce_or_fail(self: FakeProducer, *message: Any, **options: Any) -> None:
        if errors:
            raise errors.pop()
        produce(self, *message, **options)

    monkeypatch.setattr(FakeProducer, "produce", produce_or_fail)
    return errors


class TestMessageProducer:
    def test_producer_is_idempotent_and_requires_all_acknowledgements(
        self, report: DeliveryReport, fakes: list[FakeProducer]
    ) -> None:
        MessageProducer("kafka:9092", "t", report)
        config = fakes[0].config
        assert (config["acks"], config["enable.idempotence"], config["compression.type"]) == ("all", True, "zstd")

    @pytest.mark.usefixtures("fakes")
    def test_back_pressure_blocks_while_the_buffer_is_full(self, report: DeliveryReport) -> None:
        producer = MessageProducer("kafka:9092", "t", report)
        for _ in range(10):
            producer.send(MESSAGE, never)
        producer.flush(never)
        assert report.sent == report.delivered == {MessageKind.MATCH: 10}
        assert report.all_delivered

    @pytest.mark.usefixtures("fakes")
    def test_graceful_shutdown_does_not_wait_for_buffer_space(self, report: DeliveryReport) -> None:
        producer = MessageProducer("kafka:9092", "t", report)
        producer.send(MESSAGE, lambda: True)
        assert not report.sent

    @pytest.mark.usefixtures("fakes")
    def test_producer_hangs_when_no_poll_ends_for_a_minute(self) -> None:
        """As after the machine's clock went back: the client library waits by that clock."""
        clock, registry = Clock(), CollectorRegistry()
        metrics = GeneratorMetrics(registry)
        producer = MessageProducer("kafka:9092", "t", DeliveryReport(metrics, rate=2), clock)
        metrics.watch(producer.hanging)

        def hanging_after(seconds: float) -> float | None:
            clock.now += seconds
            return registry.get_sample_value("generator_hanging")

        assert hanging_after(59) == 0
        assert hanging_after(2) == 1
        producer.send(MESSAGE, never)
        assert hanging_after(59) == 0
        producer.flush(never)
        assert hanging_after(59) == 0
        producer.poll(1)
        assert hanging_after(59) == 0

    @pytest.mark.usefixtures("fakes")
    def test_delivery_failures_are_counted_in_report_and_metrics(
        self, report: DeliveryReport, registry: CollectorRegistry
    ) -> None:
        producer = MessageProducer("kafka:9092", "t", report)
        producer.send(MESSAGE, never)
        producer.send(MESSAGE._replace(value=b"bad", kind=MessageKind.POISON), never)
        producer.flush(never)
        assert report.delivered == {MessageKind.MATCH: 1}
        assert report.failed == {MessageKind.POISON: 1}
        assert not report.all_delivered
        assert registry.get_sample_value("generator_delivery_failures_total") == 1
        assert registry.get_sample_value("generator_messages_delivered_total", {"kind": "match"}) == 1
        assert registry.get_sample_value("generator_messages_delivered_total", {"kind": "duplicate"}) == 0
        last = registry.get_sample_value("generator_last_delivery_timestamp_seconds")
        assert last == pytest.approx(time.time(), abs=60)

    @pytest.mark.usefixtures("fakes")
    def test_waits_for_a_broker_that_does_not_know_the_topic_yet(
        self, report: DeliveryReport, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        """As after a restart of Kafka: librdkafka then takes no message for the topic (librdkafka#3513)."""
        producer = MessageProducer("kafka:9092", "t", report)
        producer.send(MESSAGE, never)
        producer.flush(never)
        refuse_messages(monkeypatch, count=2)
        producer.send(MESSAGE, never)
        producer.flush(never)
        assert report.sent == report.delivered == {MessageKind.MATCH: 2}
        assert caplog.messages == ["Waiting for Kafka at kafka:9092: it does not know the topic t"]

    @pytest.mark.usefixtures("fakes")
    def test_topic_that_has_never_taken_a_message_is_reported(
        self, report: DeliveryReport, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A wait for it would have no end if its name is wrong."""
        producer = MessageProducer("kafka:9092", "t", report)
        refuse_messages(monkeypatch, count=2)
        with pytest.raises(KafkaException, match="_UNKNOWN_TOPIC"):
            producer.send(MESSAGE, never)

    @pytest.mark.usefixtures("fakes")
    def test_graceful_shutdown_does_not_wait_for_the_topic(
        self, report: DeliveryReport, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        producer = MessageProducer("kafka:9092", "t", report)
        producer.send(MESSAGE, never)
        producer.flush(never)
        refused = refuse_messages(monkeypatch, count=1000)
        producer.send(MESSAGE, lambda: len(refused) == 998)
        assert report.sent == {MessageKind.MATCH: 1}

    def test_message_larger_than_the_limit_is_a_delivery_failure_and_not_fatal(self, report: DeliveryReport) -> None:
        """With the real client: it checks the size limit without a broker."""
        producer = MessageProducer("127.0.0.1:1", "t", report)
        producer.send(MESSAGE._replace(value=bytes(11_000_000)), never)
        assert report.failed == report.sent == {MessageKind.MATCH: 1}

    def test_connection_failure_is_logged_with_the_broker_address(
        self, report: DeliveryReport, caplog: pytest.LogCaptureFixture
    ) -> None:
        producer = MessageProducer("127.0.0.1:1", "t", report)
        producer.send(MESSAGE, never)
        end = time.monotonic() + 30
        while not caplog.records and time.monotonic() < end:
            producer.poll(0.1)
        assert [record.levelname for record in caplog.records] == ["WARNING"]
        assert "Waiting for Kafka at 127.0.0.1:1" in caplog.text

    def test_login_is_used_and_its_rejection_is_logged_with_the_option(
        self, report: DeliveryReport, fakes: list[FakeProducer], caplog: pytest.LogCaptureFixture
    ) -> None:
        MessageProducer(
            "kafka:9092", "t", report, client_config={"sasl.username": "me", "bootstrap.servers": "other:1"}
        )
        config = fakes[0].config
        assert (config["bootstrap.servers"], config["sasl.username"]) == ("kafka:9092", "me")
        config["error_cb"](KafkaError(KafkaError._AUTHENTICATION, "a long text of the library"))
        assert caplog.messages == [
            "Waiting for Kafka at kafka:9092: it rejects the login of the user me: correct the file of --client-config"
        ]


class TestDeliveryReport:
    def lines(self, caplog: pytest.LogCaptureFixture) -> list[str]:
        return [record.getMessage() for record in caplog.records]

    def test_logs_each_delivery_at_low_rates(
        self, registry: CollectorRegistry, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.INFO)
        report = DeliveryReport(GeneratorMetrics(registry), rate=10, clock=Clock())
        for kind in (MessageKind.MATCH, MessageKind.DUPLICATE):
            report.record_delivered(kind, MESSAGE.text)
        assert self.lines(caplog) == [
            "Sent: SEA_win vs. PHX_lose | Duration: 1845s",
            "Sent: SEA_win vs. PHX_lose | Duration: 1845s (again)",
        ]

    @pytest.mark.parametrize("rate", [0, 11])
    def test_log_rate_limit_of_one_line_a_second_at_high_rates(
        self, rate: float, registry: CollectorRegistry, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.INFO)
        clock = Clock()
        report = DeliveryReport(GeneratorMetrics(registry), rate=rate, clock=clock)
        for _ in range(40):
            report.record_delivered(MessageKind.MATCH, MESSAGE.text)
        clock.now += 1
        report.record_delivered(MessageKind.MATCH, MESSAGE.text)
        assert len(self.lines(caplog)) == 2
        assert self.lines(caplog)[1].endswith("Duration: 1845s (and 39 more)")

    def test_logs_totals_every_minute_and_a_summary_at_the_end(
        self, registry: CollectorRegistry, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.INFO)
        clock = Clock()
        report = DeliveryReport(GeneratorMetrics(registry), rate=2, clock=clock)
        for _ in range(3):
            report.record_sent(MESSAGE)
        report.record_delivered(MessageKind.MATCH, MESSAGE.text)
        report.record_failed(MessageKind.MATCH, MESSAGE.text, "timed out")
        caplog.clear()
        report.log_totals_if_due()
        clock.now += 60
        report.log_totals_if_due()
        report.log_totals_if_due()
        report.log_summary()
        counts = (
            "sent 3, delivered 1, failed 1, unacknowledged 1 | "
            "delivered by kind: match 1, duplicate 0, remake 0, poison 0"
        )
        assert self.lines(caplog) == [f"Totals: {counts}", f"Summary: {counts} | 60.0 s, 0.0 messages/s"]

    def test_log_rate_limiter_counts_suppressed_lines(self) -> None:
        clock = Clock()
        limiter = LogRateLimiter(1.0, clock)
        assert [limiter.acquire(), limiter.acquire(), limiter.acquire()] == [0, None, None]
        clock.now += 1
        assert limiter.acquire() == 2


class TestProgram:
    @pytest.fixture(autouse=True)
    def separate_metrics_registry(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(program, "GeneratorMetrics", lambda: GeneratorMetrics(CollectorRegistry()))
        monkeypatch.setattr("signal.signal", lambda *_: None)

    def run(self, monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
        line = ["generator", "--bootstrap-servers", "kafka:9092", "--size", "compact", *arguments]
        monkeypatch.setattr("sys.argv", line)
        return program.main()

    def test_exit_code_is_0_when_all_messages_are_acknowledged(
        self, monkeypatch: pytest.MonkeyPatch, fakes: list[FakeProducer], caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.INFO)
        code = self.run(monkeypatch, "--rate", "0", "--count", "50", "--poison", "0.2", "--metrics-port", "0")
        assert code == 0
        assert len(fakes[0].values) == 50
        assert "Summary: sent 50, delivered 50, failed 0, unacknowledged 0" in caplog.text

    def test_same_seed_and_start_give_the_same_bytes(
        self, monkeypatch: pytest.MonkeyPatch, fakes: list[FakeProducer]
    ) -> None:
        for _ in range(2):
            assert self.run(
                monkeypatch,
                *("--rate", "0", "--count", "30", "--seed", "9", "--start", "2026-02-01T12:00:00Z"),
                *("--poison", "0.2", "--duplicates", "0.2", "--metrics-port", "0"),
            ) == 0  # fmt: skip
        assert fakes[0].values == fakes[1].values

    @pytest.mark.usefixtures("fakes")
    def test_exit_code_is_1_when_a_message_is_lost(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(program, "_messages", lambda _: iter([MESSAGE, MESSAGE._replace(value=b"bad")]))
        assert self.run(monkeypatch, "--rate", "0", "--count", "2", "--metrics-port", "0") == 1

    @pytest.mark.usefixtures("fakes")
    def test_exit_code_is_1_on_a_fatal_producer_error(
        self, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        def broken(*_: object, **__: object) -> None:
            raise KafkaException(KafkaError(KafkaError._FATAL))

        monkeypatch.setattr(FakeProducer, "produce", broken)
        assert self.run(monkeypatch, "--rate", "0", "--count", "2", "--metrics-port", "0") == 1
        assert "the Kafka client failed" in caplog.text

    @pytest.mark.usefixtures("fakes")
    def test_rate_limit_is_kept(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(FakeProducer, "poll", lambda _, timeout: time.sleep(timeout))
        monkeypatch.setattr(FakeProducer, "room", 100)
        started = time.monotonic()
        assert self.run(monkeypatch, "--rate", "100", "--count", "41", "--metrics-port", "0") == 0
        assert time.monotonic() - started >= 0.4

    @pytest.mark.usefixtures("fakes")
    def test_no_burst_after_kafka_was_unavailable(self, monkeypatch: pytest.MonkeyPatch) -> None:
        clock = Clock()
        sent_at: list[float] = []

        def produce(*_: object, **__: object) -> None:
            sent_at.append(clock.now)
            if len(sent_at) == 1:
                clock.now += 60

        def poll(_: FakeProducer, timeout: float) -> None:
            clock.sleep(timeout)

        monkeypatch.setattr(program, "time", SimpleNamespace(monotonic=clock, time_ns=time.time_ns))
        monkeypatch.setattr(FakeProducer, "produce", produce)
        monkeypatch.setattr(FakeProducer, "poll", poll)
        self.run(monkeypatch, "--rate", "10", "--count", "40", "--metrics-port", "0")
        catch_up = sum(at == sent_at[1] for at in sent_at)
        assert 1 < catch_up <= 12, "at most one second's messages are sent at once"

    @pytest.mark.parametrize(("timed_out", "exit_code", "delivered"), [(False, 0, 1), (True, 1, 0)])
    def test_graceful_shutdown_flushes_the_buffer_until_its_timeout(
        self,
        timed_out: bool,
        exit_code: int,
        delivered: int,
        monkeypatch: pytest.MonkeyPatch,
        fakes: list[FakeProducer],
    ) -> None:
        handlers: dict[int, Callable[..., None]] = {}
        monkeypatch.setattr("signal.signal", handlers.__setitem__)
        monkeypatch.setattr(program, "timeout_after", lambda _: lambda: timed_out)
        produce = FakeProducer.produce

        def produce_and_stop(*arguments: Any, **options: Any) -> None:
            produce(*arguments, **options)
            handlers[signal.SIGTERM]()

        monkeypatch.setattr(FakeProducer, "produce", produce_and_stop)
        assert self.run(monkeypatch, "--metrics-port", "0") == exit_code
        assert len(fakes[0].values) == delivered

    def test_metrics_port_conflict_is_reported_with_its_option(
        self, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        with socket.create_server(("0.0.0.0", 0)) as taken:
            port = str(taken.getsockname()[1])
            assert self.run(monkeypatch, "--count", "1", "--metrics-port", port) == 1
        assert f"--metrics-port {port}" in caplog.text
