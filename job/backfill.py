"""Re-indexes a time range of the topic beside the job: `python -m job.backfill --config FILE --from TIME --to TIME`.

Uses the job's own code with a rate limit, and overwrites the same documents (idempotent). Dead letters are counted, not
sent again; the statistics stay as they are. If a match was sent again with other content, the newest version always
wins, even if only the older message is in the range.

Exit codes: 0 when the range is done, 1 after an error, when it was stopped or when Elasticsearch rejected documents, 2
for invalid arguments or settings.
"""

import argparse
import logging
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from confluent_kafka import Consumer, KafkaError, TopicPartition

from job import settings, startup_checks
from job.command_line import add_config_argument, load_settings
from job.consumer import BatchSkipper, UnreadableRange, consumer_settings
from job.documents import MatchAliases
from job.errors import JobError
from job.kafka_client import KafkaClientSettings, client_settings
from job.match import PlausibleTimes
from job.message import Message
from job.rate_limit import RateLimiter
from job.retry import TIMEOUT_SECONDS, log_wait
from job.sinks import elasticsearch
from job.tasks.index_matches import REJECTED, index
from job.times import from_ms, iso, now_ms, to_ms
from job.topic import Incarnation, Offsets, TopicInspector

log = logging.getLogger("job.backfill")

GROUP = "lol-backfill"
"""The consumer group, which has no offsets: the client needs one."""
_CHUNK_MESSAGES = 500
_CHUNK_BYTES = 8 * 2**20
_TAIL_OFFSETS = 100
"""How many offsets at a partition's end are read for its last message: the markers of transactions have offsets too."""
_POLL_SECONDS = 1
_PROGRESS_SECONDS = 10


class OffsetRange(NamedTuple):
    """The offsets of one partition to read: `begin` inclusive, `end` exclusive."""

    begin: int
    end: int


OffsetRanges = dict[int, OffsetRange]
"""By partition; none of them is empty."""


@dataclass
class Progress:
    """The progress of a backfill.

    `reached` has, by unfinished partition, the arrival time of the last processed message (milliseconds).
    """

    reached: dict[int, int]
    messages: int = 0
    outside: int = 0
    """Messages of unordered partitions that did not arrive in the time range; not processed."""
    documents: int = 0
    dead_letters: Counter[str] = field(default_factory=Counter)
    unreadable: int = 0

    def skip(self, unreadable: UnreadableRange) -> None:
        """Log and count the messages of a batch that cannot be read."""
        log.error("Skipped: %s", unreadable)
        self.unreadable += unreadable.end - unreadable.begin

    def __str__(self) -> str:
        text = f"{self.messages:,} messages, {self.documents:,} documents, {self.dead_letters.total():,} dead letters"
        reasons = ", ".join(f"{reason} {letters:,}" for reason, letters in sorted(self.dead_letters.items()))
        text = f"{text} ({reasons})" if reasons else text
        return f"{text}, {self.unreadable:,} unreadable" if self.unreadable else text


def main() -> int:
    """Run a backfill; return the exit code."""
    parser = argparse.ArgumentParser(prog="backfill", description=__doc__)
    add_config_argument(parser)
    parser.add_argument(
        "--from",
        dest="begin",
        type=_moment,
        required=True,
        metavar="TIME",
        help="arrival time in Kafka, ISO 8601; without a zone: UTC",
    )
    parser.add_argument("--to", dest="end", type=_moment, metavar="TIME", help="default: now")
    parser.add_argument(
        "--rate",
        type=_positive,
        default=200,
        metavar="N",
        help="rate limit, messages a second (default: %(default)s)",
    )
    given = parser.parse_args()
    end = now_ms() if given.end is None else given.end
    if given.begin >= end:
        limit = "now," if given.end is None else "--to"
        parser.error(f"--from {iso(given.begin)} is not before {limit} {iso(end)}; a time without a zone is UTC")
    options = load_settings(given.config)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        run(options, given.begin, end, given.rate)
    except JobError as error:
        log.error("%s", error)
        return 1
    except KeyboardInterrupt:
        log.error("Stopped before the end")
        return 1
    return 0


def run(options: settings.Settings, begin: int, end: int, rate: int) -> None:
    """Index again the messages that arrived from `begin` (inclusive) to `end` (exclusive), in milliseconds.

    `rate` is in messages per second. Raises JobError if the range or a service cannot be used, and at the end if
    Elasticsearch has rejected documents.
    """
    log.info("✓ Connected to Elasticsearch: %s", startup_checks.wait_for_elasticsearch(options.elasticsearch))
    kafka = TopicInspector(options.kafka)
    incarnation = kafka.connect()
    client = client_settings(options.kafka)
    unordered = unordered_partitions(kafka, client, incarnation, end)
    ranges = offset_ranges(kafka, incarnation, begin, end, unordered)
    total = sum(each.end - each.begin for each in ranges.values())
    log.info("Backfill of %s from %s to %s: %s messages", incarnation.topic, iso(begin), iso(end), f"{total:,}")
    sink = elasticsearch.BulkSink(elasticsearch.client(elasticsearch.Connection.of(options.elasticsearch)), log_wait)
    plausible_times = PlausibleTimes.of_settings(options.event_time)
    aliases = MatchAliases.of_settings(options.elasticsearch)
    progress = Progress(dict.fromkeys(ranges, begin))
    rejection = ""
    rate_limiter = RateLimiter(rate)
    logged_at = time.monotonic()
    try:
        for chunk in read(client, incarnation.topic, ranges, min(rate, _CHUNK_MESSAGES), progress.skip):
            wanted = [each for each in chunk if each.partition not in unordered or begin <= each.arrived_at < end]
            progress.outside += len(chunk) - len(wanted)
            rate_limiter.acquire(len(wanted))
            for outcome in index(wanted, plausible_times, aliases, sink):
                progress.messages += 1
                progress.documents += outcome.indexed + outcome.indexed_teams
                if outcome.dead_letter is not None:
                    progress.dead_letters[outcome.dead_letter.reason] += 1
                    if outcome.dead_letter.reason == REJECTED:
                        rejection = rejection or outcome.dead_letter.detail
            _note_reached(progress, chunk, ranges, unordered)
            if time.monotonic() > logged_at + _PROGRESS_SECONDS:
                logged_at = time.monotonic()
                log.info("%d %%: %s", 100 * (progress.messages + progress.outside) // total, progress)
    except (JobError, KeyboardInterrupt):
        resume_at = iso(min(progress.reached.values(), default=begin))
        log.warning("Done so far: %s; resume with FROM=%s", progress, resume_at)
        raise
    if not rejection:
        log.info("✓ Backfill done: %s", progress)
    log.info(
        "Dead letters were counted, not sent to %s again; the statistics are unchanged", options.kafka.dead_letter_topic
    )
    if rejection:
        raise JobError(
            f"Elasticsearch rejected documents: {progress}; the first: {rejection}; make the index's mapping and the "
            "job agree (deploy the stack again), then run the backfill again"
        )


def unordered_partitions(
    kafka: TopicInspector, client: KafkaClientSettings, incarnation: Incarnation, end: int
) -> Offsets:
    """The end offsets of partitions whose last message arrived before an earlier one that arrived at `end` (in
    milliseconds) or later: the broker's clock went back. Logs a warning for each. Also those of partitions whose latest
    arrival time is unknown.

    Kafka finds the first message that arrived at a time or later. Behind it, such a partition can have messages that
    arrived before `end`.
    """
    # Before the end offsets: a message that arrives in between must not be later than the last one.
    retained = kafka.retained_ranges(incarnation)
    ends = kafka.offsets(incarnation, "latest")
    found = {p: ends[p] for p, each in retained.items() if each.latest_arrived_at is None}
    latest_arrivals = {
        p: each.latest_arrived_at
        for p, each in retained.items()
        if each.latest_arrived_at is not None and each.latest_arrived_at >= end
    }
    tails = {p: OffsetRange(max(retained[p].first_offset, ends[p] - _TAIL_OFFSETS), ends[p]) for p in latest_arrivals}
    last: dict[int, int] = {}
    for chunk in read(client, incarnation.topic, tails, _CHUNK_MESSAGES, lambda _: None) if tails else ():
        last |= {message.partition: message.arrived_at for message in chunk}
    for partition, latest in latest_arrivals.items():
        # Without a message among so many offsets of transactions, it is unknown.
        if last.get(partition, 0) < latest:
            found[partition] = ends[partition]
            if partition in last:
                log.warning(
                    "The broker's clock went back: partition %d of topic %s has a message that arrived at %s, but its "
                    "last one at %s. Its messages are read to the end, to find all of the time range",
                    partition,
                    incarnation.topic,
                    iso(latest),
                    iso(last[partition]),
                )
    return found


def offset_ranges(
    kafka: TopicInspector, incarnation: Incarnation, begin: int, end: int, unordered: Offsets
) -> OffsetRanges:
    """The offsets of the messages that arrived from `begin` (inclusive) to `end` (exclusive), in milliseconds. Of
    unordered partitions, given by their end offsets, it is all offsets up to the end.

    Logs a warning if messages of the range are no longer retained. Raises JobError if the range has no message.
    """
    begins, ends = (kafka.offsets(incarnation, from_ms(moment)) for moment in (begin, end))
    ends |= unordered
    ranges = {p: OffsetRange(begins[p], ends[p]) for p in incarnation.partitions if begins[p] < ends[p]}
    retained = kafka.retained_ranges(incarnation)
    if not ranges:
        available = "the topic is empty"
        if retained:
            first = min(each.first_arrived_at for each in retained.values())
            latest = [each.latest_arrived_at for each in retained.values() if each.latest_arrived_at is not None]
            until = f"to {iso(max(latest))}" if len(latest) == len(retained) else "on"
            available = f"its messages arrived from {iso(first)} {until}"
        raise JobError(
            f"Topic {incarnation.topic} has no message that arrived from {iso(begin)} to {iso(end)}; {available}"
        )
    for partition in ranges:
        if retained[partition].first_offset > 0 and begin < retained[partition].first_arrived_at:
            log.warning(
                "Topic %s no longer retains the whole range: partition %d begins with a message that arrived at %s",
                incarnation.topic,
                partition,
                iso(retained[partition].first_arrived_at),
            )
    return ranges


def read(
    kafka: KafkaClientSettings,
    topic: str,
    ranges: OffsetRanges,
    max_messages: int,
    on_unreadable: Callable[[UnreadableRange], None],
) -> Iterator[list[Message]]:
    """Yield the messages of the ranges in chunks of at most `max_messages` and some megabytes, ordered by partition.

    Calls `on_unreadable` after each batch that Kafka's client cannot read. Raises JobError if no message arrives within
    the start-up timeout (job.retry), or if messages of the range are deleted in the meantime.
    """
    consumer = Consumer(
        {
            **consumer_settings(kafka.librdkafka(), GROUP),
            "client.id": "lol-backfill",
            "logger": logging.getLogger("librdkafka"),
        }
    )
    unfinished = set(ranges)

    def reached(partition: int, offset: int) -> None:
        if partition in unfinished and offset >= ranges[partition].end - 1:
            unfinished.remove(partition)
            consumer.pause([TopicPartition(topic, partition)])

    def skip(unreadable: UnreadableRange) -> None:
        if unreadable.partition in unfinished and unreadable.begin < ranges[unreadable.partition].end:
            on_unreadable(unreadable)
        reached(unreadable.partition, unreadable.end - 1)

    try:
        messages = BatchSkipper(consumer, skip)
        messages.assign([TopicPartition(topic, partition, each.begin) for partition, each in ranges.items()])
        chunk: list[Message] = []
        size = 0
        polled_at = time.monotonic()
        while unfinished:
            polled: Any = messages.poll(_POLL_SECONDS)  # confluent_kafka's types allow None everywhere
            if polled is None:
                if time.monotonic() > polled_at + TIMEOUT_SECONDS:
                    raise JobError(
                        f"kafka.bootstrap_servers: {kafka.bootstrap_servers} sent no message for {TIMEOUT_SECONDS} s"
                    )
                continue
            polled_at = time.monotonic()
            partition, offset = polled.partition(), polled.offset()
            if polled.error():
                if polled.error().code() != KafkaError._PARTITION_EOF:
                    reason = polled.error().str()
                    raise JobError(f"Topic {topic} cannot be read further, partition {partition}: {reason}")
                offset -= 1  # the end's offset is that of the next message
            elif partition in unfinished and offset < ranges[partition].end:
                chunk.append(Message.from_kafka(polled))
                size += len(chunk[-1].value or b"")
            reached(partition, offset)
            if len(chunk) >= max_messages or size >= _CHUNK_BYTES:
                yield chunk
                chunk, size = [], 0
                polled_at = time.monotonic()
        if chunk:
            yield chunk
    finally:
        consumer.close()


def _note_reached(progress: Progress, chunk: list[Message], ranges: OffsetRanges, unordered: Offsets) -> None:
    for message in chunk:
        if message.partition not in unordered:  # behind any message of those, an earlier one can follow
            progress.reached[message.partition] = message.arrived_at
        if message.offset == ranges[message.partition].end - 1:
            del progress.reached[message.partition]


def _moment(text: str) -> int:
    try:
        return to_ms(settings.parse_time(text))
    except ValueError:
        raise argparse.ArgumentTypeError(f"must be a time such as 2026-11-24T06:00:00Z, not {text!r}") from None


def _positive(text: str) -> int:
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"must be a whole number from 1, not {text!r}")
    return int(text)


if __name__ == "__main__":
    sys.exit(main())
