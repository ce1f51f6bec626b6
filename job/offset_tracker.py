"""The archive's consumer: polls messages of all partitions in chunks, and commits the offsets behind them."""

import logging
import time
from collections.abc import Iterable, Set
from typing import Any

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition
from prometheus_client import Counter

from job.consumer import BatchSkipper, UnreadableRange
from job.errors import JobError
from job.kafka_client import KafkaClientSettings, describe_error
from job.lag import ConsumerLag
from job.message import Message
from job.topic import Offsets

log = logging.getLogger(__name__)

_CHUNK_MESSAGES = 200
_CHUNK_BYTES = 8 * 2**20
_POLL_SECONDS = 1
_KAFKA_TIMEOUT_SECONDS = 30
_COMMIT_AGAIN_SECONDS = 86_400
_STOPPED_FETCH_SECONDS = 300
_BUSY_SECONDS = 60  # without a poll for this long, the archive has waited for Cassandra, or its rate limit

_EXPIRED = "they expired (retention) before they were archived"


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
        if self._next == self._committed and time.monotonic() < self._committed_at + _COMMIT_AGAIN_SECONDS:
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
