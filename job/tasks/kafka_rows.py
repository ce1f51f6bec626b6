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
