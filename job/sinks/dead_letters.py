"""The dead-letter sink: sends poison messages to the dead-letter topic with their key, value, headers and reason."""

import logging
from functools import cache
from typing import Any

from confluent_kafka import KafkaError, KafkaException, Producer

from job import __version__
from job.dead_letter import DeadLetter
from job.kafka_client import ConnectionErrors, KafkaClientSettings, describe_error
from job.message import MAX_HEADERS, Headers, Message
from job.retry import OnProgress, OnWait, TransientError, ignore_progress, retry_with_backoff
from job.times import iso, now_ms

# The topics' size limit plus a margin: the client counts before compression and includes the headers.
_MAX_MESSAGE_BYTES = 10 * 2**20 + 2**16
_TRUNCATED_BYTES = 2**20
_MAX_TEXT = 1000
_HEADER_OVERHEAD_BYTES = 20  # the most that a header's two lengths take
_DELIVERY_TIMEOUT_SECONDS = 30
ATTEMPT_SECONDS = _DELIVERY_TIMEOUT_SECONDS + 5
"""How long an attempt to send dead letters takes at most."""

# Of a broker that has just started and does not know its topics and permissions yet. librdkafka then takes no message
# for the topic (librdkafka#3513), until it has asked again.
_NOT_YET_KNOWN = (
    KafkaError._UNKNOWN_TOPIC,
    KafkaError._UNKNOWN_PARTITION,
    KafkaError.UNKNOWN_TOPIC_OR_PART,
    KafkaError.TOPIC_AUTHORIZATION_FAILED,
)

_PREFIX = "dlq."  # of the headers that this sink adds
_ORIGINAL_SIZE = "dlq.original_size"
_DROPPED_HEADERS = "dlq.dropped_headers"


@cache
def producer(kafka: KafkaClientSettings) -> tuple[Producer, ConnectionErrors]:
    """The process's producer, shared by its tasks. Idempotent: its own retries neither duplicate nor reorder."""
    errors = ConnectionErrors()
    client = Producer(
        {
            **kafka.librdkafka(),
            "error_cb": errors,
            "client.id": "lol-job-dead-letters",
            "acks": "all",
            "enable.idempotence": True,
            "compression.type": "zstd",
            "message.max.bytes": _MAX_MESSAGE_BYTES,
            "delivery.timeout.ms": _DELIVERY_TIMEOUT_SECONDS * 1000,
            "linger.ms": 5,
            "logger": logging.getLogger("librdkafka"),
        }
    )
    return client, errors


class DeadLetterSink:
    """Sends a task's dead letters; `flush` returns when Kafka has acknowledged each, however long an outage lasts.

    Delivery is at least once: a retried task sends its dead letters again, with the same values in the headers
    dlq.topic, dlq.partition and dlq.offset, by which a consumer can deduplicate them.
    """

    def __init__(
        self,
        producer: Producer,
        topic: str,
        on_wait: OnWait,
        connection: ConnectionErrors,
        kafka: KafkaClientSettings,
        on_progress: OnProgress = ignore_progress,
    ) -> None:
        """`connection` has the producer's connection errors, `kafka` its settings."""
        self._kafka = kafka
        self._producer = producer
        self._connection = connection
        self._topic = topic
        self._on_wait = on_wait
        self._on_progress = on_progress
        self._unacknowledged: dict[int, tuple[Message, Headers]] = {}
        self._errors: list[KafkaError] = []
        self._count = 0

    def add(self, message: Message, letter: DeadLetter) -> None:
        """Enqueue one message.

        The message's own headers with the prefix `dlq.` are replaced: they come from an earlier dead letter that
        somebody has sent again unchanged. A NUL in a header's name is replaced: librdkafka ends the name there. More
        than MAX_HEADERS are dropped.
        """
        self._count += 1
        original = [
            (name.replace("\0", "\ufffd"), content) for name, content in message.headers if not name.startswith(_PREFIX)
        ]
        headers = original + _headers(message, letter)
        if len(message.headers) > MAX_HEADERS:
            headers = _without_original(headers)
        self._unacknowledged[self._count] = (message, headers)
        self._produce(self._count)

    def flush(self) -> None:
        """Wait until Kafka has acknowledged each dead letter; retry the others with backoff."""
        retrying = False

        def attempt() -> None:
            nonlocal retrying
            if retrying:
                self._errors.clear()
                for number in list(self._unacknowledged):
                    self._produce(number)
            retrying = True
            self._connection.rejected = None
            self._producer.flush(ATTEMPT_SECONDS)
            if self._unacknowledged:
                first = self._connection.rejected or next(iter(self._errors), None)
                reason = describe_error(first, self._kafka) if first else "no answer"
                raise TransientError(f"{len(self._unacknowledged)} dead letters are not acknowledged ({reason})")

        if self._unacknowledged:
            retry_with_backoff("Kafka", attempt, self._on_wait)
            self._on_progress()

    def _produce(self, number: int) -> None:
        message, headers = self._unacknowledged[number]

        def delivered(error: KafkaError | None, _message: Any) -> None:
            if error is None:
                self._unacknowledged.pop(number, None)
            elif error.code() == KafkaError.MSG_SIZE_TOO_LARGE and not _is_truncated(headers):
                self._truncate(number)
            else:
                self._errors.append(error)

        try:
            self._producer.produce(
                self._topic, key=message.key, value=message.value, headers=headers, on_delivery=delivered
            )
        except BufferError:  # the producer's queue is full: drain it, then enqueue again
            self._producer.flush(_DELIVERY_TIMEOUT_SECONDS)
            self._produce(number)
        except KafkaException as error:
            reason: KafkaError = error.args[0]
            if reason.code() in _NOT_YET_KNOWN:
                self._errors.append(reason)
            elif reason.code() == KafkaError.MSG_SIZE_TOO_LARGE and not _is_truncated(headers):
                self._truncate(number)
                self._produce(number)
            else:
                raise
        self._producer.poll(0)

    def _truncate(self, number: int) -> None:
        """Truncate a dead letter that exceeds the topic's size limit; the added headers can cause that.

        Truncates the value and the key, and drops the message's own headers if they exceed the same size.
        """
        message, headers = self._unacknowledged[number]
        size = len(message.value or b"")
        sizes = (_HEADER_OVERHEAD_BYTES + len(name) + len(content or b"") for name, content in message.headers)
        if sum(sizes) > _TRUNCATED_BYTES:
            headers = _without_original(headers)
        truncated = message._replace(
            key=message.key and message.key[:_TRUNCATED_BYTES], value=message.value and message.value[:_TRUNCATED_BYTES]
        )
        self._unacknowledged[number] = (truncated, [*headers, (_ORIGINAL_SIZE, str(size).encode())])


def _without_original(headers: Headers) -> Headers:
    """The headers that this sink adds, with the number of the others."""
    added = [header for header in headers if header[0].startswith(_PREFIX)]
    dropped = len(headers) - len(added)
    return [*added, (_DROPPED_HEADERS, str(dropped).encode())] if dropped else added


def _is_truncated(headers: Headers) -> bool:
    return any(name == _ORIGINAL_SIZE for name, _ in headers)


def _text(text: str) -> bytes:
    """A header's value. Text that comes from the message, such as a field's name, may have any length."""
    return text[:_MAX_TEXT].encode("utf-8", "replace")


def _headers(message: Message, letter: DeadLetter) -> Headers:
    """The headers dlq.*: where the message was, the reason, the job's version and the time."""
    return [
        ("dlq.topic", message.topic.encode()),
        ("dlq.partition", str(message.partition).encode()),
        ("dlq.offset", str(message.offset).encode()),
        ("dlq.timestamp", iso(message.arrived_at).encode()),
        ("dlq.reason", letter.reason.encode()),
        ("dlq.detail", _text(letter.detail)),
        ("dlq.field", _text(letter.field)),
        ("dlq.error_class", letter.error_class.encode()),
        ("dlq.job_version", __version__.encode()),
        ("dlq.failed_at", iso(now_ms()).encode()),
    ]
