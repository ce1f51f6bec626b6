"""Pinned versions and image references of the stack."""

ELASTIC = "8.19.21"
KAFKA = "3.9.1"
CASSANDRA = "5.0.9"
PROMETHEUS = "v3.13.4"
ALERTMANAGER = "v0.34.1"
ELASTICSEARCH_EXPORTER = "v1.11.0"
NODE_EXPORTER = "v1.11.1"
GRAFANA = "12.4.11"
DEBIAN = "12.15"

OFFICIAL_IMAGES = {
    "kafka": f"apache/kafka:{KAFKA}",  # its distribution contains ZooKeeper: one image runs both
    "elasticsearch": f"docker.elastic.co/elasticsearch/elasticsearch:{ELASTIC}",
    "kibana": f"docker.elastic.co/kibana/kibana:{ELASTIC}",
    "cassandra": f"cassandra:{CASSANDRA}",
    "prometheus": f"prom/prometheus:{PROMETHEUS}",
    "alertmanager": f"prom/alertmanager:{ALERTMANAGER}",
    "elasticsearch-exporter": f"quay.io/prometheuscommunity/elasticsearch-exporter:{ELASTICSEARCH_EXPORTER}",
    "node-exporter": f"prom/node-exporter:{NODE_EXPORTER}",
    "grafana": f"grafana/grafana:{GRAFANA}",
    "base": f"debian:{DEBIAN}-slim",  # the base of our own images
}
"""The official image of each service that has one. docs/images.md lists what we rely on in each."""

OFFICIAL_ONLY = ("kibana", "grafana")
"""The services whose image cannot be built from package registries: without a container registry they are left out."""

BUILT_IMAGES = tuple(name for name in OFFICIAL_IMAGES if name not in ("base", *OFFICIAL_ONLY))
"""The services with an official image that can also be built from package registries alone."""

MINIMUM_DOCKER = "20.10"
SAFE_DOCKER = "28.0"
"""From this version on, only this machine can reach ports that are published on its loopback address."""
MINIMUM_DOCKER_API = "1.41"
"""The Engine API of that Docker version. Unlike the version, no distribution adds a suffix to it."""
