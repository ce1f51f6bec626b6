"""Dead letter replay: sends the original messages of dead letters to `lol_matches` again."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from confluent_kafka import KafkaError, KafkaException, Producer

from infra.names import MATCHES_TOPIC
from tools.dlq.dead_letters import DeadLetterMessage, Deduplicator

DELIVERY_TIMEOUT_SECONDS = 30


def create_producer(servers: str) -> Producer:
    """An idempotent producer for messages of any size, with a bounded queue."""
    return Producer(
        {
            "bootstrap.servers": servers,
            "client.id": "dlq",
            "enable.idempotence": True,
            "compression.type": "zstd",
            "message.max.bytes": 11 * 2**20,
            "queue.buffering.max.kbytes": 32 * 1024,
            "delivery.timeout.ms": DELIVERY_TIMEOUT_SECONDS * 1000,
            "log_level": 0,
        }
    )


@dataclass
class Replay:
    """Replays dead letters, and counts the results. `print_line` prints why one cannot be replayed."""

    producer: Producer
    print_line: Callable[[str], object]
    sent: int = 0
    duplicates: int = 0
    refused: int = 0
    failed: list[KafkaError] = field(default_factory=list)

    def run(self, dead_letters: Iterable[DeadLetterMessage]) -> None:
        """Replay each message once. Returns, or raises, when Kafka has acknowledged or refused all sent messages."""
        try:
            with Deduplicator() as deduplicator:
                for dead_letter in dead_letters:
                    if obstacle := dead_letter.replay_obstacle:
                        self.refused += 1
                        self.print_line(f"{dead_letter.position} cannot be replayed: {obstacle}")
                    elif deduplicator.is_new(dead_letter.content):
                        self._send(dead_letter)
                    else:
                        self.duplicates += 1
        finally:
            self.producer.flush()

    def _send(self, dead_letter: DeadLetterMessage) -> None:
        while True:
            try:
                self.producer.produce(
                    MATCHES_TOPIC,
                    key=dead_letter.key,
                    value=dead_letter.value,
                    headers=list(dead_letter.original_headers),
                    on_delivery=self._on_delivery,
                )
                self.producer.poll(0)
                return
            except BufferError:  # back-pressure: the queue is full until some messages are delivered
                self.producer.poll(1)
            except KafkaException as error:
                self._on_delivery(error.args[0], None)
                return

    def _on_delivery(self, error: KafkaError | None, _message: Any) -> None:
        if error is None:
            self.sent += 1
        else:
            self.failed.append(error)
