"""`make dlq`: dead letters counted by reason; one of them; or some of them sent to the topic again after a fix.

The dead-letter topic is only read: its letters stay. A letter that is sent again is a new message of `lol_matches` with
the original's key, value and headers, and has its own fate: documents, or, where nothing was mended, a new letter.
Doing it twice changes nothing: documents have ids made of the data, the statistics count a match once, and of letters
with the same key and value (a message that failed again, a batch that was done again) one is sent.
"""

from __future__ import annotations

import argparse
import hashlib
import re
import sqlite3
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, NamedTuple

from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition
from rich.console import Console
from rich.table import Table
from rich.text import Text

from tools.printable import plain
from tools.stack_outputs import NotDeployedError, outputs_of

TOPIC = "lol_matches"
DEAD_LETTER_TOPIC = "lol_matches_dlq"
OURS = "dlq."
"""What the names of the job's headers begin with; the others are the original's."""
NOT_OURS = "(not from the job)"
"""The reason of what somebody else has put into the topic."""

AGAIN = "do it again: what is sent twice is there once"

TIMEOUT_SECONDS = 10
SILENT_SECONDS = 30
SHOWN_CHARACTERS = 2000

Headers = list[tuple[str, bytes | None]]


class DlqError(Exception):
    """What was asked for cannot be done; the message is one line that says why and what to do."""


class Place(NamedTuple):
    """Where a message is: topic, partition, offset."""

    topic: str
    partition: int
    offset: int

    def __str__(self) -> str:
        """As SHOW and REPLAY take it: 0:17 in the dead-letter topic, lol_matches:2:41 elsewhere."""
        here = f"{self.partition}:{self.offset}"
        return here if self.topic == DEAD_LETTER_TOPIC else f"{self.topic}:{here}"

    @classmethod
    def of(cls, text: str) -> Place | None:
        """The place that `text` names; None if it is no place."""
        found = re.fullmatch(r"(?:([A-Za-z0-9._-]+):)?(\d+):(\d+)", text)
        return found and cls(found[1] or DEAD_LETTER_TOPIC, int(found[2]), int(found[3]))


@dataclass(frozen=True)
class Letter:
    """A message of the dead-letter topic; `came` is when it got there."""

    place: Place
    came: datetime
    key: bytes | None
    value: bytes | None
    headers: Headers

    def why(self, name: str) -> str:
        """What the job's header `dlq.<name>` says; empty where there is none."""
        return next((_text(value) for key, value in reversed(self.headers) if key == OURS + name), "")

    @property
    def reason(self) -> str:
        return self.why("reason") or NOT_OURS

    @property
    def origin(self) -> Place | None:
        """Where the original was; None for what is not from the job."""
        topic, partition, offset = (self.why(name) for name in ("topic", "partition", "offset"))
        return Place(topic, int(partition), int(offset)) if partition.isdigit() and offset.isdigit() else None

    @property
    def original_headers(self) -> Headers:
        return [header for header in self.headers if not header[0].startswith(OURS)]

    @property
    def trouble(self) -> str:
        """Why it cannot be sent again; empty if it can."""
        if self.origin is None:
            return "is not from the job"
        if size := self.why("original_size"):
            return f"has only the first {len(self.value or b''):,} B of {size} B: send the original from where it came"
        return ""

    @property
    def identity(self) -> bytes:
        """The same for letters of one message. A topic that was made anew has the same places, at other times."""
        return _digest(f"{self.origin or self.place} {self.why('timestamp')}".encode())

    @property
    def content(self) -> bytes:
        """The same for letters that are the same message once they are sent again."""
        return _digest(self.key, self.value)


def _digest(*parts: bytes | None) -> bytes:
    digest = hashlib.blake2b(digest_size=16)
    for part in parts:
        digest.update(b"-" if part is None else f"{len(part)} ".encode() + part)
    return digest.digest()


class Seen:
    """Remembers digests on disk: the topic is kept for ever and may hold more letters than fit into memory."""

    def __init__(self) -> None:
        self._database = sqlite3.connect("")  # a temporary file, gone with the process
        self._database.execute("CREATE TABLE seen (digest BLOB PRIMARY KEY) WITHOUT ROWID")

    def __enter__(self) -> Seen:
        return self

    def __exit__(self, *_: object) -> None:
        self._database.close()

    def add(self, digest: bytes) -> bool:
        """Whether it is new."""
        return self._database.execute("INSERT OR IGNORE INTO seen VALUES (?)", (digest,)).rowcount == 1


def letters(servers: str, only: Place | None = None) -> Iterator[Letter]:
    """The letters that are there now, partition by partition in Kafka's order, or the one at a place. One at a time.

    Raises DlqError if Kafka does not answer, or has no such topic or place.
    """
    consumer = Consumer(
        {
            "bootstrap.servers": servers,
            "group.id": "dlq",
            "enable.auto.commit": False,
            "enable.partition.eof": True,
            "queued.max.messages.kbytes": 16 * 1024,
            "log_level": 0,
        }
    )
    try:
        # The ends first: what is sent again and fails again must not come round.
        for partition, (begin, end) in _watermarks(consumer).items():
            if only is None:
                yield from _read(consumer, partition, begin, end)
            elif only.partition == partition and begin <= only.offset < end:
                yield from _read(consumer, partition, only.offset, only.offset + 1)
    except KafkaException as error:
        raise DlqError(f"Kafka at {servers} cannot serve ({error.args[0].str()}); `make status` says more") from error
    finally:
        consumer.close()


def _watermarks(consumer: Consumer) -> dict[int, tuple[int, int]]:
    """The first offset and the end of each partition."""
    found = consumer.list_topics(DEAD_LETTER_TOPIC, timeout=TIMEOUT_SECONDS).topics[DEAD_LETTER_TOPIC]
    if found.error:
        raise KafkaException(found.error)
    return {
        partition: consumer.get_watermark_offsets(TopicPartition(DEAD_LETTER_TOPIC, partition), timeout=TIMEOUT_SECONDS)
        for partition in sorted(found.partitions)
    }


def _read(consumer: Consumer, partition: int, begin: int, end: int) -> Iterator[Letter]:
    consumer.assign([TopicPartition(DEAD_LETTER_TOPIC, partition, begin)] if begin < end else [])
    offset = begin
    while offset < end:
        message: Any = consumer.poll(SILENT_SECONDS)  # confluent_kafka says that anything can be None
        if message is None:
            raise KafkaException(KafkaError(KafkaError._TIMED_OUT))
        if message.error():
            if message.error().code() != KafkaError._PARTITION_EOF:
                raise KafkaException(message.error())
            offset = message.offset()
            continue
        offset = message.offset() + 1
        if message.offset() < end:
            yield Letter(
                Place(DEAD_LETTER_TOPIC, partition, message.offset()),
                datetime.fromtimestamp(message.timestamp()[1] / 1000, UTC),
                message.key(),
                message.value(),
                message.headers() or [],
            )


def chosen(servers: str, which: str) -> Iterator[Letter]:
    """The letters that SHOW or REPLAY asks for: by place, by the original's place, by reason, or all.

    Raises DlqError if there is none.
    """
    place = Place.of(which)
    if place is not None and place.topic == DEAD_LETTER_TOPIC:
        found, name = letters(servers, place), f"at {place}"
    elif place is not None:
        found, name = (letter for letter in letters(servers) if letter.origin == place), f"of the message at {place}"
    elif which == "all":
        found, name = letters(servers), "at all"
    else:
        found, name = (letter for letter in letters(servers) if letter.reason == which), f"with the reason {which!r}"
    letter = None
    for letter in found:
        yield letter
    if letter is None:
        raise DlqError(f"there is no dead letter {name}; `make dlq` shows what there is")


@dataclass
class Count:
    """The letters of one reason: how many messages they are of, and the latest letter."""

    messages: int
    latest: Letter


def counted(found: Iterable[Letter]) -> tuple[dict[str, Count], int]:
    """Messages by reason, each once however often its letter was sent, and how many letters were repeats."""
    counts: dict[str, Count] = {}
    repeats = 0
    with Seen() as seen:
        for letter in found:
            if not seen.add(letter.identity):
                repeats += 1
                continue
            before = counts.get(letter.reason, Count(0, letter))
            latest = max(before.latest, letter, key=lambda each: each.came)
            counts[letter.reason] = Count(before.messages + 1, latest)
    return counts, repeats


@dataclass
class Replay:
    """Sends letters to the topic again, and counts what became of them."""

    producer: Producer
    say: Callable[[str], object]
    sent: int = 0
    repeats: int = 0
    refused: int = 0
    failed: list[KafkaError] = field(default_factory=list)

    def run(self, found: Iterable[Letter]) -> None:
        """Send each message once. Returns when Kafka has acknowledged or refused all, also those before an error."""
        try:
            with Seen() as seen:
                for letter in found:
                    if letter.trouble:
                        self.refused += 1
                        self.say(f"{letter.place} cannot be sent again: it {letter.trouble}")
                    elif seen.add(letter.content):
                        self._send(letter)
                    else:
                        self.repeats += 1
        finally:
            self.producer.flush()

    def _send(self, letter: Letter) -> None:
        while True:
            try:
                self.producer.produce(
                    TOPIC,
                    key=letter.key,
                    value=letter.value,
                    headers=list(letter.original_headers),
                    on_delivery=self._delivered,
                )
                self.producer.poll(0)
                return
            except BufferError:  # the queue is full: wait until some of it is delivered
                self.producer.poll(1)
            except KafkaException as error:
                self._delivered(error.args[0], None)
                return

    def _delivered(self, error: KafkaError | None, _message: Any) -> None:
        if error is None:
            self.sent += 1
        else:
            self.failed.append(error)


def producer(servers: str) -> Producer:
    """Acknowledged by Kafka, in order, without doubles; with room for the largest message and a bounded queue."""
    return Producer(
        {
            "bootstrap.servers": servers,
            "client.id": "dlq",
            "enable.idempotence": True,
            "compression.type": "zstd",
            "message.max.bytes": 11 * 2**20,
            "queue.buffering.max.kbytes": 32 * 1024,
            "delivery.timeout.ms": SILENT_SECONDS * 1000,
            "log_level": 0,
        }
    )


def show_counts(console: Console, counts: dict[str, Count], repeats: int) -> None:
    """Print one line for each reason, the most frequent first."""
    if not counts:
        console.print("There are no dead letters.")
        return
    table = Table(title=f"Dead letters in {DEAD_LETTER_TOPIC}", title_justify="left")
    table.add_column("reason", no_wrap=True)
    table.add_column("messages", justify="right")
    table.add_column("the latest came (UTC)", no_wrap=True)
    table.add_column("SHOW", no_wrap=True)
    for reason, count in sorted(counts.items(), key=lambda item: (-item[1].messages, item[0])):
        latest = count.latest
        table.add_row(_plain(reason), f"{count.messages:,}", f"{latest.came:%Y-%m-%d %H:%M:%S}", str(latest.place))
    console.print(table)
    total = sum(count.messages for count in counts.values())
    console.print(f"Messages: {total:,}" + (f"; letters that repeat one of these: {repeats:,}" if repeats else ""))


def show_letter(console: Console, servers: str, letter: Letter) -> None:
    """Print a letter: why it is one, its original headers, and the beginning of its value."""
    table = Table(title=f"Dead letter {letter.place}", title_justify="left", show_header=False)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in [header for header in letter.headers if header[0].startswith(OURS)]:
        table.add_row(_plain(name.removeprefix(OURS).replace("_", " ")), _plain(_text(value)))
    table.add_row("key", _plain(_text(letter.key)) if letter.key is not None else "(none)")
    for name, value in letter.original_headers:
        table.add_row(_plain(f"header {name}"), _plain(_text(value)) if value is not None else "(none)")
    table.add_row("value", "(none)" if letter.value is None else f"{len(letter.value):,} B")
    console.print(table)
    text = _text(letter.value)
    if text:
        console.print(_plain(text[:SHOWN_CHARACTERS]), soft_wrap=True)
    if len(text) > SHOWN_CHARACTERS:
        place = f"-p {letter.place.partition} -o {letter.place.offset}"
        console.print(f"… the whole value: kcat -C -b {servers} -t {DEAD_LETTER_TOPIC} {place} -c 1", soft_wrap=True)
    trouble = letter.trouble
    console.print(
        f"It cannot be sent again: it {trouble}" if trouble else f"Send it again: make dlq REPLAY={letter.place}",
        soft_wrap=True,
    )


def _text(value: bytes | None) -> str:
    return (value or b"").decode(errors="replace")


def _plain(text: str) -> Text:
    """What a producer has written, without what a terminal or Rich would obey."""
    return Text(plain(text))


def main() -> int:
    """0 where all that was asked for was done, 1 where it was not, 2 where there is no such stack."""
    parser = argparse.ArgumentParser(prog="make dlq")
    parser.add_argument("--stack", required=True)
    asked = parser.add_mutually_exclusive_group()
    asked.add_argument("--show", metavar="PLACE", help="0:17, or lol_matches:2:41: where the original was")
    asked.add_argument("--replay", metavar="WHICH", help="a reason, a place as for --show, or all")
    options = parser.parse_args()
    console = Console()
    try:
        servers = outputs_of(options.stack)["bootstrapServers"]
        if options.show:
            if Place.of(options.show) is None:
                raise DlqError(f"SHOW={options.show} is no place: write 0:17, or lol_matches:2:41")
            for letter in chosen(servers, options.show):
                show_letter(console, servers, letter)
            return 0
        if options.replay:
            return _replay(console, servers, options.replay)
        show_counts(console, *counted(letters(servers)))
    except NotDeployedError as error:
        console.print(Text(str(error)), soft_wrap=True)
        return 2
    except DlqError as error:
        console.print(_plain(str(error)), style="red", soft_wrap=True)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


def _replay(console: Console, servers: str, which: str) -> int:
    replay = Replay(producer(servers), lambda line: console.print(line, soft_wrap=True))
    try:
        replay.run(chosen(servers, which))
    except KeyboardInterrupt:
        raise DlqError(f"interrupted when {replay.sent:,} were sent; {AGAIN}") from None
    line = f"Sent to {TOPIC} again: {replay.sent:,}"
    if replay.repeats:
        line += f"; with the same key and value as one of these: {replay.repeats:,}"
    if replay.refused:
        line += f"; not possible: {replay.refused:,}"
    console.print(line, soft_wrap=True)
    if replay.failed:
        raise DlqError(f"not taken by Kafka: {len(replay.failed):,} ({replay.failed[0].str()}); {AGAIN}")
    return 1 if replay.refused else 0


if __name__ == "__main__":
    sys.exit(main())
