"""Sends messages to Kafka as one batch, of any size."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from confluent_kafka import Producer

Header = tuple[str, bytes | None]


def send_batch(
    client: Mapping[str, Any],
    topic: str,
    values: Iterable[bytes | None],
    partition: int = 0,
    compression: str = "none",
    key: bytes | None = None,
    headers: Sequence[Header] = (),
) -> None:
    """Send the values as one batch, each with this key and these headers, and wait until Kafka has acknowledged it.

    `client` has librdkafka's settings.
    """
    producer = Producer(
        {
            **client,
            "log_level": 0,
            "compression.type": compression,
            "batch.size": 2**31 - 1,
            "message.max.bytes": 10**9,
            "linger.ms": 60_000,
        }
    )
    for value in values:
        producer.produce(topic, value, key, partition=partition, headers=list(headers))
    # Before it knows the topic's partitions, the client would hand messages over one by one, and `flush` could send
    # some of them as a batch of their own.
    producer.list_topics(topic, timeout=30)
    assert producer.flush(30) == 0, "Kafka did not acknowledge the batch within 30 s"
