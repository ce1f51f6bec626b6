"""The Elasticsearch exporter: asks Elasticsearch's statistics for Prometheus."""

from __future__ import annotations

from infra.services.base import Container, Deployment, HealthCheck, Service
from infra.services.elasticsearch import Elasticsearch


class ElasticsearchExporter(Service):
    """It only reads: health, statistics of the nodes and of the indices."""

    def __init__(self, deployment: Deployment, elasticsearch: Elasticsearch) -> None:
        super().__init__(
            deployment,
            "elasticsearch-exporter",
            Container(
                image="elasticsearch-exporter",
                user="65534:65534",
                memory_mib=deployment.settings.elasticsearch_exporter_memory,
                command=[
                    f"--es.uri={elasticsearch.hosts[0]}",
                    "--es.all",  # of every node, not only of the one that is asked
                    "--es.indices",
                    "--web.listen-address=:9114",
                ],
                health=HealthCheck(
                    ["wget", "-q", "-O", "/dev/null", "http://127.0.0.1:9114/healthz"], limit_seconds=60
                ),
            ),
            after=[elasticsearch],
        )
