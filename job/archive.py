"""The archive: each match of the topic, as it came, in Cassandra: `python -m job.archive --config FILE`.

A process beside the job with a place of its own in the topic, so that neither waits for the other. What is no match is
a dead letter, and kept as that. The place moves on when Cassandra has what is before it; what is read a second time
after a crash is written to the same row again.

Exit codes: 0 when it was stopped, 1 when it cannot go on, 2 for settings that cannot be used.
"""

import argparse
import logging
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from cassandra import OperationTimedOut, ProtocolVersion, RequestExecutionException, RequestValidationException
from cassandra.cluster import EXEC_PROFILE_DEFAULT, Cluster, ExecutionProfile, NoHostAvailable
from cassandra.connection import ConnectionException
from cassandra.policies import DCAwareRoundRobinPolicy, TokenAwarePolicy
from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition
from prometheus_client import REGISTRY, Counter, start_http_server
from tenacity import (
    RetryCallState,
    Retrying,
    retry_if_exception_type,
    sleep_using_event,
    stop_when_event_set,
    wait_random_exponential,
)

from job import logs, settings
from job.errors import JobError, first_line
from job.lag import ConsumerLag
from job.match import Match, PlausibleTimes, decode
from job.rate_limit import RateLimiter
from job.retry import wait_until_available
from job.topic import Incarnation, TopicInspector, watch

log = logging.getLogger("job.archive")

TABLE = "matches"
MOST_BYTES = 12 * 2**20
"""Of a match: Cassandra takes a row of 16 MiB at most. Real ones have 90 KB."""

_CHUNK_MESSAGES = 200
_CHUNK_BYTES = 8 * 2**20
_POLL_SECONDS = 1
_REQUEST_SECONDS = 10
_KAFKA_SECONDS = 30
_DAY_SECONDS = 86_400

# Cassandra is away, starts, or is busy: the same write can succeed later.
_PASSING = (NoHostAvailable, OperationTimedOut, RequestExecutionException, ConnectionException)

# The later message of a match wins, in whatever order and however often they are written.
_INSERT = (
    "INSERT INTO {keyspace}.{table} (match_id, ended, arrived, partition, offset, message) "
    "VALUES (?, ?, ?, ?, ?, ?) USING TIMESTAMP ? AND TTL ?"
)


class Row(NamedTuple):
    """A match: when it ended and when Kafka got it (ms), where in the topic it is, and the message's value."""

    match_id: str
    ended: int
    arrived: int
    partition: int
    offset: int
    message: bytes


def _write_time(row: Row) -> int:
    """The row's time for Cassandra in microseconds, by Kafka's, which all of a producer's batch may share: of rows with
    the same time Cassandra would take the larger value of each column, and make one of two messages."""
    return row.arrived * 1000 + row.offset % 1000


class UnavailableError(Exception):
    """Cassandra did not take all rows, for a reason that will pass."""


class Table:
    """The archive's table, written through a session with Cassandra."""

    def __init__(self, session: Any, options: settings.Archive, stopping: threading.Event) -> None:
        self._session = session
        self._insert = session.prepare(_INSERT.format(keyspace=options.keyspace, table=TABLE))
        self._insert.is_idempotent = True
        self._ttl = options.retention_days * _DAY_SECONDS
        self._stopping = stopping

    def put(self, rows: Sequence[Row]) -> None:
        """Write the rows, however long that takes. Raises UnavailableError if it is stopped before they are written."""
        pending = list(rows)
        retrying = Retrying(
            retry=retry_if_exception_type(UnavailableError),
            wait=wait_random_exponential(multiplier=0.25, max=5),
            stop=stop_when_event_set(self._stopping),
            sleep=sleep_using_event(self._stopping),
            before_sleep=_say_waiting,
            reraise=True,
        )
        for attempt in retrying:
            with attempt:
                pending, reason = self._write(pending)
                if pending:
                    raise UnavailableError(reason)

    def _write(self, rows: list[Row]) -> tuple[list[Row], str]:
        """Write the rows at once; return those that were not taken, and why."""
        answers = [self._session.execute_async(self._insert, (*row, _write_time(row), self._ttl)) for row in rows]
        failed, reason = [], ""
        for row, answer in zip(rows, answers, strict=True):
            try:
                answer.result()
            except _PASSING as error:
                failed.append(row)
                reason = reason or first_line(error)
        return failed, reason


@contextmanager
def connected(options: settings.Archive) -> Iterator[Any]:
    """A session with Cassandra, in which the table is. Raises JobError if Cassandra does not answer within the limit of
    `job.waiting`."""

    def complaint(error: Exception) -> str:
        return (
            f"archive.hosts: {', '.join(options.hosts)} cannot serve at port {options.port} ({first_line(error)}); is "
            "Cassandra running, is the address right?"
        )

    session = wait_until_available(
        "Cassandra", lambda: _connect(options), lambda error: isinstance(error, _PASSING), complaint
    )
    try:
        yield session
    finally:
        session.cluster.shutdown()


def _connect(options: settings.Archive) -> Any:
    cluster = Cluster(
        options.hosts,
        port=options.port,
        connect_timeout=_REQUEST_SECONDS,
        protocol_version=ProtocolVersion.V5,  # of Cassandra 4 and later
        execution_profiles={
            EXEC_PROFILE_DEFAULT: ExecutionProfile(
                TokenAwarePolicy(DCAwareRoundRobinPolicy()), request_timeout=_REQUEST_SECONDS
            )
        },
    )
    try:
        session = cluster.connect()
        session.execute(
            f"CREATE KEYSPACE IF NOT EXISTS {options.keyspace} "
            "WITH replication = {'class': 'NetworkTopologyStrategy', 'replication_factor': 1}"
        )
        session.execute(
            f"CREATE TABLE IF NOT EXISTS {options.keyspace}.{TABLE} (match_id text PRIMARY KEY, ended timestamp, "
            "arrived timestamp, partition int, offset bigint, message blob) "
            "WITH compression = {'class': 'ZstdCompressor', 'chunk_length_in_kb': 64}"
        )
    except Exception:
        cluster.shutdown()
        raise
    return session


class Place:
    """How far each partition is read, and the messages that follow."""

    def __init__(self, consumer: Consumer, topic: str, lag: ConsumerLag) -> None:
        self._consumer = consumer
        self._topic = topic
        self._lag = lag
        self._next: dict[int, int] = {}

    def chunk(self) -> list[Any]:
        """What is there to read, up to some megabytes; empty if nothing comes for a second. What came before counts as
        processed now."""
        self._lag.set_processed_offsets(self._next)
        messages: list[Any] = []
        size = 0
        while len(messages) < _CHUNK_MESSAGES and size < _CHUNK_BYTES:
            message: Any = self._consumer.poll(0 if messages else _POLL_SECONDS)
            if message is None:
                break
            if message.error() is None:
                if message.partition() not in self._next:
                    self._lag.set_processed_offsets({message.partition(): message.offset()})
                self._next[message.partition()] = message.offset() + 1
                messages.append(message)
                size += len(message.value() or b"")
            elif message.error().code() == KafkaError._PARTITION_EOF:
                self._next[message.partition()] = message.offset()
            else:
                log.warning("Waiting for Kafka: %s", message.error().str())
        return messages

    def keep(self) -> None:
        """Let the next start go on from here. If Kafka does not take it now, it will with the next chunk's."""
        places = [TopicPartition(self._topic, partition, offset) for partition, offset in self._next.items()]
        try:
            self._consumer.commit(offsets=places, asynchronous=False)
        except KafkaException as error:
            log.warning("Waiting for Kafka: %s", error.args[0].str())


def main() -> int:
    """Archive until it is stopped; return the exit code."""
    parser = argparse.ArgumentParser(prog="archive", description=__doc__)
    parser.add_argument("--config", type=Path, help="the job's: YAML file whose keys override those of config.yaml")
    given = parser.parse_args()
    try:
        options = settings.load(given.config)
    except settings.SettingsError as error:
        return error.print_errors()
    logs.configure(options.log)
    logging.getLogger("cassandra").setLevel(logging.CRITICAL)  # what it would say is raised as well
    stopping = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())
    faults: list[str] = []

    def end(reason: str) -> None:
        faults.append(reason)
        stopping.set()

    try:
        run(options, stopping, end)
    # The last: somebody dropped the table, say; the next start makes it again.
    except (JobError, UnavailableError, RequestValidationException, KafkaException) as error:
        faults.append(first_line(error))
    for fault in faults:
        log.error("The archive ends: %s", fault)
    return 1 if faults else 0


def run(options: settings.Settings, stopping: threading.Event, end: Callable[[str], None]) -> None:
    """Archive until `stopping` is set; `end` sets it too, and says why. Raises JobError if it cannot begin."""
    matches = Counter("lol_archive_matches_total", "Matches written to Cassandra")
    messages = Counter("lol_archive_messages_total", "Messages read from Kafka, those that are no matches too")
    refused = Counter("lol_archive_refused_total", "Matches that are too large for Cassandra")
    kafka = TopicInspector(options.kafka)
    incarnation = kafka.connect()
    lag = ConsumerLag("lol_archive_lag_messages")
    REGISTRY.register(lag)
    watch(kafka, incarnation, end, lag.set_end_offsets, stopping)
    bounds = PlausibleTimes.of(options.event_time.earliest, options.event_time.ahead_seconds)
    servers = options.kafka.bootstrap_servers
    with connected(options.archive) as session, closing(_consumer(servers, incarnation)) as consumer:
        table = Table(session, options.archive, stopping)
        say_lost(consumer, kafka, incarnation)
        place = Place(consumer, incarnation.topic, lag)
        pace = RateLimiter(options.archive.messages_per_second)
        start_http_server(options.http.port)  # from now on it is healthy
        log.info("✓ Archiving %s to %s.%s", incarnation.topic, options.archive.keyspace, TABLE)
        while not stopping.is_set():
            chunk = place.chunk()
            if chunk:
                pace.wait(len(chunk))
                rows, too_large = rows_of(chunk, bounds)
                table.put(rows)
                place.keep()
                matches.inc(len(rows))
                messages.inc(len(chunk))
                refused.inc(too_large)


def rows_of(messages: Sequence[Any], bounds: PlausibleTimes) -> tuple[list[Row], int]:
    """The matches among Kafka's messages (the later of one that is there twice), and how many of them are too large.
    Each of those is said in the log."""
    rows: dict[str, Row] = {}
    too_large = 0
    for message in messages:
        value, arrived = message.value(), message.timestamp()[1]
        match = decode(value, arrived, bounds)
        if not isinstance(match, Match):
            continue
        if len(value) > MOST_BYTES:
            too_large += 1
            log.error("%s has %d bytes, more than Cassandra takes; it is not archived", match.match_id, len(value))
            continue
        row = Row(match.match_id, match.ended, arrived, message.partition(), message.offset(), value)
        rows[row.match_id] = max(rows.get(row.match_id, row), row, key=_write_time)
    return list(rows.values()), too_large


def say_lost(consumer: Consumer, kafka: TopicInspector, incarnation: Incarnation) -> None:
    """Say in the log what Kafka deleted, by its retention, before it was archived."""
    begins = kafka.offsets(incarnation, "earliest")
    topic = incarnation.topic
    for place in consumer.committed([TopicPartition(topic, partition) for partition in begins], timeout=_KAFKA_SECONDS):
        missing = begins[place.partition] - place.offset
        if place.offset >= 0 and missing > 0:
            log.error("The archive lacks %d messages of partition %d that expired unread", missing, place.partition)


def _consumer(servers: str, incarnation: Incarnation) -> Consumer:
    """Its place is kept for this incarnation of the topic alone: one that is made anew is read from its beginning."""
    consumer = Consumer(
        {
            "bootstrap.servers": servers,
            "group.id": f"lol-archive-{incarnation.topic_id}",
            "client.id": "lol-archive",
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
            "enable.partition.eof": True,
            "isolation.level": "read_committed",  # as the stream is read
            "max.poll.interval.ms": _DAY_SECONDS * 1000,  # as long as Cassandra may be away
            "queued.max.messages.kbytes": 2 * _CHUNK_BYTES // 1024,
            "logger": logging.getLogger("librdkafka"),
        }
    )
    consumer.subscribe([incarnation.topic])
    return consumer


def _say_waiting(state: RetryCallState) -> None:
    error = state.outcome.exception() if state.outcome else None
    log.warning("Waiting %.1f s for Cassandra: %s", state.next_action.sleep if state.next_action else 0, error)


if __name__ == "__main__":
    sys.exit(main())
