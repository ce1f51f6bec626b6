"""What cannot be processed → the dead-letter topic: original key, value and headers, and headers that say why."""

import logging
from collections.abc import Callable
from datetime import UTC, datetime
from functools import cache
from typing import Any, NamedTuple

from confluent_kafka import KafkaError, KafkaException, Producer
from tenacity import RetryCallState, Retrying, retry_if_exception_type, wait_random_exponential

from job import __version__
from job.documents import iso
from job.match import DeadLetter

# The limit of the topics; the client counts before compression and with headers, so it gets some more.
_MAX_MESSAGE_BYTES = 10 * 2**20 + 2**16
_TRUNCATED_BYTES = 2**20
_DELIVERY_SECONDS = 30

_OURS = "dlq."  # what our headers' names begin with
_ORIGINAL_SIZE = "dlq.original_size"

Headers = list[tuple[str, str | bytes | None]]


class Record(NamedTuple):
    """A message as Kafka holds it; `arrived` is its timestamp in milliseconds."""

    topic: str
    partition: int
    offset: int
    arrived: int
    key: bytes | None
    value: bytes | None
    headers: Headers


class UndeliveredError(Exception):
    """Kafka has not acknowledged every dead letter, for a reason that will pass."""


@cache
def producer(bootstrap_servers: str) -> Producer:
    """The process's producer, kept between tasks. Idempotent, so its own retries neither double nor reorder."""
    return Producer(
        {
            "bootstrap.servers": bootstrap_servers,
            "client.id": "lol-job-dead-letters",
            "acks": "all",
            "enable.idempotence": True,
            "compression.type": "zstd",
            "message.max.bytes": _MAX_MESSAGE_BYTES,
            "delivery.timeout.ms": _DELIVERY_SECONDS * 1000,
            "linger.ms": 5,
            "logger": logging.getLogger("librdkafka"),
        }
    )


class DeadLetters:
    """Collects dead letters of a task; `flush` comes back when Kafka has acknowledged each, however long that takes.

    A task that is run again sends its dead letters again: the headers topic, partition and offset tell that they are
    the same.
    """

    def __init__(self, producer: Producer, topic: str, on_wait: Callable[[str, str, float, int], None]) -> None:
        self._producer = producer
        self._topic = topic
        self._on_wait = on_wait
        self._unacknowledged: dict[int, tuple[Record, Headers]] = {}
        self._errors: list[KafkaError] = []
        self._count = 0

    def add(self, record: Record, letter: DeadLetter) -> None:
        """Hand one message over to be sent.

        Headers of the message whose names begin with `dlq.` are replaced by ours: they are of an earlier dead letter
        that somebody has sent again as it was.
        """
        self._count += 1
        theirs = [header for header in record.headers if not header[0].startswith(_OURS)]
        self._unacknowledged[self._count] = (record, theirs + _headers(record, letter))
        self._produce(self._count)

    def flush(self) -> None:
        """Wait until all are acknowledged, sending again what was not."""
        retrying = Retrying(
            retry=retry_if_exception_type(UndeliveredError),
            wait=wait_random_exponential(multiplier=0.5, max=5),
            before_sleep=self._say,
        )
        for attempt in retrying:
            with attempt:
                if attempt.retry_state.attempt_number > 1:
                    for number in list(self._unacknowledged):
                        self._produce(number)
                self._errors.clear()
                self._producer.flush(_DELIVERY_SECONDS + 5)
                if self._unacknowledged:
                    reason = self._errors[0].str() if self._errors else "no answer"
                    raise UndeliveredError(f"{len(self._unacknowledged)} dead letters are not acknowledged ({reason})")

    def _produce(self, number: int) -> None:
        record, headers = self._unacknowledged[number]

        def delivered(error: KafkaError | None, _message: Any) -> None:
            if error is None:
                self._unacknowledged.pop(number, None)
            elif error.code() == KafkaError.MSG_SIZE_TOO_LARGE and not _is_truncated(headers):
                self._truncate(number)
            else:
                self._errors.append(error)

        try:
            self._producer.produce(
                self._topic, key=record.key, value=record.value, headers=headers, on_delivery=delivered
            )
        except BufferError:  # the queue is full: let it drain, then once more
            self._producer.flush(_DELIVERY_SECONDS)
            self._produce(number)
        except KafkaException as error:
            if error.args[0].code() != KafkaError.MSG_SIZE_TOO_LARGE or _is_truncated(headers):
                raise
            self._truncate(number)
            self._produce(number)
        self._producer.poll(0)

    def _truncate(self, number: int) -> None:
        """A message at the topic's limit, with our headers, can be over it: then its beginning must do.

        The value is not all that can be large: a key is cut too, and headers that are larger than that are left out.
        """
        record, headers = self._unacknowledged[number]
        size = len(record.value or b"")
        if sum(len(name) + len(content or b"") for name, content in record.headers) > _TRUNCATED_BYTES:
            headers = [header for header in headers if header[0].startswith(_OURS)]
        cut = record._replace(
            key=record.key and record.key[:_TRUNCATED_BYTES], value=record.value and record.value[:_TRUNCATED_BYTES]
        )
        self._unacknowledged[number] = (cut, [*headers, (_ORIGINAL_SIZE, str(size).encode())])

    def _say(self, state: RetryCallState) -> None:
        error = state.outcome.exception() if state.outcome else None
        seconds = state.next_action.sleep if state.next_action else 0.0
        self._on_wait("Kafka", str(error), seconds, state.attempt_number)


def _is_truncated(headers: Headers) -> bool:
    return any(name == _ORIGINAL_SIZE for name, _ in headers)


def _headers(record: Record, letter: DeadLetter) -> Headers:
    """Where the message was, why it is a dead letter, and who says so when."""
    failed_at = iso(int(datetime.now(UTC).timestamp() * 1000))
    return [
        ("dlq.topic", record.topic.encode()),
        ("dlq.partition", str(record.partition).encode()),
        ("dlq.offset", str(record.offset).encode()),
        ("dlq.timestamp", iso(record.arrived).encode()),
        ("dlq.reason", letter.reason.encode()),
        ("dlq.detail", letter.detail.encode("utf-8", "replace")),
        ("dlq.field", letter.field.encode()),
        ("dlq.error_class", letter.error_class.encode()),
        ("dlq.job_version", __version__.encode()),
        ("dlq.failed_at", failed_at.encode()),
    ]
