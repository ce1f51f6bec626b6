"""Reads dead letters from their topic, selects some, and counts them by reason."""

from __future__ import annotations

import hashlib
import re
import sqlite3
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NamedTuple, Self

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from infra.names import DEAD_LETTER_TOPIC
from job.consumer import BatchSkipper, UnreadableRange, consumer_settings
from job.kafka_client import ConnectionErrors, describe_login_error, is_login_error
from job.message import (
    MAX_HEADERS,
    MAX_OFFSET,
    MAX_PARTITION,
    REPLAY_HEADERS,
    Message,
    Original,
    headers_of,
    parse_timestamp,
    parse_whole_number,
)
from job.message import Headers as MessageHeaders
from job.times import to_ms
from tools.printable import sanitize

HEADER_PREFIX = "dlq."
"""Prefix of the headers that the job adds; the others are the original message's."""
UNKNOWN_REASON = "(not from the job)"
"""The reason of a message that another producer sent to the dead-letter topic."""
GROUP = "dlq"
"""The consumer group, which has no offsets: the client needs one."""
METADATA_TIMEOUT_SECONDS = 10
POLL_TIMEOUT_SECONDS = 30

Headers = list[tuple[str, bytes | None]]


class DlqError(Exception):
    """The command fails; the message is one line with the reason and what to do."""


class MessagePosition(NamedTuple):
    """Where a message is in Kafka: topic, partition, offset."""

    topic: str
    partition: int
    offset: int

    def __str__(self) -> str:
        """The form of SHOW and REPLAY: 0:17 in the dead-letter topic, lol_matches:2:41 in others."""
        position = f"{self.partition}:{self.offset}"
        return position if self.topic == DEAD_LETTER_TOPIC else f"{self.topic}:{position}"

    @classmethod
    def parse(cls, text: str) -> MessagePosition | None:
        """The position in the form of SHOW and REPLAY; None if `text` is something else."""
        found = re.fullmatch(r"(?:([A-Za-z0-9._-]+):)?([0-9]{1,9}):([0-9]{1,18})", text)
        return found and cls(found[1] or DEAD_LETTER_TOPIC, int(found[2]), int(found[3]))


@dataclass(frozen=True)
class DeadLetterMessage:
    """A message of the dead-letter topic. `arrived_at` is when it arrived in that topic."""

    position: MessagePosition
    arrived_at: datetime
    key: bytes | None
    value: bytes | None
    headers: Headers

    def job_header(self, name: str) -> str:
        """The job's header `dlq.<name>`; empty if there is none."""
        return next((decode(value) for key, value in reversed(self.headers) if key == HEADER_PREFIX + name), "")

    @property
    def reason(self) -> str:
        return self.job_header("reason") or UNKNOWN_REASON

    @property
    def original_position(self) -> MessagePosition | None:
        """The original message's position; None if the job did not write this dead letter."""
        partition = parse_whole_number(self.job_header("partition"), MAX_PARTITION)
        offset = parse_whole_number(self.job_header("offset"), MAX_OFFSET)
        if partition is None or offset is None:
            return None
        return MessagePosition(self.job_header("topic"), partition, offset)

    @property
    def original(self) -> Original:
        """When and where the message first arrived, also if the failed message was itself a replay.

        Without a plausible header dlq.timestamp, it arrived no later than this dead letter.
        """
        topic, partition, offset = self.original_position or self.position
        latest = to_ms(self.arrived_at)
        arrived_at = parse_timestamp(self.job_header("timestamp"))
        arrived_at = latest if arrived_at is None else min(arrived_at, latest)
        headers: MessageHeaders = [header for header in self.headers if not header[0].startswith(HEADER_PREFIX)]
        return Message(topic, partition, offset, arrived_at, self.key, self.value, headers).original

    @property
    def original_headers(self) -> Headers:
        """The producer's headers, without those of the job and of a replay."""
        return [
            (name, value)
            for name, value in self.headers
            if not name.startswith(HEADER_PREFIX) and name not in REPLAY_HEADERS
        ]

    @property
    def replay_headers(self) -> MessageHeaders:
        """The headers of its replay: the producer's, without those for which the job would ignore the others, and when
        and where the original arrived."""
        kept = [header for header in self.original_headers if "\ufffd" not in header[0]]
        replay = self.original.headers()
        return [*kept[: MAX_HEADERS - len(replay)], *replay]

    @property
    def replay_obstacle(self) -> str | None:
        """Why it cannot be replayed; None if it can."""
        if self.original_position is None:
            return "the job did not write it"
        if size := self.job_header("original_size"):
            return f"it holds only the first {len(self.value or b''):,} B of {size} B: send the original once more"
        return None

    @property
    def identity(self) -> bytes:
        """The same for all dead letters of one message. The timestamp tells apart messages of a recreated topic."""
        return _digest(f"{self.original_position or self.position} {self.job_header('timestamp')}".encode())

    @property
    def content(self) -> bytes:
        """The same for dead letters whose replays would be duplicates: equal key and value."""
        return _digest(self.key, self.value)


def decode(value: bytes | None) -> str:
    """The text of a key, value or header, for display."""
    return (value or b"").decode(errors="replace")


def _digest(*parts: bytes | None) -> bytes:
    digest = hashlib.blake2b(digest_size=16)
    for part in parts:
        digest.update(b"-" if part is None else f"{len(part)} ".encode() + part)
    return digest.digest()


class TemporaryTable:
    """A table on disk: the topic keeps its messages for ever, and may hold more than fit into memory."""

    def __init__(self, definition: str) -> None:
        self._database = sqlite3.connect("")  # a temporary file, deleted with the process
        self._database.execute(f"CREATE TABLE {definition} WITHOUT ROWID")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._database.close()


class Deduplicator(TemporaryTable):
    """Deduplication by digests."""

    def __init__(self) -> None:
        super().__init__("seen (digest BLOB PRIMARY KEY)")

    def is_new(self, digest: bytes) -> bool:
        """Remember the digest; False if it is a duplicate."""
        return self._database.execute("INSERT OR IGNORE INTO seen VALUES (?)", (digest,)).rowcount == 1


def read_dead_letters(
    client: Mapping[str, Any], only: MessagePosition | None = None, newest: int | None = None
) -> Iterator[DeadLetterMessage]:
    """Stream the present dead letters, partition by partition in Kafka's order, or only the one at a position, or the
    newest of each partition. `client` has librdkafka's settings: addresses, login. Nothing is committed.

    Prints a line to stderr for each batch that Kafka's client cannot read. Raises DlqError if Kafka does not answer or
    the topic does not exist.
    """
    with _connected(client) as consumer:
        # End offsets are read first: a message that is replayed and fails again must not be replayed in a loop.
        for partition, (begin, end) in _watermark_offsets(consumer).items():
            if only is None:
                first = begin if newest is None else max(begin, end - newest)
                yield from _read_partition(consumer, partition, first, end)
            elif only.partition == partition and begin <= only.offset < end:
                yield from _read_partition(consumer, partition, only.offset, only.offset + 1)


def read_offsets(client: Mapping[str, Any]) -> dict[int, tuple[int, int]]:
    """The first and the end offset of each partition. Raises DlqError if Kafka does not answer or the topic does not
    exist."""
    with _connected(client) as consumer:
        return _watermark_offsets(consumer)


@contextmanager
def _connected(client: Mapping[str, Any]) -> Iterator[Consumer]:
    """A consumer, whose errors become DlqError."""
    errors = ConnectionErrors()
    own = {"log_level": 0, "error_cb": errors}
    # `client` last: its limits (the dashboard's CONSUMER_LIMITS) override consumer_settings.
    consumer = Consumer({**consumer_settings(client, GROUP), **own, **client})
    try:
        yield consumer
    except KafkaException as error:
        consumer.poll(0)  # delivers a rejected login to the callback
        reason, servers = errors.rejected or error.args[0], client["bootstrap.servers"]
        if is_login_error(reason):
            user = client.get("sasl.username", "")
            raise DlqError(describe_login_error(reason, servers, user, "the login of Kafka")) from error
        raise DlqError(f"Kafka at {servers} cannot be read ({reason.str()}): see the status of the stack") from error
    finally:
        consumer.close()


def _watermark_offsets(consumer: Consumer) -> dict[int, tuple[int, int]]:
    """The first and the end offset of each partition."""
    topic = consumer.list_topics(DEAD_LETTER_TOPIC, timeout=METADATA_TIMEOUT_SECONDS).topics[DEAD_LETTER_TOPIC]
    if topic.error:
        raise KafkaException(topic.error)
    return {
        partition: consumer.get_watermark_offsets(
            TopicPartition(DEAD_LETTER_TOPIC, partition), timeout=METADATA_TIMEOUT_SECONDS
        )
        for partition in sorted(topic.partitions)
    }


def _read_partition(consumer: Consumer, partition: int, begin: int, end: int) -> Iterator[DeadLetterMessage]:
    offset = begin

    def skip(unreadable: UnreadableRange) -> None:
        nonlocal offset
        offset = unreadable.end
        print(sanitize(f"Skipped: {unreadable}"), file=sys.stderr)

    messages = BatchSkipper(consumer, skip)
    messages.assign([TopicPartition(DEAD_LETTER_TOPIC, partition, begin)] if begin < end else [])
    while offset < end:
        message: Any = messages.poll(POLL_TIMEOUT_SECONDS)  # the type stubs make everything optional
        if message is None:
            raise KafkaException(KafkaError(KafkaError._TIMED_OUT))
        if message.error():
            if message.error().code() != KafkaError._PARTITION_EOF:
                raise KafkaException(message.error())
            offset = message.offset()
            continue
        offset = message.offset() + 1
        if message.offset() < end:
            yield DeadLetterMessage(
                MessagePosition(DEAD_LETTER_TOPIC, partition, message.offset()),
                datetime.fromtimestamp(message.timestamp()[1] / 1000, UTC),
                message.key(),
                message.value(),
                headers_of(message),
            )


def select_dead_letters(client: Mapping[str, Any], selection: str) -> Iterator[DeadLetterMessage]:
    """The dead letters that SHOW or REPLAY selects: by position, by the original's position, by reason, or all.

    Raises DlqError if there is none.
    """
    position = MessagePosition.parse(selection)
    if position is not None and position.topic == DEAD_LETTER_TOPIC:
        found, condition = read_dead_letters(client, position), f" at {position}"
    elif position is not None:
        found = (each for each in read_dead_letters(client) if each.original_position == position)
        condition = f" of the message at {position}"
    elif selection == "all":
        found, condition = read_dead_letters(client), ""
    else:
        found = (each for each in read_dead_letters(client) if each.reason == selection)
        condition = f" with the reason {selection!r}"
    dead_letter = None
    for dead_letter in found:
        yield dead_letter
    if dead_letter is None:
        raise DlqError(f"there is no dead letter{condition}: list them, without SHOW and REPLAY")


@dataclass
class ReasonCount:
    """The number of messages that are dead letters for one reason, and the latest dead letter."""

    messages: int
    latest: DeadLetterMessage


def count_by_reason(dead_letters: Iterable[DeadLetterMessage]) -> tuple[dict[str, ReasonCount], int]:
    """Messages by reason, each counted once even if it has several dead letters; and the number of duplicates."""
    counts: dict[str, ReasonCount] = {}
    duplicates = 0
    with Deduplicator() as deduplicator:
        for dead_letter in dead_letters:
            if not deduplicator.is_new(dead_letter.identity):
                duplicates += 1
                continue
            before = counts.get(dead_letter.reason, ReasonCount(0, dead_letter))
            latest = max(before.latest, dead_letter, key=lambda each: each.arrived_at)
            counts[dead_letter.reason] = ReasonCount(before.messages + 1, latest)
    return counts, duplicates
