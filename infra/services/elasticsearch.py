"""Elasticsearch: one node that holds the documents and statistics."""

from __future__ import annotations

from infra.services.base import Container, Deployment, HealthCheck, Mount, Service, volume

ASK = "http://127.0.0.1:9200/_cluster/health?wait_for_status=yellow&timeout=3s"
GC_LOG_OFF = "-Xlog:disable -Xlog:all=warning:stderr:utctime,level,tags"


class Elasticsearch(Service):
    """A single node without credentials, reachable from the host's loopback and the stack's network only."""

    def __init__(self, deployment: Deployment) -> None:
        settings = deployment.settings
        heap = settings.elasticsearch_memory // 2
        super().__init__(
            deployment,
            "elasticsearch",
            Container(
                image="elasticsearch",
                user="1000:0",
                memory_mib=settings.elasticsearch_memory,
                cpu_shares=8192,  # somebody waits for a search; what Spark does beside it can take a little longer
                environment={
                    "cluster.name": deployment.name,
                    "node.name": "elasticsearch",
                    "discovery.type": "single-node",
                    # Either value keeps the official image from setting up TLS by itself; built ones know no xpack.
                    "xpack.security.enabled": "false",
                    "xpack.ml.enabled": "false",
                    "ingest.geoip.downloader.enabled": "false",
                    # Percentages would block writes on a large disk that is mostly somebody else's.
                    "cluster.routing.allocation.disk.watermark.low": "2gb",
                    "cluster.routing.allocation.disk.watermark.high": "1gb",
                    "cluster.routing.allocation.disk.watermark.flood_stage": "512mb",
                    "action.destructive_requires_name": "true",
                    # Ours come from their templates (allow_auto_create): what comes before those are there has to wait.
                    "action.auto_create_index": "-lol_*,+*",
                    # G1: under the serial collector the breaker counts garbage and refuses whole bulk requests.
                    "ES_JAVA_OPTS": f"-Xms{heap}m -Xmx{heap}m -XX:+UseG1GC {GC_LOG_OFF}",
                },
                ports={9200: settings.elasticsearch_port},
                mounts=[Mount(volume(deployment, "elasticsearch"), "/usr/share/elasticsearch/data")],
                health=HealthCheck(["curl", "-fsS", "-o", "/dev/null", ASK], limit_seconds=180),
                grace_seconds=60,
            ),
        )
        self.hosts = ["http://elasticsearch:9200"]
        """For clients in the stack's network."""
