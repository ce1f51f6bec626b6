"""Each message of a batch has exactly one outcome, included in the counts. Kafka and Elasticsearch are fakes."""

import time
from collections import Counter
from collections.abc import Iterator
from queue import SimpleQueue

import pyarrow as pa
import pytest
from pyspark.sql.pandas.types import to_arrow_schema
from pyspark.sql.types import ArrayType, BinaryType, IntegerType, LongType, StringType, StructType, TimestampType

from job.dead_letter import DeadLetter
from job.documents import action
from job.kafka_client import ConnectionErrors, KafkaClientSettings
from job.message import Headers, Message, Original
from job.settings import with_overrides
from job.sinks.elasticsearch import Connection
from job.sinks.sink_wait import Address, Receiver, SinkProgress
from job.tasks.index_matches import IndexMatches, SinkConfig
from job.tasks.outcomes import BatchCounts
from job.times import iso, now_ms
from tests.support.fakes import FakeElasticsearch, FakeProducer, fake_elasticsearch
from tests.support.sample_matches import (
    ALIASES,
    ARRIVED_AT,
    PLAUSIBLE_TIMES,
    TWO_TEAMS,
    Json,
    full_participant,
    match,
    participant,
    value,
)
from tests.unit.conftest import Clock

HEADER = StructType().add("key", StringType()).add("value", BinaryType())
SCHEMA = (
    StructType()
    .add("topic", StringType())
    .add("partition", IntegerType())
    .add("offset", LongType())
    .add("timestamp", TimestampType())
    .add("key", BinaryType())
    .add("value", BinaryType())
    .add("headers", ArrayType(HEADER))
)


@pytest.fixture
def server() -> Iterator[FakeElasticsearch]:
    with fake_elasticsearch() as fake:
        yield fake


@pytest.fixture
def producer(monkeypatch: pytest.MonkeyPatch) -> FakeProducer:
    fake = FakeProducer()
    monkeypatch.setattr("job.tasks.index_matches.producer", lambda _: (fake, ConnectionErrors()))
    return fake


class FakeAccumulator:
    """A fake CountsAccumulator that keeps what a task adds."""

    def __init__(self) -> None:
        self.added: list[BatchCounts] = []

    def add(self, counts: BatchCounts) -> None:
        self.added.append(counts)


QUEUE_IDS = with_overrides({}).statistics.counted_queue_ids


def run(server: FakeElasticsearch, *values: bytes | None, queue_ids: frozenset[int] | None = QUEUE_IDS) -> BatchCounts:
    """Index a batch of messages at offsets 0, 1, 2, …; return its counts."""
    headers: Headers = [("h", b"v")]
    messages = [message(offset, each, headers if offset else []) for offset, each in enumerate(values)]
    return run_messages(server, *messages, queue_ids=queue_ids)


def message(offset: int, value: bytes | None, headers: Headers) -> Message:
    return Message("t", 0, offset, ARRIVED_AT + offset, b"k", value, headers)


def run_messages(
    server: FakeElasticsearch,
    *messages: Message,
    queue_ids: frozenset[int] | None = QUEUE_IDS,
    rows_per_arrow_batch: int = 1000,
) -> BatchCounts:
    """Index a batch of messages; return its counts."""
    rows = [
        each._asdict()
        | {"timestamp": each.arrived_at * 1000}
        | {"headers": [{"key": name, "value": content} for name, content in each.headers] or None}
        for each in messages
    ]
    batches = [
        pa.RecordBatch.from_pylist(rows[begin : begin + rows_per_arrow_batch], to_arrow_schema(SCHEMA, timezone="UTC"))
        for begin in range(0, len(rows), rows_per_arrow_batch)
    ]
    accumulator = FakeAccumulator()
    sinks = SinkConfig(
        Connection((server.url,), 5), KafkaClientSettings("kafka:9092"), "dlq", Address("127.0.0.1", 9, b"")
    )
    index = IndexMatches(sinks, PLAUSIBLE_TIMES, ALIASES, queue_ids, accumulator)  # type: ignore[arg-type]
    assert list(index(iter(batches))) == []
    (counts,) = accumulator.added
    return counts


def test_long_task_reports_the_requests_that_its_sinks_have_acknowledged(
    server: FakeElasticsearch, producer: FakeProducer, clock: Clock
) -> None:
    received: SimpleQueue[SinkProgress] = SimpleQueue()
    receiver = Receiver(lambda _: None, received.put)
    sinks = SinkConfig(
        Connection((server.url,), 5), KafkaClientSettings("kafka:9092"), "dlq", receiver.address("127.0.0.1")
    )
    bulk_sink, dead_letter_sink = sinks.bulk_sink(), sinks.dead_letter_sink()
    clock.now += 10
    bulk_sink.index([action("n-2026.02", "id", {"n": 1})])
    assert received.get(timeout=5) == SinkProgress()
    dead_letter_sink.add(message(0, b"{", []), DeadLetter("not_json", ""))
    dead_letter_sink.flush()
    assert received.get(timeout=5) == SinkProgress()
    receiver.close()
    assert (len(server.documents), len(producer.delivered)) == (1, 1)


def two_teams(kills: int = 7) -> Json:
    return match(full_participant(1, kills=kills), full_participant(6, kills=kills), teams=TWO_TEAMS)


def test_each_message_has_one_outcome(server: FakeElasticsearch, producer: FakeProducer) -> None:
    values = (value(match()), b"{", None, value(match(participants=[])), value(match(match_id="EUW1_8")))
    counts = run(server, *values)
    assert (counts.messages, counts.matches, counts.participants, counts.indexed) == (5, 2, 20, 20)
    assert counts.dead_letters == Counter(not_json=1, null_value=1, empty_match=1)
    assert counts.age_counts[-1] == sum(counts.age_counts) == 2, "the sample matches arrived long ago"
    assert counts.age_seconds / 2 == pytest.approx(time.time() - ARRIVED_AT / 1000, abs=60)
    assert len(server.documents) == 20
    assert [dict(each["headers"])["dlq.offset"] for each in producer.delivered] == [b"1", b"2", b"3"]
    assert producer.delivered[0]["headers"][0] == ("h", b"v")


def test_messages_of_several_arrow_batches_are_indexed_by_one_bulk_request(
    server: FakeElasticsearch, producer: FakeProducer
) -> None:
    values = (value(match()), b"{", value(match(match_id="EUW1_8")))
    messages = [message(offset, each, []) for offset, each in enumerate(values)]
    counts = run_messages(server, *messages, rows_per_arrow_batch=1)
    assert (counts.matches, counts.dead_letters) == (2, Counter(not_json=1))
    assert (len(server.documents), server.requests) == (20, [20])


def test_large_messages_are_indexed_before_all_have_arrived(server: FakeElasticsearch, producer: FakeProducer) -> None:
    """A task's messages need not fit into memory."""
    large = value(match(match_id="EUW1_8")) + b" " * 9_000_000
    messages = [message(0, large, []), message(1, value(match()), [])]
    counts = run_messages(server, *messages, rows_per_arrow_batch=1)
    assert (counts.matches, server.requests) == (2, [10, 10])


def test_remake_and_match_without_a_winner_are_indexed(server: FakeElasticsearch, producer: FakeProducer) -> None:
    remake = value(match(participant(1, gameEndedInEarlySurrender=True), participant(2), match_id="EUW1_8"))
    counts = run(server, remake, value(match(*(participant(number, win=False) for number in range(1, 11)))))
    assert (counts.matches, counts.indexed, producer.delivered) == (2, 12, [])


def test_one_invalid_participant_makes_the_match_a_dead_letter(
    server: FakeElasticsearch, producer: FakeProducer
) -> None:
    counts = run(server, value(match(participant(1), participant(2, kills="many"))))
    assert (counts.dead_letters, counts.participants, server.documents) == (Counter(invalid_field=1), 0, {})
    assert dict(producer.delivered[0]["headers"])["dlq.field"] == b"info.participants[1].kills"


def test_duplicate_match_overwrites_its_documents(server: FakeElasticsearch, producer: FakeProducer) -> None:
    counts = run(server, value(match()), value(match()))
    assert (counts.matches, counts.indexed) == (2, 20)
    assert len(server.documents) == 10
    assert producer.delivered == []


@pytest.mark.parametrize("replay_offset", [2, 900])
def test_replay_does_not_replace_a_version_that_arrived_after_its_original(
    server: FakeElasticsearch, producer: FakeProducer, replay_offset: int
) -> None:
    """Version 1 became a dead letter, version 2 was indexed, then version 1 is replayed. In any order of writing."""
    versions = [value(two_teams(kills=kills)) for kills in (1, 2)]
    original = message(0, versions[0], [])
    newer = message(1, versions[1], [])
    replay = message(replay_offset, versions[0], original.original.headers())
    for messages in ([newer, replay], [replay, newer]):
        server.documents.clear()
        server.versions.clear()
        for each in messages:
            counts = run_messages(server, each)
            assert (counts.matches, counts.indexed, counts.indexed_teams) == (1, 2, 2)
        assert [document["kills"] for document in server.documents.values()] == [2] * 4


def test_replay_has_the_documents_of_its_original(server: FakeElasticsearch, producer: FakeProducer) -> None:
    original = message(0, value(two_teams()), [])
    run_messages(server, original)
    documents, versions = dict(server.documents), dict(server.versions)
    assert {index for index, _ in documents} == {f"{alias}-2026.02" for alias in ALIASES}
    server.documents.clear()
    run_messages(server, message(900, value(two_teams()), original.original.headers()))
    assert (server.documents, server.versions) == (documents, versions)


def test_replay_after_days_is_fresh_in_the_latency(server: FakeElasticsearch, producer: FakeProducer) -> None:
    """The latency counts from the replay's own arrival: otherwise each replay would fire FreshnessOverGoal."""
    arrived_at = now_ms()
    original = Original(arrived_at - 5 * 86_400_000, 0, 7)
    replay = Message("t", 0, 9, arrived_at, b"k", value(match()), original.headers())
    counts = run_messages(server, replay)
    assert counts.age_seconds < 60
    assert {document["ingested_at"] for document in server.documents.values()} == {iso(original.arrived_at)}


def test_written_indices_are_those_of_the_month_in_which_each_game_ended(
    server: FakeElasticsearch, producer: FakeProducer
) -> None:
    """The driver refreshes them: on the first of a month, most games ended in the month before."""
    earlier = match(match_id="EUW1_8")
    for field in ("gameCreation", "gameStartTimestamp", "gameEndTimestamp"):
        earlier["info"][field] -= 31 * 86_400_000
    counts = run(server, value(match()), value(earlier), b"{")
    assert counts.indices == {f"{alias}-2026.{month}" for alias in ALIASES for month in ("01", "02")}
    assert run(server, b"{").indices == set()


def test_rejected_documents_make_one_dead_letter_per_message(server: FakeElasticsearch, producer: FakeProducer) -> None:
    wrong = {"EUW1_7012345678_1": 400, "EUW1_7012345678_2": 400}
    server.answers = [lambda lines: server.store(lines, wrong)]
    counts = run(server, value(match()), value(match(match_id="EUW1_8")), value(match()))
    assert (counts.matches, counts.participants, counts.indexed) == (1, 30, 26)
    assert counts.dead_letters == Counter(rejected_by_elasticsearch=2)
    headers = [dict(each["headers"]) for each in producer.delivered]
    assert {header["dlq.offset"] for header in headers} == {b"0", b"2"}
    assert headers[0]["dlq.detail"] == b"document EUW1_7012345678_1: 400 as the test"
    assert headers[0]["dlq.error_class"] == b"document_parsing_exception"


def test_teams_are_indexed_with_the_participants_in_one_request(
    server: FakeElasticsearch, producer: FakeProducer
) -> None:
    counts = run(server, value(two_teams()), value(match(match_id="EUW1_8")))
    assert server.requests == [14]
    assert (counts.participants, counts.indexed, counts.teams, counts.indexed_teams) == (12, 12, 2, 2)
    teams = {key: each["kills"] for key, each in server.documents.items() if key[0].startswith("lol_teams_stream")}
    assert teams == {
        ("lol_teams_stream-2026.02", "EUW1_7012345678_100"): 7,
        ("lol_teams_stream-2026.02", "EUW1_7012345678_200"): 7,
    }


def test_rejected_team_makes_its_message_a_dead_letter(server: FakeElasticsearch, producer: FakeProducer) -> None:
    server.answers = [lambda lines: server.store(lines, {"EUW1_7012345678_200": 400})]
    counts = run(server, value(two_teams()), value(match(match_id="EUW1_8")))
    assert (counts.messages, counts.matches, counts.dead_letters) == (2, 1, Counter(rejected_by_elasticsearch=1))
    assert (counts.participants, counts.indexed, counts.teams, counts.indexed_teams) == (12, 12, 2, 1)
    (letter,) = producer.delivered
    assert dict(letter["headers"])["dlq.detail"] == b"document EUW1_7012345678_200: 400 as the test"


def test_later_version_of_a_team_wins(server: FakeElasticsearch, producer: FakeProducer) -> None:
    older, newer = (message(number, value(two_teams(kills=number)), []) for number in (1, 2))
    for messages in ([older, newer], [newer, older]):
        server.documents.clear()
        server.versions.clear()
        for each in messages:
            run_messages(server, each)
        assert [each["kills"] for each in server.documents.values() if "bans" in each] == [2, 2]


def test_matches_that_do_not_count_are_counted_by_reason(server: FakeElasticsearch, producer: FakeProducer) -> None:
    aram = match(match_id="EUW1_aram", queueId=450)
    remake = match(participant(1, gameEndedInEarlySurrender=True), match_id="EUW1_remake", queueId=450)
    no_winner = match(participant(1, win=False), participant(6, win=False), match_id="EUW1_no_winner")
    crowd = match(*(participant(number) for number in range(1, 20)), match_id="EUW1_crowd", queueId=450)
    arena = match(*(participant(number) for number in range(1, 19)), match_id="EUW1_arena")
    values = [value(each) for each in (match(), aram, remake, no_winner, crowd, arena)]
    counts = run(server, *values)
    assert counts.uncounted == Counter(queue=1, remake=1, no_winner=1, too_many_participants=1)
    counts = run(server, *values, queue_ids=None)
    assert counts.uncounted == Counter(remake=1, no_winner=1, too_many_participants=1)


def test_dropped_details_are_counted_by_field(server: FakeElasticsearch, producer: FakeProducer) -> None:
    wrong = value(match(full_participant(1, puuid=7, perks=[]), full_participant(2, puuid=False)))
    counts = run(server, wrong, value(match(match_id="EUW1_8")))
    assert (counts.matches, counts.dropped_details) == (2, Counter(puuid=2, perks=1))
    assert producer.delivered == []
