"""A known set of messages with duplicates and poison messages, and assertions on the outcome of each (exactly-once)."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from fractions import Fraction
from functools import cached_property
from itertools import count as count_from
from itertools import cycle, islice
from typing import Any
from zlib import crc32

import orjson
from confluent_kafka import Consumer, Producer, TopicPartition
from elasticsearch.helpers import bulk, scan

from generator.match_factory import MatchFactory, MatchSize
from generator.messages import GeneratedMessage, MessageKind, MessageShares, generate_messages
from generator.modes import REALISTIC
from harness.stack import Stack
from harness.waiting import eventually
from job.settings import with_overrides
from job.times import iso
from tests.support import reference

SPREAD_MS = 240_000
"""The games end evenly over this period, so that they fall into many statistics windows."""
MATCH_INDICES = "lol_matches_stream,lol_teams_stream"
ADDED_FIELDS = ("puuid", "items", "gold_share", "bans")
"""Fields of participants and teams that the documents of an earlier version of the job lack."""
WINDOW_SECONDS, SLIDE_SECONDS = with_overrides({}).window.size_seconds, with_overrides({}).window.slide_seconds

Documents = dict[str, dict[str, Any]]
"""Documents by id."""
MessageOffset = tuple[int, int]
"""Partition and offset of a message in lol_matches."""
Original = tuple[int, int, bytes]
"""Partition, offset and arrival time (ISO 8601) of a dead letter's original."""


class KnownMessages:
    """`count` new messages of all modes. Their champion names are used by no other match, so that their statistics can
    be told from those of other messages. An eighth of the matches has no winner; many have half of a surrogate pair.
    Compact ones have no builds."""

    def __init__(self, stack: Stack, count: int = 300, size: MatchSize = "compact") -> None:
        self._stack = stack
        self._seed = time.time_ns() // 1_000_000
        game_ends = count_from(self._seed - SPREAD_MS, SPREAD_MS // count)
        factory = MatchFactory(
            seed=self._seed, size=size, start_ms=self._seed, now=lambda: next(game_ends), modes=REALISTIC
        )
        shares = MessageShares(duplicates=0.2, remakes=0.1, poison=0.1)
        generated = generate_messages(factory, shares, self._seed)
        self._messages = [self._changed(each) for each in islice(generated, count)]
        assert {message.kind for message in self._messages} == set(MessageKind)
        self._offsets: dict[int, MessageOffset] = {}
        self._arrived_at: dict[int, int] = {}

    def _changed(self, message: GeneratedMessage) -> GeneratedMessage:
        if message.kind == MessageKind.POISON:
            return message
        match = orjson.loads(message.value or b"")
        has_winner = crc32(match["metadata"]["matchId"].encode()) % 8 > 0
        for participant in match["info"]["participants"]:
            participant["championName"] += f" {self._seed}"
            participant["win"] &= has_winner
        if "teams" not in match["info"]:  # compact
            team_ids = sorted({participant["teamId"] for participant in match["info"]["participants"]})
            match["info"]["teams"] = [_team(team_id, match["info"]["participants"]) for team_id in team_ids]
        value = orjson.dumps(match)
        if has_winner and match["info"]["participants"][0]["championName"] < "N":
            # A field that is not read, with half of a surrogate pair: the pattern that finds it runs in the containers.
            value = rb'{"note":"\ud83d",' + value[1:]
        return message._replace(value=value)

    def send(self, producer: Producer | None = None) -> None:
        """Send all messages, with `producer` if given, and return when Kafka has acknowledged each."""

        def on_delivery(index: int) -> Callable[[Any, Any], None]:
            def record(error: Any, message: Any) -> None:
                assert error is None, error
                self._offsets[index] = (message.partition(), message.offset())
                self._arrived_at[index] = message.timestamp()[1]

            return record

        # A broker that has just started does not know its topics yet, which librdkafka otherwise takes for an error.
        patient = {"acks": "all", "topic.metadata.propagation.max.ms": 120_000}
        producer = producer or Producer({**self._stack.kafka_settings(), **patient})
        for index, message in enumerate(self._messages):
            producer.produce("lol_matches", message.value, message.key, on_delivery=on_delivery(index))
        assert producer.flush(120) == 0, "Kafka did not acknowledge all messages within two minutes"

    def matches(self) -> dict[str, bytes]:
        """The valid messages' values by match id; of duplicates, the one with the later arrival time."""
        values: dict[str, bytes] = {}
        for index in self._in_arrival_order():
            message = self._messages[index]
            if message.value and reference.documents(message.value, self._arrived_at[index]) is not None:
                values[json.loads(message.value)["metadata"]["matchId"]] = message.value
        return values

    def assert_one_outcome_each(self) -> None:
        """Wait until each valid match is indexed, one document per participant and per team, and counted once in the
        statistics, and each other message is a dead letter with its original value. The expected values are the
        reference's."""
        self.assert_documents()
        eventually(self._assert_statistics, timeout_seconds=300)
        self._assert_dead_letters()

    def assert_documents(self, timeout_seconds: float = 300) -> None:
        """Wait until each valid match is indexed, one document per participant and per team."""
        eventually(self._assert_documents, timeout_seconds)

    def assert_no_outcome(self) -> None:
        """No message is indexed, counted in the statistics or dead-lettered."""
        assert self._indexed() == {}
        assert self._search("lol_champion_stats", self._own_champions) == {}
        assert not self._dead_letters().keys() & set(self._offsets.values())

    def delete_documents_and_fields(self) -> None:
        """Delete every other document of these messages' participants and teams, and ADDED_FIELDS of the rest, which
        keep their versions."""
        client = self._stack.elasticsearch()
        hits = scan(client, index=MATCH_INDICES, query={"query": self._own_matches, "version": True})
        bulk(client, map(_deletion, hits, cycle((True, False))), refresh=True)
        found = self._indexed()
        assert 0 < len(found) < len(self._expected_documents)
        assert not any(document.keys() & set(ADDED_FIELDS) for document in found.values())
        lost = {field for id_ in found for field in self._expected_documents[id_] if field in ADDED_FIELDS}
        assert lost == set(ADDED_FIELDS)

    def arrival_range(self) -> tuple[str, str]:
        """ISO times of the first arrival, and 1 ms after the last: a range whose end is exclusive."""
        return iso(min(self._arrived_at.values())), iso(max(self._arrived_at.values()) + 1)

    def _assert_documents(self) -> None:
        expected, found = self._expected_documents, self._indexed()
        missing = expected.keys() - found.keys()
        assert not missing, f"{len(missing)} of {len(expected)} documents are missing"
        assert found.keys() == expected.keys()
        for document_id, document in expected.items():
            differences = reference.differences(found[document_id], document)
            assert not differences, f"{document_id}: {differences}"

    @cached_property
    def _expected_documents(self) -> Documents:
        expected: Documents = {}
        for index in self._in_arrival_order():
            sent = self._messages[index].value, self._arrived_at[index]
            for document in reference.documents(*sent) or ():
                expected[f"{document['match_id']}_{document['participant_id']}"] = document
            for document in reference.team_documents(*sent) or ():
                expected[f"{document['match_id']}_{document['team_id']}"] = document
        return expected

    def _indexed(self) -> Documents:
        """The documents of these messages' participants and teams: no player has the number of a team."""
        return self._search(MATCH_INDICES, self._own_matches)

    def _in_arrival_order(self) -> list[int]:
        """Indices of the messages by arrival time, then offset: of duplicates, the later message wins."""
        return sorted(self._offsets, key=lambda index: (self._arrived_at[index], self._offsets[index][1]))

    def _assert_statistics(self) -> None:
        expected = self._expected_statistics
        found = self._search("lol_champion_stats", self._own_champions)
        assert found.keys() == expected.keys()
        keys = ("window_start", "window_end", "champion_name")
        for row_id, figures in expected.items():
            row = {name: value for name, value in found[row_id].items() if name not in keys}
            # The job sums ratios as integers, in millionths.
            assert reference.differences(row, figures, error=Fraction(1, 1_000_000)) == {}, row_id

    @cached_property
    def _expected_statistics(self) -> Documents:
        messages = [(message.value, self._arrived_at[index]) for index, message in enumerate(self._messages)]
        return {
            f"{start}_{name}": figures
            for (start, kind, name), figures in reference.statistics(messages, WINDOW_SECONDS, SLIDE_SECONDS).items()
            if kind == "champion"
        }

    @property
    def _own_champions(self) -> dict[str, Any]:
        """The query for documents with one of these messages' champions."""
        return {"wildcard": {"champion_name": f"* {self._seed}"}}

    @property
    def _own_matches(self) -> dict[str, Any]:
        """The query for documents of these messages' matches."""
        return {"terms": {"match_id": sorted({message.key.decode() for message in self._messages})}}

    def _search(self, index: str, query: dict[str, Any]) -> Documents:
        """Every document that the query finds."""
        hits = list(scan(self._stack.elasticsearch(), index=index, query={"query": query}))
        found = {hit["_id"]: hit["_source"] for hit in hits}
        assert len(found) == len(hits), "a document is duplicated"
        return found

    def _assert_dead_letters(self) -> None:
        # With the arrival time: if the topic has been recreated, messages of both incarnations have the same offsets.
        own = {index: (*offset, iso(self._arrived_at[index]).encode()) for index, offset in self._offsets.items()}
        expected = {
            own[index]: message.value
            for index, message in enumerate(self._messages)
            if message.kind == MessageKind.POISON
        }
        found = {original: letters for original, letters in self._dead_letters().items() if original in own.values()}
        assert set(found) == set(expected)
        for original, value in expected.items():
            # A batch that is retried after a crash writes its dead letters again, with the same headers.
            for dead_letter, headers in found[original]:
                assert dead_letter == value
                assert headers["dlq.reason"]
                assert headers["dlq.topic"] == b"lol_matches"

    def _dead_letters(self) -> dict[Original, list[tuple[bytes | None, dict[str, bytes]]]]:
        """Value and headers of the dead letters, by the original message's partition, offset and arrival time."""
        consumer = Consumer(
            {
                **self._stack.kafka_settings(),
                "group.id": "known-messages",
                "enable.auto.commit": False,
            }
        )
        found: dict[Original, list[tuple[bytes | None, dict[str, bytes]]]] = {}
        try:
            partitions = consumer.list_topics("lol_matches_dlq", timeout=10).topics["lol_matches_dlq"].partitions
            for partition in partitions:
                start = TopicPartition("lol_matches_dlq", partition, 0)
                end_offset = consumer.get_watermark_offsets(start, timeout=10)[1]
                consumer.assign([start])
                position = 0
                while position < end_offset:
                    message: Any  # in confluent_kafka's type stubs every attribute can be None
                    for message in consumer.consume(end_offset - position, timeout=10):
                        assert message.error() is None, message.error()
                        headers = dict(message.headers())
                        # test_dead_letters.py sends dead letters without an arrival time.
                        arrived_at = headers.get("dlq.timestamp", b"")
                        original = (int(headers["dlq.partition"]), int(headers["dlq.offset"]), arrived_at)
                        found.setdefault(original, []).append((message.value(), headers))
                        position = message.offset() + 1
        finally:
            consumer.close()
        return found


def _deletion(hit: dict[str, Any], whole: bool) -> dict[str, Any]:
    """A bulk action that deletes the document, or only ADDED_FIELDS of it."""
    document = {"_index": hit["_index"], "_id": hit["_id"]}
    if whole:
        return {**document, "_op_type": "delete"}
    fields = {name: value for name, value in hit["_source"].items() if name not in ADDED_FIELDS}
    return {**document, "version": hit["_version"], "version_type": "external_gte", "_source": fields}


def _team(team_id: int, participants: list[dict[str, Any]]) -> dict[str, Any]:
    """A team's object whose figures follow from its participants: the teams of a match that was sent again with other
    figures differ too."""
    team = [each for each in participants if each["teamId"] == team_id]
    kills = sum(each["kills"] for each in team)
    return {
        "teamId": team_id,
        "win": team[0]["win"],
        "bans": [{"championId": 1 + each["kills"], "pickTurn": -each["participantId"]} for each in team],
        "objectives": {
            "tower": {"first": team[0]["win"], "kills": kills % 12},
            "dragon": {"first": not team[0]["win"], "kills": kills % 5},
        },
    }
