"""Each message of a batch has exactly one fate, and its row says which. The sinks' servers are fakes."""

import time
from collections.abc import Iterator
from typing import Any

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


def run(server: FakeElasticsearch, *values: bytes | None) -> list[dict[str, Any]]:
    """Index a batch of messages at offsets 0, 1, 2, ...; return the rows of their fates."""
    rows = [
        {"topic": "t", "partition": 0, "offset": offset, "arrived": ARRIVED + offset, "key": b"k", "value": each,
         "headers": [{"key": "h", "value": b"v"}] if offset else None}
        for offset, each in enumerate(values)
    ]  # fmt: skip
    batch = pa.RecordBatch.from_pylist(rows, schema=to_arrow_schema(SCHEMA))
    index = IndexParticipants(Sinks((server.url,), 5, "kafka:9092", "dlq", Address("127.0.0.1", 9)), BOUNDS, "n")
    return [row for fates in index(iter([batch])) for row in fates.to_pylist()]


def test_every_message_has_one_fate(server: FakeElasticsearch, producer: FakeProducer) -> None:
    rows = run(server, value(match()), b"{", None, value(match(participants=[])), value(match(match_id="EUW1_8")))
    assert [(row["fate"], row["participants"], row["indexed"]) for row in rows] == [
        ("indexed", 10, 10),
        ("not_json", 0, 0),
        ("null_value", 0, 0),
        ("empty_match", 0, 0),
        ("indexed", 10, 10),
    ]
    assert rows[0]["age"] == pytest.approx(time.time() * 1000 - ARRIVED, abs=60_000)
    assert [row["match"] and row["match"]["match_id"] for row in rows] == [
        "EUW1_7012345678", None, None, None, "EUW1_8",
    ]  # fmt: skip
    assert len(server.documents) == 20
    assert [dict(each["headers"])["dlq.offset"] for each in producer.delivered] == [b"1", b"2", b"3"]
    assert producer.delivered[0]["headers"][0] == ("h", b"v")


def test_a_remake_is_indexed_and_does_not_count(server: FakeElasticsearch, producer: FakeProducer) -> None:
    (row,) = run(server, value(match(participant(1, gameEndedInEarlySurrender=True), participant(2))))
    assert (row["fate"], row["indexed"], row["match"]) == ("indexed", 2, None)


def test_one_participant_that_cannot_be_read_takes_the_match_along(
    server: FakeElasticsearch, producer: FakeProducer
) -> None:
    (row,) = run(server, value(match(participant(1), participant(2, kills="many"))))
    assert (row["fate"], row["participants"], server.documents) == ("invalid_field", 0, {})
    assert dict(producer.delivered[0]["headers"])["dlq.field"] == b"info.participants[1].kills"


def test_a_match_that_was_sent_twice_is_there_once(server: FakeElasticsearch, producer: FakeProducer) -> None:
    assert [row["indexed"] for row in run(server, value(match()), value(match()))] == [10, 10]
    assert len(server.documents) == 10
    assert producer.delivered == []


def test_documents_that_are_refused_make_one_dead_letter_for_each_message(
    server: FakeElasticsearch, producer: FakeProducer
) -> None:
    wrong = {"EUW1_7012345678_1": 400, "EUW1_7012345678_2": 400}
    server.answers = [lambda lines: server.store(lines, wrong)]
    rows = run(server, value(match()), value(match(match_id="EUW1_8")), value(match()))
    assert [(row["fate"], row["participants"], row["indexed"]) for row in rows] == [
        ("rejected_by_elasticsearch", 10, 8),
        ("indexed", 10, 10),
        ("rejected_by_elasticsearch", 10, 8),
    ]
    headers = [dict(each["headers"]) for each in producer.delivered]
    assert {header["dlq.offset"] for header in headers} == {b"0", b"2"}
    assert headers[0]["dlq.detail"] == b"document EUW1_7012345678_1: 400 as told"
    assert headers[0]["dlq.error_class"] == b"fault_400_exception"


def test_no_messages_no_row(server: FakeElasticsearch, producer: FakeProducer) -> None:
    index = IndexParticipants(Sinks((server.url,), 5, "kafka:9092", "dlq", Address("127.0.0.1", 9)), BOUNDS, "n")
    assert list(index(iter([]))) == []
    assert producer.delivered == []
