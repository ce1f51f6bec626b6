"""How far a reader of the topic is behind its end."""

from collections.abc import Iterable

from prometheus_client.metrics_core import GaugeMetricFamily
from prometheus_client.registry import Collector

from job.topic import Offsets


class Lag(Collector):
    """A gauge, by partition, of the messages that a reader has not processed. It is as it is when Prometheus asks: the
    topic goes on while the reader waits for something."""

    def __init__(self, name: str, **labels: str) -> None:
        self._name = name
        self._labels = labels
        self._ends: Offsets = {}
        self._processed: Offsets = {}

    def ends(self, offsets: Offsets) -> None:
        """Take over where partitions end now."""
        self._ends = self._ends | offsets

    def processed(self, offsets: Offsets) -> None:
        """Take over how far the reader has come: the next offset in each partition."""
        self._processed = self._processed | offsets

    def collect(self) -> Iterable[GaugeMetricFamily]:
        """What prometheus_client asks for."""
        lag = GaugeMetricFamily(self._name, "Messages that are not processed yet", labels=[*self._labels, "partition"])
        ends = self._ends
        for partition, offset in self._processed.items():
            lag.add_metric([*self._labels.values(), str(partition)], max(0, ends.get(partition, 0) - offset))
        yield lag
