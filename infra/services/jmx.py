"""The JMX exporter: a Java agent that exposes a service's JMX beans as Prometheus metrics."""

from __future__ import annotations

from infra.services import FILES
from infra.services.base import ConfigFile, ScrapeEndpoint

PORT = 9404
"""The agent's /metrics, in the stack's network only."""
_RULES = "/etc/lolstack/jmx.yml"
AGENT = f"-javaagent:/opt/jmx/jmx_prometheus_javaagent.jar={PORT}:{_RULES}"
"""The JVM option that loads the agent."""


def rules(service: str) -> ConfigFile:
    """The agent's rules: which of the service's beans become which metrics."""
    return ConfigFile(_RULES, (FILES / f"jmx-{service}.yml").read_text())


def scrape_endpoint(service: str) -> ScrapeEndpoint:
    """The agent's endpoint, scraped under the service's name."""
    return ScrapeEndpoint(service, PORT)
