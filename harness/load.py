"""Load generator of tests and benchmarks: sends new matches to Kafka, as a backlog with its offset range or as a stream
at a constant rate."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Event
from typing import Any

from confluent_kafka import KafkaError, Producer

from generator.match_factory import GeneratedMatch, MatchFactory, MatchSize
from infra.clients.kafka import TopicClient
from infra.names import MATCHES_TOPIC, MAX_MESSAGE_BYTES
from job.times import now_ms

DOCUMENTS_PER_MATCH = 10
"""Documents of a match of the match factory's default modes: two teams of five."""
GAME_ENDS_SPREAD_SECONDS = 300
"""The games of a backlog end evenly over this period before it is sent. The period is shorter than the watermark's
delay, so that no match is late for the statistics, and long enough to cover more than one window."""
FLUSH_TIMEOUT_SECONDS = 60


class LoadError(Exception):
    """Kafka did not acknowledge every message."""


@dataclass(frozen=True)
class Backlog:
    """Matches of one size in the topic. Offsets are by partition; the end offset is exclusive."""

    size: MatchSize
    messages: int
    start_offsets: Mapping[int, int]
    end_offsets: Mapping[int, int]

    @property
    def documents(self) -> int:
        """How many documents the job indexes for this backlog."""
        return self.messages * DOCUMENTS_PER_MATCH


def create_producer(client: Mapping[str, Any]) -> Producer:
    """A Kafka producer that delivers as the generator's does, with a larger buffer. `client`: librdkafka's, with a
    login."""
    return Producer(
        {
            **client,
            "acks": "all",
            "enable.idempotence": True,
            "compression.type": "zstd",
            "linger.ms": 5,
            "message.max.bytes": MAX_MESSAGE_BYTES,
            "queue.buffering.max.kbytes": 65_536,
        }
    )


def send_backlog(client: Mapping[str, Any], size: MatchSize, messages: int) -> Backlog:
    """Send `messages` new matches and return once Kafka has acknowledged every one.

    Raises LoadError if Kafka rejects a message or does not acknowledge all within FLUSH_TIMEOUT_SECONDS.
    """
    topics = TopicClient(client)
    start_offsets = topics.end_offsets(MATCHES_TOPIC)
    started_ms = now_ms()
    interval_ms = GAME_ENDS_SPREAD_SECONDS * 1000 / messages
    game_ends = itertools.count(started_ms - GAME_ENDS_SPREAD_SECONDS * 1000, interval_ms)
    factory = MatchFactory(seed=started_ms, size=size, start_ms=started_ms, now=lambda: int(next(game_ends)))
    with _acknowledged_sender(client) as send:
        for _ in range(messages):
            send(factory.next())
    return Backlog(size, messages, start_offsets, topics.end_offsets(MATCHES_TOPIC))


@contextmanager
def background_stream(client: Mapping[str, Any], size: MatchSize, rate: float) -> Iterator[None]:
    """Send `rate` new matches a second from a thread until the block ends. Their games end when they are sent.

    Raises LoadError at the end of the block if Kafka did not acknowledge every match.
    """
    started_ms = now_ms()
    factory = MatchFactory(seed=started_ms, size=size, start_ms=started_ms, now=now_ms)
    stop = Event()

    def stream() -> None:
        started = time.monotonic()
        with _acknowledged_sender(client) as send:
            for sent in itertools.count(1):
                send(factory.next())
                if stop.wait(max(0.0, started + sent / rate - time.monotonic())):
                    return

    with ThreadPoolExecutor(1) as pool:
        streaming = pool.submit(stream)
        try:
            yield
        finally:
            stop.set()
        streaming.result()  # raises the sender's error


@contextmanager
def _acknowledged_sender(client: Mapping[str, Any]) -> Iterator[Callable[[GeneratedMatch], None]]:
    """Yields a function that queues a match for Kafka, and at the end waits until Kafka has acknowledged all.

    Raises LoadError if Kafka rejects a message or does not acknowledge all within FLUSH_TIMEOUT_SECONDS.
    """
    producer = create_producer(client)
    errors: list[KafkaError] = []

    def on_delivery(error: KafkaError | None, _message: Any) -> None:
        if error is not None:
            errors.append(error)

    def send(match: GeneratedMatch) -> None:
        while True:
            try:
                producer.produce(MATCHES_TOPIC, match.encode(), match.id.encode(), on_delivery=on_delivery)
                break
            except BufferError:  # the producer's local queue is full
                producer.poll(0.1)
        producer.poll(0)

    yield send
    unacknowledged = producer.flush(FLUSH_TIMEOUT_SECONDS)
    if unacknowledged or errors:
        reason = errors[0].str() if errors else f"no acknowledgement within {FLUSH_TIMEOUT_SECONDS} s"
        count = unacknowledged + len(errors)
        raise LoadError(f"Kafka at {client['bootstrap.servers']} did not accept {count} matches: {reason}")
