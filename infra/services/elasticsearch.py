"""Elasticsearch: one node that holds the documents and the statistics."""

from __future__ import annotations

from infra import users
from infra.names import ELASTICSEARCH_PORT
from infra.services.base import (
    JVM_EXITS_ON_OUT_OF_MEMORY,
    ContainerSpec,
    Deployment,
    HealthCheck,
    Mount,
    Service,
    declare_volume,
    http_check,
)
from infra.settings import ELASTICSEARCH_MIB

HEALTH_URL = f"http://127.0.0.1:{ELASTICSEARCH_PORT}/_cluster/health?wait_for_status=yellow&timeout=3s"
GC_LOG_OFF = "-Xlog:disable -Xlog:all=warning:stderr:utctime,level,tags"


class Elasticsearch(Service):
    """A single node without credentials, reachable only from the host's loopback and the stack's network."""

    def __init__(self, deployment: Deployment) -> None:
        settings = deployment.settings
        memory = settings.elasticsearch_memory
        if memory < 0:
            memory = ELASTICSEARCH_MIB[deployment.images.source.kind]
        heap = memory // 2
        super().__init__(
            deployment,
            "elasticsearch",
            ContainerSpec(
                image="elasticsearch",
                user=users.ELASTICSEARCH,
                memory_mib=memory,
                cpu_shares=8192,  # a person waits for a search; Spark's work beside it may take a little longer
                environment={
                    "cluster.name": deployment.prefix,
                    "node.name": "elasticsearch",
                    "discovery.type": "single-node",
                    # A single node has no peer; the protocol between nodes has no login.
                    "transport.host": "127.0.0.1",
                    # Either value keeps the official image from setting up TLS by itself; built ones know no xpack.
                    "xpack.security.enabled": "false",
                    "xpack.ml.enabled": "false",
                    "ingest.geoip.downloader.enabled": "false",
                    # Percentages would block writes on a large disk that is mostly used by others.
                    "cluster.routing.allocation.disk.watermark.low": "2gb",
                    "cluster.routing.allocation.disk.watermark.high": "1gb",
                    "cluster.routing.allocation.disk.watermark.flood_stage": "512mb",
                    "TINI_SUBREAPER": "yes",  # the image's own init process runs below Docker's, and would warn
                    "action.destructive_requires_name": "true",
                    # The templates allow the stack's indices (allow_auto_create): a write before its template exists
                    # must wait, not create an index with guessed mappings.
                    "action.auto_create_index": "-lol_*,+*",
                    # G1: under the serial collector the circuit breaker counts garbage and refuses whole bulk requests.
                    "ES_JAVA_OPTS": f"-Xms{heap}m -Xmx{heap}m -XX:+UseG1GC {JVM_EXITS_ON_OUT_OF_MEMORY} {GC_LOG_OFF}",
                },
                ports={ELASTICSEARCH_PORT: settings.elasticsearch_port},
                mounts=[
                    Mount(
                        declare_volume(deployment, "elasticsearch", users.ELASTICSEARCH),
                        "/usr/share/elasticsearch/data",
                    )
                ],
                # A node that answers that it is red is alive.
                health=HealthCheck(http_check(HEALTH_URL), limit_seconds=180),
                grace_seconds=60,
            ),
        )
        self.hosts = [f"http://{self.name}:{ELASTICSEARCH_PORT}"]
        """URLs for clients in the stack's network."""
