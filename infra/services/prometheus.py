"""Prometheus: scrape targets from every service, recording and alerting rules from mappings/prometheus."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import yaml

from infra import users
from infra.logins import ALERTMANAGER_SENDER, OPERATOR, PROMETHEUS_READER, user_of
from infra.names import (
    ALERTMANAGER_PORT,
    GENERATOR_NETWORK,
    HOST_ADDRESS,
    MAIN_NETWORK,
    PROMETHEUS_PORT,
    ROOT,
    SCRAPE_SECONDS,
    ZOOKEEPER_NETWORK,
)
from infra.services.alertmanager import Alertmanager
from infra.services.base import (
    ConfigFile,
    ContainerSpec,
    Deployment,
    HealthCheck,
    Mount,
    Service,
    go_memory_limit,
)
from infra.services.web_login import WEB_CONFIG, ready_check, web_config_files

RULES = ROOT / "mappings" / "prometheus" / "alert_rules.yml"
CONFIG = "/etc/prometheus/prometheus.yml"
RULES_FILE = "/etc/prometheus/rules.yml"
SCRAPE_LIMITS = {"body_size_limit": "16MB", "sample_limit": 10_000}
"""Limits of one scrape: a compromised container may answer without end, or with compressed zeros. The stack's largest
answer has 800 samples."""
LIMITS = (
    "--query.max-samples=1000000",
    "--query.max-concurrency=4",
    "--query.timeout=20s",
    "--storage.remote.read-sample-limit=1000000",
    "--storage.remote.read-concurrent-limit=1",
    "--web.max-connections=2000",
    "--web.read-timeout=30s",
)
"""Limits of what anybody may request in `guarded`, also by a link on a web page: with Prometheus's own, one query can
exceed the memory. The largest of the stack's own queries, of the report, has a sample for each scrape of the time range
(1,000,000 are 115 days). Silent connections are closed, so that they cannot keep others out."""


class Prometheus(Service):
    """Prometheus. It scrapes itself and the endpoints of the services in `scraped`; alerts go to `alertmanager`."""

    def __init__(self, deployment: Deployment, scraped: Sequence[Service], alertmanager: Alertmanager) -> None:
        settings = deployment.settings
        self.reader = PROMETHEUS_READER if deployment.strict else None
        """The login that queries need, or None: nothing can be changed with its API as it runs here."""
        config = {
            "global": {
                "scrape_interval": f"{SCRAPE_SECONDS}s",
                "evaluation_interval": f"{SCRAPE_SECONDS}s",
                # Alertmanager gets it with each alert, and the runbooks have it in their commands.
                "external_labels": {"stack": deployment.stack},
            },
            # After the machine's clock went back, the newest samples are in the future: without this, Prometheus would
            # refuse all others until that time. By more than this window it still does (docs/operations.md).
            "storage": {"tsdb": {"out_of_order_time_window": f"{settings.prometheus_retention_days}d"}},
            "rule_files": [RULES_FILE],
            "alerting": {
                "alertmanagers": [
                    {"static_configs": [{"targets": [f"{alertmanager.name}:{ALERTMANAGER_PORT}"]}]}
                    | _basic_auth(ALERTMANAGER_SENDER)
                ]
            },
            "scrape_configs": [
                _scrape_config("prometheus", "/metrics", [f"localhost:{PROMETHEUS_PORT}"], self.reader),
                *scrape_configs(scraped),
            ],
        }
        needed = {endpoint.login for service in scraped for endpoint in service.scrape_endpoints}
        logins = {login for login in needed | {self.reader, ALERTMANAGER_SENDER} if login}
        readers = (PROMETHEUS_READER, OPERATOR) if deployment.strict else ()
        super().__init__(
            deployment,
            "prometheus",
            ContainerSpec(
                image="prometheus",
                user=users.PROMETHEUS,
                memory_mib=settings.prometheus_memory,
                environment=go_memory_limit(settings.prometheus_memory),
                command=[
                    f"--config.file={CONFIG}",
                    f"--web.config.file={WEB_CONFIG}",
                    "--storage.tsdb.path=/prometheus",
                    f"--storage.tsdb.retention.time={settings.prometheus_retention_days}d",
                    # By default, a restart makes alerts whose `for` is below ten minutes pending: they would resolve.
                    "--rules.alert.for-grace-period=0s",
                    # The links in an alert.
                    f"--web.external-url=http://{HOST_ADDRESS}:{deployment.host_port(settings.prometheus_port)}",
                    # No origin matches: by default any web page in a browser on this machine can read all metrics.
                    "--web.cors.origin=$^",
                    *LIMITS,
                ],
                files=[
                    ConfigFile(CONFIG, yaml.safe_dump(config, sort_keys=False)),
                    ConfigFile(RULES_FILE, RULES.read_text(encoding="utf-8")),
                    *web_config_files(deployment, readers, own=self.reader),
                    *(ConfigFile(_password_file(login), deployment.password(login)) for login in sorted(logins)),
                ],
                ports={PROMETHEUS_PORT: settings.prometheus_port},
                networks=[MAIN_NETWORK, ZOOKEEPER_NETWORK, GENERATOR_NETWORK],  # it scrapes all services
                mounts=[Mount("prometheus", "/prometheus")],
                health=HealthCheck(ready_check(PROMETHEUS_PORT), start_timeout_seconds=60),
                grace_seconds=30,
            ),
        )


def scrape_configs(services: Iterable[Service]) -> list[dict[str, Any]]:
    """Prometheus's scrape_configs for the services' endpoints; services with the same job become targets of one."""
    targets: dict[tuple[str, str, str | None], list[str]] = {}
    for service in services:
        for endpoint in service.scrape_endpoints:
            key = (endpoint.job, endpoint.path, endpoint.login)
            targets.setdefault(key, []).append(f"{service.name}:{endpoint.port}")
    return [_scrape_config(job, path, addresses, login) for (job, path, login), addresses in targets.items()]


def _scrape_config(job: str, path: str, targets: list[str], login: str | None) -> dict[str, Any]:
    config = {"job_name": job, "metrics_path": path, "static_configs": [{"targets": targets}], **SCRAPE_LIMITS}
    return config | _basic_auth(login) if login else config


def _basic_auth(login: str) -> dict[str, Any]:
    return {"basic_auth": {"username": user_of(login), "password_file": _password_file(login)}}


def _password_file(login: str) -> str:
    return f"/etc/prometheus/passwords/{login}"
