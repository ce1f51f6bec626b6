"""Prometheus: scrapes every part of the stack."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import yaml

from service import Container, Deployment, File, HealthCheck, Mount, Service, volume

SCRAPE_SECONDS = 10
# A query is answered only when it is ready; `promtool check ready` is newer than what the built image has.
ASK = ("promtool", "query", "instant", "http://127.0.0.1:9090", "1")


class Prometheus(Service):
    """Prometheus with `targets`: job name → (metrics path, host:port of each)."""

    def __init__(self, deployment: Deployment, targets: Mapping[str, tuple[str, Sequence[str]]]) -> None:
        settings = deployment.settings
        config = {
            "global": {"scrape_interval": f"{SCRAPE_SECONDS}s", "evaluation_interval": f"{SCRAPE_SECONDS}s"},
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
                ],
                files=[File("/etc/prometheus/prometheus.yml", yaml.safe_dump(config, sort_keys=False))],
                ports={9090: settings.prometheus_port},
                mounts=[Mount(volume(deployment, "prometheus"), "/prometheus")],
                health=HealthCheck(ASK, limit_seconds=60),
                grace_seconds=30,
            ),
        )
