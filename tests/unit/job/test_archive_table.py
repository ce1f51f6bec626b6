"""The archive's table: retry of failed writes, new connections, recreated tables, and the health check."""

from __future__ import annotations

import logging
import re
import threading
import time
from types import SimpleNamespace
from typing import Any

import pytest
from cassandra import AuthenticationFailed, InvalidRequest, OperationTimedOut, Unavailable, WriteTimeout, WriteType
from cassandra.cluster import NoHostAvailable
from cassandra.connection import ConnectionException

from job import archive_table
from job.archive_table import ArchivedMatch, ArchiveTable, Heartbeat, cassandra_session
from job.errors import JobError
from job.message import Original
from job.retry import TransientError
from job.settings import with_overrides
from tests.support.fake_cassandra import TOO_LARGE, FakeSession

ROWS = [ArchivedMatch(f"EUW1_{number}", 1000, Original(2000 + number, 0, number), b"{}") for number in range(3)]


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
    monkeypatch.setattr(archive_table, "_connect", lambda _options: session)
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

        monkeypatch.setattr(archive_table, "Cluster", fake_cluster)
        with cassandra_session(with_overrides({}).archive):
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
        monkeypatch.setattr(archive_table, "_connect", connect)
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
