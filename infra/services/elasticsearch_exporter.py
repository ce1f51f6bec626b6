"""The Elasticsearch exporter: exposes Elasticsearch's health and statistics as Prometheus metrics."""

from __future__ import annotations

from infra import users
from infra.services.base import (
    ConfigFile,
    ContainerSpec,
    Deployment,
    HealthCheck,
    ScrapeEndpoint,
    Service,
)
from infra.services.elasticsearch import Elasticsearch
from infra.services.web_login import WEB_CONFIG, exporter_config_files, monitor_login, ready_check

PORT = 9114
USER = "exporter"
PASSWORD, AUTHORITY = "/etc/lolstack/elasticsearch-password", "/etc/lolstack/elasticsearch-authority.crt"
WITH_PASSWORD = f'ES_PASSWORD=$(cat {PASSWORD}) exec /bin/elasticsearch_exporter "$@"'
"""The exporter reads the password from its environment only, which the container's description would show."""


class ElasticsearchExporter(Service):
    """The exporter. It only reads: cluster health, node statistics and index statistics."""

    def __init__(self, deployment: Deployment, elasticsearch: Elasticsearch) -> None:
        super().__init__(
            deployment,
            "elasticsearch-exporter",
            ContainerSpec(
                image="elasticsearch-exporter",
                user=users.ELASTICSEARCH_EXPORTER,
                memory_mib=deployment.settings.elasticsearch_exporter_memory,
                entrypoint=["sh", "-c", WITH_PASSWORD, "sh"],
                command=[
                    f"--es.uri={elasticsearch.hosts[0]}",
                    *([f"--es.ca={AUTHORITY}"] if deployment.strict else []),
                    "--es.all",  # of every node, not only of the one that answers
                    f"--web.listen-address=:{PORT}",
                    f"--web.config.file={WEB_CONFIG}",
                ],
                environment={"ES_USERNAME": USER},
                files=[
                    ConfigFile(PASSWORD, elasticsearch.login(USER)["password"]),
                    *elasticsearch.authority_files(AUTHORITY),
                    *exporter_config_files(deployment, "/healthz"),
                ],
                scrape_endpoints=[ScrapeEndpoint("elasticsearch", PORT, login=monitor_login(deployment))],
                health=HealthCheck(ready_check(PORT), start_timeout_seconds=60),
            ),
            depends_on=[elasticsearch],
        )
