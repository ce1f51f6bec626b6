"""Kibana: the pages over Elasticsearch."""

from __future__ import annotations

from infra.services import file
from infra.services.base import Container, Deployment, File, HealthCheck, Service
from infra.services.elasticsearch import Elasticsearch


class Kibana(Service):
    """Kibana of Elasticsearch's own version."""

    def __init__(self, deployment: Deployment, elasticsearch: Elasticsearch) -> None:
        settings = deployment.settings
        super().__init__(
            deployment,
            "kibana",
            Container(
                image="kibana",
                user="1000:1000",
                memory_mib=settings.kibana_memory,
                environment={"NODE_OPTIONS": f"--max-old-space-size={settings.kibana_memory // 2}"},
                files=[
                    File(
                        "/usr/share/kibana/config/kibana.yml",
                        file(
                            "kibana.yml",
                            hosts=elasticsearch.hosts,
                            public_url=f"http://localhost:{deployment.host_port(settings.kibana_port)}",
                        ),
                    )
                ],
                ports={5601: settings.kibana_port},
                health=HealthCheck(
                    ["curl", "-fsS", "-o", "/dev/null", "http://127.0.0.1:5601/api/status"], limit_seconds=300
                ),
                grace_seconds=15,
                tmp_mib=128,
            ),
            after=[elasticsearch],
        )
