"""The driver's pages: /metrics for Prometheus, /health and /alive for the container's health check."""

from collections.abc import Iterable
from typing import Any

from prometheus_client import make_wsgi_app

from job.driver.health import JobHealth
from job.web_server import Application


def pages(health: JobHealth) -> Application:
    """/metrics, /health and /alive (200, or 503 with the reason), a WSGI application.

    /alive is 503 only if the query hangs, so that the driver needs a restart: during another service's outage it is
    unhealthy, but alive.

    A healthy job can wait for Elasticsearch or Kafka: the response is then 200 with the reason of the wait.
    """
    prometheus = make_wsgi_app()

    def application(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        if environ["PATH_INFO"] == "/metrics":
            exposition: Iterable[bytes] = prometheus(environ, start_response)
            return exposition
        checks = {"/health": health.unhealthy_reason, "/alive": health.hanging_reason}
        check = checks.get(environ["PATH_INFO"])
        if check is None:
            start_response("404 Not Found", [("Content-Type", "text/plain")])
            return [b"/metrics, /health, /alive\n"]
        reason = check()
        status = "503 Service Unavailable" if reason else "200 OK"
        start_response(status, [("Content-Type", "text/plain; charset=utf-8")])
        return [(reason or health.wait_reason() or "ok").encode() + b"\n"]

    return application
