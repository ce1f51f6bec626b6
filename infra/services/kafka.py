"""Kafka: one broker with two listeners, one for the stack's network and one for clients on the host."""

from __future__ import annotations

from infra import users
from infra.names import GENERATOR_NETWORK, KAFKA_HOST_LISTENER_PORT, KAFKA_PORT, MAIN_NETWORK, ZOOKEEPER_NETWORK
from infra.services import jmx, render
from infra.services.base import (
    JVM_EXITS_ON_OUT_OF_MEMORY,
    JVM_RETURNS_MEMORY,
    JVM_STARTS_QUICKLY,
    ConfigFile,
    ContainerSpec,
    Deployment,
    HealthCheck,
    Mount,
    Service,
    Volume,
)

# A Metadata request, version 1, for no topic. The response has 37 bytes; the last 8 are the controller's id (broker.id)
# and the number of topics. A starting broker answers before it knows its controller, and a client that connects then
# may fail: librdkafka requests the controller again only after minutes.
HEALTH_CHECK = (
    rf"exec 3<>/dev/tcp/127.0.0.1/{KAFKA_PORT} && printf '\0\0\0\16\0\3\0\1\0\0\0\1\377\377\0\0\0\0' >&3 && "
    r"""[ "$(timeout 3 head -c 37 <&3 | tail -c 8 | od -An -tx1 | tr -d ' \n')" = 0000000100000000 ]"""
)


class Kafka(Service):
    """The broker. It shares the volume `broker_data` with ZooKeeper, so that neither's data outlives the other's.

    It starts at the same time as ZooKeeper, and waits for it.
    """

    def __init__(self, deployment: Deployment, broker_data: Volume) -> None:
        settings = deployment.settings
        super().__init__(
            deployment,
            "kafka",
            ContainerSpec(
                image="kafka-jmx",
                user=users.KAFKA,
                memory_mib=settings.kafka_memory,
                command=[
                    "java",
                    f"-Xmx{settings.kafka_memory // 2}m",
                    *JVM_RETURNS_MEMORY,
                    JVM_STARTS_QUICKLY,
                    JVM_EXITS_ON_OUT_OF_MEMORY,
                    "-Dlog4j.configuration=file:/etc/lolstack/log4j.properties",
                    jmx.AGENT,
                    "-cp",
                    "/opt/kafka/libs/*",
                    "kafka.Kafka",
                    "/etc/lolstack/server.properties",
                ],
                files=[
                    ConfigFile(
                        "/etc/lolstack/server.properties",
                        render(
                            "server.properties",
                            host_port=deployment.host_port(settings.kafka_port),
                            retention_hours=settings.topic_retention_hours,
                        ),
                    ),
                    ConfigFile("/etc/lolstack/log4j.properties", render("log4j.properties")),
                    jmx.rules("kafka"),
                ],
                ports={KAFKA_HOST_LISTENER_PORT: settings.kafka_port},
                networks=[MAIN_NETWORK, ZOOKEEPER_NETWORK, GENERATOR_NETWORK],
                scrape_endpoints=[jmx.scrape_endpoint("kafka")],
                mounts=[Mount(broker_data, "/var/lib/kafka/data")],
                health=HealthCheck(["bash", "-c", HEALTH_CHECK], limit_seconds=120),
                grace_seconds=30,
            ),
        )
        self.bootstrap_servers = f"{self.name}:{KAFKA_PORT}"
        """For clients in the stack's network."""
        self.host_bootstrap_servers = f"localhost:{self.host_ports[KAFKA_HOST_LISTENER_PORT]}"
        """For clients on the host."""
