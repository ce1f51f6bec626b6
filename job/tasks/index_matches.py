"""The work on the executors: messages → documents in Elasticsearch, or dead letters in Kafka.

Each message ends as exactly one of the two, and is counted when its server has acknowledged it. What leaves here are
the matches that count in the statistics.
"""

import logging
import time
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import pyarrow as pa

from job.documents import actions
from job.driver.statistics import match_rows
from job.match import DeadLetter, Match, PlausibleTimes, decode
from job.sinks import elasticsearch, sink_wait
from job.sinks.dead_letters import DeadLetters, Record, producer
from job.tasks import worker_gc
from job.tasks.outcomes import BatchCounts, CountsAccumulator

log = logging.getLogger(__name__)


class Sinks(NamedTuple):
    """Where executors deliver to, in plain values that travel to them."""

    elasticsearch_hosts: tuple[str, ...]
    elasticsearch_timeout: int
    bootstrap_servers: str
    dead_letter_topic: str
    driver: sink_wait.Address

    def bulk(self) -> elasticsearch.Bulk:
        return elasticsearch.Bulk(
            elasticsearch.client(self.elasticsearch_hosts, self.elasticsearch_timeout), self.waiting
        )

    def dead_letters(self) -> DeadLetters:
        return DeadLetters(producer(self.bootstrap_servers), self.dead_letter_topic, self.waiting)

    def waiting(self, service: str, reason: str, seconds: float, attempt: int) -> None:
        """Say here and to the driver that a sink waits."""
        log.warning("Waiting %.1f s for %s: %s", seconds, service, reason)
        sink_wait.send(self.driver, sink_wait.Waiting(service, reason, seconds, attempt))


class Fate(NamedTuple):
    """What became of a message: its match if it holds one, how many of its documents are indexed, why it failed."""

    match: Match | None
    indexed: int
    letter: DeadLetter | None


class IndexMatches:
    """A function for `mapInArrow`: Kafka rows → rows of MATCH_SCHEMA, and the documents are searchable soon after.

    The Kafka rows' columns: topic, partition, offset, arrived (timestamp in milliseconds), key, value, headers.
    """

    def __init__(self, sinks: Sinks, bounds: PlausibleTimes, name: str, tallies: CountsAccumulator) -> None:
        self._sinks = sinks
        self._bounds = bounds
        self._name = name
        self._tallies = tallies

    def __call__(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        worker_gc.freeze()
        sink, dead_letters = self._sinks.bulk(), self._sinks.dead_letters()
        tally = BatchCounts()
        for batch in batches:
            messages = list(records(batch))
            fates = list(index(messages, self._bounds, self._name, sink))
            for message, fate in zip(messages, fates, strict=True):
                if fate.letter is not None:
                    dead_letters.add(message, fate.letter)
            dead_letters.flush()
            _count(messages, fates, tally)
            yield match_rows([fate.match for fate in fates if fate.match is not None])
        self._tallies.leave(tally)


def index(messages: Sequence[Record], bounds: PlausibleTimes, name: str, sink: elasticsearch.Bulk) -> Iterator[Fate]:
    """Index the matches in the messages; yield the fate of each message, in their order."""
    decoded = [decode(message.value, message.arrived, bounds) for message in messages]
    documents = (
        action
        for number, (message, match) in enumerate(zip(messages, decoded, strict=True))
        if isinstance(match, Match)
        for action in actions(match, message.arrived, message.offset, name, origin=number)
    )
    rejections: dict[int, list[elasticsearch.Rejection]] = {}
    for chunk in elasticsearch.chunks(documents):
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


def _letter(rejected: list[elasticsearch.Rejection]) -> DeadLetter | None:
    """The dead letter of a message of which Elasticsearch refused documents, told by the first; None if it did not."""
    if not rejected:
        return None
    first = rejected[0]
    detail = f"document {first.action.document_id}: {first.status} {first.reason}"
    return DeadLetter("rejected_by_elasticsearch", detail, error_class=first.error_class)


def _count(messages: Sequence[Record], fates: Sequence[Fate], tally: BatchCounts) -> None:
    now = time.time_ns() // 1_000_000
    for message, fate in zip(messages, fates, strict=True):
        tally.add(
            participants=0 if fate.match is None else len(fate.match.participants),
            indexed=fate.indexed,
            reason=None if fate.letter is None else fate.letter.reason,
            age_seconds=(now - message.arrived) / 1000,
        )
