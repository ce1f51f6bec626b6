"""Adaptive batch size: limits the next micro-batch from the duration of the last full ones (backpressure).

Spark's rate limit (`maxOffsetsPerTrigger`) is fixed when a query starts, but the size of messages varies by a factor of
twenty, and so does the speed of machines.
"""

import sys
from typing import Any

from pyspark.sql import SparkSession
from pyspark.sql.streaming.query import StreamingQuery

# Batches aim at half of the longest allowed duration, so that a slower one still keeps to it. The growth is limited
# because large messages may follow small ones. A limit that no batch comes near says less and less about the next
# backlog, whose messages may be larger: 34 small batches halve it.
_TARGET_FRACTION = 0.5
_MAX_GROWTH_FACTOR = 4
_DECAY_FACTOR = 0.98
# The state still holds the rows of the largest batch while the next ones run, and these can be as costly.
_MAXIMUM_TO_MINIMUM = 8


class AdaptiveBatchSize:
    """The most messages that the next micro-batch takes (`messages`), so that it is shorter than `max_seconds`.

    A message is an offset of the topic here, as in Spark's limit.

    `first` is the initial and the minimum size. Without a minimum, fixed planning time on a busy machine would shrink
    batches to one message: planning takes as long for one message as for hundreds. `most` is the maximum, for messages
    whose cost says nothing about that of the next ones; the minimum is at most an eighth of it.
    """

    def __init__(self, first: int, max_seconds: float, most: int = sys.maxsize) -> None:
        self.messages = self._minimum = max(1, min(first, most // _MAXIMUM_TO_MINIMUM))
        self._maximum = most
        self._target_seconds = _TARGET_FRACTION * max_seconds

    def observe(self, messages: int, seconds: float) -> bool:
        """Adapt the size to a finished batch; return whether it has changed.

        The duration of a batch of less than half the size is ignored: it is mostly planning time.
        """
        previous = self.messages
        if 2 * messages < previous or not seconds:
            fitting = int(_DECAY_FACTOR * previous)
        else:
            fitting = round(messages * self._target_seconds / seconds)
        self.messages = max(self._minimum, min(fitting, _MAX_GROWTH_FACTOR * previous, self._maximum))
        return self.messages != previous


def set_max_offsets(spark: SparkSession, query: StreamingQuery, messages: int) -> None:
    """Change the rate limit (`maxOffsetsPerTrigger`) of a running query over Kafka, from the next micro-batch on.

    With 0 there is no next micro-batch.
    """
    jvm: Any = spark._jvm
    set_read_limit(query, jvm.org.apache.spark.sql.connector.read.streaming.ReadLimit.maxRows(messages))


def set_read_limit(query: StreamingQuery, limit: Any) -> None:
    """Replace the ReadLimit (a Java object) that a running query with one source passes to its source.

    Spark has no public API for this, so it sets a field of the engine's class; a unit test checks it against the pinned
    Spark version.
    """
    execution: Any = query._jsq.streamingQuery()
    limits = execution.uniqueSources()
    if limits.isEmpty():  # the query has only just been started
        return
    getattr(execution, "uniqueSources_$eq")(limits.updated(limits.keys().head(), limit))
