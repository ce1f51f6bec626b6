"""The non-root users (uid:gid) that the services run as.

Who has the same uid on the Docker host can read a container's files through /proc/PID/root, and signal its processes.
So each uid is from a range that Linux distributions give to nobody (https://systemd.io/UIDS-GIDS: 60706-61183).
Services that share a volume share a uid. Volumes get their owner from infra/provisioning/volume_owner.py.
"""

from __future__ import annotations

KAFKA = "60710:60710"
"""User of Kafka and ZooKeeper."""
ELASTICSEARCH = "60711:0"  # the official image's files belong to group 0, so that any uid can use them
CASSANDRA = "60712:60712"
SPARK = "60713:60713"
PROMETHEUS = "60714:60714"
ALERTMANAGER = "60715:60715"
ELASTICSEARCH_EXPORTER = "60716:60716"
NODE_EXPORTER = "60717:60717"
GENERATOR = "60718:60718"
DASHBOARD = "60719:60719"
KIBANA = "60720:0"  # as Elasticsearch
GRAFANA = "60721:0"  # as Elasticsearch

MAX_PROCESSES = 16384
"""Limit (nproc) of the processes and threads of a user on the Docker host, in all stacks together, and so of what a
compromised container can start. Spark has the most: 520 in a stack, and 190 more for each further worker."""

VOLUMES = {
    # One volume of ZooKeeper and Kafka: if one lost its data and the other kept it, their cluster ids would differ,
    # and Kafka would never start.
    "broker": KAFKA,
    "elasticsearch": ELASTICSEARCH,
    "cassandra": CASSANDRA,
    "checkpoints": SPARK,
    "spark-master": SPARK,
    "prometheus": PROMETHEUS,
    "alertmanager": ALERTMANAGER,
    "grafana": GRAFANA,
}
"""The volumes, and the users of the services that mount them."""
