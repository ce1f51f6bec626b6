"""Consumer lag: how many messages a reader of the topic is behind its end."""

from collections.abc import Iterable

from prometheus_client.metrics_core import GaugeMetricFamily
from prometheus_client.registry import Collector

from job.topic import Offsets


class ConsumerLag(Collector):
    """Consumer lag as a Prometheus gauge: by partition, the messages that a reader has not processed.

    It is computed at each scrape from the latest known offsets, because the topic grows while the reader waits.
    """

    def __init__(self, name: str, **labels: str) -> None:
        self._name = name
        self._labels = labels
        self._end_offsets: Offsets = {}
        self._processed_offsets: Offsets = {}

    def set_end_offsets(self, offsets: Offsets) -> None:
        """Record the current end offset of these partitions."""
        self._end_offsets = self._end_offsets | offsets

    def set_processed_offsets(self, offsets: Offsets) -> None:
        """Record the reader's progress: the next offset that it will read in each of these partitions."""
        self._processed_offsets = self._processed_offsets | offsets

    def collect(self) -> Iterable[GaugeMetricFamily]:
        """Called by prometheus_client at each scrape."""
        lag = GaugeMetricFamily(self._name, "Messages that are not processed yet", labels=[*self._labels, "partition"])
        ends = self._end_offsets
        for partition, offset in self._processed_offsets.items():
            lag.add_metric([*self._labels.values(), str(partition)], max(0, ends.get(partition, 0) - offset))
        yield lag
