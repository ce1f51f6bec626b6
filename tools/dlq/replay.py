"""Dead letter replay (redrive): sends the original messages of dead letters to `lol_matches` again, with their arrival
times."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from confluent_kafka import KafkaError, KafkaException, Producer

from infra.names import MATCHES_TOPIC
from tools.dlq.dead_letters import DeadLetterMessage, TemporaryTable

DELIVERY_TIMEOUT_SECONDS = 30


def create_replay_producer(client: Mapping[str, Any]) -> Producer:
    """An idempotent producer with a bounded queue. `client`: librdkafka's settings.

    The largest message is that of the topic and its headers of a replay. Without a broker the command ends after
    DELIVERY_TIMEOUT_SECONDS.
    """
    return Producer(
        {
            **client,
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

    def run(self, select: Callable[[], Iterator[DeadLetterMessage]]) -> None:
        """Replay each of the selected dead letters; of those with equal key and value, the one that arrived last.

        `select` is called twice: only a complete read shows which one arrived last.

        Returns, or raises, when Kafka has acknowledged or refused all sent messages.
        """
        try:
            with _LatestOriginals() as latest:
                for dead_letter in select():
                    if obstacle := dead_letter.replay_obstacle:
                        self.refused += 1
                        self.print_line(f"{dead_letter.position} cannot be replayed: {obstacle}")
                    elif not latest.add(dead_letter):
                        self.duplicates += 1
                for dead_letter in select():
                    if latest.pop(dead_letter):
                        self._send(dead_letter)
        finally:
            self.producer.flush()

    def _send(self, dead_letter: DeadLetterMessage) -> None:
        while True:
            try:
                self.producer.produce(
                    MATCHES_TOPIC,
                    key=dead_letter.key,
                    value=dead_letter.value,
                    headers=dead_letter.replay_headers,
                    on_delivery=self._on_delivery,
                )
                self.producer.poll(0)
                return
            except BufferError:  # backpressure: the queue is full until some messages are delivered
                self.producer.poll(1)
            except KafkaException as error:
                self._on_delivery(error.args[0], None)
                return

    def _on_delivery(self, error: KafkaError | None, _message: Any) -> None:
        if error is None:
            self.sent += 1
        else:
            self.failed.append(error)


class _LatestOriginals(TemporaryTable):
    """The dead letter whose original arrived last, of those with equal key and value."""

    def __init__(self) -> None:
        super().__init__("latest (content BLOB PRIMARY KEY, version INTEGER, position TEXT)")

    def add(self, dead_letter: DeadLetterMessage) -> bool:
        """Whether its key and value are new. It replaces an equal one whose original arrived earlier."""
        row = (dead_letter.content, dead_letter.original.version, str(dead_letter.position))
        if self._database.execute("INSERT OR IGNORE INTO latest VALUES (?1, ?2, ?3)", row).rowcount == 1:
            return True
        self._database.execute("UPDATE latest SET version = ?2, position = ?3 WHERE content = ?1 AND version < ?2", row)
        return False

    def pop(self, dead_letter: DeadLetterMessage) -> bool:
        """Whether it is the one to replay; False from the second time on."""
        row = (dead_letter.content, str(dead_letter.position))
        return self._database.execute("DELETE FROM latest WHERE content = ? AND position = ?", row).rowcount == 1
