"""The work on the executors: messages → documents in Elasticsearch, or dead letters in Kafka.

Each message ends as exactly one of the two. The row that says which leaves here when its server has acknowledged it.
"""

import logging
import time
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import pyarrow as pa
from pyspark.sql.pandas.types import to_arrow_schema
from pyspark.sql.types import IntegerType, LongType, StringType, StructType

from job import bulk, notices, python_worker
from job.dead_letters import DeadLetters, Record, producer
from job.documents import actions
from job.match import Bounds, DeadLetter, Match, decode
from job.statistics import MATCH_SCHEMA, match_column, struct_column

log = logging.getLogger(__name__)

INDEXED = "indexed"

# One row for each message. `fate` is INDEXED or the reason of its dead letter; `participants` are the documents it has,
# `indexed` those of them that Elasticsearch took; `age` the milliseconds from Kafka's timestamp to the fate; `match`
# what counts in the statistics, null where nothing does.
FATE_SCHEMA = (
    StructType()
    .add("fate", StringType(), nullable=False)
    .add("participants", IntegerType(), nullable=False)
    .add("indexed", IntegerType(), nullable=False)
    .add("age", LongType(), nullable=False)
    .add("match", MATCH_SCHEMA)
)
_ARROW_FATES = to_arrow_schema(FATE_SCHEMA, timezone="UTC")


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


class Fate(NamedTuple):
    """What became of a message: its match if it holds one, how many of its documents are indexed, why it failed."""

    match: Match | None
    indexed: int
    letter: DeadLetter | None


class IndexParticipants:
    """A function for `mapInArrow`: Kafka rows → rows of FATE_SCHEMA, and the documents are searchable soon after.

    The Kafka rows' columns: topic, partition, offset, arrived (timestamp in milliseconds), key, value, headers.
    """

    def __init__(self, sinks: Sinks, bounds: Bounds, name: str) -> None:
        self._sinks = sinks
        self._bounds = bounds
        self._name = name

    def __call__(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        python_worker.freeze()
        sink, dead_letters = self._sinks.bulk(), self._sinks.dead_letters()
        for batch in batches:
            messages = list(records(batch))
            fates = list(index(messages, self._bounds, self._name, sink))
            for message, fate in zip(messages, fates, strict=True):
                if fate.letter is not None:
                    dead_letters.add(message, fate.letter)
            dead_letters.flush()
            yield _fate_rows(messages, fates)


def index(messages: Sequence[Record], bounds: Bounds, name: str, sink: bulk.Bulk) -> Iterator[Fate]:
    """Index the matches in the messages; yield the fate of each message, in their order."""
    decoded = [decode(message.value, message.arrived, bounds) for message in messages]
    groups = (
        actions(match, message.arrived, name, origin=number)
        for number, (message, match) in enumerate(zip(messages, decoded, strict=True))
        if isinstance(match, Match)
    )
    rejections: dict[int, list[bulk.Rejection]] = {}
    for chunk in bulk.chunks(groups):
        for rejection in sink.index(chunk):
            rejections.setdefault(rejection.action.origin, []).append(rejection)
    for number, result in enumerate(decoded):
        if isinstance(result, DeadLetter):
            yield Fate(None, 0, result)
        else:
            rejected = rejections.get(number, [])
            yield Fate(result, len(result.participants) - len(rejected), _letter(rejected))


def records(batch: pa.RecordBatch) -> Iterator[Record]:
    """The messages of an Arrow batch."""
    columns = [batch.column(name).to_pylist() for name in ("topic", "partition", "offset", "arrived", "key", "value")]
    headers = [
        [(header["key"], header["value"]) for header in of_message or ()]
        for of_message in batch.column("headers").to_pylist()
    ]
    for fields in zip(*columns, headers, strict=True):
        yield Record(*fields)


def _letter(rejected: list[bulk.Rejection]) -> DeadLetter | None:
    """The dead letter of a message of which Elasticsearch refused documents, told by the first; None if it did not."""
    if not rejected:
        return None
    first = rejected[0]
    detail = f"document {first.action.document_id}: {first.status} {first.reason}"
    return DeadLetter("rejected_by_elasticsearch", detail, error_class=first.error_class)


def _fate_rows(messages: Sequence[Record], fates: Sequence[Fate]) -> pa.RecordBatch:
    now = time.time_ns() // 1_000_000
    columns = (
        [INDEXED if fate.letter is None else fate.letter.reason for fate in fates],
        [0 if fate.match is None else len(fate.match.participants) for fate in fates],
        [fate.indexed for fate in fates],
        [now - message.arrived for message in messages],
        match_column([fate.match for fate in fates]),
    )
    return pa.RecordBatch.from_struct_array(struct_column(columns, _ARROW_FATES))
