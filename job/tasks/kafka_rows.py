"""The rows of Spark's Kafka source as a task of `mapInArrow` receives them."""

from collections.abc import Iterator

import pyarrow as pa

from job.message import Message


def arrival_times(batch: pa.RecordBatch) -> list[int]:
    """When each message arrived, in milliseconds: Kafka's timestamp, which Spark gives in microseconds."""
    return [microseconds // 1000 for microseconds in batch.column("timestamp").cast(pa.int64()).to_pylist()]


def messages_of(batch: pa.RecordBatch) -> Iterator[Message]:
    """The messages in an Arrow batch of Kafka rows."""
    topics, partitions, offsets, keys, values = (
        batch.column(name).to_pylist() for name in ("topic", "partition", "offset", "key", "value")
    )
    headers = [
        [(header["key"], header["value"]) for header in of_message or ()]
        for of_message in batch.column("headers").to_pylist()
    ]
    for fields in zip(topics, partitions, offsets, arrival_times(batch), keys, values, headers, strict=True):
        yield Message(*fields)


def message_groups(batches: Iterator[pa.RecordBatch], least_bytes: int) -> Iterator[list[Message]]:
    """The messages of several Arrow batches together: of at least `least_bytes`, but for the last group."""
    group: list[Message] = []
    size = 0
    for batch in batches:
        group += messages_of(batch)
        size += batch.nbytes
        if size >= least_bytes:
            yield group
            group, size = [], 0
    if group:
        yield group
