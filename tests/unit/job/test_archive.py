"""The archive: rows, retry of failed writes, and committed offsets. Kafka and Cassandra are fakes."""

from __future__ import annotations

import logging
import re
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from itertools import count
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from cassandra import AuthenticationFailed, InvalidRequest, OperationTimedOut, Unavailable, WriteTimeout, WriteType
from cassandra.cluster import NoHostAvailable
from cassandra.connection import ConnectionException
from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition
from prometheus_client import CollectorRegistry, Counter

from job import archive, logs
from job.archive import MAX_BYTES, ArchivedMatch, ArchiveTable, Heartbeat, OffsetTracker, archived_matches
from job.errors import JobError
from job.kafka_client import KafkaClientSettings
from job.lag import ConsumerLag, StalledPartitions
from job.message import Message, Original
from job.rate_limit import RateLimiter
from job.retry import TransientError
from job.settings import with_overrides
from job.topic import Incarnation, PartitionOffsets, TopicOffsets
from tests.support.fakes import FakeMessage
from tests.support.kafka_batch import send_batch
from tests.support.raw_producer import send_with_header
from tests.support.sample_matches import ARRIVED_AT, PLAUSIBLE_TIMES, START, match, participant, value

KAFKA = KafkaClientSettings("kafka:9092")
ROWS = [ArchivedMatch(f"EUW1_{number}", 1000, Original(2000 + number, 0, number), b"{}") for number in range(3)]


def message(offset: int, value: bytes | None, partition: int = 0, arrived_at: int = ARRIVED_AT) -> Message:
    return Message("lol_matches", partition, offset, arrived_at, None, value, [])


class TestArchivedMatches:
    def test_raw_match_is_archived_byte_for_byte(self) -> None:
        raw = value(match())
        (row,), too_large = archived_matches([message(7, raw, partition=2)], PLAUSIBLE_TIMES)
        assert row == ("EUW1_7012345678", START + 1_845_000, (ARRIVED_AT, 2, 7), raw)
        assert too_large == 0

    @pytest.mark.parametrize("bad", [None, b"", b"{", b"[]", b"{}"])
    def test_dead_letters_are_not_archived(self, bad: bytes | None) -> None:
        assert archived_matches([message(0, bad)], PLAUSIBLE_TIMES) == ([], 0)

    def test_match_too_large_for_cassandra_is_logged_and_counted(self, caplog: pytest.LogCaptureFixture) -> None:
        raw = value(match())
        largest = raw + b" " * (MAX_BYTES - len(raw))
        with caplog.at_level(logging.ERROR):
            (row,), too_large = archived_matches([message(0, largest), message(1, largest + b" ")], PLAUSIBLE_TIMES)
        assert (row.original.offset, too_large) == (0, 1)
        assert "Not archived: match EUW1_7012345678 (partition 0, offset 1) has 12582913 bytes" in caplog.text

    @pytest.mark.parametrize("arrival", [(ARRIVED_AT, ARRIVED_AT), (ARRIVED_AT, ARRIVED_AT + 1)])
    def test_later_message_of_a_duplicate_match_wins(self, arrival: tuple[int, int]) -> None:
        """Also where the arrival time is the same, as in a producer's batch: then the offset decides."""
        raws = [value(match(participant(1, kills=kills))) for kills in (7, 5)]
        messages = [message(number, raw, arrived_at=arrival[number]) for number, raw in enumerate(raws)]
        for order in (messages, messages[::-1]):
            rows, _ = archived_matches(order, PLAUSIBLE_TIMES)
            assert [row.message for row in rows] == [raws[1]]

    def test_replay_has_the_row_of_its_original_and_does_not_replace_a_later_message(self) -> None:
        """Version 1 became a dead letter, version 2 was archived, then version 1 is replayed."""
        first, second = (value(match(participant(1, kills=kills))) for kills in (1, 2))
        original = message(7, first, partition=1)
        replay = message(90, first, partition=2, arrived_at=ARRIVED_AT + 90)._replace(
            headers=original.original.headers()
        )
        newer = message(8, second, partition=1)
        (original_row,), _ = archived_matches([original], PLAUSIBLE_TIMES)
        (row,), _ = archived_matches([replay], PLAUSIBLE_TIMES)
        assert row == original_row
        (newer_row,), _ = archived_matches([newer], PLAUSIBLE_TIMES)
        times = [each.original.write_time for each in (row, newer_row)]
        assert times[0] < times[1], "Cassandra keeps the row with the higher write time"
        for order in ([newer, replay], [replay, newer]):
            assert archived_matches(order, PLAUSIBLE_TIMES) == ([newer_row], 0)


class FakeSession:
    """A fake Cassandra session. `errors` has the errors of the writes of a match id; later writes of it succeed."""

    def __init__(self, **errors: list[Exception]) -> None:
        self._errors = errors
        self.table_id = "table"
        """Empty: there is no table."""
        self.cluster = SimpleNamespace(shutdown=lambda: None)
        self.written: list[tuple[Any, ...]] = []
        self.attempts: list[str] = []

    def prepare(self, _statement: str) -> SimpleNamespace:
        if errors := self._errors.get("prepare"):
            raise errors.pop(0)
        return SimpleNamespace()

    def execute(self, statement: str, parameters: tuple[str, str]) -> SimpleNamespace:
        assert (statement, parameters) == (archive._SELECT_TABLE_ID, ("lol", "matches"))
        if errors := self._errors.get("execute"):
            raise errors.pop(0)
        return SimpleNamespace(one=lambda: SimpleNamespace(id=self.table_id) if self.table_id else None)

    def execute_async(self, _statement: Any, values: tuple[Any, ...]) -> SimpleNamespace:
        def result() -> None:
            self.attempts.append(values[0])
            if errors := self._errors.get(values[0]):
                raise errors.pop(0)
            self.written.append(values)

        return SimpleNamespace(result=result)


class InstantEvent(threading.Event):
    """A stop event whose timeouts, which are the backoffs, are over at once."""

    def wait(self, timeout: float | None = None) -> bool:
        return self.is_set()


def table(session: FakeSession, stopping: threading.Event | None = None) -> ArchiveTable:
    return ArchiveTable(session, with_overrides({}).archive, stopping or InstantEvent(), Heartbeat())


def login_error(message: str) -> NoHostAvailable:
    """The driver's error for a login that Cassandra answers with this message."""
    text = (
        f'Failed to authenticate to cassandra:9042: Error from server: code=0100 [Bad credentials] message="{message}"'
    )
    return NoHostAvailable("no host", {"cassandra:9042": AuthenticationFailed(text)})


REFUSED = login_error("Provided username lol_archive and/or password are incorrect")
NOT_CHECKED = login_error("Unable to perform authentication: Operation timed out")
TOO_LARGE = InvalidRequest(
    'Error from server: code=2200 [Invalid query] message="CQL Message of size 9732097 bytes exceeds allowed maximum '
    'of 9732096 bytes"'
)
TRANSIENT = [
    REFUSED,
    NOT_CHECKED,
    OperationTimedOut(),
    NoHostAvailable("no host", {}),
    WriteTimeout("timeout", write_type=WriteType.SIMPLE),
    Unavailable("unavailable"),
    ConnectionException("closed"),
]


def test_archive_hangs_without_progress_but_not_while_cassandra_is_unavailable(monkeypatch: pytest.MonkeyPatch) -> None:
    """The health check restarts an archive that hangs; a restart would not help one that waits."""
    now = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: now)
    heartbeat = Heartbeat()
    hanging, waiting = [], []

    class SlowOutage(InstantEvent):
        """Four minutes pass during each backoff."""

        def wait(self, timeout: float | None = None) -> bool:
            nonlocal now
            now += 240
            hanging.append(heartbeat.hanging())
            waiting.append(heartbeat.waits_for_cassandra)
            return False

    session = FakeSession(EUW1_0=[OperationTimedOut() for _ in range(3)])
    monkeypatch.setattr(archive, "_connect", lambda _options: session)
    ArchiveTable(session, with_overrides({}).archive, SlowOutage(), heartbeat).write(ROWS)
    assert hanging == [False, False, False]
    assert [*waiting, heartbeat.waits_for_cassandra] == [True, True, True, False]
    now += 301
    assert heartbeat.hanging()


WAITING = re.compile(r"Waiting [0-9]\.[0-9] s for Cassandra: ")


class TestArchiveTable:
    def test_row_has_write_time_and_ttl(self) -> None:
        session = FakeSession()
        table(session).write(ROWS[1:2])
        assert session.written == [("EUW1_1", 1000, 2001, 0, 1, b"{}", 2_001_001, 90 * 86_400)]

    @pytest.mark.parametrize("error", TRANSIENT, ids=lambda error: type(error).__name__)
    def test_only_failed_writes_are_retried_with_backoff(
        self, error: Exception, caplog: pytest.LogCaptureFixture
    ) -> None:
        session = FakeSession(EUW1_1=[error, error])
        table(session).write(ROWS)
        assert session.attempts == ["EUW1_0", "EUW1_1", "EUW1_2", "EUW1_1", "EUW1_1"]
        assert sorted(values[0] for values in session.written) == ["EUW1_0", "EUW1_1", "EUW1_2"]
        assert [bool(WAITING.match(record.message)) for record in caplog.records] == [True, True]

    def test_retry_ends_when_the_archive_is_stopped(self) -> None:
        stopping = threading.Event()
        stopping.set()
        with pytest.raises(TransientError):
            table(FakeSession(EUW1_1=[OperationTimedOut()]), stopping).write(ROWS)

    def test_refused_login_is_retried_and_reported_with_the_settings(self, caplog: pytest.LogCaptureFixture) -> None:
        """The session has lost its connection after the password was changed."""
        session = FakeSession(EUW1_1=[REFUSED])
        table(session).write(ROWS)
        assert sorted(values[0] for values in session.written) == ["EUW1_0", "EUW1_1", "EUW1_2"]
        (record,) = caplog.records
        assert "s for Cassandra: archive.username, archive.password: Cassandra at cassandra refuses" in record.message
        assert "Bad credentials" in record.message

    def test_login_that_cassandra_could_not_check_is_not_reported_as_a_wrong_password(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        table(FakeSession(EUW1_1=[NOT_CHECKED])).write(ROWS)
        (record,) = caplog.records
        assert "Unable to perform authentication: Operation timed out" in record.message
        assert "correct" not in record.message

    def test_requests_for_nodes_and_schema_have_the_timeout_of_a_connection(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        given: dict[str, Any] = {}

        def fake_cluster(_hosts: list[str], **options: Any) -> SimpleNamespace:
            given.update(options)
            return SimpleNamespace(connect=FakeSession)

        monkeypatch.setattr(archive, "Cluster", fake_cluster)
        with archive.cassandra_session(with_overrides({}).archive):
            assert given["control_connection_timeout"] == given["connect_timeout"]
            assert given["connection_class"].out_buffer_size > 100_000, "a row of 90 KB is sent in one piece"

    def test_new_connection_is_made_if_none_of_the_old_one_works_any_more(
        self, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        """Cassandra has another address, which the driver does not notice."""
        caplog.set_level(logging.INFO)
        closed: list[bool] = []
        old = FakeSession(EUW1_1=[NoHostAvailable("no host", {})] * 1_000)
        old.cluster = SimpleNamespace(shutdown=lambda: closed.append(True))
        new = FakeSession()
        starting = FakeSession(prepare=[OperationTimedOut()])
        starting.cluster = SimpleNamespace(shutdown=lambda: closed.append(False))
        connections: list[Any] = [NoHostAvailable("not yet", {}), OperationTimedOut(), starting, new]

        def connect(_options: Any) -> FakeSession:
            assert len(old.attempts) > 3, "a new connection without an outage"
            connection = connections.pop(0)
            if isinstance(connection, Exception):
                raise connection
            assert isinstance(connection, FakeSession)
            return connection

        now = time.monotonic()
        monkeypatch.setattr(archive, "_connect", connect)
        monkeypatch.setattr(time, "monotonic", lambda: now + 10 * max(0, len(old.attempts) - 3))
        table(old).write(ROWS)
        assert (sorted(row[0] for row in old.written), [row[0] for row in new.written]) == (
            ["EUW1_0", "EUW1_2"],
            ["EUW1_1"],
        )
        assert closed == [False, True]
        assert "Connected to Cassandra again" in caplog.messages

    def test_missing_table_is_reported_with_the_setting(self) -> None:
        with pytest.raises(
            JobError, match=r"^archive.keyspace: lol.matches cannot be written \(unconfigured table\); "
        ):
            table(FakeSession(prepare=[InvalidRequest("unconfigured table")]))

    @pytest.mark.parametrize("present", ["another", ""], ids=["created again", "dropped"])
    def test_table_that_was_recreated_while_the_archive_runs_ends_it(self, present: str) -> None:
        """As after a loss of Cassandra's volume: the new table lacks the rows behind the committed offsets."""
        session = FakeSession()
        written = table(session)
        written.write(ROWS[:1])
        session.table_id = present
        with pytest.raises(JobError, match=r"^archive.keyspace: lol.matches was dropped, or created again, while"):
            written.write(ROWS[1:])
        assert [row[0] for row in session.written] == ["EUW1_0"]

    def test_recreated_table_is_noticed_without_new_matches(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """The topic's matches are to be in the new table before they expire, also if nobody sends any."""
        session = FakeSession()
        written = table(session)
        session.table_id = "another"
        written.write([])
        later = time.monotonic() + 31
        monkeypatch.setattr(time, "monotonic", lambda: later)
        with pytest.raises(JobError, match=r"^archive.keyspace: lol.matches was dropped, or created again, while"):
            written.write([])

    def test_table_is_checked_every_half_minute_without_new_matches(self, monkeypatch: pytest.MonkeyPatch) -> None:
        session = FakeSession()
        written = table(session)
        now, reads = time.monotonic(), []
        monkeypatch.setattr(time, "monotonic", lambda: now)
        execute = session.execute
        monkeypatch.setattr(session, "execute", lambda *given: reads.append(now) or execute(*given))  # type: ignore[func-returns-value]
        for _ in range(62):
            now += 1
            written.write([])
        assert len(reads) == 2

    def test_outage_while_the_tables_id_is_read_is_waited_for(self, caplog: pytest.LogCaptureFixture) -> None:
        errors: list[Exception] = []
        session = FakeSession(execute=errors)
        written = table(session)
        errors += [OperationTimedOut(), REFUSED]
        written.write(ROWS)
        assert len(session.written) == 3
        assert [bool(WAITING.match(line)) for line in caplog.messages] == [True, True]

    def test_row_that_cassandra_refuses_for_its_size_is_logged_and_passed(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        """The others are written, also those that need another attempt."""
        session = FakeSession(EUW1_1=[TOO_LARGE], EUW1_2=[OperationTimedOut()])
        with caplog.at_level(logging.ERROR):
            assert table(session).write(ROWS) == 1
        assert session.attempts == ["EUW1_0", "EUW1_1", "EUW1_2", "EUW1_2"]
        assert [row[0] for row in session.written] == ["EUW1_0", "EUW1_2"]
        assert caplog.messages == [
            "Not archived: match EUW1_1 (partition 0, offset 1) has 2 bytes, more than Cassandra takes"
        ]

    @pytest.mark.parametrize(
        "text",
        [
            "unconfigured table matches",
            "Undefined column name message in table lol.matches",
            "Guardrail data_disk_usage_percentage violated: Write request failed because disk usage exceeds failure "
            "threshold",
        ],
    )
    def test_fault_of_the_table_or_of_the_node_is_not_charged_to_a_row(self, text: str) -> None:
        with pytest.raises(InvalidRequest):
            table(FakeSession(EUW1_1=[InvalidRequest(text)])).write(ROWS)


class FakeConsumer:
    def __init__(self, *polled: FakeMessage, committed: dict[int, int] | None = None) -> None:
        self._polled: Iterator[FakeMessage] = iter(polled)
        self.commits: dict[int, int] = committed or {}
        self.commit_errors: list[KafkaException] = []
        self.committed_errors: list[KafkaException] = []
        self.partition_errors: dict[int, KafkaError] = {}
        """The errors of the next request for committed offsets or to commit them, by partition."""
        self.watermark_errors: list[KafkaException] = []
        self.begin = 0
        self.assigned: dict[int, int] = {}

    def assign(self, partitions: list[Any]) -> None:
        self.assigned = {each.partition: each.offset for each in partitions}

    def seek(self, partition: Any) -> None:
        self.assigned[partition.partition] = partition.offset

    def get_watermark_offsets(self, _partition: Any, timeout: float) -> tuple[int, int]:
        if self.watermark_errors:
            raise self.watermark_errors.pop()
        return self.begin, 6

    def poll(self, _seconds: float) -> FakeMessage | None:
        return next(self._polled, None)

    def commit(self, offsets: list[Any], asynchronous: bool) -> list[Any]:
        assert not asynchronous
        if self.commit_errors:
            raise self.commit_errors.pop()
        errors, self.partition_errors = self.partition_errors, {}
        self.commits |= {each.partition: each.offset for each in offsets if each.partition not in errors}
        return [SimpleNamespace(error=errors.get(each.partition)) for each in offsets]

    def committed(self, partitions: list[Any], timeout: float) -> list[Any]:
        if self.committed_errors:
            raise self.committed_errors.pop()
        errors, self.partition_errors = self.partition_errors, {}
        return [
            SimpleNamespace(
                partition=p.partition, offset=self.commits.get(p.partition, -1001), error=errors.get(p.partition)
            )
            for p in partitions
        ]


def tracker(*polled: FakeMessage) -> tuple[OffsetTracker, FakeConsumer, ConsumerLag]:
    """A tracker of a consumer with these messages, and its lag."""
    consumer, lag = FakeConsumer(*polled), ConsumerLag("lag")
    unreadable = Counter("unreadable", "", ["partition"], registry=None)
    return OffsetTracker(consumer, "lol_matches", lag, unreadable, KAFKA), consumer, lag  # type: ignore[arg-type]


def topic_offsets(**ends: int) -> TopicOffsets:
    """The offsets of a topic without open transactions: p0=11 is an end offset of 11 in partition 0."""
    return {int(name[1:]): PartitionOffsets(0, end, end) for name, end in ends.items()}


class TestOffsetTracker:
    def test_commits_the_offsets_behind_the_polled_messages(self) -> None:
        end = FakeMessage(10, error=KafkaError._PARTITION_EOF, partition=1)
        offsets, consumer, _ = tracker(FakeMessage(4), FakeMessage(5), end)
        assert [message.offset for message in offsets.poll()] == [4, 5]
        assert consumer.commits == {}
        offsets.commit()
        assert consumer.commits == {0: 6, 1: 10}

    def test_partition_is_read_from_its_first_message_if_the_next_one_does_not_exist(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        """Kafka has lost the messages that were read, and then deleted some by its retention."""
        gone = [FakeMessage(offset, error=KafkaError._AUTO_OFFSET_RESET) for offset in (9, 9, 0)]
        offsets, consumer, _ = tracker(*gone)
        offsets.assign({0: 9, 1: 4})
        consumer.watermark_errors = [KafkaException(KafkaError(KafkaError._TIMED_OUT))]
        positions = []
        consumer.assign = lambda partitions: positions.append({each.partition: each.offset for each in partitions})  # type: ignore[method-assign]
        for _ in gone:
            offsets.poll()
        assert positions == [{0: 9, 1: 4}, {0: 0, 1: 4}, {0: 0, 1: 4}]
        assert [record.levelname for record in caplog.records] == ["WARNING", "ERROR", "ERROR"]
        assert "Waiting for Kafka: " in caplog.messages[0]
        assert caplog.messages[1] == "Kafka has lost messages of partition 0 that were archived: reading it again"

    @pytest.mark.parametrize("code", [KafkaError.KAFKA_STORAGE_ERROR, KafkaError._AUTO_OFFSET_RESET])
    def test_repeated_error_ends_each_poll(self, code: int) -> None:
        """Between two polls the archive commits offsets, reports that it lives, and obeys SIGTERM."""
        offsets, consumer, _ = tracker()
        offsets.assign({0: 4})
        errors = count()

        def poll(_seconds: float) -> FakeMessage:
            assert next(errors) < 100, "the poll does not end"
            return FakeMessage(4, error=code)

        consumer.poll = poll  # type: ignore[method-assign]
        assert [offsets.poll(), offsets.poll()] == [[], []]

    def test_partition_whose_reads_fail_is_stalled_while_another_proceeds(
        self, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        error = FakeMessage(4, error=KafkaError.KAFKA_STORAGE_ERROR, partition=1)
        offsets, _, lag = tracker(*[each for offset in range(4, 9) for each in (FakeMessage(offset), error)])
        stalled = StalledPartitions("stalled", lag)
        now = 1000.0
        monkeypatch.setattr(time, "monotonic", lambda: now)
        offsets.assign({0: 4, 1: 4})
        for _ in range(5):
            stalled.set_topic_offsets(topic_offsets(p0=9, p1=9))
            now += 100
            assert [message.partition for message in offsets.poll()] == [0]
        stalled.set_topic_offsets(topic_offsets(p0=9, p1=9))
        values = {each.labels["partition"]: each.value for family in stalled.collect() for each in family.samples}
        assert values == {"0": 0, "1": 500}
        assert [line.startswith("Waiting for Kafka: ") for line in caplog.messages] == [True] * 5

    def test_failed_commit_is_logged_and_repeated_with_the_next(self, caplog: pytest.LogCaptureFixture) -> None:
        offsets, consumer, _ = tracker(FakeMessage(4))
        consumer.commit_errors = [KafkaException(KafkaError(KafkaError._TRANSPORT))]
        offsets.poll()
        offsets.commit()
        assert "Waiting for Kafka: " in caplog.text
        offsets.commit()
        assert consumer.commits == {0: 5}

    def test_commit_that_fails_in_one_partition_is_repeated(self, caplog: pytest.LogCaptureFixture) -> None:
        offsets, consumer, _ = tracker()
        offsets.assign({0: 4, 1: 5})
        consumer.partition_errors = {1: KafkaError(KafkaError.COORDINATOR_LOAD_IN_PROGRESS)}
        offsets.commit()
        assert "Waiting for Kafka: " in caplog.text
        offsets.commit()
        assert consumer.commits == {0: 4, 1: 5}

    def test_offsets_of_an_idle_topic_are_committed_again_before_kafka_deletes_them(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        offsets, consumer, _ = tracker()
        offsets.assign({0: 7})
        offsets.commit()
        assert consumer.commits == {0: 7}
        consumer.commits = {}
        offsets.commit()
        assert consumer.commits == {}
        later = time.monotonic() + 6 * 86_400
        monkeypatch.setattr(time, "monotonic", lambda: later)
        offsets.commit()
        assert consumer.commits == {0: 7}

    def test_consumer_error_is_logged_and_polling_goes_on(self, caplog: pytest.LogCaptureFixture) -> None:
        offsets, _, _ = tracker(FakeMessage(0, error=KafkaError._ALL_BROKERS_DOWN), FakeMessage(4))
        assert [[message.offset for message in offsets.poll()] for _ in range(2)] == [[], [4]]
        assert "Waiting for Kafka: " in caplog.text

    def test_partitions_are_read_from_their_committed_offset_or_their_beginning(self) -> None:
        offsets, consumer, lag = tracker()
        consumer.commits = {0: 7}
        offsets.assign({0: 0, 1: 0, 2: 40})
        assert consumer.assigned == {0: 7, 1: 0, 2: 40}
        lag.set_topic_offsets(topic_offsets(p0=11, p1=5))
        assert lags(lag) == [4, 5]

    def test_lag_includes_messages_that_wait_for_cassandra(self) -> None:
        offsets, _, lag = tracker(FakeMessage(8), FakeMessage(9))
        offsets.assign({0: 8})
        lag.set_topic_offsets(topic_offsets(p0=11))
        assert lags(lag) == [3]
        offsets.poll()
        assert lags(lag) == [3]
        lag.set_topic_offsets(topic_offsets(p0=12))
        assert lags(lag) == [4]
        offsets.poll()
        assert lags(lag) == [2]

    def test_added_partition_has_lag_at_once_and_is_read_from_its_beginning(self) -> None:
        """Also if it already has messages. The others are read on from where they are."""
        offsets, consumer, lag = tracker(FakeMessage(4))
        offsets.assign({0: 4})
        offsets.poll()
        lag.set_topic_offsets(topic_offsets(p0=5, p1=5_000))
        assert lags(lag) == [1, 5_000]
        offsets.poll()
        assert consumer.assigned == {0: 5, 1: 0}

    def test_added_partition_is_assigned_once_kafka_answers(self, caplog: pytest.LogCaptureFixture) -> None:
        offsets, consumer, lag = tracker(FakeMessage(4))
        offsets.assign({0: 4})
        lag.set_topic_offsets(topic_offsets(p0=5, p1=5_000))
        consumer.committed_errors = [KafkaException(KafkaError(KafkaError._TRANSPORT))]
        offsets.poll()
        assert "Waiting for Kafka: " in caplog.text
        assert consumer.assigned == {0: 4}
        offsets.poll()
        assert consumer.assigned == {0: 5, 1: 0}

    def test_partition_whose_committed_offset_is_unknown_is_not_read_from_its_beginning(self) -> None:
        offsets, consumer, _ = tracker()
        consumer.partition_errors = {1: KafkaError(KafkaError.GROUP_AUTHORIZATION_FAILED)}
        with pytest.raises(KafkaException):
            offsets.assign({0: 0, 1: 0})
        assert consumer.assigned == {}

    def test_added_partition_waits_until_its_committed_offset_is_known(self, caplog: pytest.LogCaptureFixture) -> None:
        offsets, consumer, lag = tracker()
        offsets.assign({0: 4})
        lag.set_topic_offsets(topic_offsets(p0=4, p1=5, p2=6))
        consumer.partition_errors = {2: KafkaError(KafkaError.UNSTABLE_OFFSET_COMMIT)}
        offsets.poll()
        assert consumer.assigned == {0: 4}
        assert "Waiting for Kafka: " in caplog.text
        offsets.poll()
        assert consumer.assigned == {0: 4, 1: 0, 2: 0}

    def test_fatal_error_ends_the_archive(self) -> None:
        class Fatal(FakeMessage):
            def error(self) -> KafkaError:
                return KafkaError(KafkaError._FATAL, "fatal", True)

        offsets, _, _ = tracker(Fatal(0))
        with pytest.raises(KafkaException):
            offsets.poll()

    def test_chunk_is_limited_by_bytes(self) -> None:
        large = FakeMessage(0, b" " * 5 * 2**20)
        offsets, _, _ = tracker(*[large] * 5)
        assert [len(offsets.poll()) for _ in range(3)] == [2, 2, 1]

    def test_chunk_is_limited_by_messages(self) -> None:
        offsets, _, _ = tracker(*[FakeMessage(number) for number in range(250)])
        assert [len(offsets.poll()) for _ in range(2)] == [200, 50]


class TestStoppedFetch:
    """After a restart of a broker, Kafka's client can stop to fetch a partition, without an error (librdkafka#5153)."""

    @pytest.fixture(autouse=True)
    def _clock(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1000.0
        monkeypatch.setattr(time, "monotonic", lambda: self.now)

    def poll(self, *polled: FakeMessage | None) -> tuple[OffsetTracker, FakeConsumer, ConsumerLag]:
        """A tracker of two partitions with ten messages each, after the poll of these events; None ends a poll."""
        offsets, consumer, lag = tracker()
        events = iter(polled)
        consumer.poll = lambda _seconds: next(events, None)  # type: ignore[method-assign]
        offsets.assign({0: 4, 1: 4})
        lag.set_topic_offsets(topic_offsets(p0=10, p1=10))
        offsets.poll()
        return offsets, consumer, lag

    def poll_for(self, offsets: OffsetTracker, seconds: float, every: float = 10) -> None:
        end = self.now + seconds
        while self.now < end:
            self.now += every
            offsets.poll()

    def test_partition_that_is_no_longer_fetched_ends_the_archive(self) -> None:
        """It is read again after a restart. Other partitions go on meanwhile."""
        others = [each for offset in range(4, 10) for each in (FakeMessage(offset), None)]
        offsets, _, _ = self.poll(FakeMessage(4, partition=1), FakeMessage(4), None, *others)
        self.poll_for(offsets, 290)
        with pytest.raises(JobError, match=r"partition 1 of lol_matches for five minutes"):
            self.poll_for(offsets, 10)

    def test_partition_without_a_message_since_the_start_does_not_end_it_again(self) -> None:
        """A restart has not helped, so that another would not."""
        offsets, _, _ = self.poll(FakeMessage(4))
        with pytest.raises(JobError, match="partition 0 "):
            self.poll_for(offsets, 1000)
        offsets, _, _ = self.poll()
        self.poll_for(offsets, 1000)

    def test_partition_whose_reads_fail_does_not_end_it(self) -> None:
        failed = [FakeMessage(5, error=KafkaError.KAFKA_STORAGE_ERROR, partition=1), None]
        offsets, _, _ = self.poll(FakeMessage(4, partition=1), None, *failed * 200)
        self.poll_for(offsets, 1000)

    def test_messages_behind_an_open_transaction_do_not_end_it(self) -> None:
        offsets, _, lag = self.poll(FakeMessage(4))
        lag.set_topic_offsets({0: PartitionOffsets(0, 5, 10), 1: PartitionOffsets(0, 4, 10)})
        self.poll_for(offsets, 1000)

    def test_partition_without_a_leader_does_not_end_it(self) -> None:
        """The topic's offsets are unknown then."""
        offsets, _, lag = self.poll(FakeMessage(4))
        self.poll_for(offsets, 200)
        lag.set_topic_offsets({})
        self.poll_for(offsets, 1000)
        lag.set_topic_offsets(topic_offsets(p0=10, p1=10))
        self.poll_for(offsets, 290)

    def test_wait_for_cassandra_between_two_polls_does_not_end_it(self) -> None:
        """After it, the client can need a moment, too, if Kafka was not available either."""
        offsets, _, _ = self.poll(FakeMessage(4))
        self.poll_for(offsets, 200)
        self.now += 1000
        self.poll_for(offsets, 290)

    def test_messages_that_the_client_has_not_handed_over_yet_do_not_end_it(self) -> None:
        """A backlog of another partition is before them in its queue."""
        offsets, consumer, _ = self.poll(FakeMessage(4, partition=1))
        number = count(4)
        consumer.poll = lambda _seconds: FakeMessage(next(number))  # type: ignore[method-assign]
        self.poll_for(offsets, 1000)


def lags(lag: ConsumerLag) -> list[float]:
    """The lag of each partition that has one."""
    return [sample.value for family in lag.collect() for sample in family.samples]


def test_messages_that_expired_before_the_start_are_logged_and_counted(caplog: pytest.LogCaptureFixture) -> None:
    """Data loss in the archive by Kafka's retention. A partition without a committed offset has lost nothing."""
    consumer, unreadable = FakeConsumer(), Counter("unreadable", "", ["partition"], registry=None)
    consumer.commits = {0: 7, 1: 10}
    restarted = OffsetTracker(consumer, "lol_matches", ConsumerLag("lag"), unreadable, KAFKA)  # type: ignore[arg-type]
    restarted.assign({0: 10, 1: 10, 2: 10})
    assert [record.message for record in caplog.records] == [
        "Not archived: topic lol_matches, partition 0, offsets 7 to 9 cannot be read: "
        "they expired (retention) before they were archived"
    ]
    counts = {sample.labels["partition"]: sample.value for sample in samples(unreadable)}
    assert counts == {"0": 3, "1": 0, "2": 0}


def samples(counter: Counter) -> list[Any]:
    return [sample for family in counter.collect() for sample in family.samples if sample.name.endswith("_total")]


class FakeTopic:
    """A fake TopicInspector of a topic with one partition from which nothing has expired."""

    def __init__(self, _settings: Any) -> None:
        pass

    def connect(self) -> Incarnation:
        return Incarnation("lol_matches", "cluster", "id", (0,))

    def offsets(self, _incarnation: Incarnation, _position: str) -> dict[int, int]:
        return {0: 0}

    def replacement_reason(self, _incarnation: Incarnation) -> str:
        return ""

    def topic_offsets(self) -> TopicOffsets:
        return {0: PartitionOffsets(0, 0, 0)}


class TestRun:
    """The archive from Kafka (librdkafka's mock broker) to a fake Cassandra."""

    @pytest.fixture(autouse=True)
    def _fakes(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(archive, "TopicInspector", FakeTopic)
        monkeypatch.setattr(archive, "serve", lambda *_: None)

    def send(self, servers: str, *values: bytes, compression: str = "none") -> None:
        send_batch({"bootstrap.servers": servers}, "lol_matches", values, compression=compression)

    def archive(
        self, monkeypatch: pytest.MonkeyPatch, servers: str, session: FakeSession, count: int, rate: int = 1000
    ) -> CollectorRegistry:
        """Run the archive until Cassandra has had this many attempts to write, and the chunk with them is done."""

        @contextmanager
        def fake_session(_options: Any) -> Iterator[FakeSession]:
            yield session

        deadline = time.monotonic() + 30

        class StopEvent(threading.Event):
            def is_set(self) -> bool:
                if super().is_set():
                    return True
                assert time.monotonic() < deadline, f"the archive has written {len(session.attempts)} rows in 30 s"
                return len(session.attempts) >= count

        monkeypatch.setattr(archive, "cassandra_session", fake_session)
        overrides = {"kafka": {"bootstrap_servers": servers}, "archive": {"messages_per_second": rate}}
        registry = CollectorRegistry()
        stopping, started = StopEvent(), threading.Event()
        try:
            archive.run(with_overrides(overrides), stopping, pytest.fail, started, registry)
        finally:
            stopping.set()  # ends the topic's watch
        assert started.is_set()
        return registry

    def committed(self, servers: str, table_id: str = "table") -> int:
        """The committed offset of the archive's consumer group; negative without one."""
        group = f"lol-archive-id-{table_id}"
        consumer = Consumer({"bootstrap.servers": servers, "group.id": group, "log_level": 0})
        with closing(consumer):
            (partition,) = consumer.committed([TopicPartition("lol_matches", 0)], timeout=10)
        return int(partition.offset)

    def test_raw_matches_from_the_topics_beginning_are_archived_and_offsets_committed(
        self, monkeypatch: pytest.MonkeyPatch, mock_kafka: str
    ) -> None:
        raws = [value(match(match_id=f"EUW1_{number}")) for number in range(2)]
        self.send(mock_kafka, raws[0], b"{", raws[1])
        session = FakeSession()
        registry = self.archive(monkeypatch, mock_kafka, session, 2)
        assert [row[5] for row in session.written] == raws
        assert self.committed(mock_kafka) == 3
        assert registry.get_sample_value("lol_archive_matches_total") == 2
        assert registry.get_sample_value("lol_archive_messages_total") == 3
        assert registry.get_sample_value("lol_archive_refused_total") == 0
        assert registry.get_sample_value("lol_archive_stalled_seconds", {"partition": "0"}) == 0

    def test_offsets_are_not_committed_before_cassandra_has_the_rows(
        self, monkeypatch: pytest.MonkeyPatch, mock_kafka: str
    ) -> None:
        """At least once: the next run reads the messages again that an interrupted run could not write."""
        self.send(mock_kafka, value(match(match_id="EUW1_1")))
        with pytest.raises(TransientError):
            self.archive(monkeypatch, mock_kafka, FakeSession(EUW1_1=[OperationTimedOut()]), 1)
        assert self.committed(mock_kafka) < 0

    def test_topic_is_archived_again_into_a_recreated_table(
        self, monkeypatch: pytest.MonkeyPatch, mock_kafka: str
    ) -> None:
        """As after a loss of Cassandra's volume. A restart with the same table continues at the committed offset."""
        self.send(mock_kafka, *[value(match(match_id=f"EUW1_{number}")) for number in range(2)])
        self.archive(monkeypatch, mock_kafka, FakeSession(), 2)
        self.send(mock_kafka, value(match(match_id="EUW1_2")))
        same, recreated = FakeSession(), FakeSession()
        self.archive(monkeypatch, mock_kafka, same, 1)
        assert [row[0] for row in same.written] == ["EUW1_2"]
        recreated.table_id = "another"
        self.archive(monkeypatch, mock_kafka, recreated, 3)
        assert [row[0] for row in recreated.written] == ["EUW1_0", "EUW1_1", "EUW1_2"]
        assert (self.committed(mock_kafka), self.committed(mock_kafka, "another")) == (3, 3)

    def test_messages_that_expire_while_it_runs_are_logged_and_counted(
        self, monkeypatch: pytest.MonkeyPatch, mock_kafka: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        """The mock broker keeps the latest 5 MB of a partition."""
        last = value(match(match_id="EUW1_8"))
        for number in range(8):
            self.send(mock_kafka, value(match(match_id=f"EUW1_{number}")) + b" " * 900_000)
        self.send(mock_kafka, last)
        session = FakeSession()
        registry = self.archive(monkeypatch, mock_kafka, session, 6)
        archived = [row[0] for row in session.written]
        expired = 9 - len(archived)
        assert 0 < expired < 9
        assert archived == [f"EUW1_{number}" for number in range(expired, 9)]
        assert registry.get_sample_value("lol_archive_unreadable_total", {"partition": "0"}) == expired
        assert f"offsets 0 to {expired - 1} cannot be read: they expired (retention)" in caplog.text
        assert self.committed(mock_kafka) == 9

    def test_match_too_large_for_cassandra_is_counted(self, monkeypatch: pytest.MonkeyPatch, mock_kafka: str) -> None:
        monkeypatch.setattr(archive, "MAX_BYTES", 10_000)
        raw = value(match(match_id="EUW1_1"))
        self.send(mock_kafka, raw + b" " * 10_000, raw)
        registry = self.archive(monkeypatch, mock_kafka, FakeSession(), 1)
        assert registry.get_sample_value("lol_archive_refused_total") == 1

    def test_match_that_cassandra_refuses_for_its_size_is_counted_and_its_offset_committed(
        self, monkeypatch: pytest.MonkeyPatch, mock_kafka: str
    ) -> None:
        self.send(mock_kafka, *[value(match(match_id=f"EUW1_{number}")) for number in range(3)])
        registry = self.archive(monkeypatch, mock_kafka, FakeSession(EUW1_1=[TOO_LARGE]), 3)
        assert registry.get_sample_value("lol_archive_refused_total") == 1
        assert registry.get_sample_value("lol_archive_matches_total") == 2
        assert self.committed(mock_kafka) == 3

    def test_unreadable_batch_is_logged_counted_and_passed(
        self, monkeypatch: pytest.MonkeyPatch, mock_kafka: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        """The limit of a batch's size is small here, so that a small batch exceeds it."""
        monkeypatch.setattr("job.consumer.MAX_BATCH_BYTES", 100_000)
        before, after = (value(match(match_id=f"EUW1_{number}")) for number in range(2))
        self.send(mock_kafka, before)
        self.send(mock_kafka, *[before + b" " * 90_000] * 14, compression="zstd")
        self.send(mock_kafka, after)
        session = FakeSession()
        registry = self.archive(monkeypatch, mock_kafka, session, 2)
        assert [row[5] for row in session.written] == [before, after]
        assert registry.get_sample_value("lol_archive_unreadable_total", {"partition": "0"}) == 14
        (line,) = [record.getMessage() for record in caplog.records if record.levelno == logging.ERROR]
        assert line.startswith(
            "Not archived: topic lol_matches, partition 0, offsets 1 to 14 cannot be read: Decompression "
        )
        assert self.committed(mock_kafka) == 16

    def test_match_with_a_header_name_that_is_not_utf_8_is_archived(
        self, monkeypatch: pytest.MonkeyPatch, mock_kafka: str
    ) -> None:
        raw = value(match(match_id="EUW1_1"))
        send_with_header({"bootstrap.servers": mock_kafka}, "lol_matches", raw, b"tr\xe4ce", b"1", partition=0)
        session = FakeSession()
        self.archive(monkeypatch, mock_kafka, session, 1)
        assert [row[5] for row in session.written] == [raw]

    def test_rate_limit_is_respected(self, monkeypatch: pytest.MonkeyPatch, mock_kafka: str) -> None:
        acquired: list[int] = []
        monkeypatch.setattr(RateLimiter, "acquire", lambda _, messages: acquired.append(messages))
        self.send(mock_kafka, *[value(match(match_id=f"EUW1_{number}")) for number in range(3)])
        self.archive(monkeypatch, mock_kafka, FakeSession(), 3)
        assert sum(acquired) == 3

    def test_recreated_table_ends_the_archive_of_an_idle_topic(
        self, monkeypatch: pytest.MonkeyPatch, mock_kafka: str
    ) -> None:
        monkeypatch.setattr(archive, "_CHECK_SECONDS", 0)
        session = FakeSession()
        ids = count()
        monkeypatch.setattr(
            session, "execute", lambda *_: SimpleNamespace(one=lambda: SimpleNamespace(id=f"table {next(ids)}"))
        )
        with pytest.raises(JobError, match="created again"):
            self.archive(monkeypatch, mock_kafka, session, 1)


class TestMain:
    @pytest.fixture(autouse=True)
    def _process(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(sys, "argv", ["archive"])
        monkeypatch.setattr(logs, "configure", lambda _: None)
        self.handlers: dict[int, Any] = {}
        monkeypatch.setattr(signal, "signal", self.handlers.__setitem__)

    @pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
    def test_signal_during_the_start_ends_it_at_once(self, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
        """The start can wait two minutes for Kafka or Cassandra."""

        def run(*_: Any) -> None:
            self.handlers[number](number, None)
            pytest.fail("the start goes on")

        monkeypatch.setattr(archive, "run", run)
        with pytest.raises(SystemExit) as end:
            archive.main()
        assert not end.value.code

    def test_signal_after_the_start_lets_the_chunk_end(self, monkeypatch: pytest.MonkeyPatch) -> None:
        stopped: list[bool] = []

        def run(_options: Any, stopping: threading.Event, _end: Any, started: threading.Event) -> None:
            started.set()
            self.handlers[signal.SIGTERM](signal.SIGTERM, None)
            stopped.append(stopping.is_set())

        monkeypatch.setattr(archive, "run", run)
        assert archive.main() == 0
        assert stopped == [True]

    def test_exit_code_0_when_stopped_during_an_outage_of_cassandra(
        self, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        def run(*_: Any) -> None:
            raise TransientError("no host")

        monkeypatch.setattr(archive, "run", run)
        assert archive.main() == 0
        assert caplog.messages == ["Stopped while waiting for Cassandra: no host"]

    def test_exit_code_0_when_stopped(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(archive, "run", lambda *_: None)
        assert archive.main() == 0

    @pytest.mark.parametrize(
        "error",
        [
            JobError("kafka.topic: there is no topic"),
            InvalidRequest("unconfigured table"),
            KafkaException(KafkaError(KafkaError.UNKNOWN_TOPIC_OR_PART)),
        ],
        ids=lambda error: type(error).__name__,
    )
    def test_exit_code_1_and_a_log_line_after_an_error(
        self, error: Exception, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        def fail(*_: Any) -> None:
            raise error

        monkeypatch.setattr(archive, "run", fail)
        assert archive.main() == 1
        assert [record.message.partition(": ")[0] for record in caplog.records] == ["The archive ends"]

    def test_exit_code_1_when_the_topic_was_replaced(
        self, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        stopped: list[bool] = []

        def replaced(_options: Any, stopping: threading.Event, end: Callable[[str], None], _started: Any) -> None:
            end("topic lol_matches was deleted")
            stopped.append(stopping.is_set())

        monkeypatch.setattr(archive, "run", replaced)
        assert archive.main() == 1
        assert stopped == [True]
        assert caplog.records[-1].message == "The archive ends: topic lol_matches was deleted"

    def test_exit_code_2_for_invalid_settings(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        file = tmp_path / "job.yaml"
        file.write_text("archive: {messages_per_second: 0}")
        monkeypatch.setattr(sys, "argv", ["archive", "--config", str(file)])
        with pytest.raises(SystemExit) as end:
            archive.main()
        assert end.value.code == 2
        assert capsys.readouterr().err.startswith("Settings: archive.messages_per_second: 0 is invalid")
