"""The node exporter: the Docker host's processors, memory, load and disks, for Prometheus."""

from __future__ import annotations

from infra.services.base import Container, Deployment, HealthCheck, Service

# What a container without any right over its host sees of it: /proc is the host's but for processes and network, and
# the file system under its root is the one that has all images and volumes.
COLLECTORS = ("cpu", "diskstats", "filesystem", "loadavg", "meminfo", "stat")


class NodeExporter(Service):
    """It mounts nothing of the host and shares none of its namespaces; the network's figures are missing therefore."""

    def __init__(self, deployment: Deployment) -> None:
        super().__init__(
            deployment,
            "node-exporter",
            Container(
                image="node-exporter",
                user="65534:65534",
                memory_mib=deployment.settings.node_exporter_memory,
                command=[
                    "--collector.disable-defaults",
                    *(f"--collector.{name}" for name in COLLECTORS),
                    # The root alone, which is an overlay: by default those are left out, and mounted files are not.
                    "--collector.filesystem.mount-points-exclude=^/.+",
                    "--collector.filesystem.fs-types-exclude=^$",
                ],
                health=HealthCheck(
                    ["wget", "-q", "-O", "/dev/null", "http://127.0.0.1:9100/metrics"], limit_seconds=60
                ),
            ),
        )
