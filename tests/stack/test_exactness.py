"""Nothing lost, nothing doubled: a known set of messages, repeats and unreadable ones among them, is accounted for."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from itertools import islice
from typing import Any

import orjson
import pytest
from confluent_kafka import Consumer, Producer, TopicPartition

from generator.match import MatchFactory
from generator.stream import Kind, Message, Mix, stream
from tests.stack.stack import Stack, eventually

pytestmark = pytest.mark.disruptive

Place = tuple[int, int]
"""Partition and offset of a message in lol_matches."""

MESSAGES = 300


def deliver(stack_under_test: Stack, messages: list[Message]) -> list[Place]:
    """Send the messages and return where each is."""
    places: dict[int, Place] = {}

    def acknowledged(number: int) -> Callable[[Any, Any], None]:
        def note(error: Any, message: Any) -> None:
            assert error is None, error
            places[number] = (message.partition(), message.offset())

        return note

    producer = Producer({"bootstrap.servers": stack_under_test.outputs["bootstrapServers"], "acks": "all"})
    for number, message in enumerate(messages):
        producer.produce("lol_matches", message.value, message.key, on_delivery=acknowledged(number))
    assert producer.flush(60) == 0, "Kafka did not take all messages in a minute"
    return [places[number] for number in range(len(messages))]


def dead_letters(stack_under_test: Stack) -> dict[Place, list[tuple[bytes | None, dict[str, bytes]]]]:
    """The dead letters by the place of their original: value and headers."""
    consumer = Consumer(
        {
            "bootstrap.servers": stack_under_test.outputs["bootstrapServers"],
            "group.id": "exactness",
            "enable.auto.commit": False,
        }
    )
    found: dict[Place, list[tuple[bytes | None, dict[str, bytes]]]] = {}
    try:
        partitions = consumer.list_topics("lol_matches_dlq", timeout=10).topics["lol_matches_dlq"].partitions
        for partition in partitions:
            place = TopicPartition("lol_matches_dlq", partition, 0)
            end = consumer.get_watermark_offsets(place, timeout=10)[1]
            consumer.assign([place])
            read = 0
            while read < end:
                message: Any  # confluent_kafka says that anything can be None
                for message in consumer.consume(end - read, timeout=10):
                    assert message.error() is None, message.error()
                    headers = dict(message.headers())
                    origin = (int(headers["dlq.partition"]), int(headers["dlq.offset"]))
                    found.setdefault(origin, []).append((message.value(), headers))
                    read = message.offset() + 1
    finally:
        consumer.close()
    return found


def test_each_message_has_exactly_one_fate(stack: Stack) -> None:
    seed = int(time.time())  # so that each run's matches are new to the stack
    factory = MatchFactory(seed=seed, size="compact", start_ms=seed * 1000, now=lambda: int(time.time() * 1000))
    messages = list(islice(stream(factory, Mix(duplicates=0.2, remakes=0.1, poison=0.1), seed), MESSAGES))
    kinds = Counter(message.kind for message in messages)
    assert min(kinds.values()) > 10, kinds
    places = deliver(stack, messages)

    readable = {
        message.key.decode(): orjson.loads(message.value or b"") for message in messages if message.kind != Kind.POISON
    }
    wanted_ids = {
        f"{match_id}_{participant['participantId']}": (participant["championName"], participant["kills"])
        for match_id, match in readable.items()
        for participant in match["info"]["participants"]
    }

    def documents() -> None:
        hits = stack.elasticsearch().search(
            index="lol_matches_stream",
            query={"terms": {"match_id": list(readable)}},
            size=10_000,
            source_includes=["champion_name", "kills"],
        )["hits"]["hits"]
        found = {hit["_id"]: (hit["_source"]["champion_name"], hit["_source"]["kills"]) for hit in hits}
        assert len(hits) == len(found), "a document is there twice"
        assert found == wanted_ids

    eventually(documents, limit_seconds=60)

    poison = {
        place: message.value for place, message in zip(places, messages, strict=True) if message.kind == Kind.POISON
    }
    letters = {place: letter for place, letter in dead_letters(stack).items() if place in set(places)}
    assert set(letters) == set(poison)
    for place, value in poison.items():
        ((kept, headers),) = letters[place]
        assert kept == value
        assert headers["dlq.reason"]
        assert headers["dlq.topic"] == b"lol_matches"
