"""The archive: writes the raw matches of the topic to Cassandra: `python -m job.archive --config FILE`.

A process beside the job with its own consumer group, so that neither waits for the other. The group belongs to one
incarnation of the topic and to one table: if either is created again, the topic is archived from its beginning.
Messages that are not matches are dead letters, which the job sends to their topic. Offsets are committed after
Cassandra has acknowledged the rows: delivery is at least once, and a message that is read again after a crash
overwrites its row (idempotent).

Exit codes: 0 after SIGTERM or SIGINT, 1 after an error, 2 for invalid settings.
"""

import argparse
import logging
import re
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence, Set
from contextlib import ExitStack, closing, contextmanager
from typing import Any, NamedTuple

from cassandra import (
    InvalidRequest,
    OperationTimedOut,
    ProtocolVersion,
    RequestExecutionException,
    RequestValidationException,
    UnresolvableContactPoints,
)
from cassandra.auth import PlainTextAuthProvider
from cassandra.cluster import EXEC_PROFILE_DEFAULT, Cluster, ExecutionProfile, NoHostAvailable
from cassandra.connection import ConnectionException
from cassandra.policies import ConstantReconnectionPolicy, DCAwareRoundRobinPolicy, TokenAwarePolicy
from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition
from prometheus_client import REGISTRY, CollectorRegistry, Counter, Gauge, make_wsgi_app

from job import settings
from job.cassandra_login import is_refused_login
from job.command_line import add_config_argument, load_settings, on_termination_signal
from job.consumer import BatchSkipper, UnreadableRange, consumer_settings
from job.errors import JobError, first_line
from job.kafka_client import KafkaClientSettings, client_settings, describe_error
from job.lag import ConsumerLag, StalledPartitions
from job.match import Match, PlausibleTimes, decode
from job.message import Message, Original
from job.rate_limit import RateLimiter
from job.retry import TransientError, log_wait, retry_with_backoff, wait_until_available
from job.topic import Incarnation, Offsets, TopicInspector, TopicOffsets, watch
from job.web_server import serve

log = logging.getLogger("job.archive")

TABLE = "matches"
MAX_BYTES = 12 * 2**20
"""The limit of a match's size: Cassandra takes a row of 16 MiB at most, and less with little memory. Real matches have
90 KB."""

_CHUNK_MESSAGES = 200
_CHUNK_BYTES = 8 * 2**20
_POLL_SECONDS = 1
_REQUEST_TIMEOUT_SECONDS = 10
_RECONNECTION_SECONDS = 5
_NEW_CONNECTION_SECONDS = 30
"""Without a written row for this long, the archive makes a new connection. The driver resolves Cassandra's name only
once, and never connects again after an error during the login."""
_CHECK_SECONDS = 30
"""How often the table's id is checked while there are no matches to write."""
_KAFKA_TIMEOUT_SECONDS = 30
_DAY_SECONDS = 86_400
_HANGING_SECONDS = 300  # longer than the rate limit may delay a chunk
_STOPPED_FETCH_SECONDS = 300
_BUSY_SECONDS = 60  # without a poll for this long, the archive has waited for Cassandra, or its rate limit

# Cassandra is down, starting or overloaded: the same write can succeed later.
_TRANSIENT_ERRORS = (
    *(NoHostAvailable, UnresolvableContactPoints, OperationTimedOut),
    *(RequestExecutionException, ConnectionException),
)

# Cassandra refuses a message for its size with an error whose code any invalid request has; only the text tells that
# other rows can be written. Every other invalid request can be a fault of the table, or a guardrail for a full disk.
_TOO_LARGE = re.compile(r"CQL Message of size \d+ bytes exceeds allowed maximum")

_EXPIRED = "they expired (retention) before they were archived"

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
        except _TRANSIENT_ERRORS as error:
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
        except _TRANSIENT_ERRORS as error:
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
            except _TRANSIENT_ERRORS as error:
                failed.append(row)
                reason = reason or _describe(error, self._options)
            except InvalidRequest as error:
                if not _TOO_LARGE.search(str(error)):
                    raise
                too_large += 1
                _, partition, offset = row.original
                _log_too_large(row.match_id, partition, offset, row.message)
        return failed, too_large, reason


def _log_too_large(match_id: str, partition: int, offset: int, value: bytes) -> None:
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
        "Cassandra", lambda: _connect(options), lambda error: isinstance(error, _TRANSIENT_ERRORS), describe
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


class StoppedFetches:
    """Detects partitions that Kafka's client no longer fetches, which can happen when a broker restarts.

    The client reports nothing then (librdkafka#5153, rust-rdkafka#597), and only a new client fetches them again. So
    the archive ends and is restarted, but only for a partition that this client has read before: if a restart brings no
    progress, something else is the cause, and another would not help.
    """

    def __init__(self) -> None:
        self._read: set[int] = set()
        self._silent_since: dict[int, float] = {}
        self._checked_at = time.monotonic()

    def record_event(self, partition: int, is_error: bool) -> None:
        """Record that the client has delivered a message, the partition's end or an error."""
        self._silent_since.pop(partition, None)
        if not is_error:
            self._read.add(partition)

    def find(self, waiting: Set[int], queue_is_empty: bool) -> list[int]:
        """The partitions without an event for five minutes, although the whole time there were messages to read.

        To be called after each poll. `waiting` has the partitions that have such messages; `queue_is_empty` is whether
        the client had no more events. Else the next ones can be those of any partition.
        """
        now = time.monotonic()
        if now > self._checked_at + _BUSY_SECONDS:  # Kafka too can have been unavailable meanwhile
            self._silent_since.clear()
        self._checked_at = now
        for partition in self._silent_since.keys() - waiting:
            del self._silent_since[partition]
        if not queue_is_empty:
            return []
        for partition in waiting & self._read:
            self._silent_since.setdefault(partition, now)
        return [
            partition
            for partition, since in sorted(self._silent_since.items())
            if now >= since + _STOPPED_FETCH_SECONDS
        ]


class OffsetTracker:
    """Polls messages of all partitions in chunks, commits the offsets behind them, and measures the lag.

    The archive is the only reader, so partitions are assigned to it without the group's protocol: one that is added to
    the topic is read within seconds, and the others are not interrupted.
    """

    def __init__(
        self,
        consumer: Consumer,
        topic: str,
        lag: ConsumerLag,
        unreadable: Counter,
        kafka: KafkaClientSettings,
    ) -> None:
        """`lag` has the topic's partitions. `unreadable` counts messages that Kafka's client cannot read. `kafka` has
        the consumer's settings."""
        self._kafka = kafka
        self._consumer = consumer
        self._messages = BatchSkipper(consumer, self._skip)
        self._topic = topic
        self._lag = lag
        self._unreadable = unreadable
        self._stopped_fetches = StoppedFetches()
        self._next: dict[int, int] = {}
        self._committed: dict[int, int] = {}
        self._committed_at = 0.0

    def assign(self, begins: Offsets) -> None:
        """Read these partitions as well, from the committed offset, or from their beginning if there is none.

        Messages that Kafka deleted by its retention before they were archived are data loss in the archive: they are
        logged and counted, as unreadable ones are. Raises KafkaException if a committed offset cannot be read.
        """
        partitions = [TopicPartition(self._topic, partition) for partition in begins]
        found = self._consumer.committed(partitions, timeout=_KAFKA_TIMEOUT_SECONDS)
        _raise_first_error(found)
        for committed in found:
            partition, begin = committed.partition, begins[committed.partition]
            self._unreadable.labels(str(partition))  # a counter that alerts are on exists before its first event
            self._next[partition] = max(committed.offset, begin)
            if 0 <= committed.offset < begin:
                self._skip(UnreadableRange(self._topic, partition, committed.offset, begin, _EXPIRED))
        self._messages.assign(self._positions(self._next))
        self._lag.set_processed_offsets(self._next)

    def poll(self) -> list[Message]:
        """The next messages, up to some megabytes; empty if none arrives within a second.

        From now on the lag counts the messages of earlier polls as processed. Raises JobError if the client no longer
        fetches a partition.
        """
        self._lag.set_processed_offsets(self._next)
        self._assign_added_partitions()
        messages: list[Message] = []
        size = 0
        while len(messages) < _CHUNK_MESSAGES and size < _CHUNK_BYTES:
            polled: Any = self._messages.poll(0 if messages else _POLL_SECONDS)
            if polled is None:
                self._check_fetches(queue_is_empty=True)
                return messages
            error = polled.error()
            self._stopped_fetches.record_event(
                polled.partition(), is_error=error is not None and error.code() != KafkaError._PARTITION_EOF
            )
            if error is None:
                message = Message.from_kafka(polled)
                self._next[message.partition] = message.offset + 1
                messages.append(message)
                size += len(message.value or b"")
            elif error.code() == KafkaError._PARTITION_EOF:
                self._next[polled.partition()] = polled.offset()
            elif error.code() == KafkaError._AUTO_OFFSET_RESET:
                self._continue_at_beginning(polled.partition())
                break
            elif error.fatal():
                raise KafkaException(error)
            else:  # it can be repeated without end
                self._log_wait(error)
                break
        self._check_fetches(queue_is_empty=False)
        return messages

    def _check_fetches(self, queue_is_empty: bool) -> None:
        """Raises JobError if the client no longer fetches a partition. While Kafka is not available, none is known to
        have messages."""
        waiting = {
            partition
            for partition, offsets in self._lag.topic_offsets.items()
            if self._next.get(partition, offsets.last_stable) < offsets.last_stable
        }
        stopped = self._stopped_fetches.find(waiting, queue_is_empty)
        if stopped:
            raise JobError(
                f"Kafka's client has delivered nothing of partition {', '.join(map(str, stopped))} of {self._topic} "
                "for five minutes, although there are messages; the next start reads on at the committed offsets"
            )

    def commit(self) -> None:
        """Commit the offsets of all polled messages. A failed commit is repeated with the next chunk's.

        Repeats an old commit: by default, Kafka deletes offsets that a consumer without a group membership has not
        committed for a week (offsets.retention.minutes).
        """
        if self._next == self._committed and time.monotonic() < self._committed_at + _DAY_SECONDS:
            return
        try:
            committed: Any = self._consumer.commit(offsets=self._positions(self._next), asynchronous=False)
            _raise_first_error(committed)
            self._committed, self._committed_at = dict(self._next), time.monotonic()
        except KafkaException as error:
            self._log_wait(error.args[0])

    def _continue_at_beginning(self, partition: int) -> None:
        """Continue at the first message that Kafka has, because it has none at the next offset any more.

        Messages before it have expired. If the next offset is behind the partition's end, Kafka has lost its latest
        messages: all messages that it still has are read again, which overwrites their rows.
        """
        try:
            begin, _ = self._consumer.get_watermark_offsets(
                TopicPartition(self._topic, partition), timeout=_KAFKA_TIMEOUT_SECONDS
            )
        except KafkaException as error:
            self._log_wait(error.args[0])
        else:
            if begin > self._next[partition]:
                self._skip(UnreadableRange(self._topic, partition, self._next[partition], begin, _EXPIRED))
            else:
                log.error("Kafka has lost messages of partition %d that were archived: reading it again", partition)
            self._next[partition] = begin
        self._messages.assign(self._positions(self._next))

    def _assign_added_partitions(self) -> None:
        added = {p: offsets.begin for p, offsets in self._lag.topic_offsets.items() if p not in self._next}
        if not added:
            return
        try:
            self.assign(added)
            log.info("Reading partitions that were added to %s: %s", self._topic, ", ".join(map(str, sorted(added))))
        except KafkaException as error:
            self._log_wait(error.args[0])

    def _log_wait(self, error: KafkaError) -> None:
        log.warning("Waiting for Kafka: %s", describe_error(error, self._kafka))

    def _skip(self, unreadable: UnreadableRange) -> None:
        log.error("Not archived: %s", unreadable)
        self._unreadable.labels(str(unreadable.partition)).inc(unreadable.end - unreadable.begin)
        self._next[unreadable.partition] = unreadable.end

    def _positions(self, offsets: Offsets) -> list[TopicPartition]:
        return [TopicPartition(self._topic, partition, offset) for partition, offset in offsets.items()]


def _raise_first_error(partitions: Iterable[TopicPartition]) -> None:
    """Raises KafkaException if Kafka has answered with an error for one of the partitions."""
    for partition in partitions:
        if partition.error:
            raise KafkaException(partition.error)


def main() -> int:
    """Run the archive until SIGTERM or SIGINT, or an error; return the exit code."""
    parser = argparse.ArgumentParser(prog="archive", description=__doc__)
    add_config_argument(parser)
    options = load_settings(parser.parse_args().config)
    logging.getLogger("cassandra").setLevel(logging.CRITICAL)  # its errors are raised as well
    stopping, started = threading.Event(), threading.Event()

    def on_signal() -> None:
        stopping.set()
        if not started.is_set():  # there is nothing to finish yet, and the start can take minutes
            sys.exit(0)

    on_termination_signal(on_signal)
    faults: list[str] = []

    def end(reason: str) -> None:
        faults.append(reason)
        stopping.set()

    try:
        run(options, stopping, end, started)
    except TransientError as error:  # the next start reads the unwritten matches again
        log.warning("Stopped while waiting for Cassandra: %s", error)
    # RequestValidationException: for example, somebody has dropped the table, or taken the right to write it.
    except (JobError, RequestValidationException, KafkaException, *_TRANSIENT_ERRORS) as error:
        faults.append(first_line(error))
    for fault in faults:
        log.error("The archive ends: %s", fault)
    return 1 if faults else 0


def run(
    options: settings.Settings,
    stopping: threading.Event,
    end: Callable[[str], None],
    started: threading.Event,
    registry: CollectorRegistry = REGISTRY,
) -> None:
    """Archive until `stopping` is set. `end` sets it too, with a reason. Sets `started` once it reads the topic.

    Raises JobError if Kafka or Cassandra cannot be used at the start, and TransientError if the archive is stopped
    while it waits for Cassandra.
    """
    matches = Counter("lol_archive_matches_total", "Matches written to Cassandra", registry=registry)
    read = Counter(
        "lol_archive_messages_total",
        "Messages read from Kafka, including those that are not matches",
        registry=registry,
    )
    refused = Counter("lol_archive_refused_total", "Matches that are too large for Cassandra", registry=registry)
    unreadable = Counter(
        "lol_archive_unreadable_total",
        "Messages that expired before they were read, or that Kafka's client cannot read",
        ["partition"],
        registry=registry,
    )
    heartbeat = Heartbeat()
    hanging = Gauge(
        "lol_archive_hanging", "1 after five minutes without a poll or an attempt to write", registry=registry
    )
    hanging.set_function(heartbeat.hanging)
    waiting = Gauge("lol_archive_waiting", "1 while the archive waits for Cassandra", registry=registry)
    waiting.set_function(lambda: heartbeat.waits_for_cassandra)
    kafka = TopicInspector(options.kafka)
    incarnation = kafka.connect()
    lag = ConsumerLag("lol_archive_lag_messages")
    stalled = StalledPartitions("lol_archive_stalled_seconds", lag)
    registry.register(lag)
    registry.register(stalled)

    def set_topic_offsets(offsets: TopicOffsets) -> None:
        lag.set_topic_offsets(offsets)
        stalled.set_topic_offsets(offsets)

    # While Kafka is not available, the lag is unknown: there is no more to report.
    watch(kafka, incarnation, end, set_topic_offsets, stopping, on_wait=lambda _: None)
    plausible_times = PlausibleTimes.of_settings(options.event_time)
    client = client_settings(options.kafka)
    with ExitStack() as stack:
        session = stack.enter_context(cassandra_session(options.archive))
        table = ArchiveTable(session, options.archive, stopping, heartbeat)
        consumer = stack.enter_context(closing(_consumer(client, incarnation, table.id)))
        tracker = OffsetTracker(consumer, incarnation.topic, lag, unreadable, client)
        tracker.assign(kafka.offsets(incarnation, "earliest"))
        rate_limiter = RateLimiter(options.archive.messages_per_second, stopping)
        serve(make_wsgi_app(registry), options.http)  # also the health check: healthy from here on
        started.set()
        log.info("✓ Archiving %s to %s.%s", incarnation.topic, options.archive.keyspace, TABLE)
        while not stopping.is_set():
            heartbeat.beat()
            messages = tracker.poll()
            rate_limiter.acquire(len(messages))
            rows, too_large = archived_matches(messages, plausible_times)
            refused_rows = table.write(rows)
            matches.inc(len(rows) - refused_rows)
            read.inc(len(messages))
            refused.inc(too_large + refused_rows)
            tracker.commit()


def archived_matches(messages: Sequence[Message], plausible_times: PlausibleTimes) -> tuple[list[ArchivedMatch], int]:
    """The rows of the matches among the messages, and how many matches are too large; logs each of those.

    Deduplicates: of two messages with the same match id, the later one is kept.
    """
    rows: dict[str, ArchivedMatch] = {}
    too_large = 0
    for message in messages:
        match = decode(message.value, message.arrived_at, plausible_times, details=False)
        if not isinstance(match, Match):
            continue
        value = message.value or b""
        if len(value) > MAX_BYTES:
            too_large += 1
            _log_too_large(match.match_id, message.partition, message.offset, value)
            continue
        row = ArchivedMatch(match.match_id, match.ended, message.original, value)
        rows[row.match_id] = max(rows.get(row.match_id, row), row, key=lambda each: each.original.write_time)
    return list(rows.values()), too_large


def _consumer(kafka: KafkaClientSettings, incarnation: Incarnation, table_id: str) -> Consumer:
    """A consumer whose group (`group.id`) belongs to this incarnation of the topic and to this table.

    So a recreated topic is read from its beginning, and for a recreated table the topic is read again. A former group
    has offsets only, and stays.
    """
    return Consumer(
        {
            **consumer_settings(kafka.librdkafka(), f"lol-archive-{incarnation.topic_id}-{table_id}"),
            "client.id": "lol-archive",
            "max.poll.interval.ms": _DAY_SECONDS * 1000,  # the longest outage of Cassandra that is tolerated
            "logger": logging.getLogger("librdkafka"),
        }
    )


if __name__ == "__main__":
    sys.exit(main())
