"""Dead letters keep the original message, say why, and are acknowledged before the task ends."""

import re
import time
from typing import Any

import pytest
from confluent_kafka import KafkaError

from job import __version__
from job.match import DeadLetter
from job.sinks.dead_letters import DeadLetters, Headers, Record
from tests.support.job_fakes import FakeProducer
from tests.support.sample_matches import ARRIVED

RECORD = Record("lol_matches", 2, 41, ARRIVED, b"EUW1_7", b"{", [("trace", b"\x00\xff"), ("empty", None)])
LETTER = DeadLetter("not_json", "Input data was truncated", "", "DecodeError")


@pytest.fixture(autouse=True)
def _no_sleep(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "sleep", lambda _: None)


def letters(producer: FakeProducer, waits: list[Any] | None = None) -> DeadLetters:
    told = waits if waits is not None else []
    return DeadLetters(producer, "lol_matches_dlq", lambda *args: told.append(args))  # type: ignore[arg-type]


def test_the_original_is_kept_and_the_headers_say_why() -> None:
    producer = FakeProducer()
    dead_letters = letters(producer)
    dead_letters.add(RECORD, LETTER)
    dead_letters.flush()
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


def test_a_tombstone_stays_one() -> None:
    producer = FakeProducer()
    dead_letters = letters(producer)
    dead_letters.add(RECORD._replace(key=None, value=None), DeadLetter("null_value", "no value"))
    dead_letters.flush()
    assert (producer.delivered[0]["key"], producer.delivered[0]["value"]) == (None, None)


def test_only_what_was_not_acknowledged_is_sent_again() -> None:
    producer = FakeProducer(None, KafkaError._MSG_TIMED_OUT, None, KafkaError._MSG_TIMED_OUT)
    waits: list[Any] = []
    dead_letters = letters(producer, waits)
    for offset in range(3):
        dead_letters.add(RECORD._replace(offset=offset), LETTER)
    dead_letters.flush()
    offsets = [dict(message["headers"])["dlq.offset"] for message in producer.delivered]
    assert sorted(offsets) == [b"0", b"1", b"2"]
    assert [wait[0] for wait in waits] == ["Kafka", "Kafka"]


def test_nothing_to_send_is_nothing_to_wait_for() -> None:
    letters(FakeProducer()).flush()


def test_a_message_at_the_topics_limit_keeps_its_beginning() -> None:
    producer = FakeProducer(too_large=2**20)
    dead_letters = letters(producer)
    dead_letters.add(RECORD._replace(value=b"x" * 3 * 2**20), LETTER)
    dead_letters.flush()
    (message,) = producer.delivered
    assert message["value"] == b"x" * 2**20
    assert dict(message["headers"])["dlq.original_size"] == str(3 * 2**20).encode()


def test_a_message_that_the_broker_finds_too_large_keeps_its_beginning() -> None:
    producer = FakeProducer(KafkaError.MSG_SIZE_TOO_LARGE)
    dead_letters = letters(producer)
    dead_letters.add(RECORD._replace(value=b"x" * 3 * 2**20), LETTER)
    dead_letters.flush()
    assert len(producer.delivered[0]["value"]) == 2**20


def test_headers_of_an_earlier_dead_letter_are_replaced() -> None:
    """Somebody has sent a dead letter again as it was."""
    producer = FakeProducer()
    dead_letters = letters(producer)
    earlier: Headers = [("dlq.reason", b"earlier"), ("mine", b"1"), ("dlq.original_size", b"7")]
    dead_letters.add(RECORD._replace(headers=earlier), LETTER)
    dead_letters.flush()
    names = [name for name, _ in producer.delivered[0]["headers"]]
    assert len(names) == len(set(names))
    assert (names[0], "dlq.original_size" in names) == ("mine", False)
    assert dict(producer.delivered[0]["headers"])["dlq.reason"] == b"not_json"


def test_a_message_whose_key_and_headers_are_large_becomes_a_letter_too() -> None:
    producer = FakeProducer(KafkaError.MSG_SIZE_TOO_LARGE)
    dead_letters = letters(producer)
    large = b"x" * 2**21
    dead_letters.add(RECORD._replace(key=large, value=None, headers=[("h", large)]), LETTER)
    dead_letters.flush()
    (message,) = producer.delivered
    assert (message["key"], message["value"]) == (large[: 2**20], None)
    assert all(name.startswith("dlq.") for name, _ in message["headers"])


def test_a_letter_that_kafka_finds_too_large_even_so_is_waited_with_and_said() -> None:
    """The topic's limit was lowered: nothing is lost while somebody raises it again."""
    producer = FakeProducer(*[KafkaError.MSG_SIZE_TOO_LARGE] * 3)
    waits: list[Any] = []
    dead_letters = letters(producer, waits)
    dead_letters.add(RECORD._replace(value=b"x" * 3 * 2**20), LETTER)
    dead_letters.flush()
    assert [wait[1] for wait in waits][1:] == [
        "1 dead letters are not acknowledged (Broker: Message size too large)"
    ] * 2
    assert dict(producer.delivered[0]["headers"])["dlq.original_size"] == str(3 * 2**20).encode()
