"""What Prometheus can ask of the generator."""

from prometheus_client import REGISTRY, CollectorRegistry, Counter, Gauge, start_http_server

from generator.stream import Kind


class Metrics:
    """Deliveries by kind, failures, and when Kafka last acknowledged anything."""

    def __init__(self, registry: CollectorRegistry = REGISTRY) -> None:
        self._registry = registry
        delivered = Counter(
            "generator_messages_delivered",
            "Messages that Kafka acknowledged.",
            ["kind"],
            registry=registry,
        )
        # All kinds from the start: a series that appears later hides its first increase from rate().
        self._delivered = {kind: delivered.labels(kind.value) for kind in Kind}
        self._failures = Counter(
            "generator_delivery_failures",
            "Messages that were given up.",
            registry=registry,
        )
        self._last_delivery = Gauge(
            "generator_last_delivery_timestamp_seconds",
            "When Kafka last acknowledged a message.",
            registry=registry,
        )

    def delivered(self, kind: Kind) -> None:
        self._delivered[kind].inc()
        self._last_delivery.set_to_current_time()

    def failed(self) -> None:
        self._failures.inc()

    def serve(self, port: int) -> None:
        """Answers GET /metrics on all interfaces. OSError where the port is taken."""
        start_http_server(port, registry=self._registry)
