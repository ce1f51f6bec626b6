"""The JMX exporter: an agent in a service's JVM that tells Prometheus what the service tells JMX."""

from __future__ import annotations

from infra.services import FILES
from infra.services.base import File

PORT = 9404
"""Where the agent answers /metrics, in the stack's network only."""
_RULES = "/etc/lolstack/jmx.yml"
AGENT = f"-javaagent:/opt/jmx/jmx_prometheus_javaagent.jar={PORT}:{_RULES}"
"""The JVM's option that loads it."""


def rules(service: str) -> File:
    """Which of the service's beans become which metrics."""
    return File(_RULES, (FILES / f"jmx-{service}.yml").read_text())
