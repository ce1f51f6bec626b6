"""Each message of a batch has exactly one outcome, included in the counts. Kafka and Elasticsearch are fakes."""

import time
from collections import Counter
from collections.abc import Iterator

import pyarrow as pa
import pytest
from pyspark.sql.pandas.types import to_arrow_schema
from pyspark.sql.types import ArrayType, BinaryType, IntegerType, LongType, StringType, StructType

from job.sinks.sink_wait import Address
from job.tasks.index_matches import IndexMatches, SinkConfig
from job.tasks.outcomes import BatchCounts
from tests.support.job_fakes import FakeElasticsearch, FakeProducer, fake_elasticsearch
from tests.support.sample_matches import ARRIVED_AT, PLAUSIBLE_TIMES, match, participant, value

HEADER = StructType().add("key", StringType()).add("value", BinaryType())
SCHEMA = (
    StructType()
    .add("topic", StringType())
    .add("partition", IntegerType())
    .add("offset", LongType())
    .add("arrived_at", LongType())
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
    monkeypatch.setattr("job.tasks.index_matches.producer", lambda _: fake)
    return fake


class FakeAccumulator:
    """A fake CountsAccumulator that keeps what a task adds."""

    def __init__(self) -> None:
        self.added: list[BatchCounts] = []

    def add(self, counts: BatchCounts) -> None:
        self.added.append(counts)


def run(server: FakeElasticsearch, *values: bytes | None) -> tuple[BatchCounts, list[str]]:
    """Index a batch of messages at offsets 0, 1, 2, …; return its counts, and the match ids for the statistics."""
    rows = [
        {"topic": "t", "partition": 0, "offset": offset, "arrived_at": ARRIVED_AT + offset, "key": b"k", "value": each,
         "headers": [{"key": "h", "value": b"v"}] if offset else None}
        for offset, each in enumerate(values)
    ]  # fmt: skip
    batches = [pa.RecordBatch.from_pylist(rows, schema=to_arrow_schema(SCHEMA))] if rows else []
    accumulator = FakeAccumulator()
    sinks = SinkConfig((server.url,), 5, "kafka:9092", "dlq", Address("127.0.0.1", 9))
    index = IndexMatches(sinks, PLAUSIBLE_TIMES, "n", accumulator)  # type: ignore[arg-type]
    matches = [row["match_id"] for batch in index(iter(batches)) for row in batch.to_pylist()]
    (counts,) = accumulator.added
    return counts, matches


def test_each_message_has_one_outcome(server: FakeElasticsearch, producer: FakeProducer) -> None:
    values = (value(match()), b"{", None, value(match(participants=[])), value(match(match_id="EUW1_8")))
    counts, matches = run(server, *values)
    assert (counts.messages, counts.matches, counts.participants, counts.indexed) == (5, 2, 20, 20)
    assert counts.dead_letters == Counter(not_json=1, null_value=1, empty_match=1)
    assert counts.age_counts[-1] == sum(counts.age_counts) == 2, "the sample matches arrived long ago"
    assert counts.age_seconds / 2 == pytest.approx(time.time() - ARRIVED_AT / 1000, abs=60)
    assert matches == ["EUW1_7012345678", "EUW1_8"]
    assert len(server.documents) == 20
    assert [dict(each["headers"])["dlq.offset"] for each in producer.delivered] == [b"1", b"2", b"3"]
    assert producer.delivered[0]["headers"][0] == ("h", b"v")


def test_remake_is_indexed_but_not_in_the_statistics(server: FakeElasticsearch, producer: FakeProducer) -> None:
    counts, matches = run(server, value(match(participant(1, gameEndedInEarlySurrender=True), participant(2))))
    assert (counts.matches, counts.indexed, matches) == (1, 2, [])


def test_match_without_a_winner_is_indexed_but_not_in_the_statistics(
    server: FakeElasticsearch, producer: FakeProducer
) -> None:
    counts, matches = run(server, value(match(*(participant(number, win=False) for number in range(1, 11)))))
    assert (counts.matches, counts.indexed, matches, producer.delivered) == (1, 10, [], [])


def test_one_invalid_participant_makes_the_match_a_dead_letter(
    server: FakeElasticsearch, producer: FakeProducer
) -> None:
    counts, matches = run(server, value(match(participant(1), participant(2, kills="many"))))
    assert (counts.dead_letters, counts.participants, server.documents, matches) == (
        Counter(invalid_field=1),
        0,
        {},
        [],
    )
    assert dict(producer.delivered[0]["headers"])["dlq.field"] == b"info.participants[1].kills"


def test_duplicate_match_overwrites_its_documents(server: FakeElasticsearch, producer: FakeProducer) -> None:
    counts, _ = run(server, value(match()), value(match()))
    assert (counts.matches, counts.indexed) == (2, 20)
    assert len(server.documents) == 10
    assert producer.delivered == []


def test_rejected_documents_make_one_dead_letter_per_message(server: FakeElasticsearch, producer: FakeProducer) -> None:
    wrong = {"EUW1_7012345678_1": 400, "EUW1_7012345678_2": 400}
    server.answers = [lambda lines: server.store(lines, wrong)]
    counts, matches = run(server, value(match()), value(match(match_id="EUW1_8")), value(match()))
    assert matches == ["EUW1_7012345678", "EUW1_8", "EUW1_7012345678"], (
        "rejected documents do not affect the statistics"
    )
    assert (counts.matches, counts.participants, counts.indexed) == (1, 30, 26)
    assert counts.dead_letters == Counter(rejected_by_elasticsearch=2)
    headers = [dict(each["headers"]) for each in producer.delivered]
    assert {header["dlq.offset"] for header in headers} == {b"0", b"2"}
    assert headers[0]["dlq.detail"] == b"document EUW1_7012345678_1: 400 as the test"
    assert headers[0]["dlq.error_class"] == b"document_parsing_exception"


def test_empty_batch_has_zero_counts(server: FakeElasticsearch, producer: FakeProducer) -> None:
    assert run(server) == (BatchCounts(), [])
    assert producer.delivered == []
