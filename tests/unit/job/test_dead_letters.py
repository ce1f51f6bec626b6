"""Dead letters keep the original message, have its reason in headers, and are acknowledged before `flush` returns."""

import re
import time
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException

from job import __version__
from job.dead_letter import DeadLetter
from job.kafka_client import ConnectionErrors, KafkaClientSettings
from job.message import MAX_HEADERS, Headers, Message
from job.sinks import dead_letters
from job.sinks.dead_letters import DeadLetterSink
from tests.support.fakes import FakeProducer
from tests.support.sample_matches import ARRIVED_AT

MESSAGE = Message("lol_matches", 2, 41, ARRIVED_AT, b"EUW1_7", b"{", [("trace", b"\x00\xff"), ("empty", None)])
KAFKA = KafkaClientSettings("kafka:9092", username="lol_job")
LETTER = DeadLetter("not_json", "Input data was truncated", "", "DecodeError")


@pytest.fixture(autouse=True)
def _no_sleep(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "sleep", lambda _: None)


def dead_letter_sink(
    producer: FakeProducer, waits: list[Any] | None = None, errors: ConnectionErrors | None = None
) -> DeadLetterSink:
    recorded = waits if waits is not None else []
    client: Any = producer
    return DeadLetterSink(
        client, "lol_matches_dlq", lambda *args: recorded.append(args), errors or ConnectionErrors(), KAFKA
    )


def flushed_offsets(producer: FakeProducer, waits: list[Any], count: int) -> list[bytes]:
    """The offsets in `count` dead letters, of the messages 0 and following, in the order of their delivery."""
    sink = dead_letter_sink(producer, waits)
    for offset in range(count):
        sink.add(MESSAGE._replace(offset=offset), LETTER)
    sink.flush()
    return [dict(message["headers"])["dlq.offset"] for message in producer.delivered]


def test_delivery_of_a_dead_letter_does_not_time_out_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """While Kafka is slow, each attempt would fail."""
    configurations: list[dict[str, Any]] = []
    monkeypatch.setattr(dead_letters, "Producer", configurations.append)
    dead_letters.producer.__wrapped__(KAFKA)  # not the process's own
    assert configurations[0]["delivery.timeout.ms"] / 1000 >= 10


def test_original_message_is_kept_and_headers_have_the_reason() -> None:
    producer = FakeProducer()
    sink = dead_letter_sink(producer)
    sink.add(MESSAGE, LETTER)
    sink.flush()
    (message,) = producer.delivered
    assert (message["topic"], message["key"], message["value"]) == ("lol_matches_dlq", b"EUW1_7", b"{")
    assert message["headers"][:2] == [("trace", b"\x00\xff"), ("empty", None)]
    added = dict(message["headers"][2:])
    assert re.fullmatch(rb"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", added.pop("dlq.failed_at"))
    assert added == {
        "dlq.topic": b"lol_matches",
        "dlq.partition": b"2",
        "dlq.offset": b"41",
        "dlq.timestamp": b"2026-02-02T02:40:00.000Z",
        "dlq.reason": b"not_json",
        "dlq.detail": b"Input data was truncated",
        "dlq.field": b"",
        "dlq.error_class": b"DecodeError",
        "dlq.job_version": __version__.encode(),
    }


@pytest.mark.parametrize(
    ("arrived_at", "expected"),
    [(1_764_440_000_000_000, b"9999-12-31T23:59:59.000Z"), (-(2**63), b"1970-01-01T00:00:00.000Z")],
)
def test_dead_letter_of_a_message_with_an_impossible_timestamp_is_sent(arrived_at: int, expected: bytes) -> None:
    producer = FakeProducer()
    sink = dead_letter_sink(producer)
    sink.add(MESSAGE._replace(arrived_at=arrived_at), LETTER)
    sink.flush()
    (message,) = producer.delivered
    assert dict(message["headers"])["dlq.timestamp"] == expected


def test_tombstone_has_no_value_in_the_dead_letter_topic() -> None:
    producer = FakeProducer()
    sink = dead_letter_sink(producer)
    sink.add(MESSAGE._replace(key=None, value=None), DeadLetter("null_value", "no value"))
    sink.flush()
    assert (producer.delivered[0]["key"], producer.delivered[0]["value"]) == (None, None)


def test_only_unacknowledged_dead_letters_are_retried() -> None:
    producer = FakeProducer(None, KafkaError._MSG_TIMED_OUT, None, KafkaError._MSG_TIMED_OUT)
    waits: list[Any] = []
    assert sorted(flushed_offsets(producer, waits, 3)) == [b"0", b"1", b"2"]
    assert [wait[0] for wait in waits] == ["Kafka", "Kafka"]


def test_flush_without_dead_letters_returns_at_once() -> None:
    dead_letter_sink(FakeProducer()).flush()


def test_message_over_the_clients_size_limit_is_truncated() -> None:
    producer = FakeProducer(too_large=2**20)
    sink = dead_letter_sink(producer)
    sink.add(MESSAGE._replace(value=b"x" * 3 * 2**20), LETTER)
    sink.flush()
    (message,) = producer.delivered
    assert message["value"] == b"x" * 2**20
    assert dict(message["headers"])["dlq.original_size"] == str(3 * 2**20).encode()


def test_message_over_the_brokers_size_limit_is_truncated() -> None:
    producer = FakeProducer(KafkaError.MSG_SIZE_TOO_LARGE)
    sink = dead_letter_sink(producer)
    sink.add(MESSAGE._replace(value=b"x" * 3 * 2**20), LETTER)
    sink.flush()
    assert len(producer.delivered[0]["value"]) == 2**20


def test_headers_of_an_earlier_dead_letter_are_replaced() -> None:
    """Somebody has sent a dead letter to the topic again without removing its headers."""
    producer = FakeProducer()
    sink = dead_letter_sink(producer)
    earlier: Headers = [("dlq.reason", b"earlier"), ("mine", b"1"), ("dlq.original_size", b"7")]
    sink.add(MESSAGE._replace(headers=earlier), LETTER)
    sink.flush()
    names = [name for name, _ in producer.delivered[0]["headers"]]
    assert len(names) == len(set(names))
    assert (names[0], "dlq.original_size" in names) == ("mine", False)
    assert dict(producer.delivered[0]["headers"])["dlq.reason"] == b"not_json"


def test_nul_in_a_header_name_is_replaced() -> None:
    """librdkafka takes names as C strings: two names would become one."""
    producer = FakeProducer()
    sink = dead_letter_sink(producer)
    sink.add(MESSAGE._replace(headers=[("trace\0a", b"1\0"), ("trace\0b", None), ("\0", b"")]), LETTER)
    sink.flush()
    assert producer.delivered[0]["headers"][:3] == [("trace\ufffda", b"1\0"), ("trace\ufffdb", None), ("\ufffd", b"")]


def test_large_key_is_truncated_and_large_headers_are_dropped() -> None:
    producer = FakeProducer(KafkaError.MSG_SIZE_TOO_LARGE)
    sink = dead_letter_sink(producer)
    large = b"x" * 2**21
    sink.add(MESSAGE._replace(key=large, value=None, headers=[("h", large)]), LETTER)
    sink.flush()
    (message,) = producer.delivered
    assert (message["key"], message["value"]) == (large[: 2**20], None)
    assert all(name.startswith("dlq.") for name, _ in message["headers"])
    assert dict(message["headers"])["dlq.dropped_headers"] == b"1"


def test_text_of_the_message_in_the_reason_is_truncated() -> None:
    """For example the name of a field. Kafka would accept no dead letter with it, and the job would retry for ever."""
    producer = FakeProducer()
    sink = dead_letter_sink(producer)
    sink.add(MESSAGE, DeadLetter("not_a_match", "é" * 9_000_000, "f" * 9_000_000))
    sink.flush()
    headers = dict(producer.delivered[0]["headers"])
    assert headers["dlq.detail"] == "é".encode() * 1000
    assert headers["dlq.field"] == b"f" * 1000


@pytest.mark.parametrize("count", [MAX_HEADERS, MAX_HEADERS + 1])
def test_headers_are_dropped_if_there_are_too_many(count: int) -> None:
    """Also where they take few bytes. No client of librdkafka could read the reason among more than 100,000."""
    producer = FakeProducer()
    sink = dead_letter_sink(producer)
    sink.add(MESSAGE._replace(headers=[("", b"")] * count), LETTER)
    sink.flush()
    headers = producer.delivered[0]["headers"]
    assert dict(headers)["dlq.reason"] == b"not_json"
    if count > MAX_HEADERS:
        assert all(name.startswith("dlq.") for name, _ in headers)
        assert dict(headers)["dlq.dropped_headers"] == str(count).encode()
    else:
        assert headers[:count] == [("", b"")] * count
        assert "dlq.dropped_headers" not in dict(headers)


def test_truncated_dead_letter_that_is_still_too_large_is_retried() -> None:
    """The topic's size limit was lowered: no message is lost until somebody raises it again."""
    producer = FakeProducer(*[KafkaError.MSG_SIZE_TOO_LARGE] * 3)
    waits: list[Any] = []
    sink = dead_letter_sink(producer, waits)
    sink.add(MESSAGE._replace(value=b"x" * 3 * 2**20), LETTER)
    sink.flush()
    assert [wait[1] for wait in waits][1:] == [
        "1 dead letters are not acknowledged (Broker: Message size too large)"
    ] * 2
    assert dict(producer.delivered[0]["headers"])["dlq.original_size"] == str(3 * 2**20).encode()


def test_full_producer_queue_is_drained_without_a_backoff() -> None:
    producer = FakeProducer(queue_size=2)
    waits: list[Any] = []
    assert flushed_offsets(producer, waits, 5) == [b"0", b"1", b"2", b"3", b"4"]
    assert waits == []


def test_dead_letter_waits_for_a_broker_that_does_not_know_the_topic_yet() -> None:
    """As after a restart of Kafka: librdkafka then takes no message for the topic (librdkafka#3513)."""
    producer = FakeProducer(KafkaError._UNKNOWN_PARTITION, refusals=[KafkaError._UNKNOWN_TOPIC] * 2)
    waits: list[Any] = []
    assert sorted(flushed_offsets(producer, waits, 3)) == [b"0", b"1", b"2"]
    assert [reason for _, reason, _ in waits] == ["3 dead letters are not acknowledged (Local: Unknown topic)"]


@pytest.mark.parametrize("code", [KafkaError._FATAL, KafkaError._INVALID_ARG])
def test_producer_that_can_never_send_a_dead_letter_ends_the_batch(code: int) -> None:
    sink = dead_letter_sink(FakeProducer(refusals=[code]))
    with pytest.raises(KafkaException):
        sink.add(MESSAGE, LETTER)


def test_reason_of_a_retry_is_the_latest_error() -> None:
    producer = FakeProducer(KafkaError._MSG_TIMED_OUT, KafkaError._TRANSPORT)
    waits: list[Any] = []
    sink = dead_letter_sink(producer, waits)
    sink.add(MESSAGE, LETTER)
    sink.flush()
    assert [reason for _, reason, _ in waits] == [
        "1 dead letters are not acknowledged (Local: Message timed out)",
        "1 dead letters are not acknowledged (Local: Broker transport failure)",
    ]


def test_acknowledged_dead_letters_are_progress() -> None:
    producer: Any = FakeProducer(KafkaError._MSG_TIMED_OUT)
    reports: list[str] = []
    sink = DeadLetterSink(
        producer,
        "lol_matches_dlq",
        lambda *_: reports.append("wait"),
        ConnectionErrors(),
        KAFKA,
        on_progress=lambda: reports.append("progress"),
    )
    sink.flush()
    assert reports == []
    sink.add(MESSAGE, LETTER)
    sink.flush()
    assert reports == ["wait", "progress"]


def test_rejected_login_is_the_reason_of_a_retry() -> None:
    """For the message itself, librdkafka reports only a timeout."""
    errors = ConnectionErrors()

    class RejectedProducer(FakeProducer):
        def flush(self, timeout: float = -1) -> int:
            if self._faults:
                errors(KafkaError(KafkaError._AUTHENTICATION, "invalid credentials"))
            return super().flush(timeout)

    waits: list[Any] = []
    sink = dead_letter_sink(RejectedProducer(KafkaError._MSG_TIMED_OUT), waits, errors)
    sink.add(MESSAGE, LETTER)
    sink.flush()
    assert [reason for _, reason, _ in waits] == [
        "1 dead letters are not acknowledged (kafka.username, kafka.password: Kafka at kafka:9092 rejects the login of "
        "the user lol_job; correct username and password)"
    ]
