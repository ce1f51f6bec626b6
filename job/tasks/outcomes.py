"""Per-task outcome counts, summed on the driver. A retried task counts once.

Spark's own counters (`observe`, `numInputRows` of a progress event) count a task's messages again when the task is
retried, for example after the loss of an executor with its shuffle files. Here the counts of a retried task
replace those of its first attempt.
"""

from bisect import bisect_left
from collections import Counter
from collections.abc import Callable
from typing import Generic, NamedTuple, Protocol, Self, TypeVar

from msgspec import Struct, field
from pyspark import SparkContext, TaskContext
from pyspark.accumulators import Accumulator, AccumulatorParam

from job.dead_letter import DeadLetter
from job.match import Match

_BATCH_ID = "streaming.sql.batchId"
"""The property of a Spark task with the number of its micro-batch."""

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
    `uncounted` the messages of matches that do not count in the statistics, by reason. `indices` has the names of the
    matches' indices. `age_counts` has the matches by bucket of AGE_BUCKETS, the last one for older matches;
    `age_seconds` is the sum of their ages.
    """

    matches: int = 0
    dead_letters: Counter[str] = field(default_factory=Counter)
    participants: int = 0
    indexed: int = 0
    teams: int = 0
    indexed_teams: int = 0
    dropped_details: Counter[str] = field(default_factory=Counter)
    uncounted: Counter[str] = field(default_factory=Counter)
    indices: set[str] = field(default_factory=set)
    age_counts: list[int] = field(default_factory=lambda: [0] * (len(AGE_BUCKETS) + 1))
    age_seconds: float = 0.0

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
        self.indices |= other.indices
        self.age_counts = [count + more for count, more in zip(self.age_counts, other.age_counts, strict=True)]
        self.age_seconds += other.age_seconds


class Mergeable(Protocol):
    """Counts of a task, to which those of another task can be added."""

    def merge(self, other: Self) -> None: ...


C = TypeVar("C", bound=Mergeable)
_Task = tuple[int, int]
"""A task's micro-batch and partition id."""


def _ignore() -> None:
    pass


class _LatestByTask(AccumulatorParam[dict[_Task, C]]):
    """By task, the counts of its latest attempt: they replace those of an earlier attempt."""

    def __init__(self, on_task_end: Callable[[], None] = _ignore) -> None:
        self._on_task_end = on_task_end

    def __reduce__(self) -> tuple[type[Self], tuple[()]]:
        return type(self), ()  # a task has a copy: the callback is the driver's

    def zero(self, value: dict[_Task, C]) -> dict[_Task, C]:
        return {}

    def addInPlace(self, value1: dict[_Task, C], value2: dict[_Task, C]) -> dict[_Task, C]:  # noqa: N802
        # In place and without a reader's interference: each of these two operations is atomic.
        value1.update(value2)
        self._on_task_end()
        return value1


class CountsAccumulator(Generic[C]):
    """A Spark accumulator for the counts of one stage of a streaming query: tasks add, the driver drains.

    `counts` is the class of the counts, whose instances without arguments are empty. `on_task_end` is called on the
    driver when a task has ended.
    """

    def __init__(self, context: SparkContext, counts: type[C], on_task_end: Callable[[], None] = _ignore) -> None:
        self._counts = counts
        self._by_task: Accumulator[dict[_Task, C]] = context.accumulator({}, _LatestByTask(on_task_end))

    def add(self, counts: C) -> None:
        """Add a task's counts; called once at the end of the task."""
        task = TaskContext.get()
        assert task is not None, "CountsAccumulator.add was called outside of a Spark task"
        batch = task.getLocalProperty(_BATCH_ID)
        assert batch is not None, "CountsAccumulator.add was called outside of a streaming query"
        self._by_task.add({(int(batch), task.partitionId()): counts})

    def drain(self, batch: int) -> C:
        """Return the sum over all tasks of a micro-batch that has ended, and forget it and those before it."""
        total = self._counts()
        by_task = self._by_task.value
        for task in [each for each in list(by_task) if each[0] <= batch]:
            counts = by_task.pop(task)
            if task[0] == batch:
                total.merge(counts)
        return total
