"""Prometheus metrics of the generator."""

from collections.abc import Callable

from prometheus_client import REGISTRY, CollectorRegistry, Counter, Gauge, start_http_server

from generator.messages import MessageKind


class GeneratorMetrics:
    """Counters of deliveries by kind and of failures, and the time of the last acknowledgement."""

    def __init__(self, registry: CollectorRegistry = REGISTRY) -> None:
        self._registry = registry
        delivered = Counter(
            "generator_messages_delivered",
            "Messages that Kafka acknowledged.",
            ["kind"],
            registry=registry,
        )
        # Every series exists from the start: rate() misses the first increase of a series that appears later.
        self._delivered = {kind: delivered.labels(kind.value) for kind in MessageKind}
        self._failures = Counter(
            "generator_delivery_failures",
            "Messages that were not delivered to Kafka.",
            registry=registry,
        )
        self._last_delivery = Gauge(
            "generator_last_delivery_timestamp_seconds",
            "Time at which Kafka last acknowledged a message.",
            registry=registry,
        )

    def count_delivered(self, kind: MessageKind) -> None:
        self._delivered[kind].inc()
        self._last_delivery.set_to_current_time()

    def count_failed(self) -> None:
        self._failures.inc()

    def watch(self, hanging: Callable[[], bool]) -> None:
        """Reports as `generator_hanging` what the function returns at each scrape."""
        Gauge(
            "generator_hanging", "1 after a minute without a poll of the Kafka producer", registry=self._registry
        ).set_function(hanging)

    def serve(self, port: int) -> None:
        """Serves GET /metrics on all interfaces. Raises OSError on a port conflict."""
        start_http_server(port, registry=self._registry)
