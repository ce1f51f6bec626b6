"""Backlogs: matches that nobody has seen before, and where in the topic they are."""

from __future__ import annotations

import itertools
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from confluent_kafka import KafkaError, Producer

from generator.match import MatchFactory, Size
from infra.clients.kafka import TopicClient

TOPIC = "lol_matches"
DOCUMENTS_A_MATCH = 10
SPREAD_SECONDS = 300
"""A backlog's games ended one after the other during this time before it is sent: below the watermark's delay, so that
none is late for the statistics, and long enough to fall into more than one window."""
TIMEOUT_SECONDS = 60


class LoadError(Exception):
    """Kafka did not take all messages."""


@dataclass(frozen=True)
class Backlog:
    """Matches of one size in the topic: for each partition from its start up to, and without, its end."""

    size: Size
    messages: int
    starts: Mapping[int, int]
    ends: Mapping[int, int]

    @property
    def documents(self) -> int:
        return self.messages * DOCUMENTS_A_MATCH


def producer(bootstrap_servers: str) -> Producer:
    """A producer as the stack's generator has it."""
    return Producer(
        {
            "bootstrap.servers": bootstrap_servers,
            "acks": "all",
            "enable.idempotence": True,
            "compression.type": "zstd",
            "linger.ms": 5,
            "message.max.bytes": 10_485_760,
            "queue.buffering.max.kbytes": 65_536,
        }
    )


def fill(bootstrap_servers: str, size: Size, messages: int) -> Backlog:
    """Send so many new matches and return when Kafka has acknowledged each."""
    topics = TopicClient(bootstrap_servers)
    starts = topics.end_offsets(TOPIC)
    begun = time.time_ns() // 1_000_000
    step = SPREAD_SECONDS * 1000 / messages
    ends = itertools.count(begun - SPREAD_SECONDS * 1000, step)
    factory = MatchFactory(seed=begun, size=size, start_ms=begun, now=lambda: int(next(ends)))
    failed: list[KafkaError] = []

    def delivered(error: KafkaError | None, _message: Any) -> None:
        if error is not None:
            failed.append(error)

    sender = producer(bootstrap_servers)
    for _ in range(messages):
        match = factory.next()
        while True:
            try:
                sender.produce(TOPIC, match.encode(), match.id.encode(), on_delivery=delivered)
                break
            except BufferError:
                sender.poll(0.1)
        sender.poll(0)
    left = sender.flush(TIMEOUT_SECONDS)
    if left or failed:
        reason = failed[0].str() if failed else "no answer"
        raise LoadError(f"Kafka at {bootstrap_servers} did not take {left + len(failed)} matches: {reason}")
    return Backlog(size, messages, starts, topics.end_offsets(TOPIC))
