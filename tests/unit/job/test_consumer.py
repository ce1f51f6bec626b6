"""A consumer reads large batches up to a limit of their decompressed size, and skips a batch that it cannot read.

Kafka is librdkafka's mock broker, or a fake consumer for errors that no broker produces on demand.
"""

from __future__ import annotations

from contextlib import closing
from typing import Any

import pytest
from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from job import consumer
from job.consumer import BatchSkipper, UnreadableRange, consumer_settings
from tests.support.fakes import FakeMessage
from tests.support.kafka_batch import send_batch

TOPIC = "lol_matches"
READ_TIMEOUT_SECONDS = 30


def send_compressed(servers: str, *values: bytes, partition: int = 0) -> None:
    """Send the values as one batch, compressed with zstd."""
    send_batch({"bootstrap.servers": servers}, TOPIC, values, partition, "zstd")


def read(servers: str, partition: int = 0, begin: int = 0) -> tuple[list[tuple[int, int]], list[UnreadableRange]]:
    """The messages of a partition (offset and size), and the ranges that were skipped."""
    skipped: list[UnreadableRange] = []
    messages: list[tuple[int, int]] = []
    with closing(Consumer({**consumer_settings({"bootstrap.servers": servers}, "test"), "log_level": 0})) as source:
        skipper = BatchSkipper(source, skipped.append)
        skipper.assign([TopicPartition(TOPIC, partition, begin)])
        while True:
            polled = skipper.poll(READ_TIMEOUT_SECONDS)
            assert polled is not None, f"nothing was read for {READ_TIMEOUT_SECONDS} s after {messages} and {skipped}"
            if polled.error():
                assert polled.error().code() == KafkaError._PARTITION_EOF, polled.error()
                return messages, skipped
            messages.append((polled.offset(), len(polled.value())))


def test_batch_of_14_matches_with_9_mb_of_white_space_each_is_read(mock_kafka: str) -> None:
    send_compressed(mock_kafka, *[b" " * 9_000_000] * 14)
    assert read(mock_kafka) == ([(offset, 9_000_000) for offset in range(14)], [])


class TestUnreadableBatches:
    """The limit is small here, so that small batches exceed it."""

    @pytest.fixture(autouse=True)
    def _limit(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(consumer, "MAX_BATCH_BYTES", 100_000)

    def test_unreadable_batch_is_skipped_and_its_offsets_and_reason_are_reported(self, mock_kafka: str) -> None:
        send_compressed(mock_kafka, b"1", b"2")
        send_compressed(mock_kafka, *[b" " * 90_000] * 14)
        send_compressed(mock_kafka, b"3")
        messages, (skipped,) = read(mock_kafka)
        assert messages == [(0, 1), (1, 1), (16, 1)]
        assert skipped[:4] == (TOPIC, 0, 2, 16)
        assert str(skipped).startswith("topic lol_matches, partition 0, offsets 2 to 15 cannot be read: Decompression ")

    def test_neighbouring_batches_are_skipped_one_by_one(self, mock_kafka: str) -> None:
        for size in (3, 1, 7):
            send_compressed(mock_kafka, *[b" " * 900_000] * size)
        send_compressed(mock_kafka, b"end")
        messages, skipped = read(mock_kafka)
        assert messages == [(11, 3)]
        assert [(each.begin, each.end) for each in skipped] == [(0, 3), (3, 4), (4, 11)]

    def test_unreadable_batch_at_the_end_is_skipped(self, mock_kafka: str) -> None:
        send_compressed(mock_kafka, b"1")
        send_compressed(mock_kafka, *[b" " * 900_000] * 3)
        messages, skipped = read(mock_kafka)
        assert messages == [(0, 1)]
        assert [(each.begin, each.end) for each in skipped] == [(1, 4)]


class FakeConsumer:
    """A consumer of one partition with batches of these sizes. Those in `errors` fail with an error code, as in
    librdkafka: always with the batch's first offset, wherever in the batch the consumer is."""

    def __init__(self, sizes: list[int], errors: dict[int, int]) -> None:
        self._sizes = sizes
        self._errors = errors
        self.position = 0
        self.polls = 0
        self.is_available = True

    def assign(self, positions: list[TopicPartition]) -> None:
        self.seek(positions[0])

    def seek(self, position: TopicPartition) -> None:
        assert 0 <= position.offset <= sum(self._sizes), "the broker would reset the consumer's offset"
        self.position = position.offset

    def get_watermark_offsets(self, _partition: TopicPartition, timeout: float) -> tuple[int, int]:
        assert timeout > 0
        if not self.is_available:
            self.is_available = True
            raise KafkaException(KafkaError(KafkaError._TRANSPORT))
        return 0, sum(self._sizes)

    def poll(self, _seconds: float) -> FakeMessage:
        self.polls += 1
        assert self.polls < 5_000, "endless loop"
        first = 0
        for number, size in enumerate(self._sizes):
            if self.position < first + size:
                code = self._errors.get(number)
                offset = self.position if code is None else first
                self.position += code is None
                return FakeMessage(offset, error=code)
            first += size
        return FakeMessage(first, error=KafkaError._PARTITION_EOF)


def offsets_read(source: FakeConsumer) -> tuple[list[int], list[tuple[int, int]]]:
    skipped: list[tuple[int, int]] = []
    fake: Any = source
    skipper = BatchSkipper(fake, lambda found: skipped.append((found.begin, found.end)))
    offsets = []
    while not (polled := skipper.poll(1)).error():
        offsets.append(polled.offset())
    assert polled.error().code() == KafkaError._PARTITION_EOF
    return offsets, skipped


@pytest.mark.parametrize(
    "code",
    [
        KafkaError._BAD_COMPRESSION,
        KafkaError._BAD_MSG,
        KafkaError._NOT_IMPLEMENTED,
        KafkaError.INVALID_MSG,
        KafkaError.MSG_SIZE_TOO_LARGE,
        KafkaError.UNSUPPORTED_COMPRESSION_TYPE,
    ],
)
def test_every_error_of_the_data_is_skipped(code: int) -> None:
    assert offsets_read(FakeConsumer([2, 5, 1], {1: code})) == ([0, 1, 7], [(2, 7)])


@pytest.mark.parametrize("sizes", [[1, 1], [1, 1000, 1], [300, 2, 1000], [5, 3, 3, 3, 9], [1, 7]])
def test_each_readable_message_is_read_once_whatever_the_sizes(sizes: list[int]) -> None:
    bad = [number for number in range(len(sizes)) if number % 2]
    found = offsets_read(FakeConsumer(sizes, dict.fromkeys(bad, KafkaError._BAD_COMPRESSION)))
    begins = [sum(sizes[:number]) for number in range(len(sizes))]
    readable = [begins[n] + i for n, size in enumerate(sizes) if n not in bad for i in range(size)]
    assert found == (readable, [(begins[n], begins[n] + sizes[n]) for n in bad])


def test_end_of_a_batch_is_searched_again_if_kafka_does_not_answer() -> None:
    source = FakeConsumer([1, 4, 1], {1: KafkaError._BAD_COMPRESSION})
    source.is_available = False
    assert offsets_read(source) == ([0, 5], [(1, 5)])


def test_errors_that_can_pass_are_not_skipped() -> None:
    source = FakeConsumer([1, 4], {1: KafkaError._TRANSPORT})
    fake: Any = source
    skipper = BatchSkipper(fake, lambda found: pytest.fail(f"{found}"))
    assert skipper.poll(1).error() is None
    assert skipper.poll(1).error().code() == KafkaError._TRANSPORT
    assert source.position == 1


def test_new_assignment_ends_a_search(monkeypatch: pytest.MonkeyPatch) -> None:
    """Otherwise the batch's end would be searched with offsets that are not probed any more."""
    source = FakeConsumer([1, 8, 1000], {1: KafkaError._BAD_COMPRESSION})
    fake: Any = source
    skipped: list[tuple[int, int]] = []
    skipper = BatchSkipper(fake, lambda found: skipped.append((found.begin, found.end)))
    poll, polls = source.poll, 0

    def interrupt(seconds: float) -> Any:
        nonlocal polls
        polls += 1
        return None if polls == 4 else poll(seconds)

    monkeypatch.setattr(source, "poll", interrupt)
    assert skipper.poll(1).offset() == 0
    assert skipper.poll(1) is None
    assert source.position not in (0, 1), "no search has begun"
    skipper.assign([TopicPartition(TOPIC, 0, 1)])
    assert skipper.poll(1).offset() == 9
    assert skipped == [(1, 9)]
