"""A Kafka record as the job reads it."""

from typing import Any, NamedTuple

Headers = list[tuple[str, str | bytes | None]]


class Message(NamedTuple):
    """A Kafka record. `arrived_at` is its LogAppendTime in milliseconds since 1970."""

    topic: str
    partition: int
    offset: int
    arrived_at: int
    key: bytes | None
    value: bytes | None
    headers: Headers

    @classmethod
    def from_kafka(cls, message: Any) -> "Message":
        """The record in a confluent_kafka.Message that has no error."""
        return cls(
            message.topic(),
            message.partition(),
            message.offset(),
            message.timestamp()[1],
            message.key(),
            message.value(),
            message.headers() or [],
        )
