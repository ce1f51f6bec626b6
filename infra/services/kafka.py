"""Kafka: one broker, two listeners (9092 for the stack's network, the host's port for clients on the host)."""

from __future__ import annotations

import pulumi_docker as docker

from infra.services import file, jmx
from infra.services.base import Container, Deployment, File, HealthCheck, Mount, Service
from infra.services.zookeeper import ZooKeeper

# Metadata, version 1, of no topic: 37 bytes, of which the last 8 are the controller's id (broker.id) and the number of
# topics. A broker that starts answers before it knows its controller, and a client of that moment may fail: librdkafka
# asks for the controller again only after minutes.
ASK = (
    r"exec 3<>/dev/tcp/127.0.0.1/9092 && printf '\0\0\0\16\0\3\0\1\0\0\0\1\377\377\0\0\0\0' >&3 && "
    r"""[ "$(timeout 3 head -c 37 <&3 | tail -c 8 | od -An -tx1 | tr -d ' \n')" = 0000000100000000 ]"""
)
HOST_LISTENER = 29092


class Kafka(Service):
    """The broker. `broker_data` is shared with ZooKeeper, so that neither's data outlives the other's."""

    def __init__(self, deployment: Deployment, broker_data: docker.Volume, zookeeper: ZooKeeper) -> None:
        settings = deployment.settings
        super().__init__(
            deployment,
            "kafka",
            Container(
                image="kafka-jmx",
                user="1000:1000",
                memory_mib=settings.kafka_memory,
                command=[
                    "java",
                    f"-Xmx{settings.kafka_memory // 2}m",
                    "-XX:+UseG1GC",
                    "-XX:MaxGCPauseMillis=20",
                    "-Dlog4j.configuration=file:/etc/lolstack/log4j.properties",
                    jmx.AGENT,
                    "-cp",
                    "/opt/kafka/libs/*",
                    "kafka.Kafka",
                    "/etc/lolstack/server.properties",
                ],
                files=[
                    File(
                        "/etc/lolstack/server.properties",
                        file(
                            "server.properties",
                            host_port=deployment.host_port(settings.kafka_port),
                            retention_hours=settings.topic_retention_hours,
                        ),
                    ),
                    File("/etc/lolstack/log4j.properties", file("log4j.properties")),
                    jmx.rules("kafka"),
                ],
                ports={HOST_LISTENER: settings.kafka_port},
                mounts=[Mount(broker_data, "/var/lib/kafka/data")],
                health=HealthCheck(["bash", "-c", ASK], limit_seconds=120),
                grace_seconds=30,
            ),
            after=[zookeeper],
        )
        self.bootstrap_servers = "kafka:9092"
        """For clients in the stack's network."""
        self.host_bootstrap_servers = f"localhost:{self.host_ports[HOST_LISTENER]}"
        """For clients on the host."""
