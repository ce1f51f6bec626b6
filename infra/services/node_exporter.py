"""The node exporter: the Docker host's CPU, memory, load and disk metrics for Prometheus."""

from __future__ import annotations

from datetime import datetime

from infra import users
from infra.services.base import ConfigFile, ContainerSpec, Deployment, HealthCheck, ScrapeEndpoint, Service
from infra.services.web_login import WEB_CONFIG, exporter_config_files, monitor_login, ready_check

PORT = 9100
# What an unprivileged container sees of its host: /proc is the host's except for processes and network, and the file
# system under the container's root is the one that holds all images and containers. Volumes can be on another.
TEXT_FILES = "/etc/lolstack/metrics"
EXPIRY = """# HELP lolstack_certificate_expires_timestamp_seconds When the first of the servers' certificates expires.
# TYPE lolstack_certificate_expires_timestamp_seconds gauge
lolstack_certificate_expires_timestamp_seconds {timestamp:.0f}
"""
COLLECTORS = ("cpu", "diskstats", "filesystem", "loadavg", "meminfo", "stat")


class NodeExporter(Service):
    """The exporter. It mounts nothing of the host and shares none of its namespaces, so it has no network metrics.

    Where certificates are in use, it also exposes when they expire, which the deployment knows.
    """

    def __init__(self, deployment: Deployment) -> None:
        files = exporter_config_files(deployment, "/")
        collectors = [f"--collector.{name}" for name in COLLECTORS]
        if deployment.strict:
            expiry = deployment.certificates.expires_at.apply(_expiry)
            files.append(ConfigFile(f"{TEXT_FILES}/certificates.prom", expiry))
            collectors += ["--collector.textfile", f"--collector.textfile.directory={TEXT_FILES}"]
        super().__init__(
            deployment,
            "node-exporter",
            ContainerSpec(
                image="node-exporter",
                user=users.NODE_EXPORTER,
                memory_mib=deployment.settings.node_exporter_memory,
                command=[
                    "--collector.disable-defaults",
                    *collectors,
                    # Only the root, which is an overlay: the defaults leave overlays out and include mounted files.
                    "--collector.filesystem.mount-points-exclude=^/.+",
                    "--collector.filesystem.fs-types-exclude=^$",
                    f"--web.config.file={WEB_CONFIG}",
                ],
                files=files,
                scrape_endpoints=[ScrapeEndpoint("node", PORT, login=monitor_login(deployment))],
                health=HealthCheck(ready_check(PORT), start_timeout_seconds=60),
            ),
        )


def _expiry(expires_at: str) -> str:
    return EXPIRY.format(timestamp=datetime.fromisoformat(expires_at).timestamp())
