"""How many messages a batch may take: as many as fit into its time, by how long the last full batches took.

Spark bounds a batch by a number that is fixed when a query starts (`maxOffsetsPerTrigger`), but messages differ in size
by a factor of twenty, and machines in speed.
"""

from typing import Any

from pyspark.sql import SparkSession
from pyspark.sql.streaming.query import StreamingQuery

# Batches are aimed at this part of the longest time, so that one that goes slower than the last still keeps to it; and
# they grow no faster than this, since large messages may follow small ones.
_AIM = 0.5
_FASTEST_GROWTH = 4


class AdaptiveBatchSize:
    """The bound of the next batch, `messages`, so that it takes no longer than `max_seconds`.

    `first` holds until the first full batch was measured, and is the least there ever is: planning a batch takes as
    long for one message as for hundreds, and on a machine that is busy with something else a bound that follows the
    time of ever smaller batches would end at one. For the same reason a batch far below the bound says nothing.
    """

    def __init__(self, first: int, max_seconds: float) -> None:
        self.messages = self._least = first
        self._aim = _AIM * max_seconds

    def measured(self, messages: int, seconds: float) -> bool:
        """Learn from a batch; say whether the bound is another now."""
        if 2 * messages < self.messages or not seconds:
            return False
        before = self.messages
        self.messages = max(self._least, min(round(messages * self._aim / seconds), _FASTEST_GROWTH * before))
        return self.messages != before


def set_max_offsets(spark: SparkSession, query: StreamingQuery, messages: int) -> None:
    """Let the batches of a running query of one source take at most so many messages, from the next one on.

    Spark asks the source with a limit that the running query keeps for it. There is no public way to that limit, only
    the accessors of the engine's class: the tests hold Spark's version to them.
    """
    jvm: Any = spark._jvm
    execution: Any = query._jsq.streamingQuery()
    limits = execution.uniqueSources()
    limit = jvm.org.apache.spark.sql.connector.read.streaming.ReadLimit.maxRows(messages)
    getattr(execution, "uniqueSources_$eq")(limits.updated(limits.keys().head(), limit))
