"""Prometheus: scrapes every part of the stack, and judges what it sees by the rules in mappings/prometheus."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import yaml

from infra.services.alertmanager import Alertmanager
from infra.services.base import Container, Deployment, File, HealthCheck, Mount, Service, volume

RULES = Path(__file__).parents[2] / "mappings" / "prometheus" / "rules.yml"
SCRAPE_SECONDS = 10
# A query is answered only when it is ready; `promtool check ready` is newer than what the built image has.
ASK = ("promtool", "query", "instant", "http://127.0.0.1:9090", "1")


class Prometheus(Service):
    """Prometheus with `targets`: job name → (metrics path, host:port of each). Its alerts go to `alertmanager`."""

    def __init__(
        self,
        deployment: Deployment,
        targets: Mapping[str, tuple[str, Sequence[str]]],
        alertmanager: Alertmanager,
    ) -> None:
        settings = deployment.settings
        config = {
            "global": {"scrape_interval": f"{SCRAPE_SECONDS}s", "evaluation_interval": f"{SCRAPE_SECONDS}s"},
            "rule_files": ["/etc/prometheus/rules.yml"],
            "alerting": {"alertmanagers": [{"static_configs": [{"targets": [f"{alertmanager.name}:9093"]}]}]},
            "scrape_configs": [
                {"job_name": job, "metrics_path": path, "static_configs": [{"targets": list(addresses)}]}
                for job, (path, addresses) in targets.items()
            ],
        }
        super().__init__(
            deployment,
            "prometheus",
            Container(
                image="prometheus",
                user="65534:65534",
                memory_mib=settings.prometheus_memory,
                command=[
                    "--config.file=/etc/prometheus/prometheus.yml",
                    "--storage.tsdb.path=/prometheus",
                    f"--storage.tsdb.retention.time={settings.prometheus_retention_days}d",
                    # The links in an alert.
                    f"--web.external-url=http://localhost:{deployment.host_port(settings.prometheus_port)}",
                ],
                files=[
                    File("/etc/prometheus/prometheus.yml", yaml.safe_dump(config, sort_keys=False)),
                    File("/etc/prometheus/rules.yml", RULES.read_text()),
                ],
                ports={9090: settings.prometheus_port},
                mounts=[Mount(volume(deployment, "prometheus"), "/prometheus")],
                health=HealthCheck(ASK, limit_seconds=60),
                grace_seconds=30,
            ),
        )
