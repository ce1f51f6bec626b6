"""The way to Kafka: an idempotent producer whose every delivery is reported."""

import logging
import time
from collections.abc import Callable
from functools import partial
from typing import Any

from confluent_kafka import KafkaError, KafkaException, Producer

from generator.report import Report, Throttle
from generator.stream import Kind, Message

logger = logging.getLogger("generator")

# As large as the topic's own max.message.bytes; the broker has the last word.
_LARGEST_MESSAGE_BYTES = 10_485_760
_BUFFER_MESSAGES, _BUFFER_KBYTES = 20_000, 32_768
# How long one wait in the producer may take: signals are seen between two of them.
_LONGEST_WAIT_SECONDS = 0.25
_SAY_WAITING_EVERY_SECONDS = 10.0


class Sender:
    """Sends messages to `topic`; what becomes of each goes to `report`.

    A broker that is not there (yet, or for a while) is waited for by the client library, five minutes for a message
    at most; meanwhile the buffer fills, and `send` waits for room in it.
    """

    def __init__(self, bootstrap_servers: str, topic: str, report: Report) -> None:
        self._servers = bootstrap_servers
        self._topic = topic
        self._report = report
        self._waiting = Throttle(_SAY_WAITING_EVERY_SECONDS)
        # The library's own lines repeat, several times a second, what _on_error says once.
        quiet = logging.getLogger("librdkafka")
        quiet.setLevel(logging.CRITICAL)
        config: dict[str, Any] = {
            "bootstrap.servers": bootstrap_servers,
            "client.id": "lolstack-generator",
            "acks": "all",
            "enable.idempotence": True,
            "compression.type": "zstd",
            "linger.ms": 5,
            "message.max.bytes": _LARGEST_MESSAGE_BYTES,
            "queue.buffering.max.messages": _BUFFER_MESSAGES,
            "queue.buffering.max.kbytes": _BUFFER_KBYTES,
            "error_cb": self._on_error,
            "logger": quiet,
        }
        self._producer = Producer(config)

    def send(self, message: Message, stopped: Callable[[], bool]) -> None:
        """Hands a message over; waits for room unless `stopped`, and then leaves it unsent.

        KafkaException when the producer is beyond help.
        """
        acknowledge = partial(self._on_delivery, message.kind, message.text)
        while not stopped():
            try:
                self._producer.produce(self._topic, message.value, message.key, on_delivery=acknowledge)
            except BufferError:
                self._producer.poll(_LONGEST_WAIT_SECONDS)
                continue
            except KafkaException as error:
                reason: KafkaError = error.args[0]
                if reason.code() != KafkaError.MSG_SIZE_TOO_LARGE:
                    raise
                self._report.on_sent(message)
                self._report.on_failed(message.kind, message.text, reason.str())
                return
            self._report.on_sent(message)
            self._producer.poll(0)
            return

    def wait(self, seconds: float) -> None:
        """Serves delivery reports for at most `seconds`, or less."""
        self._producer.poll(min(seconds, _LONGEST_WAIT_SECONDS))

    def flush(self, give_up: Callable[[], bool]) -> None:
        """Waits until every message is delivered or failed, or `give_up` says so."""
        while len(self._producer) and not give_up():
            self._producer.flush(_LONGEST_WAIT_SECONDS)
            self._report.tick()

    def _on_delivery(self, kind: Kind, text: str, error: KafkaError | None, _message: object) -> None:
        if error is None:
            self._report.on_delivered(kind, text)
        else:
            self._report.on_failed(kind, text, error.str())

    def _on_error(self, error: KafkaError) -> None:
        if error.fatal():
            logger.error("The Kafka producer cannot go on: %s", error.str())
        elif self._waiting.passes() is not None:
            # The library's text for this one counts its own bookkeeping, as in "0/2 brokers are down".
            nobody = error.code() == KafkaError._ALL_BROKERS_DOWN
            logger.warning("Waiting for Kafka at %s: %s", self._servers, "no broker answers" if nobody else error.str())


def deadline(seconds: float) -> Callable[[], bool]:
    """A condition that turns true after so many seconds."""
    end = time.monotonic() + seconds
    return lambda: time.monotonic() >= end
