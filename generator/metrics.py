"""Prometheus metrics of the generator."""

import base64
import hmac
import threading
from collections.abc import Callable, Iterable
from typing import Any
from wsgiref.simple_server import WSGIServer, make_server

from prometheus_client import REGISTRY, CollectorRegistry, Counter, Gauge, make_wsgi_app

from generator.messages import MessageKind
from generator.wsgi_server import RequestHandler, Server


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

    def serve(self, port: int, login: str | None = None) -> WSGIServer:
        """Serves GET /metrics on all interfaces, to clients with the login user:password if there is one. A slow
        client loses its connection.

        Raises OSError on a port conflict.
        """
        metrics = make_wsgi_app(self._registry)
        expected = b"Basic " + base64.b64encode((login or "").encode())

        def application(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
            given = environ.get("HTTP_AUTHORIZATION", "").encode("latin-1")
            if login is None or hmac.compare_digest(given, expected):
                exposition: Iterable[bytes] = metrics(environ, start_response)
                return exposition
            start_response("401 Unauthorized", [("WWW-Authenticate", 'Basic realm="metrics"')])
            return [b""]

        server = make_server("", port, application, Server, RequestHandler)
        threading.Thread(target=server.serve_forever, name="http", daemon=True).start()
        return server
