"""The first query's work on the executors: messages → documents in Elasticsearch, or dead letters in Kafka.

Each message ends as exactly one of the two. A task returns when Elasticsearch and Kafka have acknowledged everything.
"""

import logging
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from typing import NamedTuple

import pyarrow as pa
from pyspark.sql.pandas.types import to_arrow_schema
from pyspark.sql.types import LongType, MapType, StringType, StructType

from job import bulk, notices
from job.dead_letters import DeadLetters, Record, producer
from job.documents import Action, actions
from job.match import Bounds, DeadLetter, Match, decode

log = logging.getLogger(__name__)

# One row for each partition of a batch. `oldest` is the Kafka timestamp of its oldest message, in milliseconds.
COUNTS_SCHEMA = (
    StructType()
    .add("messages", LongType(), nullable=False)
    .add("participants", LongType(), nullable=False)
    .add("indexed", LongType(), nullable=False)
    .add("oldest", LongType(), nullable=False)
    .add("dead_letters", MapType(StringType(), LongType(), valueContainsNull=False), nullable=False)
)
_ARROW_COUNTS = to_arrow_schema(COUNTS_SCHEMA, timezone="UTC")


class Sinks(NamedTuple):
    """Where executors deliver to, in plain values that travel to them."""

    elasticsearch_hosts: tuple[str, ...]
    elasticsearch_timeout: int
    bootstrap_servers: str
    dead_letter_topic: str
    driver: notices.Address

    def bulk(self) -> bulk.Bulk:
        return bulk.Bulk(bulk.client(self.elasticsearch_hosts, self.elasticsearch_timeout), self.waiting)

    def dead_letters(self) -> DeadLetters:
        return DeadLetters(producer(self.bootstrap_servers), self.dead_letter_topic, self.waiting)

    def waiting(self, service: str, reason: str, seconds: float, attempt: int) -> None:
        """Say here and to the driver that a sink waits."""
        log.warning("Waiting %.1f s for %s: %s", seconds, service, reason)
        notices.send(self.driver, notices.Waiting(service, reason, seconds, attempt))


@dataclass
class Counts:
    """What became of a partition's messages; the fields of COUNTS_SCHEMA."""

    messages: int = 0
    participants: int = 0
    indexed: int = 0
    oldest: int = 0
    dead_letters: Counter[str] = field(default_factory=Counter)


class IndexParticipants:
    """A function for `mapInArrow`: Kafka rows → one row of COUNTS_SCHEMA, and the documents are searchable soon after.

    The Kafka rows' columns: topic, partition, offset, arrived (timestamp in milliseconds), key, value, headers.
    """

    def __init__(self, sinks: Sinks, bounds: Bounds, name: str) -> None:
        self._sinks = sinks
        self._bounds = bounds
        self._name = name

    def __call__(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        counts = Counts()
        sink, dead_letters = self._sinks.bulk(), self._sinks.dead_letters()
        for batch in batches:
            self._deliver(list(records(batch)), sink, dead_letters, counts)
        dead_letters.flush()
        if counts.messages:
            yield pa.RecordBatch.from_pylist([_row(counts)], schema=_ARROW_COUNTS)

    def _deliver(self, batch: list[Record], sink: bulk.Bulk, dead_letters: DeadLetters, counts: Counts) -> None:
        groups: list[list[Action]] = []
        for number, record in enumerate(batch):
            result = decode(record.value, record.arrived, self._bounds)
            counts.messages += 1
            counts.oldest = min(counts.oldest or record.arrived, record.arrived)
            if isinstance(result, Match):
                group = actions(result, record.arrived, self._name, origin=number)
                counts.participants += len(group)
                groups.append(group)
            else:
                dead_letters.add(record, result)
                counts.dead_letters[result.reason] += 1
        for chunk in bulk.chunks(groups):
            rejections = sink.index(chunk)
            counts.indexed += len(chunk) - len(rejections)
            for number, letter in _rejected(rejections):
                dead_letters.add(batch[number], letter)
                counts.dead_letters[letter.reason] += 1


def records(batch: pa.RecordBatch) -> Iterator[Record]:
    """The messages of an Arrow batch."""
    columns = [batch.column(name).to_pylist() for name in ("topic", "partition", "offset", "arrived", "key", "value")]
    headers = [
        [(header["key"], header["value"]) for header in of_message or ()]
        for of_message in batch.column("headers").to_pylist()
    ]
    for fields in zip(*columns, headers, strict=True):
        yield Record(*fields)


def _rejected(rejections: list[bulk.Rejection]) -> Iterator[tuple[int, DeadLetter]]:
    """One dead letter for each message of which Elasticsearch refused at least one document, told by the first.

    A chunk holds whole messages, so none is told twice.
    """
    first = {rejection.action.origin: rejection for rejection in reversed(rejections)}
    for number, rejection in first.items():
        detail = f"document {rejection.action.document_id}: {rejection.status} {rejection.reason}"
        yield number, DeadLetter("rejected_by_elasticsearch", detail, error_class=rejection.error_class)


def _row(counts: Counts) -> dict[str, object]:
    return {**asdict(counts), "dead_letters": list(counts.dead_letters.items())}
