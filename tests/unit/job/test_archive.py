"""What becomes a row of the archive, and what is done where Cassandra takes none. Kafka and Cassandra are fakes."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from cassandra import InvalidRequest, OperationTimedOut
from confluent_kafka import KafkaError

from job.archive import MOST_BYTES, Place, Row, Table, UnavailableError, rows_of
from job.lag import ConsumerLag
from job.settings import with_overrides
from tests.support.sample_matches import ARRIVED, BOUNDS, match, participant, value

ROWS = [Row(f"EUW1_{number}", 1000, 2000 + number, 0, number, b"{}") for number in range(3)]


class FakeMessage:
    def __init__(self, offset: int, value: bytes | None = b"", error: int | None = None, partition: int = 0) -> None:
        self._offset, self._value, self._error, self._partition = offset, value, error, partition

    def value(self) -> bytes | None:
        return self._value

    def offset(self) -> int:
        return self._offset

    def partition(self) -> int:
        return self._partition

    def timestamp(self) -> tuple[int, int]:
        return 2, ARRIVED

    def error(self) -> KafkaError | None:
        return None if self._error is None else KafkaError(self._error)


class FakeSession:
    """Answers each write of a match with the next of its errors, and takes it when there is none left."""

    def __init__(self, **errors: list[Exception]) -> None:
        self._errors = errors
        self.taken: list[tuple[Any, ...]] = []
        self.asked: list[str] = []

    def prepare(self, _statement: str) -> SimpleNamespace:
        return SimpleNamespace()

    def execute_async(self, _statement: Any, values: tuple[Any, ...]) -> SimpleNamespace:
        def result() -> None:
            self.asked.append(values[0])
            if errors := self._errors.get(values[0]):
                raise errors.pop(0)
            self.taken.append(values)

        return SimpleNamespace(result=result)


def table(session: FakeSession, stopping: threading.Event | None = None) -> Table:
    return Table(session, with_overrides({}).archive, stopping or threading.Event())


class TestRows:
    def test_a_match_is_kept_byte_for_byte(self) -> None:
        sent = value(match())
        (row,), too_large = rows_of([FakeMessage(7, sent, partition=2)], BOUNDS)
        assert (row.match_id, row.arrived, row.partition, row.offset) == (match()["metadata"]["matchId"], ARRIVED, 2, 7)
        assert (row.message, too_large) == (sent, 0)

    @pytest.mark.parametrize("bad", [None, b"", b"{", b"[]", b"{}"])
    def test_what_is_no_match_is_left_to_the_dead_letters(self, bad: bytes | None) -> None:
        assert rows_of([FakeMessage(0, bad)], BOUNDS) == ([], 0)

    def test_one_that_cassandra_could_not_take_is_said(self, caplog: pytest.LogCaptureFixture) -> None:
        with caplog.at_level(logging.ERROR):
            assert rows_of([FakeMessage(0, value(match()) + b" " * MOST_BYTES)], BOUNDS) == ([], 1)
        assert "is not archived" in caplog.text

    def test_of_a_match_that_is_there_twice_the_later_is_kept(self) -> None:
        """Also where Kafka's time is the same, which it is for all that a producer sends at once."""
        sent = [value(match(participant(1, kills=kills))) for kills in (7, 5)]
        messages = [FakeMessage(number, text) for number, text in enumerate(sent)]
        for given in (messages, messages[::-1]):
            rows, _ = rows_of(given, BOUNDS)
            assert [row.message for row in rows] == [sent[1]]


class TestTable:
    def test_a_row_carries_its_messages_time_and_how_long_it_is_kept(self) -> None:
        session = FakeSession()
        table(session).put(ROWS[1:2])
        assert session.taken == [(*ROWS[1], 2_001_001, 90 * 86_400)]

    def test_only_what_was_not_taken_is_written_again(self) -> None:
        session = FakeSession(EUW1_1=[OperationTimedOut(), OperationTimedOut()])
        table(session).put(ROWS)
        assert session.asked == ["EUW1_0", "EUW1_1", "EUW1_2", "EUW1_1", "EUW1_1"]
        assert sorted(values[0] for values in session.taken) == ["EUW1_0", "EUW1_1", "EUW1_2"]

    def test_waiting_ends_when_the_archive_is_stopped(self) -> None:
        stopping = threading.Event()
        stopping.set()
        with pytest.raises(UnavailableError):
            table(FakeSession(EUW1_1=[OperationTimedOut()]), stopping).put(ROWS)

    def test_a_fault_of_the_statement_is_not_waited_for(self) -> None:
        with pytest.raises(InvalidRequest):
            table(FakeSession(EUW1_1=[InvalidRequest("unconfigured table")])).put(ROWS)


class FakeConsumer:
    def __init__(self, *messages: FakeMessage) -> None:
        self._messages: Iterator[FakeMessage] = iter(messages)
        self.kept: dict[int, int] = {}

    def poll(self, _seconds: float) -> FakeMessage | None:
        return next(self._messages, None)

    def commit(self, offsets: list[Any], asynchronous: bool) -> None:
        assert not asynchronous
        self.kept = {place.partition: place.offset for place in offsets}


def place(*messages: FakeMessage) -> tuple[Place, FakeConsumer, ConsumerLag]:
    """The place of a consumer that is given these messages, and its lag."""
    consumer, lag = FakeConsumer(*messages), ConsumerLag("lag")
    return Place(consumer, "lol_matches", lag), consumer, lag  # type: ignore[arg-type]


class TestPlace:
    def test_it_is_behind_what_was_read(self) -> None:
        end = FakeMessage(10, error=KafkaError._PARTITION_EOF, partition=1)
        at, consumer, _ = place(FakeMessage(4), FakeMessage(5), end)
        assert [message.offset() for message in at.chunk()] == [4, 5]
        at.keep()
        assert consumer.kept == {0: 6, 1: 10}

    def test_a_chunk_that_waits_for_cassandra_is_not_processed(self) -> None:
        at, _, lag = place(FakeMessage(8), FakeMessage(9))
        lag.set_end_offsets({0: 11})

        def behind() -> list[float]:
            return [sample.value for family in lag.collect() for sample in family.samples]

        assert behind() == []
        at.chunk()
        assert behind() == [3]
        lag.set_end_offsets({0: 12})
        assert behind() == [4]
        at.chunk()
        assert behind() == [2]

    def test_a_chunk_is_of_some_megabytes(self) -> None:
        large = FakeMessage(0, b" " * 5 * 2**20)
        at, _, _ = place(*[large] * 5)
        assert [len(at.chunk()) for _ in range(3)] == [2, 2, 1]
