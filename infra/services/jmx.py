"""The JMX exporter: a Java agent that exposes a service's JMX beans as Prometheus metrics."""

from __future__ import annotations

import yaml

from infra.logins import MONITOR, user_of
from infra.services import file_text
from infra.services.base import ConfigFile, Deployment, ScrapeEndpoint
from infra.services.web_login import monitor_login

PORT = 9404
"""The agent's /metrics, in the stack's network only."""
_RULES = "/etc/lolstack/jmx.yml"
OPTIONS = (f"-javaagent:/opt/jmx/jmx_prometheus_javaagent.jar={PORT}:{_RULES}", "-Dsun.net.httpserver.maxReqTime=5")
"""The JVM options that load the agent, and close the connections of clients that are silent for seconds: by default,
ten of them would keep its ten threads for ever."""


def rules(deployment: Deployment, service: str) -> ConfigFile:
    """The agent's configuration: which of the service's beans become which metrics, and the login, if one is needed."""
    text = file_text(f"jmx-{service}.yml")
    if monitor_login(deployment) is None:
        return ConfigFile(_RULES, text)
    return ConfigFile(_RULES, deployment.password(MONITOR).apply(lambda password: text + _with_login(password)))


def _with_login(password: str) -> str:
    # Not its hash: the agent drops the leading zeros of a hash, so it would refuse one password in sixteen; and
    # it keeps wrong logins in the heap, up to 10 MB of them (MessageDigestAuthenticator of version 1.0.1).
    basic = {"username": user_of(MONITOR), "password": password}
    return yaml.safe_dump({"httpServer": {"authentication": {"basic": basic}}})


def scrape_endpoint(deployment: Deployment, service: str) -> ScrapeEndpoint:
    """The agent's endpoint, scraped under the service's name."""
    return ScrapeEndpoint(service, PORT, login=monitor_login(deployment))
