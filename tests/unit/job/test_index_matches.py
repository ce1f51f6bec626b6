"""Each message of a batch has exactly one fate, and the tally says which. The sinks' servers are fakes."""

import time
from collections import Counter
from collections.abc import Iterator

import pyarrow as pa
import pytest
from pyspark.sql.pandas.types import to_arrow_schema
from pyspark.sql.types import ArrayType, BinaryType, IntegerType, LongType, StringType, StructType

from job.sinks.sink_wait import Address
from job.tasks.index_matches import IndexMatches, Sinks
from job.tasks.outcomes import BatchCounts
from tests.support.job_fakes import FakeElasticsearch, FakeProducer, fake_elasticsearch
from tests.support.sample_matches import ARRIVED, BOUNDS, match, participant, value

HEADER = StructType().add("key", StringType()).add("value", BinaryType())
SCHEMA = (
    StructType()
    .add("topic", StringType())
    .add("partition", IntegerType())
    .add("offset", LongType())
    .add("arrived", LongType())
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


class Left:
    """In place of CountsAccumulator: the tallies that were left."""

    def __init__(self) -> None:
        self.tallies: list[BatchCounts] = []

    def leave(self, tally: BatchCounts) -> None:
        self.tallies.append(tally)


def run(server: FakeElasticsearch, *values: bytes | None) -> tuple[BatchCounts, list[str]]:
    """Index a batch of messages at offsets 0, 1, 2, ...; return their tally, and the matches that count."""
    rows = [
        {"topic": "t", "partition": 0, "offset": offset, "arrived": ARRIVED + offset, "key": b"k", "value": each,
         "headers": [{"key": "h", "value": b"v"}] if offset else None}
        for offset, each in enumerate(values)
    ]  # fmt: skip
    batches = [pa.RecordBatch.from_pylist(rows, schema=to_arrow_schema(SCHEMA))] if rows else []
    left = Left()
    sinks = Sinks((server.url,), 5, "kafka:9092", "dlq", Address("127.0.0.1", 9))
    index = IndexMatches(sinks, BOUNDS, "n", left)  # type: ignore[arg-type]
    matches = [row["match_id"] for batch in index(iter(batches)) for row in batch.to_pylist()]
    (tally,) = left.tallies
    return tally, matches


def test_every_message_has_one_fate(server: FakeElasticsearch, producer: FakeProducer) -> None:
    values = (value(match()), b"{", None, value(match(participants=[])), value(match(match_id="EUW1_8")))
    tally, matches = run(server, *values)
    assert (tally.messages, tally.matches, tally.participants, tally.indexed) == (5, 2, 20, 20)
    assert tally.letters == Counter(not_json=1, null_value=1, empty_match=1)
    assert tally.ages[-1] == sum(tally.ages) == 2, "the matches of the tests arrived long ago"
    assert tally.age_seconds / 2 == pytest.approx(time.time() - ARRIVED / 1000, abs=60)
    assert matches == ["EUW1_7012345678", "EUW1_8"]
    assert len(server.documents) == 20
    assert [dict(each["headers"])["dlq.offset"] for each in producer.delivered] == [b"1", b"2", b"3"]
    assert producer.delivered[0]["headers"][0] == ("h", b"v")


def test_a_remake_is_indexed_and_does_not_count(server: FakeElasticsearch, producer: FakeProducer) -> None:
    tally, matches = run(server, value(match(participant(1, gameEndedInEarlySurrender=True), participant(2))))
    assert (tally.matches, tally.indexed, matches) == (1, 2, [])


def test_one_participant_that_cannot_be_read_takes_the_match_along(
    server: FakeElasticsearch, producer: FakeProducer
) -> None:
    tally, matches = run(server, value(match(participant(1), participant(2, kills="many"))))
    assert (tally.letters, tally.participants, server.documents, matches) == (Counter(invalid_field=1), 0, {}, [])
    assert dict(producer.delivered[0]["headers"])["dlq.field"] == b"info.participants[1].kills"


def test_a_match_that_was_sent_twice_is_there_once(server: FakeElasticsearch, producer: FakeProducer) -> None:
    tally, _ = run(server, value(match()), value(match()))
    assert (tally.matches, tally.indexed) == (2, 20)
    assert len(server.documents) == 10
    assert producer.delivered == []


def test_documents_that_are_refused_make_one_dead_letter_for_each_message(
    server: FakeElasticsearch, producer: FakeProducer
) -> None:
    wrong = {"EUW1_7012345678_1": 400, "EUW1_7012345678_2": 400}
    server.answers = [lambda lines: server.store(lines, wrong)]
    tally, _ = run(server, value(match()), value(match(match_id="EUW1_8")), value(match()))
    assert (tally.matches, tally.participants, tally.indexed) == (1, 30, 26)
    assert tally.letters == Counter(rejected_by_elasticsearch=2)
    headers = [dict(each["headers"]) for each in producer.delivered]
    assert {header["dlq.offset"] for header in headers} == {b"0", b"2"}
    assert headers[0]["dlq.detail"] == b"document EUW1_7012345678_1: 400 as told"
    assert headers[0]["dlq.error_class"] == b"fault_400_exception"


def test_no_messages_nothing_to_tell(server: FakeElasticsearch, producer: FakeProducer) -> None:
    assert run(server) == (BatchCounts(), [])
    assert producer.delivered == []
