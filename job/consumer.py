"""Kafka consumers: the settings that all of them share, and recovery from batches that the client cannot read.

librdkafka decompresses a whole batch at once, up to a limit, and fetches a batch that it cannot read again and again.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

MAX_BATCH_BYTES = 200_000_000
"""The limit of a batch's size after decompression. A batch of Kafka's 10 MB can hold a thousand times as much.

The client applies it to its buffer, which it enlarges by a factor of three: a zstd batch of up to a third of the limit
is always readable, a larger one depending on its compressed size. Two such batches fit into the memory of the archive's
and the backfill's container. The client limits no other codec than zstd.
"""

_WATERMARK_TIMEOUT_SECONDS = 10

_UNREADABLE = (
    KafkaError._BAD_COMPRESSION,
    KafkaError._BAD_MSG,  # its checksum is wrong
    KafkaError._NOT_IMPLEMENTED,  # an unknown codec or format
    KafkaError._UNDERFLOW,
    KafkaError.INVALID_MSG,
    KafkaError.INVALID_MSG_SIZE,
    KafkaError.INVALID_RECORD,
    KafkaError.MSG_SIZE_TOO_LARGE,
    KafkaError.UNSUPPORTED_COMPRESSION_TYPE,
)
"""Errors of the data: a later attempt fails too. Every other error can pass."""


def consumer_settings(client: Mapping[str, Any], group_id: str) -> dict[str, Any]:
    """The settings of a consumer that reads committed messages, and the end of each partition as an event.

    `client` has librdkafka's settings of the connection.
    """
    return {
        **client,
        "group.id": group_id,
        "enable.auto.commit": False,
        "enable.partition.eof": True,
        # An expired offset raises an error instead of being skipped silently.
        "auto.offset.reset": "error",
        "isolation.level": "read_committed",
        "check.crcs": True,
        "receive.message.max.bytes": MAX_BATCH_BYTES,
        # One batch a fetch: a fetch of several, of several partitions too, would hold all of them decompressed.
        "fetch.max.bytes": 1000,
        "message.max.bytes": 1000,  # of a producer; no larger than fetch.max.bytes
        "queued.max.messages.kbytes": 16 * 1024,
    }


class UnreadableRange(NamedTuple):
    """The messages of a batch that cannot be read: `begin` inclusive, `end` exclusive."""

    topic: str
    partition: int
    begin: int
    end: int
    reason: str

    def __str__(self) -> str:
        return (
            f"topic {self.topic}, partition {self.partition}, offsets {self.begin} to {self.end - 1} cannot be read: "
            f"{self.reason}"
        )


class _Search(NamedTuple):
    """Binary search for the end of an unreadable batch: `inside` it is an offset, `outside` a later one."""

    begin: int
    inside: int
    outside: int
    reason: str

    @property
    def probed(self) -> int:
        return (self.inside + self.outside) // 2


class BatchSkipper:
    """Polls a consumer, and skips the batches that it cannot read.

    The client reports where such a batch begins, not where it ends: at every offset within the batch it fails with the
    batch's first offset. A binary search finds the first offset behind it.
    """

    def __init__(self, consumer: Consumer, on_unreadable: Callable[[UnreadableRange], None]) -> None:
        """`on_unreadable` is called after each skipped batch."""
        self._consumer = consumer
        self._on_unreadable = on_unreadable
        self._searches: dict[int, _Search] = {}

    def assign(self, positions: list[TopicPartition]) -> None:
        """Read these partitions from these offsets, instead of those that are assigned now."""
        self._searches.clear()
        self._consumer.assign(positions)

    def poll(self, seconds: float) -> Any:
        """The next message or event, as `Consumer.poll`: never the error of an unreadable batch."""
        while True:
            polled: Any = self._consumer.poll(seconds)
            if polled is None or not self._is_part_of_search(polled):
                return polled

    def _is_part_of_search(self, polled: Any) -> bool:
        error, partition = polled.error(), polled.partition()
        unreadable = error is not None and error.code() in _UNREADABLE
        search = self._searches.get(partition)
        if search is None:
            if unreadable:
                self._begin(polled)
            return unreadable
        if error is not None and not unreadable and error.code() != KafkaError._PARTITION_EOF:
            return False
        if error is None and polled.offset() < search.probed:  # the client has reset its position
            del self._searches[partition]
            return False
        if unreadable and polled.offset() == search.begin:
            search = search._replace(inside=search.probed)
        else:
            search = search._replace(outside=search.probed)
        self._continue(polled.topic(), partition, search)
        return True

    def _begin(self, polled: Any) -> None:
        begin = polled.offset()
        partition = TopicPartition(polled.topic(), polled.partition())
        try:
            _, end = self._consumer.get_watermark_offsets(partition, timeout=_WATERMARK_TIMEOUT_SECONDS)
        except KafkaException:
            return  # the client reads the batch again soon
        self._continue(
            polled.topic(), polled.partition(), _Search(begin, begin, max(end, begin + 1), polled.error().str())
        )

    def _continue(self, topic: str, partition: int, search: _Search) -> None:
        if search.outside - search.inside > 1:
            self._searches[partition] = search
            self._consumer.seek(TopicPartition(topic, partition, search.probed))
            return
        self._searches.pop(partition, None)
        self._consumer.seek(TopicPartition(topic, partition, search.outside))
        self._on_unreadable(UnreadableRange(topic, partition, search.begin, search.outside, search.reason))
