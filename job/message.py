"""A Kafka record as the job reads it, and the original of a replayed message."""

import re
from datetime import datetime
from operator import methodcaller
from typing import Any, NamedTuple

from job.ids import cassandra_write_time, external_version
from job.times import iso, to_ms

Headers = list[tuple[str, str | bytes | None]]

REPLAY_TIMESTAMP, REPLAY_PARTITION, REPLAY_OFFSET = "replay.timestamp", "replay.partition", "replay.offset"
REPLAY_HEADERS = (REPLAY_TIMESTAMP, REPLAY_PARTITION, REPLAY_OFFSET)
"""Headers of a replayed message: where and when its original arrived."""

MAX_HEADERS = 10_000
"""A message with more has no replay headers, and its dead letter has none of its headers: of more than 100,000,
librdkafka's readers would get none at all."""

MAX_PARTITION = 2**31 - 1
MAX_OFFSET = 2**63 - 1


class Original(NamedTuple):
    """When and where a message first arrived."""

    arrived_at: int
    partition: int
    offset: int

    @property
    def version(self) -> int:
        """The version of the message's documents: of two messages of a match, the one with the higher version wins."""
        return external_version(self.arrived_at, self.offset)

    @property
    def write_time(self) -> int:
        """The write time of the message's row in the archive, in microseconds."""
        return cassandra_write_time(self.arrived_at, self.offset)

    def headers(self) -> Headers:
        """The headers that a replay of the message carries."""
        return [
            (REPLAY_TIMESTAMP, iso(self.arrived_at).encode()),
            (REPLAY_PARTITION, str(self.partition).encode()),
            (REPLAY_OFFSET, str(self.offset).encode()),
        ]


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
            headers_of(message),
        )

    @property
    def original(self) -> Original:
        """The original of a replayed message; the message itself if it is not a replay.

        A replay has the documents, the document version and the archived row of its original, so that it does not
        replace a version of the match that arrived in between. Any producer can set the headers: they are ignored
        unless all three are valid, and only ever lower the version, so that no version is in the future. They are also
        ignored where Kafka's clients, of which archive and job have different ones, do not return the same headers: if
        there are more than MAX_HEADERS, or if a name has U+FFFD, as Spark's has for bytes that are not UTF-8.
        """
        own = Original(self.arrived_at, self.partition, self.offset)
        if not self.headers or len(self.headers) > MAX_HEADERS:
            return own
        # confluent_kafka ends a name at NUL, and Spark does not. Of equal names the last one counts.
        headers = {name.partition("\0")[0]: value for name, value in self.headers}
        if any("\ufffd" in name for name in headers):
            return own
        arrived_at = parse_timestamp(headers.get(REPLAY_TIMESTAMP))
        partition = parse_whole_number(headers.get(REPLAY_PARTITION), MAX_PARTITION)
        offset = parse_whole_number(headers.get(REPLAY_OFFSET), MAX_OFFSET)
        if arrived_at is None or partition is None or offset is None:
            return own
        original = Original(arrived_at, partition, offset)
        earlier = (
            arrived_at <= own.arrived_at and original.version <= own.version and original.write_time <= own.write_time
        )
        return original if earlier else own


def parse_timestamp(value: str | bytes | None) -> int | None:
    """ISO 8601 text with a time zone in a header as milliseconds since 1970; None if it is anything else."""
    try:
        moment = datetime.fromisoformat(_text(value))
        milliseconds = to_ms(moment) if moment.tzinfo else -1
    except ValueError:  # UnicodeDecodeError is one
        return None
    return milliseconds if milliseconds >= 0 else None


def parse_whole_number(value: str | bytes | None, maximum: int) -> int | None:
    """The decimal number in a header, from 0 to `maximum`; None if it is anything else."""
    try:
        text = _text(value)
    except UnicodeDecodeError:
        return None
    return number if re.fullmatch("[0-9]{1,19}", text) and (number := int(text)) <= maximum else None


def _text(value: str | bytes | None) -> str:
    return value if isinstance(value, str) else (value or b"").decode("ascii")


# Python's own call instruction may not notice that confluent_kafka's method returns a result with an exception set;
# a call from C always does.
_get_headers = methodcaller("headers")


def headers_of(message: Any) -> list[tuple[str, Any]]:
    """The headers of a confluent_kafka.Message; none if one has a name that is not UTF-8, or if there are more than
    100,000.

    Kafka's protocol has UTF-8 names. confluent_kafka fails at any other with SystemError, and cannot return its bytes
    or the message's other headers.
    """
    try:
        return _get_headers(message) or []
    except SystemError:
        return []
