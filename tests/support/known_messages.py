"""A known set of messages, repeats and unreadable ones among them, and the account of what became of each."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from fractions import Fraction
from itertools import count as count_from
from itertools import islice
from typing import Any

import orjson
from confluent_kafka import Consumer, Producer, TopicPartition
from elasticsearch.helpers import bulk, scan

from generator.match_factory import MatchFactory
from generator.messages import GeneratedMessage, MessageKind, MessageShares, generate_messages
from harness.stack import Stack
from harness.waiting import eventually
from job.documents import iso
from job.settings import with_overrides
from tests.support import reference

SPREAD_MS = 240_000
WINDOW_SECONDS, SLIDE_SECONDS = with_overrides({}).window.size_seconds, with_overrides({}).window.slide_seconds

Place = tuple[int, int]
"""Partition and offset of a message in lol_matches."""


class KnownMessages:
    """`count` messages that the stack has not seen before, with champions that nobody else plays: so their documents
    and their champions' statistics are theirs alone."""

    def __init__(self, stack: Stack, count: int = 300) -> None:
        self._stack = stack
        self._seed = time.time_ns() // 1_000_000
        ends = count_from(self._seed - SPREAD_MS, SPREAD_MS // count)  # so that they are in many windows
        factory = MatchFactory(seed=self._seed, size="compact", start_ms=self._seed, now=lambda: next(ends))
        shares = MessageShares(duplicates=0.2, remakes=0.1, poison=0.1)
        self._messages = [self._marked(each) for each in islice(generate_messages(factory, shares, self._seed), count)]
        kinds = Counter(message.kind for message in self._messages)
        assert min(kinds.values()) > 10, kinds
        self._places: dict[int, Place] = {}
        self._arrived: dict[int, int] = {}

    def _marked(self, message: GeneratedMessage) -> GeneratedMessage:
        if message.kind == MessageKind.POISON:
            return message
        match = orjson.loads(message.value or b"")
        for participant in match["info"]["participants"]:
            participant["championName"] += f" {self._seed}"
        return message._replace(value=orjson.dumps(match))

    def send(self, producer: Producer | None = None) -> None:
        """Send all of them, by the producer where one is given, and return when Kafka has acknowledged each."""

        def acknowledged(number: int) -> Callable[[Any, Any], None]:
            def note(error: Any, message: Any) -> None:
                assert error is None, error
                self._places[number] = (message.partition(), message.offset())
                self._arrived[number] = message.timestamp()[1]

            return note

        producer = producer or Producer({"bootstrap.servers": self._stack.outputs["bootstrapServers"], "acks": "all"})
        for number, message in enumerate(self._messages):
            producer.produce("lol_matches", message.value, message.key, on_delivery=acknowledged(number))
        assert producer.flush(60) == 0, "Kafka did not take all messages in a minute"

    def matches(self) -> dict[str, bytes]:
        """The readable ones as they were sent, by match id; of a match that was sent again the later."""
        found: dict[str, bytes] = {}
        for number in self._in_order():
            message = self._messages[number]
            if message.value and reference.documents(message.value, self._arrived[number]) is not None:
                found[orjson.loads(message.value)["metadata"]["matchId"]] = message.value
        return found

    def assert_one_fate_each(self, limit_seconds: float = 300) -> None:
        """Each readable match is found, once a participant, and counted once; each other message is a dead letter as
        it was sent. All figures are the reference's."""
        eventually(self._assert_documents, limit_seconds)
        eventually(self._assert_statistics, limit_seconds)
        self._assert_dead_letters()

    def assert_no_fate(self) -> None:
        """Nothing is known of any of them."""
        assert self._search("lol_matches_stream") == {}
        assert self._search("lol_champion_stats") == {}
        assert not self._dead_letters().keys() & set(self._places.values())

    def delete_documents(self) -> None:
        """Take the documents of these messages out of the index."""
        client = self._stack.elasticsearch()
        hits = scan(client, index="lol_matches_stream", query={"query": self._ours}, _source=False)
        deletions = ({"_op_type": "delete", "_index": hit["_index"], "_id": hit["_id"]} for hit in hits)
        assert bulk(client, deletions, refresh=True)[0] > 0
        assert self._search("lol_matches_stream") == {}

    def came(self) -> tuple[str, str]:
        """When Kafka got them: from the first on, until just after the last."""
        return iso(min(self._arrived.values())), iso(max(self._arrived.values()) + 1)

    def _assert_documents(self) -> None:
        wanted: dict[str, dict[str, Any]] = {}
        for number in self._in_order():
            for document in reference.documents(self._messages[number].value, self._arrived[number]) or ():
                wanted[f"{document['match_id']}_{document['participant_id']}"] = document
        found = self._search("lol_matches_stream")
        missing = wanted.keys() - found.keys()
        assert not missing, f"{len(missing)} of {len(wanted)} documents are missing"
        assert found.keys() == wanted.keys()
        for document_id, document in wanted.items():
            differences = reference.differences(found[document_id], document)
            assert not differences, f"{document_id}: {differences}"

    def _in_order(self) -> list[int]:
        """The messages' numbers as Kafka has them: of a match that was sent again the later message counts."""
        return sorted(self._places, key=lambda number: (self._arrived[number], self._places[number][1]))

    def _assert_statistics(self) -> None:
        messages = [(message.value, self._arrived[number]) for number, message in enumerate(self._messages)]
        wanted = {
            f"{start}_{name}": figures
            for (start, kind, name), figures in reference.statistics(messages, WINDOW_SECONDS, SLIDE_SECONDS).items()
            if kind == "champion"
        }
        found = self._search("lol_champion_stats")
        assert found.keys() == wanted.keys()
        names = ("window_start", "window_end", "champion_name")
        for row_id, figures in wanted.items():
            row = {name: value for name, value in found[row_id].items() if name not in names}
            # The job adds ratios up in whole millionths.
            assert reference.differences(row, figures, error=Fraction(1, 1_000_000)) == {}, row_id

    @property
    def _ours(self) -> dict[str, Any]:
        """The query for documents with one of our champions."""
        return {"wildcard": {"champion_name": f"* {self._seed}"}}

    def _search(self, index: str) -> dict[str, dict[str, Any]]:
        """Every document with one of our champions, by id."""
        client = self._stack.elasticsearch()
        hits = list(scan(client, index=index, query={"query": self._ours}))
        found = {hit["_id"]: hit["_source"] for hit in hits}
        assert len(found) == len(hits), "a document is there twice"
        return found

    def _assert_dead_letters(self) -> None:
        poison = {
            self._places[number]: message.value
            for number, message in enumerate(self._messages)
            if message.kind == MessageKind.POISON
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
