"""Alertmanager: sends the alerts of Prometheus to a webhook."""

from __future__ import annotations

from collections.abc import Sequence

import pulumi
import yaml

from infra import images, users
from infra.logins import ALERTMANAGER_SENDER, OPERATOR
from infra.names import ALERTMANAGER_PORT, HOST_ADDRESS
from infra.services.base import (
    ConfigFile,
    ContainerSpec,
    Deployment,
    HealthCheck,
    Mount,
    ScrapeEndpoint,
    Service,
    go_memory_limit,
)
from infra.services.web_login import WEB_CONFIG, ready_check, web_config_files

CONFIG = "/etc/alertmanager/alertmanager.yml"
HOST_AUTHORITIES = "/etc/ssl/certs/lolstack-host.pem"
"""The host's own certificate authorities. Go programs read each file of this directory beside the image's bundle."""

START_DELAY = "--dispatch.start-delay=90s"
"""At a start, Alertmanager has no alerts until Prometheus sends each again, within 75 s. A warning that comes before
the critical alert that inhibits it would be notified (alertmanager#4064). Versions before 0.30 refuse this flag, so it
is only for the pinned official one."""


class Alertmanager(Service):
    """Alertmanager. Without `alertWebhookUrl` alerts are only stored and shown on its page: no notification is sent.

    It `depends_on` the services that take longest to start: nobody is notified of a service that is still starting.
    """

    def __init__(self, deployment: Deployment, depends_on: Sequence[Service]) -> None:
        settings = deployment.settings
        url = settings.alert_webhook_url
        authorities = images.ca_certificates()
        pinned = deployment.images.source.kind == "registry" and "alertmanager" not in settings.images
        config = {
            "route": {
                "receiver": "people",
                "group_by": ["alertname"],
                "group_wait": "30s",
                "group_interval": "30s",
                "repeat_interval": "4h",
            },
            "receivers": [{"name": "people", "webhook_configs": [{"url": url, "send_resolved": True}] if url else []}],
            # A component that stops is also slow and silent: the critical alert inhibits the warnings.
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
            ContainerSpec(
                image="alertmanager",
                user=users.ALERTMANAGER,
                # It keeps the last hundred logins that it has refused, of up to 1.5 MiB each.
                memory_mib=settings.alertmanager_memory,
                environment=go_memory_limit(settings.alertmanager_memory),
                command=[
                    f"--config.file={CONFIG}",
                    f"--web.config.file={WEB_CONFIG}",
                    "--storage.path=/alertmanager",
                    # How often silences and sent notifications are stored, but for a shutdown. By default 15 minutes.
                    "--data.maintenance-interval=1m",
                    # Those stored are loaded at each start, so an instance that they fill would not come back.
                    "--silences.max-silences=500",
                    "--silences.max-silence-size-bytes=65536",
                    "--cluster.listen-address=",  # a single instance has no cluster to gossip with
                    *([START_DELAY] if pinned else []),
                    f"--web.external-url=http://{HOST_ADDRESS}:{deployment.host_port(settings.alertmanager_port)}",
                ],
                # Secret: a webhook's URL often contains its token.
                files=[
                    ConfigFile(CONFIG, pulumi.Output.secret(yaml.safe_dump(config, sort_keys=False))),
                    *([ConfigFile(HOST_AUTHORITIES, authorities)] if authorities else []),
                    # Its API cannot tell reading from writing, such as a silence: a person needs a login for both.
                    *web_config_files(deployment, (ALERTMANAGER_SENDER, OPERATOR), own=ALERTMANAGER_SENDER),
                ],
                ports={ALERTMANAGER_PORT: settings.alertmanager_port},
                scrape_endpoints=[ScrapeEndpoint("alertmanager", ALERTMANAGER_PORT, login=ALERTMANAGER_SENDER)],
                mounts=[Mount("alertmanager", "/alertmanager")],
                health=HealthCheck(ready_check(ALERTMANAGER_PORT), start_timeout_seconds=60),
            ),
            depends_on=depends_on,
        )
