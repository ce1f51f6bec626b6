"""Each message of a batch has exactly one fate, and the counters say so. The sinks' servers are fakes."""

from collections.abc import Iterator

import pyarrow as pa
import pytest
from pyspark.sql.pandas.types import to_arrow_schema
from pyspark.sql.types import ArrayType, BinaryType, IntegerType, LongType, StringType, StructType

from job import participants
from job.notices import Address
from job.participants import IndexParticipants, Sinks
from tests.unit.job.fakes import FakeElasticsearch, FakeProducer, fake_elasticsearch
from tests.unit.job.matches import ARRIVED, BOUNDS, match, participant, value

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
    monkeypatch.setattr(participants, "producer", lambda _: fake)
    return fake


def run(server: FakeElasticsearch, *values: bytes | None) -> dict[str, object]:
    """Index a batch of messages at offsets 0, 1, 2, ...; return its row of counts."""
    rows = [
        {"topic": "t", "partition": 0, "offset": offset, "arrived": ARRIVED + offset, "key": b"k", "value": each,
         "headers": [{"key": "h", "value": b"v"}] if offset else None}
        for offset, each in enumerate(values)
    ]  # fmt: skip
    batch = pa.RecordBatch.from_pylist(rows, schema=to_arrow_schema(SCHEMA))
    index = IndexParticipants(Sinks((server.url,), 5, "kafka:9092", "dlq", Address("127.0.0.1", 9)), BOUNDS, "n")
    (row,) = [row for counts in index(iter([batch])) for row in counts.to_pylist()]
    assert isinstance(row, dict)
    return {**row, "dead_letters": dict(row["dead_letters"])}


def test_every_message_has_one_fate(server: FakeElasticsearch, producer: FakeProducer) -> None:
    counts = run(server, value(match()), b"{", None, value(match(participants=[])), value(match(match_id="EUW1_8")))
    assert counts == {
        "messages": 5,
        "participants": 20,
        "indexed": 20,
        "oldest": ARRIVED,
        "dead_letters": {"not_json": 1, "null_value": 1, "empty_match": 1},
    }
    assert len(server.documents) == 20
    assert [dict(each["headers"])["dlq.offset"] for each in producer.delivered] == [b"1", b"2", b"3"]
    assert producer.delivered[0]["headers"][0] == ("h", b"v")


def test_one_participant_that_cannot_be_read_takes_the_match_along(
    server: FakeElasticsearch, producer: FakeProducer
) -> None:
    counts = run(server, value(match(participant(1), participant(2, kills="many"))))
    assert counts["dead_letters"] == {"invalid_field": 1}
    assert (counts["participants"], server.documents) == (0, {})
    assert dict(producer.delivered[0]["headers"])["dlq.field"] == b"info.participants[1].kills"


def test_a_match_that_was_sent_twice_is_there_once(server: FakeElasticsearch, producer: FakeProducer) -> None:
    assert run(server, value(match()), value(match()))["indexed"] == 20
    assert len(server.documents) == 10
    assert producer.delivered == []


def test_documents_that_are_refused_make_one_dead_letter_for_each_message(
    server: FakeElasticsearch, producer: FakeProducer
) -> None:
    wrong = {"EUW1_7012345678_1": 400, "EUW1_7012345678_2": 400}
    server.answers = [lambda lines: server.store(lines, wrong)]
    counts = run(server, value(match()), value(match(match_id="EUW1_8")), value(match()))
    assert (counts["participants"], counts["indexed"]) == (30, 26)
    assert counts["dead_letters"] == {"rejected_by_elasticsearch": 2}
    headers = [dict(each["headers"]) for each in producer.delivered]
    assert {header["dlq.offset"] for header in headers} == {b"0", b"2"}
    assert headers[0]["dlq.detail"] == b"document EUW1_7012345678_1: 400 as told"
    assert headers[0]["dlq.error_class"] == b"fault_400_exception"


def test_no_messages_no_row(server: FakeElasticsearch, producer: FakeProducer) -> None:
    index = IndexParticipants(Sinks((server.url,), 5, "kafka:9092", "dlq", Address("127.0.0.1", 9)), BOUNDS, "n")
    assert list(index(iter([]))) == []
    assert producer.delivered == []
