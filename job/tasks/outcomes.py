"""Per-task outcome counts, summed on the driver. A retried task counts once.

Spark's own counters (`observe`, `numInputRows` of a progress event) count a task's messages again when the task is
retried, for example after the loss of an executor with its shuffle files. Here the counts of a retried task
replace those of its first attempt.
"""

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable
from typing import NamedTuple

import pyarrow as pa
from msgspec import Struct, field
from pyspark import SparkContext, TaskContext
from pyspark.accumulators import Accumulator, AccumulatorParam

from job.match import DeadLetter, Match

AGE_BUCKETS = (0.25, 0.5, 0.75, 1, 1.5, 2, 2.5, 3, 5, 10, 30, 60, 300, 3600)
"""Upper bounds, in seconds, of the latency histogram: a match's age when Elasticsearch acknowledged its documents."""


class MessageOutcome(NamedTuple):
    """The outcome of a message: indexed, or dead-lettered with a reason.

    `match` is None if the message cannot be decoded. `indexed` counts the participants' documents that Elasticsearch
    acknowledged, `teams` the teams' documents, `indexed_teams` the acknowledged ones among them. `dead_letter` is None
    if all documents are.
    """

    match: Match | None
    indexed: int
    dead_letter: DeadLetter | None
    teams: int = 0
    indexed_teams: int = 0


class BatchCounts(Struct):
    """Outcome counts of a task or a micro-batch.

    `matches` counts messages whose documents are all indexed, `dead_letters` the other messages by reason.
    `participants` counts the participants of decoded matches, `indexed` their acknowledged documents; `teams` and
    `indexed_teams` are the same of teams. `dropped_details` has the optional fields that were dropped, by name,
    `uncounted` the matches that do not count in the statistics, by reason. `age_counts` has the matches by bucket of
    AGE_BUCKETS, the last one for older matches; `age_seconds` is the sum of their ages.
    `event_times` has the event time (milliseconds) of each match that is passed on to the statistics, by match id; of
    a match that arrived more than once, the latest.
    """

    matches: int = 0
    dead_letters: Counter[str] = field(default_factory=Counter)
    participants: int = 0
    indexed: int = 0
    teams: int = 0
    indexed_teams: int = 0
    dropped_details: Counter[str] = field(default_factory=Counter)
    uncounted: Counter[str] = field(default_factory=Counter)
    age_counts: list[int] = field(default_factory=lambda: [0] * (len(AGE_BUCKETS) + 1))
    age_seconds: float = 0.0
    event_times: dict[str, int] = field(default_factory=dict)

    @property
    def messages(self) -> int:
        """The number of messages, whatever their outcome."""
        return self.matches + self.dead_letters.total()

    def add(self, participants: int, indexed: int, reason: str | None, age_seconds: float) -> None:
        """Count one message; `reason` is that of its dead letter, or None if the match is indexed."""
        self.participants += participants
        self.indexed += indexed
        if reason is not None:
            self.dead_letters[reason] += 1
            return
        self.matches += 1
        self.age_counts[bisect_left(AGE_BUCKETS, age_seconds)] += 1
        self.age_seconds += age_seconds

    def add_event_times(self, rows: pa.RecordBatch) -> None:
        """Add the event times in rows of MATCH_SCHEMA, the input of the statistics."""
        milliseconds = rows.column("ended").cast(pa.timestamp("ms", "UTC")).cast(pa.int64())
        self._add_event_times(zip(rows.column("match_id").to_pylist(), milliseconds.to_pylist(), strict=True))

    def merge(self, other: "BatchCounts") -> None:
        """Add the counts of another task or batch."""
        self.matches += other.matches
        self.dead_letters += other.dead_letters
        self.participants += other.participants
        self.indexed += other.indexed
        self.teams += other.teams
        self.indexed_teams += other.indexed_teams
        self.dropped_details += other.dropped_details
        self.uncounted += other.uncounted
        self.age_counts = [count + more for count, more in zip(self.age_counts, other.age_counts, strict=True)]
        self.age_seconds += other.age_seconds
        self._add_event_times(other.event_times.items())

    def _add_event_times(self, event_times: Iterable[tuple[str, int]]) -> None:
        for match_id, event_time in event_times:
            self.event_times[match_id] = max(event_time, self.event_times.get(match_id, event_time))


class _LatestByTask(AccumulatorParam[dict[int, BatchCounts]]):
    """By partition id of the task, the counts of its latest attempt: they replace those of an earlier attempt."""

    def zero(self, value: dict[int, BatchCounts]) -> dict[int, BatchCounts]:
        return {}

    def addInPlace(self, value1: dict[int, BatchCounts], value2: dict[int, BatchCounts]) -> dict[int, BatchCounts]:  # noqa: N802
        return value1 | value2


class CountsAccumulator:
    """A Spark accumulator for the outcome counts of the current micro-batch: tasks add, the driver drains."""

    def __init__(self, context: SparkContext) -> None:
        self._by_task: Accumulator[dict[int, BatchCounts]] = context.accumulator({}, _LatestByTask())

    def add(self, counts: BatchCounts) -> None:
        """Add a task's counts; called once at the end of the task."""
        task = TaskContext.get()
        assert task is not None, "CountsAccumulator.add was called outside of a Spark task"
        self._by_task.add({task.partitionId(): counts})

    def drain(self) -> BatchCounts:
        """Return the sum over all tasks and reset it; called on the driver after each micro-batch."""
        total = BatchCounts()
        for counts in self._by_task.value.values():
            total.merge(counts)
        self._by_task.value = {}
        return total
