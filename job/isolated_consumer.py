"""A Kafka consumer whose client is in a process of its own with a memory limit, so that no batch can end the reader.

librdkafka decompresses a whole batch at once and limits the size of zstd batches only. If it gets no memory, it aborts
its process. A reader with the client in its own process would end at that batch after each start again.
"""

import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from multiprocessing.connection import Connection, Pipe
from typing import Any

from confluent_kafka import Consumer, KafkaError, TopicPartition

from job.message import headers_of

MEMORY_BYTES = 320_000_000
"""The limit of the client's memory: for a batch of `consumer.MAX_BATCH_BYTES`, the client itself and its threads."""

_PREFETCHED_BYTES = 32 * 2**20  # what the client may have fetched ahead of its reader (queued.max.messages.kbytes)
_PAUSE_SECONDS = 1
_STOP_SECONDS = 5

_Place = tuple[str, int]


class Polled:
    """A message or event with the methods of a `confluent_kafka.Message`, which cannot be sent to another process."""

    def __init__(
        self, topic: str, partition: int, offset: int, error: KafkaError | None, content: Sequence[Any] = ()
    ) -> None:
        """`content` of a message: timestamp, key, value, headers."""
        self._parts = topic, partition, offset, error, content

    @classmethod
    def of(cls, polled: Any) -> "Polled":
        """The same as a `confluent_kafka.Message`."""
        error = polled.error()
        content = () if error else (polled.timestamp(), polled.key(), polled.value(), headers_of(polled))
        return cls(polled.topic(), polled.partition(), polled.offset(), error, content)

    def topic(self) -> str:
        return self._parts[0]

    def partition(self) -> int:
        return self._parts[1]

    def offset(self) -> int:
        return self._parts[2]

    def error(self) -> KafkaError | None:
        return self._parts[3]

    def timestamp(self) -> tuple[int, int]:
        """Its type and the milliseconds."""
        found: tuple[int, int] = self._parts[4][0]
        return found

    def key(self) -> bytes | None:
        found: bytes | None = self._parts[4][1]
        return found

    def value(self) -> bytes | None:
        found: bytes | None = self._parts[4][2]
        return found

    def headers(self) -> list[tuple[str, Any]]:
        found: list[tuple[str, Any]] = self._parts[4][3]
        return found


class IsolatedConsumer:
    """Has the methods of `confluent_kafka.Consumer` that a reader of assigned partitions needs.

    If the client has aborted for want of memory, another one reads the partitions one by one, without fetching ahead.
    If that aborts as well, the message at its position is in a batch that is too large: `poll` returns an error event
    with `KafkaError._CRIT_SYS_RESOURCE` at that offset, which `BatchSkipper` skips. A client that ends for any other
    reason is only started again.
    """

    def __init__(self, settings: Mapping[str, Any], memory_bytes: int = MEMORY_BYTES) -> None:
        """`settings` are those of a Consumer."""
        self._settings = {key: value for key, value in settings.items() if key != "logger"}
        self._memory_bytes = memory_bytes
        self._offsets = Consumer(dict(settings))  # requests and commits offsets, and reads nothing
        self.committed = self._offsets.committed
        self.commit = self._offsets.commit
        self.get_watermark_offsets = self._offsets.get_watermark_offsets
        self._positions: dict[_Place, int] = {}
        self._suspects: list[_Place] = []  # still to be read one by one, beginning with the first
        self._suspect_bytes = 0
        self._client: _Client | None = None

    def assign(self, positions: Sequence[TopicPartition]) -> None:
        """Read these partitions from these offsets, instead of those that are assigned now."""
        self._positions = {(each.topic, each.partition): each.offset for each in positions}
        self._suspects.clear()
        self._stop()

    def pause(self, partitions: Sequence[TopicPartition]) -> None:
        """Read these partitions no longer."""
        paused = {(each.topic, each.partition) for each in partitions}
        self._positions = {place: offset for place, offset in self._positions.items() if place not in paused}
        self._suspects = [place for place in self._suspects if place not in paused]
        self._stop()

    def seek(self, position: TopicPartition) -> None:
        """Read the partition from this offset."""
        self._positions[position.topic, position.partition] = position.offset
        if self._client is not None:
            self._client.seek(position.topic, position.partition, position.offset)

    def poll(self, seconds: float) -> Polled | None:
        """The next message or event, as `Consumer.poll`; None also after a client that has ended."""
        if self._client is None:
            settings, places = self._settings, list(self._positions)
            if self._suspects:
                # The client fetches the next batch only when all messages of the last one are polled.
                settings, places = {**settings, "queued.min.messages": 1}, self._suspects[:1]
                self._suspect_bytes = 0
            self._client = _Client(settings, [(*place, self._positions[place]) for place in places], self._memory_bytes)
        try:
            polled = self._client.poll(seconds)
        except (EOFError, OSError):
            return self._after_end()
        if polled is not None:
            self._note(polled)
        return polled

    def close(self) -> None:
        """End the client."""
        self._stop()
        self._offsets.close()

    def _note(self, polled: Polled) -> None:
        error, place = polled.error(), (polled.topic(), polled.partition())
        if error is None:
            self._positions[place] = polled.offset() + 1
        if self._suspects:
            self._suspect_bytes += len(polled.value() or b"") if error is None else 0
            at_end = error is not None and error.code() == KafkaError._PARTITION_EOF
            if at_end or self._suspect_bytes > _PREFETCHED_BYTES:
                del self._suspects[0]
                self._stop()

    def _after_end(self) -> Polled | None:
        """After a client that has ended: None, or the error of the batch for which it had too little memory."""
        if self._stop() != -signal.SIGABRT:
            time.sleep(_PAUSE_SECONDS)
            return None
        if not self._suspects:
            self._suspects = list(self._positions)
            return None
        topic, partition = self._suspects[0]
        error = KafkaError(
            KafkaError._CRIT_SYS_RESOURCE,
            f"its batch needs more than {self._memory_bytes // 1_000_000} MB when it is decompressed",
        )
        return Polled(topic, partition, self._positions[topic, partition], error)

    def _stop(self) -> int | None:
        """End the client's process, and return its exit code: the negated signal that has killed it."""
        client, self._client = self._client, None
        return None if client is None else client.stop()


class _Client:
    """The process of a client, which reads from these offsets: (topic, partition, offset)."""

    def __init__(
        self, settings: Mapping[str, Any], positions: Sequence[tuple[str, int, int]], memory_bytes: int
    ) -> None:
        self._pipe, other = Pipe()
        command = [sys.executable, "-c", f"import {__name__}; {__name__}.main()", str(other.fileno())]
        with other:
            self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, pass_fds=[other.fileno()])
        self._pipe.send((settings, positions, memory_bytes))  # not on the command line: they have the password

    def poll(self, seconds: float) -> Polled | None:
        """Raises EOFError or OSError if the process has ended."""
        self._pipe.send(seconds)
        polled: Polled | None = self._pipe.recv()
        return polled

    def seek(self, *position: Any) -> None:
        with suppress(OSError):  # it has ended, which the next poll notices
            self._pipe.send(position)

    def stop(self) -> int:
        self._pipe.close()
        try:
            return self._process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            return self._process.wait()


def main() -> None:
    """The client's process: it polls and seeks as it is told through a pipe, until the other end is closed."""
    for number in (signal.SIGINT, signal.SIGTERM):  # of the terminal, for the reader
        signal.signal(number, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with Connection(int(sys.argv[1])) as pipe, suppress(EOFError, OSError):
        settings, positions, memory_bytes = pipe.recv()
        consumer = Consumer({**settings, "log_level": 0})
        consumer.assign([TopicPartition(*position) for position in positions])
        resource.setrlimit(resource.RLIMIT_DATA, (memory_bytes, memory_bytes))
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stderr.fileno())  # the reader reports why the process aborts
        while True:
            request = pipe.recv()
            if isinstance(request, tuple):
                consumer.seek(TopicPartition(*request))
            else:
                polled = consumer.poll(request)
                pipe.send(None if polled is None else Polled.of(polled))
