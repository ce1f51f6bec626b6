"""A consumer with its client in another process reads what fits into that process's memory, and passes what does not.

Kafka is librdkafka's mock broker.
"""

from __future__ import annotations

import os
import signal
from contextlib import closing
from pathlib import Path

import pytest
from confluent_kafka import KafkaError, TopicPartition

from job.consumer import BatchSkipper, UnreadableRange, consumer_settings
from job.isolated_consumer import MEMORY_BYTES, IsolatedConsumer
from tests.support.kafka_batch import send_batch

TOPIC = "lol_matches"
READ_TIMEOUT_SECONDS = 30
LARGE = b" " * 20_000_000
SMALL_MEMORY_BYTES = 100_000_000


def consumer(servers: str, memory_bytes: int = MEMORY_BYTES) -> IsolatedConsumer:
    return IsolatedConsumer(consumer_settings({"bootstrap.servers": servers}, "test"), memory_bytes)


def send(servers: str, *values: bytes, partition: int = 0, compression: str = "lz4") -> None:
    send_batch({"bootstrap.servers": servers}, TOPIC, values, partition, compression)


def read(
    source: IsolatedConsumer, *partitions: int, begin: int = 0
) -> tuple[list[tuple[int, int]], list[UnreadableRange]]:
    """The messages of the partitions (partition and offset) until the end of each, and what was skipped."""
    skipped: list[UnreadableRange] = []
    messages: list[tuple[int, int]] = []
    unfinished = set(partitions)
    skipper = BatchSkipper(source, skipped.append)
    skipper.assign([TopicPartition(TOPIC, partition, begin) for partition in partitions])
    polls_without_message = 0
    while unfinished:
        before = len(skipped)
        polled = skipper.poll(1)
        assert len(skipped) <= before + 1, "the reader can neither commit nor report its progress meanwhile"
        polls_without_message = 0 if polled else polls_without_message + 1
        assert polls_without_message < READ_TIMEOUT_SECONDS, f"nothing was read after {messages} and {skipped}"
        if polled is None:
            continue
        if polled.error():
            assert polled.error().code() == KafkaError._PARTITION_EOF, polled.error()
            unfinished.discard(polled.partition())
        else:
            messages.append((polled.partition(), polled.offset()))
    return messages, skipped


@pytest.mark.parametrize("compression", ["none", "gzip", "lz4", "snappy", "zstd"])
def test_batch_of_every_codec_is_read(mock_kafka: str, compression: str) -> None:
    send(mock_kafka, *[b" " * 1_000_000] * 2, compression=compression)
    with closing(consumer(mock_kafka)) as source:
        assert read(source, 0) == ([(0, 0), (0, 1)], [])


def test_batch_that_is_too_large_when_decompressed_is_skipped_and_everything_else_is_read_once(mock_kafka: str) -> None:
    """Of a codec without a limit of its own. The memory is small here."""
    send(mock_kafka, b"1", b"2")
    send(mock_kafka, LARGE, LARGE, LARGE)
    send(mock_kafka, b"3")
    send(mock_kafka, b"1", b"2", partition=1)
    with closing(consumer(mock_kafka, SMALL_MEMORY_BYTES)) as source:
        messages, skipped = read(source, 0, 1)
    assert sorted(messages) == [(0, 0), (0, 1), (0, 5), (1, 0), (1, 1)]
    assert [(each.begin, each.end) for each in skipped] == [(2, 3), (3, 4), (4, 5)]
    assert str(skipped[0]) == (
        "topic lol_matches, partition 0, offsets 2 to 2 cannot be read: its batch needs more than 100 MB when it is "
        "decompressed"
    )


def clients() -> list[int]:
    """The processes of the clients that this process has started."""
    return [
        int(pid)
        for task in Path("/proc/self/task").iterdir()
        for pid in (task / "children").read_text().split()
        if b"isolated_consumer" in Path(f"/proc/{pid}/cmdline").read_bytes()
    ]


def test_client_that_was_killed_is_started_again_and_no_message_is_skipped(mock_kafka: str) -> None:
    """For example, by the kernel, because the machine has too little memory."""
    send(mock_kafka, b"1", b"2", b"3")
    with closing(consumer(mock_kafka)) as source:
        source.assign([TopicPartition(TOPIC, 0, 0)])
        offsets: list[int] = []
        while len(offsets) < 3:
            polled = source.poll(READ_TIMEOUT_SECONDS)
            if polled is not None:
                assert polled.error() is None
                offsets.append(polled.offset())
                if polled.offset() == 0:
                    (client,) = clients()
                    os.kill(client, signal.SIGKILL)
    assert offsets == [0, 1, 2]
    assert clients() == []


def test_paused_partition_is_read_no_longer_and_the_other_one_goes_on(mock_kafka: str) -> None:
    for partition in (0, 1):
        send(mock_kafka, b"1", b"2", partition=partition)
    with closing(consumer(mock_kafka)) as source:
        source.assign([TopicPartition(TOPIC, partition, 0) for partition in (0, 1)])
        first = source.poll(READ_TIMEOUT_SECONDS)
        assert first is not None
        source.pause([TopicPartition(TOPIC, first.partition())])
        read_later = []
        while polled := source.poll(READ_TIMEOUT_SECONDS):
            if polled.error():
                break
            read_later.append((polled.partition(), polled.offset()))
    other = 1 - first.partition()
    assert read_later == [(other, 0), (other, 1)]


def test_message_has_its_key_value_headers_and_timestamp(mock_kafka: str) -> None:
    send_batch({"bootstrap.servers": mock_kafka}, TOPIC, [None], key=b"k", headers=[("a", b"\xff"), ("b", None)])
    with closing(consumer(mock_kafka)) as source:
        source.assign([TopicPartition(TOPIC, 0, 0)])
        polled = source.poll(READ_TIMEOUT_SECONDS)
        assert polled is not None
        assert (polled.topic(), polled.key(), polled.value(), polled.headers()) == (
            TOPIC,
            b"k",
            None,
            [("a", b"\xff"), ("b", None)],
        )
        assert polled.timestamp()[1] > 0
