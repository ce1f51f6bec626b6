"""What became of the messages of a batch: counted by its tasks, brought to the driver, added up there.

Spark's own counters (`observe`, a progress's `numInputRows`) count the messages of a task again when it is done again,
because an executor is lost with what it held for the next stage. Here each task of a batch leaves one tally, and one
that is done again replaces the first.
"""

from bisect import bisect_left
from collections import Counter

from msgspec import Struct, field
from pyspark import SparkContext, TaskContext
from pyspark.accumulators import Accumulator, AccumulatorParam

AGE_SECONDS = (0.25, 0.5, 0.75, 1, 1.5, 2, 2.5, 3, 5, 10, 30, 60, 300, 3600)
"""The bounds by which matches are counted by their age when Elasticsearch acknowledged them."""


class BatchCounts(Struct):
    """Counts of messages, each of which is a match that is indexed with all of its documents, or a dead letter.

    `letters` are the dead letters by reason. `participants` are the documents that readable matches have, `indexed`
    those of them that Elasticsearch took. `ages` are the matches by the first of AGE_SECONDS that they are no older
    than, the last: older than all; together they are `age_seconds` old.
    """

    matches: int = 0
    letters: Counter[str] = field(default_factory=Counter)
    participants: int = 0
    indexed: int = 0
    ages: list[int] = field(default_factory=lambda: [0] * (len(AGE_SECONDS) + 1))
    age_seconds: float = 0.0

    @property
    def messages(self) -> int:
        return self.matches + self.letters.total()

    def add(self, participants: int, indexed: int, reason: str | None, age_seconds: float) -> None:
        """Count a message; `reason` is its dead letter's, None if it has none."""
        self.participants += participants
        self.indexed += indexed
        if reason is not None:
            self.letters[reason] += 1
            return
        self.matches += 1
        self.ages[bisect_left(AGE_SECONDS, age_seconds)] += 1
        self.age_seconds += age_seconds

    def include(self, other: "BatchCounts") -> None:
        """Add the other's counts to these."""
        self.matches += other.matches
        self.letters += other.letters
        self.participants += other.participants
        self.indexed += other.indexed
        self.ages = [count + more for count, more in zip(self.ages, other.ages, strict=True)]
        self.age_seconds += other.age_seconds


class _OfEachTask(AccumulatorParam[dict[int, BatchCounts]]):
    """By task, the last tally that it left."""

    def zero(self, value: dict[int, BatchCounts]) -> dict[int, BatchCounts]:
        return {}

    def addInPlace(self, value1: dict[int, BatchCounts], value2: dict[int, BatchCounts]) -> dict[int, BatchCounts]:  # noqa: N802
        return value1 | value2


class CountsAccumulator:
    """The tallies of the batch in hand. Made on the driver, and part of the function that its tasks run."""

    def __init__(self, context: SparkContext) -> None:
        self._of_each_task: Accumulator[dict[int, BatchCounts]] = context.accumulator({}, _OfEachTask())

    def leave(self, tally: BatchCounts) -> None:
        """Called once in a task."""
        task = TaskContext.get()
        assert task is not None, "only tasks of Spark's leave tallies"
        self._of_each_task.add({task.partitionId(): tally})

    def take(self) -> BatchCounts:
        """All of them in one, and begin anew. Called on the driver when the batch is done."""
        whole = BatchCounts()
        for tally in self._of_each_task.value.values():
            whole.include(tally)
        self._of_each_task.value = {}
        return whole
