"""A known set of messages, repeats and unreadable ones among them, and the account of what became of each."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from itertools import islice
from typing import Any

import orjson
from confluent_kafka import Consumer, Producer, TopicPartition

from generator.match import MatchFactory
from generator.stream import Kind, Mix, stream
from tests.stack.stack import Stack, eventually

Place = tuple[int, int]
"""Partition and offset of a message in lol_matches."""


class KnownMessages:
    """`count` messages that the stack has not seen before."""

    def __init__(self, stack: Stack, count: int = 300) -> None:
        self._stack = stack
        seed = time.time_ns() // 1_000_000
        factory = MatchFactory(seed=seed, size="compact", start_ms=seed, now=lambda: int(time.time() * 1000))
        self._messages = list(islice(stream(factory, Mix(duplicates=0.2, remakes=0.1, poison=0.1), seed), count))
        kinds = Counter(message.kind for message in self._messages)
        assert min(kinds.values()) > 10, kinds
        self._places: dict[int, Place] = {}

    def send(self) -> None:
        """Send all of them and return when Kafka has acknowledged each."""

        def acknowledged(number: int) -> Callable[[Any, Any], None]:
            def note(error: Any, message: Any) -> None:
                assert error is None, error
                self._places[number] = (message.partition(), message.offset())

            return note

        producer = Producer({"bootstrap.servers": self._stack.outputs["bootstrapServers"], "acks": "all"})
        for number, message in enumerate(self._messages):
            producer.produce("lol_matches", message.value, message.key, on_delivery=acknowledged(number))
        assert producer.flush(60) == 0, "Kafka did not take all messages in a minute"

    def assert_one_fate_each(self, limit_seconds: float = 60) -> None:
        """Each readable match is found, once a participant; each other message is a dead letter as it was sent."""
        self._assert_documents(limit_seconds)
        self._assert_dead_letters()

    def _assert_documents(self, limit_seconds: float) -> None:
        readable = {
            message.key.decode(): orjson.loads(message.value or b"")
            for message in self._messages
            if message.kind != Kind.POISON
        }
        wanted = {
            f"{match_id}_{participant['participantId']}": (participant["championName"], participant["kills"])
            for match_id, match in readable.items()
            for participant in match["info"]["participants"]
        }
        client = self._stack.elasticsearch()

        def documents() -> None:
            hits = client.search(
                index="lol_matches_stream",
                query={"terms": {"match_id": list(readable)}},
                size=10_000,
                source_includes=["champion_name", "kills"],
            )["hits"]["hits"]
            found = {hit["_id"]: (hit["_source"]["champion_name"], hit["_source"]["kills"]) for hit in hits}
            assert len(hits) == len(found), "a document is there twice"
            missing = wanted.keys() - found.keys()
            assert not missing, f"{len(missing)} of {len(wanted)} documents are missing"
            assert found == wanted

        eventually(documents, limit_seconds)

    def _assert_dead_letters(self) -> None:
        poison = {
            self._places[number]: message.value
            for number, message in enumerate(self._messages)
            if message.kind == Kind.POISON
        }
        letters = {place: letter for place, letter in self._dead_letters().items() if place in self._places.values()}
        assert set(letters) == set(poison)
        for place, value in poison.items():
            # A batch that is done again after a crash writes its dead letters again; the headers tell that.
            for kept, headers in letters[place]:
                assert kept == value
                assert headers["dlq.reason"]
                assert headers["dlq.topic"] == b"lol_matches"

    def _dead_letters(self) -> dict[Place, list[tuple[bytes | None, dict[str, bytes]]]]:
        """The dead letters by the place of their original: value and headers."""
        consumer = Consumer(
            {
                "bootstrap.servers": self._stack.outputs["bootstrapServers"],
                "group.id": "known-messages",
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
