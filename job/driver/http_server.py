"""HTTP server of the driver: /metrics for Prometheus, /health and /alive for the container's health check."""

import threading
from collections.abc import Iterable
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from prometheus_client import make_wsgi_app
from prometheus_client.exposition import ThreadingWSGIServer

from job.driver.metrics import Metrics


def serve(metrics: Metrics, port: int) -> WSGIServer:
    """Serve /metrics, /health and /alive (200, or 503 with the reason) in a background thread.

    /alive is 503 only if the query hangs, so that the driver needs a restart: during another service's outage it is
    unhealthy, but alive.

    A healthy job can wait for Elasticsearch or Kafka: the response is then 200 with the reason of the wait.

    Each request has its own thread, so that a client that hangs cannot block the health check.
    """
    prometheus = make_wsgi_app()

    def application(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        if environ["PATH_INFO"] == "/metrics":
            exposition: Iterable[bytes] = prometheus(environ, start_response)
            return exposition
        checks = {"/health": metrics.unhealthy_reason, "/alive": metrics.hanging_reason}
        check = checks.get(environ["PATH_INFO"])
        if check is None:
            start_response("404 Not Found", [("Content-Type", "text/plain")])
            return [b"/metrics, /health, /alive\n"]
        reason = check()
        status = "503 Service Unavailable" if reason else "200 OK"
        start_response(status, [("Content-Type", "text/plain; charset=utf-8")])
        return [(reason or metrics.sink_wait_reason() or "ok").encode() + b"\n"]

    server = make_server("", port, application, ThreadingWSGIServer, _SilentRequestHandler)
    threading.Thread(target=server.serve_forever, name="http", daemon=True).start()
    return server


class _SilentRequestHandler(WSGIRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:
        """Log nothing: there is a request every few seconds."""
