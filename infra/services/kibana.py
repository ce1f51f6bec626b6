"""Kibana: data views, panels and a dashboard over Elasticsearch."""

from __future__ import annotations

from infra import users
from infra.names import KIBANA_PORT
from infra.services import render
from infra.services.base import ConfigFile, ContainerSpec, Deployment, HealthCheck, Service, http_check
from infra.services.elasticsearch import Elasticsearch


class Kibana(Service):
    """Kibana, of the same version as Elasticsearch."""

    def __init__(self, deployment: Deployment, elasticsearch: Elasticsearch) -> None:
        settings = deployment.settings
        super().__init__(
            deployment,
            "kibana",
            ContainerSpec(
                image="kibana",
                user=users.KIBANA,
                memory_mib=settings.kibana_memory,
                environment={
                    "NODE_OPTIONS": f"--max-old-space-size={settings.kibana_memory // 2}",
                    "TINI_SUBREAPER": "yes",  # the image's own init process runs below Docker's, and would warn
                },
                files=[
                    ConfigFile(
                        "/usr/share/kibana/config/kibana.yml",
                        render(
                            "kibana.yml",
                            hosts=elasticsearch.hosts,
                            public_url=f"http://localhost:{deployment.host_port(settings.kibana_port)}",
                        ),
                    )
                ],
                ports={KIBANA_PORT: settings.kibana_port},
                # Without Elasticsearch its status is 503: alive.
                health=HealthCheck(http_check(f"http://127.0.0.1:{KIBANA_PORT}/api/status"), limit_seconds=300),
                grace_seconds=15,
                tmp_mib=128,
            ),
            depends_on=[elasticsearch],
        )
