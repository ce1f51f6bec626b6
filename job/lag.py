"""Consumer lag: how many messages a reader of the topic is behind its end, those behind an open transaction, and
partitions in which a reader makes no progress."""

import time
from collections.abc import Iterable

from prometheus_client.metrics_core import GaugeMetricFamily
from prometheus_client.registry import Collector

from job.topic import Offsets, TopicOffsets


class ConsumerLag(Collector):
    """Consumer lag as a Prometheus gauge: by partition, the messages that a reader has not processed.

    It counts up to the high watermark, so that messages behind an open transaction count too. It is computed at each
    scrape from the latest known offsets, because the topic grows while the reader waits. A partition from which nothing
    was read has all of its retained messages as lag. While Kafka's offsets are unavailable, the lag is unknown and has
    no sample.
    """

    def __init__(self, name: str, **labels: str) -> None:
        self._name = name
        self._labels = labels
        self.topic_offsets: TopicOffsets = {}
        self._end_offsets: Offsets = {}
        self.processed_offsets: Offsets = {}

    def set_topic_offsets(self, offsets: TopicOffsets) -> None:
        """Record the present offsets of all partitions; empty if they are unknown."""
        self.topic_offsets = offsets

    def set_end_offsets(self, offsets: Offsets) -> None:
        """Record end offsets that the reader has seen, which may be newer than those of the topic."""
        self._end_offsets = self._end_offsets | offsets

    def set_processed_offsets(self, offsets: Offsets) -> None:
        """Record the reader's progress: the next offset that it will read in each of these partitions."""
        self.processed_offsets = self.processed_offsets | offsets

    def collect(self) -> Iterable[GaugeMetricFamily]:
        """Called by prometheus_client at each scrape."""
        lag = GaugeMetricFamily(self._name, "Messages that are not processed yet", labels=[*self._labels, "partition"])
        processed, seen = self.processed_offsets, self._end_offsets
        for partition, (begin, _, end) in self.topic_offsets.items():
            next_offset = max(processed.get(partition, begin), begin)
            waiting = max(end, seen.get(partition, end)) - next_offset
            lag.add_metric([*self._labels.values(), str(partition)], max(0, waiting))
        yield lag


class _UnchangedSince:
    """How long the number of each partition has been the same."""

    def __init__(self) -> None:
        self._since: dict[int, tuple[int, float]] = {}

    def observe(self, partition: int, number: int | None) -> None:
        """Record the present number; None if the partition has none, which takes no time."""
        if number is None:
            self._since.pop(partition, None)
        elif partition not in self._since or self._since[partition][0] != number:
            self._since[partition] = (number, time.monotonic())

    def seconds(self, partition: int) -> float:
        """The time until now; 0 without a number."""
        now = time.monotonic()
        return now - self._since.get(partition, (0, now))[1]


class OpenTransactions(Collector):
    """Open transactions as Prometheus gauges: by partition, how many messages one holds back, and for how long.

    Consumers of committed messages stop at the last stable offset, where the earliest open transaction begins. It is
    the same transaction as long as that offset stands still.
    """

    def __init__(self) -> None:
        self._topic_offsets: TopicOffsets = {}
        self._held_at = _UnchangedSince()

    def set_topic_offsets(self, offsets: TopicOffsets) -> None:
        """Record the present offsets of all partitions; empty if they are unknown."""
        for partition, (_, last_stable, end) in offsets.items():
            self._held_at.observe(partition, last_stable if last_stable < end else None)
        self._topic_offsets = offsets

    def collect(self) -> Iterable[GaugeMetricFamily]:
        """Called by prometheus_client at each scrape."""
        messages = GaugeMetricFamily(
            "lol_job_open_transaction_messages", "Messages behind an open transaction", labels=["partition"]
        )
        seconds = GaugeMetricFamily(
            "lol_job_open_transaction_seconds",
            "How long an open transaction has held back messages",
            labels=["partition"],
        )
        for partition, (_, last_stable, end) in self._topic_offsets.items():
            messages.add_metric([str(partition)], max(0, end - last_stable))
            seconds.add_metric([str(partition)], self._held_at.seconds(partition))
        yield messages
        yield seconds


class StalledPartitions(Collector):
    """Stalled partitions as a Prometheus gauge: by partition, how long a reader has been at the same offset although
    there are messages that it may read; 0 without such messages.

    Messages behind an open transaction do not count. The reader's offset counts as it is, not from the first offset
    that is retained: messages that expire are no progress. While Kafka's offsets are unavailable, a partition has no
    sample, and its time goes on.
    """

    def __init__(self, name: str, lag: ConsumerLag) -> None:
        """`lag` has the reader's progress."""
        self._name = name
        self._lag = lag
        self._partitions: frozenset[int] = frozenset()
        self._stalled_at = _UnchangedSince()

    def set_topic_offsets(self, offsets: TopicOffsets) -> None:
        """Record the present offsets of all partitions; empty if they are unknown."""
        processed = self._lag.processed_offsets
        for partition, (_, last_stable, _) in offsets.items():
            next_offset = processed.get(partition, 0)
            self._stalled_at.observe(partition, next_offset if next_offset < last_stable else None)
        self._partitions = frozenset(offsets)

    def collect(self) -> Iterable[GaugeMetricFamily]:
        """Called by prometheus_client at each scrape."""
        seconds = GaugeMetricFamily(
            self._name, "How long no message was processed although some can be read", labels=["partition"]
        )
        for partition in self._partitions:
            seconds.add_metric([str(partition)], self._stalled_at.seconds(partition))
        yield seconds
