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
import sys
import threading
from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing

from cassandra import RequestValidationException
from confluent_kafka import Consumer, KafkaException
from prometheus_client import REGISTRY, CollectorRegistry, Counter, Gauge, make_wsgi_app

from job import settings
from job.archive_table import (
    TABLE,
    TRANSIENT_ERRORS,
    ArchivedMatch,
    ArchiveTable,
    Heartbeat,
    cassandra_session,
    log_too_large,
)
from job.command_line import add_config_argument, load_settings, on_termination_signal
from job.consumer import consumer_settings
from job.errors import JobError, first_line
from job.kafka_client import KafkaClientSettings, client_settings
from job.lag import ConsumerLag, StalledPartitions
from job.match import Match, PlausibleTimes, decode
from job.message import Message
from job.offset_tracker import OffsetTracker
from job.rate_limit import RateLimiter
from job.retry import TransientError
from job.topic import Incarnation, TopicInspector, TopicOffsets, watch
from job.web_server import serve

log = logging.getLogger("job.archive")

MAX_BYTES = 12 * 2**20
"""The limit of a match's size: Cassandra takes a row of 16 MiB at most, and less with little memory. Real matches have
90 KB."""

_OUTAGE_MILLISECONDS = 86_400_000
"""The longest outage of Cassandra that is tolerated."""


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
    except (JobError, RequestValidationException, KafkaException, *TRANSIENT_ERRORS) as error:
        faults.append(first_line(error))
    for fault in faults:
        log.error("The archive ends: %s", fault)
    return 1 if faults else 0


class ArchiveMetrics:
    """The archive's Prometheus metrics."""

    def __init__(self, registry: CollectorRegistry, heartbeat: Heartbeat) -> None:
        self.matches = Counter("lol_archive_matches_total", "Matches written to Cassandra", registry=registry)
        self.read = Counter(
            "lol_archive_messages_total",
            "Messages read from Kafka, including those that are not matches",
            registry=registry,
        )
        self.refused = Counter(
            "lol_archive_refused_total", "Matches that are too large for Cassandra", registry=registry
        )
        self.unreadable = Counter(
            "lol_archive_unreadable_total",
            "Messages that expired before they were read, or that Kafka's client cannot read",
            ["partition"],
            registry=registry,
        )
        hanging = Gauge(
            "lol_archive_hanging", "1 after five minutes without a poll or an attempt to write", registry=registry
        )
        hanging.set_function(heartbeat.hanging)
        waiting = Gauge("lol_archive_waiting", "1 while the archive waits for Cassandra", registry=registry)
        waiting.set_function(lambda: heartbeat.waits_for_cassandra)
        self.lag = ConsumerLag("lol_archive_lag_messages")
        self._stalled = StalledPartitions("lol_archive_stalled_seconds", self.lag)
        registry.register(self.lag)
        registry.register(self._stalled)

    def set_topic_offsets(self, offsets: TopicOffsets) -> None:
        """Record the present offsets of all partitions; empty if they are unknown."""
        self.lag.set_topic_offsets(offsets)
        self._stalled.set_topic_offsets(offsets)


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
    heartbeat = Heartbeat()
    metrics = ArchiveMetrics(registry, heartbeat)
    kafka = TopicInspector(options.kafka)
    incarnation = kafka.connect()
    # While Kafka is not available, the lag is unknown: there is no more to report.
    watch(kafka, incarnation, end, metrics.set_topic_offsets, stopping, on_wait=lambda _: None)
    plausible_times = PlausibleTimes.of_settings(options.event_time)
    client = client_settings(options.kafka)
    with ExitStack() as stack:
        session = stack.enter_context(cassandra_session(options.archive))
        table = ArchiveTable(session, options.archive, stopping, heartbeat)
        consumer = stack.enter_context(closing(_consumer(client, incarnation, table.id)))
        tracker = OffsetTracker(consumer, incarnation.topic, metrics.lag, metrics.unreadable, client)
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
            metrics.matches.inc(len(rows) - refused_rows)
            metrics.read.inc(len(messages))
            metrics.refused.inc(too_large + refused_rows)
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
            log_too_large(match.match_id, message.partition, message.offset, value)
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
            "max.poll.interval.ms": _OUTAGE_MILLISECONDS,
            "logger": logging.getLogger("librdkafka"),
        }
    )


if __name__ == "__main__":
    sys.exit(main())
