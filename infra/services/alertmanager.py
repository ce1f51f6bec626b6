"""Alertmanager: tells people, by a webhook, what Prometheus's alerts say."""

from __future__ import annotations

from collections.abc import Sequence

import pulumi
import yaml

from infra.services.base import Container, Deployment, File, HealthCheck, Mount, Service, volume

CONFIG = "/etc/alertmanager/alertmanager.yml"


class Alertmanager(Service):
    """Alertmanager. Without `alertWebhookUrl` alerts are kept and shown, and nobody is told.

    It comes `after` what takes longest to start, so that nobody is told of what is only starting.
    """

    def __init__(self, deployment: Deployment, after: Sequence[Service]) -> None:
        settings = deployment.settings
        url = settings.alert_webhook_url
        config = {
            "route": {
                "receiver": "people",
                "group_by": ["alertname"],
                "group_wait": "30s",
                "group_interval": "30s",
                "repeat_interval": "4h",
            },
            "receivers": [{"name": "people", "webhook_configs": [{"url": url, "send_resolved": True}] if url else []}],
            # What stops a part makes it slow and silent as well: one message is enough.
            "inhibit_rules": [
                {
                    "source_matchers": ['severity = "critical"'],
                    "target_matchers": ['severity = "warning"'],
                    "equal": ["component"],
                }
            ],
        }
        super().__init__(
            deployment,
            "alertmanager",
            Container(
                image="alertmanager",
                user="65534:65534",
                memory_mib=settings.alertmanager_memory,
                command=[
                    f"--config.file={CONFIG}",
                    "--storage.path=/alertmanager",
                    "--cluster.listen-address=",  # there is one of it
                    f"--web.external-url=http://localhost:{deployment.host_port(settings.alertmanager_port)}",
                ],
                # A webhook's address often is its password.
                files=[File(CONFIG, pulumi.Output.secret(yaml.safe_dump(config, sort_keys=False)))],
                ports={9093: settings.alertmanager_port},
                mounts=[Mount(volume(deployment, "alertmanager"), "/alertmanager")],
                health=HealthCheck(
                    ["amtool", "config", "show", "--alertmanager.url=http://127.0.0.1:9093"], limit_seconds=60
                ),
            ),
            after=after,
        )
