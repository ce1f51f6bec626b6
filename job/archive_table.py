"""The archive's table in Cassandra: sessions, writes with retry and backoff, and the logins that Cassandra refuses."""

import logging
import re
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

from cassandra import (
    InvalidRequest,
    OperationTimedOut,
    ProtocolVersion,
    RequestExecutionException,
    UnresolvableContactPoints,
)
from cassandra.auth import PlainTextAuthProvider
from cassandra.cluster import EXEC_PROFILE_DEFAULT, Cluster, ExecutionProfile, NoHostAvailable
from cassandra.connection import ConnectionException
from cassandra.policies import ConstantReconnectionPolicy, DCAwareRoundRobinPolicy, TokenAwarePolicy

from job import settings
from job.cassandra_login import is_refused_login
from job.errors import JobError, first_line
from job.message import Original
from job.retry import TransientError, log_wait, retry_with_backoff, wait_until_available

log = logging.getLogger(__name__)

TABLE = "matches"

_REQUEST_TIMEOUT_SECONDS = 10
_RECONNECTION_SECONDS = 5
_NEW_CONNECTION_SECONDS = 30
"""Without a written row for this long, the archive makes a new connection. The driver resolves Cassandra's name only
once, and never connects again after an error during the login."""
_CHECK_SECONDS = 30
"""How often the table's id is checked while there are no matches to write."""
_DAY_SECONDS = 86_400
_HANGING_SECONDS = 300  # longer than the rate limit may delay a chunk

# Cassandra is down, starting or overloaded: the same write can succeed later.
TRANSIENT_ERRORS = (
    *(NoHostAvailable, UnresolvableContactPoints, OperationTimedOut),
    *(RequestExecutionException, ConnectionException),
)

# Cassandra refuses a message for its size with an error whose code any invalid request has; only the text tells that
# other rows can be written. Every other invalid request can be a fault of the table, or a guardrail for a full disk.
_TOO_LARGE = re.compile(r"CQL Message of size \d+ bytes exceeds allowed maximum")

# The write time makes the match's later message win, in whatever order and however often rows are written.
_INSERT = (
    "INSERT INTO {keyspace}.{table} (match_id, ended, arrived, partition, offset, message) "
    "VALUES (?, ?, ?, ?, ?, ?) USING TIMESTAMP ? AND TTL ?"
)

_SELECT_TABLE_ID = "SELECT id FROM system_schema.tables WHERE keyspace_name = %s AND table_name = %s"


class ArchivedMatch(NamedTuple):
    """A row of the archive. `ended` is in milliseconds; `message` is the Kafka message's value.

    Arrival time and position of a replayed message are those of its original, whose value is the same.
    """

    match_id: str
    ended: int
    original: Original
    message: bytes

    def values(self) -> tuple[object, ...]:
        """The values of `_INSERT`, up to the write time."""
        return (self.match_id, self.ended, *self.original, self.message, self.original.write_time)


class Heartbeat:
    """Detects that the archive hangs, for the container's health check: no poll and no attempt to write for minutes.

    While Cassandra is not available the archive does not hang: it repeats its attempts, and `waits_for_cassandra`.
    """

    def __init__(self) -> None:
        self._at = time.monotonic()
        self.waits_for_cassandra = False

    def beat(self) -> None:
        """Record progress."""
        self._at = time.monotonic()

    def hanging(self) -> bool:
        """Whether there was no progress for too long."""
        return time.monotonic() - self._at > _HANGING_SECONDS


class ArchiveTable:
    """Writes matches to the archive's table through a Cassandra session, with retry and backoff."""

    def __init__(
        self, session: Any, options: settings.Archive, stopping: threading.Event, heartbeat: Heartbeat
    ) -> None:
        """Raises JobError if the table does not exist."""
        self._heartbeat = heartbeat
        self._options = options
        self._use(session)
        self.id = self._read_id()
        """Cassandra's id of the table. A table that is dropped and created again has another one."""
        self._ttl = options.retention_days * _DAY_SECONDS
        self._stopping = stopping

    def write(self, rows: Sequence[ArchivedMatch]) -> int:
        """Write the rows; retry transient errors, however long an outage lasts. Without rows, check the table.

        Returns how many rows Cassandra has refused because they are too large; logs each of those. Raises
        TransientError if the archive is stopped before all rows are written, and JobError if the table was
        created again since the start: it lacks what was archived before, and the next start reads the topic again.
        """
        if not rows and time.monotonic() < self._checked_at + _CHECK_SECONDS:
            return 0
        pending = list(rows)
        refused = 0
        written_at = time.monotonic()

        def attempt() -> None:
            nonlocal pending, refused, written_at
            self._heartbeat.beat()
            if time.monotonic() > written_at + _NEW_CONNECTION_SECONDS:
                self._connect_anew()
                written_at = time.monotonic()  # the new connection gets as long
            self._check_id()
            failed, too_large, reason = self._write(pending)
            refused += too_large
            if len(failed) < len(pending):
                written_at = time.monotonic()
            pending = failed
            if pending:
                raise TransientError(reason)

        def on_wait(service: str, reason: str, seconds: float) -> None:
            self._heartbeat.waits_for_cassandra = True
            log_wait(service, reason, seconds)

        retry_with_backoff("Cassandra", attempt, on_wait, self._stopping)
        self._heartbeat.waits_for_cassandra = False
        return refused

    def _use(self, session: Any) -> None:
        keyspace = self._options.keyspace
        try:
            insert = session.prepare(_INSERT.format(keyspace=keyspace, table=TABLE))
        except InvalidRequest as error:
            raise JobError(
                f"archive.keyspace: {keyspace}.{TABLE} cannot be written ({first_line(error)}); create it "
                "(a deployment of the stack does)"
            ) from error
        insert.is_idempotent = True
        self._session, self._insert = session, insert

    def _read_id(self) -> str:
        """The table's id; empty if there is no such table."""
        row = self._session.execute(_SELECT_TABLE_ID, (self._options.keyspace, TABLE)).one()
        self._checked_at = time.monotonic()
        return str(row.id) if row else ""

    def _check_id(self) -> None:
        """Raises JobError if the table is not that of the start, TransientError if Cassandra does not answer."""
        try:
            present = self._read_id()
        except TRANSIENT_ERRORS as error:
            raise TransientError(_describe(error, self._options)) from error
        if present != self.id:
            raise JobError(
                f"archive.keyspace: {self._options.keyspace}.{TABLE} was dropped, or created again, while the archive "
                "was running; the next start reads the topic from its beginning"
            )

    def _connect_anew(self) -> None:
        """Replace the session by one of a new connection. Raises TransientError if Cassandra is not available."""
        old = self._session
        try:
            new = _connect(self._options)
            try:
                self._use(new)
            except Exception:
                new.cluster.shutdown()
                raise
        except TRANSIENT_ERRORS as error:
            raise TransientError(_describe(error, self._options)) from error
        old.cluster.shutdown()
        log.info("Connected to Cassandra again")

    def _write(self, rows: list[ArchivedMatch]) -> tuple[list[ArchivedMatch], int, str]:
        """Write the rows concurrently.

        Returns those that failed for a transient reason, the number of those that are too large, and the first reason.
        """
        futures = [self._session.execute_async(self._insert, (*row.values(), self._ttl)) for row in rows]
        failed, too_large, reason = [], 0, ""
        for row, future in zip(rows, futures, strict=True):
            try:
                future.result()
            except TRANSIENT_ERRORS as error:
                failed.append(row)
                reason = reason or _describe(error, self._options)
            except InvalidRequest as error:
                if not _TOO_LARGE.search(str(error)):
                    raise
                too_large += 1
                _, partition, offset = row.original
                log_too_large(row.match_id, partition, offset, row.message)
        return failed, too_large, reason


def log_too_large(match_id: str, partition: int, offset: int, value: bytes) -> None:
    """Log that a match is not archived because of its size."""
    log.error(
        "Not archived: match %s (partition %d, offset %d) has %d bytes, more than Cassandra takes",
        match_id,
        partition,
        offset,
        len(value),
    )


@contextmanager
def cassandra_session(options: settings.Archive) -> Iterator[Any]:
    """A Cassandra session. Raises JobError if Cassandra is not available within the start-up timeout (job.retry).

    A refused login is retried as well: the role may be about to get the password that these settings have.
    """

    def describe(error: Exception) -> str:
        hosts = ", ".join(options.hosts)
        return _refused_login(error, options) or (
            f"archive.hosts: {hosts} is not available at port {options.port} ({_describe(error, options)}); is "
            "Cassandra running, is the address right?"
        )

    session = wait_until_available(
        "Cassandra", lambda: _connect(options), lambda error: isinstance(error, TRANSIENT_ERRORS), describe
    )
    try:
        yield session
    finally:
        session.cluster.shutdown()


class _Connection(Cluster.connection_class):  # type: ignore[misc]
    """A connection that sends a row in one piece: by default the driver cuts it into 4 KiB, each with a system call."""

    out_buffer_size = 256 * 1024


def _connect(options: settings.Archive) -> Any:
    cluster = Cluster(
        options.hosts,
        connection_class=_Connection,
        port=options.port,
        auth_provider=(
            PlainTextAuthProvider(options.username, options.password.get_secret_value()) if options.username else None
        ),
        connect_timeout=_REQUEST_TIMEOUT_SECONDS,
        # Timeout of the requests for nodes and schema; by default two seconds, too few on a busy machine.
        control_connection_timeout=_REQUEST_TIMEOUT_SECONDS,
        protocol_version=ProtocolVersion.V5,  # of Cassandra 4 and later
        # The driver's default backoff grows to ten minutes, in which Cassandra would be available and not used.
        reconnection_policy=ConstantReconnectionPolicy(_RECONNECTION_SECONDS, max_attempts=None),
        execution_profiles={
            EXEC_PROFILE_DEFAULT: ExecutionProfile(
                TokenAwarePolicy(DCAwareRoundRobinPolicy()), request_timeout=_REQUEST_TIMEOUT_SECONDS
            )
        },
    )
    try:
        return cluster.connect()
    except Exception:
        cluster.shutdown()
        raise


def _describe(error: Exception, options: settings.Archive) -> str:
    """A transient error in one line."""
    if isinstance(error, UnresolvableContactPoints):  # it has no text
        return f"the name {', '.join(options.hosts)} cannot be resolved"
    return _refused_login(error, options) or first_line(error)


def _refused_login(error: Exception, options: settings.Archive) -> str | None:
    """The error in one line if Cassandra refuses the login, else None."""
    causes = error.errors.values() if isinstance(error, NoHostAvailable) else ()
    refused = [cause for cause in causes if is_refused_login(cause)]
    if not refused:
        return None
    return (
        f"archive.username, archive.password: Cassandra at {', '.join(options.hosts)} refuses the login of "
        f"{options.username or 'a client without a name'} ({first_line(refused[0])}); correct the two"
    )
