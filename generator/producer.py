"""Kafka producer of the generator: idempotent, with a delivery callback for each message."""

import logging
import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from confluent_kafka import KafkaError, KafkaException, Producer

from generator.delivery_report import DeliveryReport
from generator.log_rate_limiter import LogRateLimiter
from generator.messages import GeneratedMessage, MessageKind

logger = logging.getLogger("generator")

MAX_MESSAGE_BYTES = 10 * 2**20
"""The topic's own max.message.bytes; a message that the client lets through may still be refused by the broker."""
_BUFFER_MESSAGES, _BUFFER_KBYTES = 20_000, 32_768
# Limit of one blocking call: Python handles signals only between two of them.
_MAX_POLL_SECONDS = 0.25
_HANGING_SECONDS = 60.0
_CONNECTION_WARNING_EVERY_SECONDS = 10.0
# Of a broker that has just started and does not know its topics yet. librdkafka then takes no message for the topic
# (librdkafka#3513), until it has asked again.
_UNKNOWN_TOPIC = (KafkaError._UNKNOWN_TOPIC, KafkaError._UNKNOWN_PARTITION, KafkaError.UNKNOWN_TOPIC_OR_PART)
_METADATA_REFRESH_SECONDS = 5


class MessageProducer:
    """Sends messages to `topic` and records the outcome of each in `report`.

    While no broker is available, the client library retries for up to five minutes per message. Meanwhile its buffer
    fills, and `send` blocks until there is room in it (backpressure).
    """

    def __init__(
        self,
        bootstrap_servers: str,
        topic: str,
        report: DeliveryReport,
        clock: Callable[[], float] = time.monotonic,
        client_config: Mapping[str, str] | None = None,
    ) -> None:
        """`client_config`: further settings of the client library, such as a login."""
        self._user = (client_config or {}).get("sasl.username", "")
        self._clock = clock
        self._polled_at = clock()
        self._servers = bootstrap_servers
        self._topic = topic
        self._report = report
        self._connection_warnings = LogRateLimiter(_CONNECTION_WARNING_EVERY_SECONDS)
        # librdkafka logs a connection error several times a second; _on_error logs it with a rate limit.
        quiet = logging.getLogger("librdkafka")
        quiet.setLevel(logging.CRITICAL)
        config: dict[str, Any] = {
            **(client_config or {}),
            "bootstrap.servers": bootstrap_servers,
            "client.id": "lolstack-generator",
            "acks": "all",
            "enable.idempotence": True,
            "compression.type": "zstd",
            "linger.ms": 5,
            "topic.metadata.refresh.interval.ms": _METADATA_REFRESH_SECONDS * 1000,  # by default five minutes
            "message.max.bytes": MAX_MESSAGE_BYTES,
            "queue.buffering.max.messages": _BUFFER_MESSAGES,
            "queue.buffering.max.kbytes": _BUFFER_KBYTES,
            "error_cb": self._on_error,
            "logger": quiet,
        }
        self._producer = Producer(config)

    def send(self, message: GeneratedMessage, stopped: Callable[[], bool]) -> None:
        """Queues a message; blocks while the buffer is full, and while Kafka does not know a topic that it has known.

        Once `stopped` is true, returns without sending. Raises KafkaException on an error that the producer cannot
        recover from, such as a topic that has never taken a message.
        """
        on_delivery = partial(self._on_delivery, message.kind, message.text)
        while not stopped():
            try:
                self._producer.produce(self._topic, message.value, message.key, on_delivery=on_delivery)
            except BufferError:
                self.poll(_MAX_POLL_SECONDS)
                continue
            except KafkaException as error:
                reason: KafkaError = error.args[0]
                if reason.code() in _UNKNOWN_TOPIC and self._report.delivered:
                    self._log_wait(f"it does not know the topic {self._topic}")
                    self.poll(_MAX_POLL_SECONDS)
                    continue
                if reason.code() != KafkaError.MSG_SIZE_TOO_LARGE:
                    raise
                self._report.record_sent(message)
                self._report.record_failed(message.kind, message.text, reason.str())
                return
            self._report.record_sent(message)
            self.poll(0)
            return

    def poll(self, seconds: float) -> None:
        """Runs delivery callbacks for at most `seconds`; may return earlier."""
        self._producer.poll(min(seconds, _MAX_POLL_SECONDS))
        self._polled_at = self._clock()

    def hanging(self) -> bool:
        """Whether no poll has ended for a minute, for the container's health check.

        The client library waits by the machine's clock: if that goes back by two days, so long does a wait take.
        """
        return self._clock() - self._polled_at > _HANGING_SECONDS

    def flush(self, give_up: Callable[[], bool]) -> None:
        """Waits until every message is delivered or failed, or `give_up` returns true."""
        while len(self._producer) and not give_up():
            self._producer.flush(_MAX_POLL_SECONDS)
            self._polled_at = self._clock()
            self._report.log_totals_if_due()

    def _on_delivery(self, kind: MessageKind, text: str, error: KafkaError | None, _message: object) -> None:
        if error is None:
            self._report.record_delivered(kind, text)
        else:
            self._report.record_failed(kind, text, error.str())

    def _on_error(self, error: KafkaError) -> None:
        if error.fatal():
            logger.error("The Kafka producer cannot go on: %s", error.str())
        else:
            reason = error.str()
            if error.code() == KafkaError._AUTHENTICATION:
                reason = f"it rejects the login of the user {self._user}: correct the file of --client-config"
            elif error.code() == KafkaError._ALL_BROKERS_DOWN:
                # librdkafka's own text counts its internal brokers, as in "0/2 brokers are down".
                reason = "no broker answers" + ("" if self._user else "; if it wants a login, set --client-config")
            self._log_wait(reason)

    def _log_wait(self, reason: str) -> None:
        if self._connection_warnings.acquire() is not None:
            logger.warning("Waiting for Kafka at %s: %s", self._servers, reason)


def timeout_after(seconds: float) -> Callable[[], bool]:
    """A condition that becomes true `seconds` from now."""
    end = time.monotonic() + seconds
    return lambda: time.monotonic() >= end
