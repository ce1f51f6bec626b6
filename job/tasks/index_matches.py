"""Indexes the matches of Kafka messages in Spark tasks: documents to Elasticsearch; poison messages are routed to the
dead-letter topic.

Each message ends as exactly one of the two, and is counted after the server has acknowledged it.
"""

import logging
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import pyarrow as pa
from pyspark import TaskContext

from job.dead_letter import DeadLetter
from job.documents import Action, MatchAliases, actions
from job.ids import monthly_index
from job.kafka_client import KafkaClientSettings
from job.match import Match, PlausibleTimes, decode
from job.message import Message
from job.printable import escape
from job.sinks import elasticsearch, sink_wait
from job.sinks.dead_letters import DeadLetterSink, producer
from job.sinks.elasticsearch import BulkSink, Rejection
from job.tasks.kafka_rows import message_groups
from job.tasks.outcomes import BatchCounts, CountsAccumulator, MessageOutcome
from job.tasks.worker_gc import freeze_imported_objects
from job.times import now_ms

log = logging.getLogger(__name__)

NO_ROWS = "none boolean"
"""The output schema of tasks that only index."""
QUERY_PROPERTY = "spark.scheduler.pool"
"""The local property that has the name of a task's query, which is also that of its pool."""
_GROUP_BYTES = 8 * 2**20
"""Messages of at least this size are indexed together: the requests of smaller Arrow batches would be small too."""
REJECTED = "rejected_by_elasticsearch"
"""The reason of a dead letter whose match has a document that Elasticsearch rejects."""


class SinkConfig(NamedTuple):
    """Connection settings of the sinks. Serializable: Spark sends them to the executors within the task's function."""

    elasticsearch_connection: elasticsearch.Connection
    kafka: KafkaClientSettings
    dead_letter_topic: str
    driver: sink_wait.Address

    def bulk_sink(self) -> BulkSink:
        client = elasticsearch.client(self.elasticsearch_connection)
        return BulkSink(client, self._on_wait, self._progress_reporter())

    def dead_letter_sink(self) -> DeadLetterSink:
        client, errors = producer(self.kafka)
        on_progress = self._progress_reporter()
        return DeadLetterSink(client, self.dead_letter_topic, self._on_wait, errors, self.kafka, on_progress)

    def _progress_reporter(self) -> sink_wait.ProgressReporter:
        return sink_wait.ProgressReporter(self.driver, _query_of_task())

    def _on_wait(self, service: str, reason: str, seconds: float) -> None:
        """Report a sink's retry in the executor's log and to the driver."""
        log.warning("Waiting %.1f s for %s: %s", seconds, service, escape(reason))
        sink_wait.send(self.driver, sink_wait.SinkWait(service, reason, seconds, _query_of_task()))


def _query_of_task() -> str:
    """The name of this task's query; empty outside of a task."""
    task = TaskContext.get()
    return (task and task.getLocalProperty(QUERY_PROPERTY)) or ""


class IndexMatches:
    """A function for `mapInArrow` (a Python UDF over Arrow batches): indexes the matches of Kafka rows. Returns none.

    The input columns are those of Spark's Kafka source. `aliases` are those of the monthly indices. `queue_ids` are the
    queues that count in the statistics, None for all.

    Indexing is a side effect, where Spark expects a pure function. It is idempotent: a retried task writes the same
    documents to the same document ids, and sends its dead letters again with the same headers topic, partition and
    offset.
    """

    def __init__(
        self,
        sinks: SinkConfig,
        plausible_times: PlausibleTimes,
        aliases: MatchAliases,
        queue_ids: frozenset[int] | None,
        accumulator: CountsAccumulator[BatchCounts],
    ) -> None:
        self._sinks = sinks
        self._plausible_times = plausible_times
        self._aliases = aliases
        self._queue_ids = queue_ids
        self._accumulator = accumulator

    def __call__(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        freeze_imported_objects()
        bulk_sink, dead_letter_sink = self._sinks.bulk_sink(), self._sinks.dead_letter_sink()
        counts = BatchCounts()
        for messages in message_groups(batches, _GROUP_BYTES):
            outcomes = list(index(messages, self._plausible_times, self._aliases, bulk_sink))
            for message, outcome in zip(messages, outcomes, strict=True):
                if outcome.dead_letter is not None:
                    dead_letter_sink.add(message, outcome.dead_letter)
            dead_letter_sink.flush()
            _count(messages, outcomes, counts, self._aliases, self._queue_ids)
        self._accumulator.add(counts)
        return iter(())


def index(
    messages: Sequence[Message], plausible_times: PlausibleTimes, aliases: MatchAliases, sink: BulkSink
) -> Iterator[MessageOutcome]:
    """Index the matches in the messages, participants and teams together; yield each message's outcome, in order."""
    decoded = [decode(message.value, message.arrived_at, plausible_times) for message in messages]
    teams = [0] * len(messages)

    def documents() -> Iterator[Action]:
        for message_index, (message, match) in enumerate(zip(messages, decoded, strict=True)):
            if isinstance(match, Match):
                original = message.original
                found = actions(match, original.arrived_at, original.offset, aliases, message_index)
                teams[message_index] = len(found) - len(match.participants)
                yield from found

    rejections: dict[int, list[Rejection]] = {}
    for chunk in elasticsearch.chunks(documents()):
        for rejection in sink.index(chunk):
            rejections.setdefault(rejection.action.source_index, []).append(rejection)
    for message_index, result in enumerate(decoded):
        if isinstance(result, DeadLetter):
            yield MessageOutcome(None, 0, result)
        else:
            rejected = rejections.get(message_index, [])
            of_teams = sum(rejection.action.of_team for rejection in rejected)
            indexed = len(result.participants) - (len(rejected) - of_teams)
            yield MessageOutcome(
                result, indexed, _dead_letter(rejected), teams[message_index], teams[message_index] - of_teams
            )


def _dead_letter(rejected: list[Rejection]) -> DeadLetter | None:
    """The dead letter of a message with rejected documents, described by the first rejection; None without any."""
    if not rejected:
        return None
    first = rejected[0]
    detail = f"document {first.action.document_id}: {first.status} {first.reason}"
    return DeadLetter(REJECTED, detail, error_class=first.error_class)


def _count(
    messages: Sequence[Message],
    outcomes: Sequence[MessageOutcome],
    counts: BatchCounts,
    aliases: MatchAliases,
    queue_ids: frozenset[int] | None,
) -> None:
    """Count each outcome, with the message's age: the latency (freshness) from its arrival in Kafka to the index.

    The age of a replay is that of the replayed message, not of its original.
    """
    now = now_ms()
    for message, outcome in zip(messages, outcomes, strict=True):
        counts.add(
            participants=0 if outcome.match is None else len(outcome.match.participants),
            indexed=outcome.indexed,
            reason=None if outcome.dead_letter is None else outcome.dead_letter.reason,
            age_seconds=(now - message.arrived_at) / 1000,
        )
        counts.teams += outcome.teams
        counts.indexed_teams += outcome.indexed_teams
        if outcome.match is not None:
            counts.indices.update(monthly_index(alias, outcome.match.ended) for alias in aliases)
            if outcome.match.dropped_details:
                counts.dropped_details.update(outcome.match.dropped_details)
            if reason := outcome.match.uncounted_reason(queue_ids):
                counts.uncounted[reason] += 1
