"""A range of the topic once more into the same documents: `python -m job.backfill --config FILE --from TIME --to TIME`.

Runs beside the job, at a bounded rate, with the job's own code, so that the documents are the same. Dead letters are
counted, not sent again; statistics are not touched. Of a match that was sent again with other content the later stays.

Exit codes: 0 when the range is done, 1 when it cannot be done or was stopped, 2 for arguments or settings that cannot
be used.
"""

import argparse
import logging
import signal
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from confluent_kafka import Consumer, KafkaError, TopicPartition

from job import logs, settings, startup_checks
from job.documents import iso
from job.errors import JobError
from job.match import PlausibleTimes
from job.rate_limit import RateLimiter
from job.retry import LIMIT_SECONDS
from job.sinks import elasticsearch
from job.sinks.dead_letters import Record
from job.tasks import index_matches
from job.topic import Incarnation, TopicInspector

log = logging.getLogger("job.backfill")

_CHUNK_MESSAGES = 500
_CHUNK_BYTES = 8 * 2**20
_POLL_SECONDS = 1
_SAY_SECONDS = 10


class Span(NamedTuple):
    """The offsets of one partition that are read: from `begin` up to, and without, `end`."""

    begin: int
    end: int


Spans = dict[int, Span]
"""By partition; none of them is empty."""


@dataclass
class BatchCounts:
    """What has been done so far. `until` has, by unfinished partition, when its last message that is done came (ms)."""

    until: dict[int, int]
    messages: int = 0
    documents: int = 0
    dead_letters: Counter[str] = field(default_factory=Counter)

    def __str__(self) -> str:
        text = f"{self.messages:,} messages, {self.documents:,} documents, {self.dead_letters.total():,} dead letters"
        reasons = ", ".join(f"{reason} {letters:,}" for reason, letters in sorted(self.dead_letters.items()))
        return f"{text} ({reasons})" if reasons else text


def main() -> int:
    """Do the range; return the exit code."""
    parser = argparse.ArgumentParser(prog="backfill", description=__doc__)
    parser.add_argument("--config", type=Path, help="the job's: YAML file whose keys override those of config.yaml")
    parser.add_argument(
        "--from", dest="begin", type=_moment, required=True, metavar="TIME", help="ISO 8601, Kafka's time"
    )
    parser.add_argument(
        "--to", dest="end", type=_moment, default=datetime.now(UTC).isoformat(), metavar="TIME", help="default: now"
    )
    parser.add_argument(
        "--rate", type=_positive, default=200, metavar="N", help="messages a second at most (default: %(default)s)"
    )
    given = parser.parse_args()
    if given.begin >= given.end:
        parser.error(f"--from {iso(given.begin)} is not before --to {iso(given.end)}")
    try:
        options = settings.load(given.config)
    except settings.SettingsError as error:
        return error.print_errors()
    logs.configure(options.log)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        run(options, given.begin, given.end, given.rate)
    except JobError as error:
        log.error("%s", error)
        return 1
    except KeyboardInterrupt:
        log.error("Stopped before the end")
        return 1
    return 0


def run(options: settings.Settings, begin: int, end: int, rate: int) -> None:
    """Index again what came to Kafka from `begin` up to `end` (ms). Raises JobError if that cannot be done."""
    log.info("✓ Connected to Elasticsearch: %s", startup_checks.wait_for_elasticsearch(options.elasticsearch))
    kafka = TopicInspector(options.kafka)
    incarnation = kafka.connect()
    spans = spans_of(kafka, incarnation, begin, end)
    total = sum(span.end - span.begin for span in spans.values())
    log.info("Backfill of %s from %s to %s: %s messages", incarnation.topic, iso(begin), iso(end), f"{total:,}")
    sink = elasticsearch.Bulk(
        elasticsearch.client(tuple(options.elasticsearch.hosts), options.elasticsearch.request_timeout_seconds),
        _say_waiting,
    )
    bounds = PlausibleTimes.of(options.event_time.earliest, options.event_time.ahead_seconds)
    tally = BatchCounts(dict.fromkeys(spans, begin))
    pace = RateLimiter(rate)
    said_at = time.monotonic()
    try:
        for chunk in read(options.kafka.bootstrap_servers, incarnation.topic, spans, min(rate, _CHUNK_MESSAGES)):
            pace.wait(len(chunk))
            for fate in index_matches.index(chunk, bounds, options.elasticsearch.matches, sink):
                tally.messages += 1
                tally.documents += fate.indexed
                if fate.letter is not None:
                    tally.dead_letters[fate.letter.reason] += 1
            _note_progress(tally, chunk, spans)
            if time.monotonic() > said_at + _SAY_SECONDS:
                said_at = time.monotonic()
                log.info("%d %%: %s", 100 * tally.messages // total, tally)
    except (JobError, KeyboardInterrupt):
        log.warning("Done so far: %s; go on with FROM=%s", tally, iso(min(tally.until.values(), default=begin)))
        raise
    log.info("✓ Backfill done: %s", tally)
    log.info(
        "Dead letters were counted, not sent to %s again; statistics were not touched", options.kafka.dead_letter_topic
    )


def spans_of(kafka: TopicInspector, incarnation: Incarnation, begin: int, end: int) -> Spans:
    """Which offsets came to Kafka from `begin` up to `end` (ms).

    Says what of it the topic no longer holds. Raises JobError if it holds nothing of it.
    """
    begins, ends = (kafka.offsets(incarnation, datetime.fromtimestamp(moment / 1000, UTC)) for moment in (begin, end))
    spans = {p: Span(begins[p], ends[p]) for p in incarnation.partitions if begins[p] < ends[p]}
    held = kafka.retained_ranges(incarnation)
    if not spans:
        holds = "it holds nothing"
        if held:
            first, latest = (
                min(each.first_arrived_at for each in held.values()),
                max(each.latest_arrived_at for each in held.values()),
            )
            holds = f"what it holds came from {iso(first)} to {iso(latest)}"
        raise JobError(f"Topic {incarnation.topic} has no message that came from {iso(begin)} to {iso(end)}; {holds}")
    for partition in spans:
        if held[partition].first_offset > 0 and begin < held[partition].first_arrived_at:
            log.warning(
                "Topic %s no longer holds all of it: partition %d begins with what came at %s",
                incarnation.topic,
                partition,
                iso(held[partition].first_arrived_at),
            )
    return spans


def read(servers: str, topic: str, spans: Spans, most: int) -> Iterator[list[Record]]:
    """The messages of the spans in chunks of at most `most` messages and some megabytes, each partition in its order.

    Raises JobError if Kafka gives nothing for the limit of `job.waiting`, or the messages were deleted meanwhile.
    """
    consumer = Consumer(
        {
            "bootstrap.servers": servers,
            "group.id": "lol-backfill",
            "client.id": "lol-backfill",
            "enable.auto.commit": False,
            "enable.partition.eof": True,
            "auto.offset.reset": "error",
            "isolation.level": "read_committed",  # as the stream is read
            "queued.max.messages.kbytes": 2 * _CHUNK_BYTES // 1024,
            "logger": logging.getLogger("librdkafka"),
        }
    )
    try:
        consumer.assign([TopicPartition(topic, partition, span.begin) for partition, span in spans.items()])
        unfinished = dict(spans)
        chunk: list[Record] = []
        size = 0
        heard_at = time.monotonic()
        while unfinished:
            message: Any = consumer.poll(_POLL_SECONDS)  # confluent_kafka says that anything can be None
            if message is None:
                if time.monotonic() > heard_at + LIMIT_SECONDS:
                    raise JobError(f"kafka.bootstrap_servers: {servers} gave no message for {LIMIT_SECONDS} s")
                continue
            heard_at = time.monotonic()
            partition, offset = message.partition(), message.offset()
            if message.error():
                if message.error().code() != KafkaError._PARTITION_EOF:
                    raise JobError(f"Topic {topic} cannot be read on, partition {partition}: {message.error().str()}")
                offset -= 1  # an end is where the next message will be
            elif partition in unfinished and offset < spans[partition].end:
                chunk.append(_record(message))
                size += len(chunk[-1].value or b"")
            if partition in unfinished and offset >= spans[partition].end - 1:
                del unfinished[partition]
                consumer.pause([TopicPartition(topic, partition)])
            if len(chunk) >= most or size >= _CHUNK_BYTES:
                yield chunk
                chunk, size = [], 0
                heard_at = time.monotonic()
        if chunk:
            yield chunk
    finally:
        consumer.close()


def _record(message: Any) -> Record:
    return Record(
        message.topic(),
        message.partition(),
        message.offset(),
        message.timestamp()[1],
        message.key(),
        message.value(),
        message.headers() or [],
    )


def _note_progress(tally: BatchCounts, chunk: list[Record], spans: Spans) -> None:
    for record in chunk:
        tally.until[record.partition] = record.arrived
        if record.offset == spans[record.partition].end - 1:
            del tally.until[record.partition]


def _say_waiting(service: str, reason: str, seconds: float, attempt: int) -> None:
    log.warning("Waiting %.1f s for %s: %s", seconds, service, reason)


def _moment(text: str) -> int:
    try:
        return round(settings.parse_time(text).timestamp() * 1000)
    except ValueError:
        raise argparse.ArgumentTypeError(f"must be a time such as 2026-11-24T06:00:00Z, not {text!r}") from None


def _positive(text: str) -> int:
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"must be a whole number from 1, not {text!r}")
    return int(text)


if __name__ == "__main__":
    sys.exit(main())
