"""Kafka: one broker with two listeners with a login, one for the stack's network and one for clients on the host."""

from __future__ import annotations

from typing import Any

import pulumi

from infra import users
from infra.kafka_acls import ADMIN
from infra.logins import (
    KAFKA_ITERATIONS,
    KAFKA_MECHANISM,
    KAFKA_SECURITY_PROTOCOL,
    kafka_client_settings,
    login_of,
    properties,
)
from infra.names import (
    GENERATOR_NETWORK,
    HOST_ADDRESS,
    KAFKA_HOST_LISTENER_PORT,
    KAFKA_PORT,
    MAIN_NETWORK,
    MAX_MESSAGE_BYTES,
    ZOOKEEPER_NETWORK,
)
from infra.services import file_text, jmx, render
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
)
from infra.settings import KAFKA_HEAP_SHARE

ADMIN_CLIENT = "/etc/lolstack/admin-client.properties"
"""In the container: for `--command-config` of Kafka's own tools, with the login of the broker itself."""
MIN_ROLL_SECONDS, MAX_ROLL_SECONDS = 600, 7 * 24 * 60 * 60
"""A segment is open for an eighth of the retention, so that messages are not kept much longer, within these limits. The
longest is Kafka's default."""
LOCAL_PORT = 9091
"""Port of the health check's listener: no login, container loopback only."""
REAUTHENTICATION_SECONDS = 600
"""How long a connection in the stack's network may outlive its user or password."""
HOST_REAUTHENTICATION_SECONDS = 24 * 60 * 60
"""The same on the host. Clients that cannot log in again over a connection lose it then, and some lose messages."""

# A Metadata request, version 1, for no topic. The response has 41 bytes; the last 8 are the controller's id (broker.id)
# and the number of topics. A starting broker answers before it knows its controller, and a client that connects then
# may fail: librdkafka requests the controller again only after minutes.
HEALTH_CHECK = (
    rf"exec 3<>/dev/tcp/127.0.0.1/{LOCAL_PORT} && printf '\0\0\0\16\0\3\0\1\0\0\0\1\377\377\0\0\0\0' >&3 && "
    r"""[ "$(timeout 3 head -c 41 <&3 | tail -c 8 | od -An -tx1 | tr -d ' \n')" = 0000000100000000 ]"""
)


class Kafka(Service):
    """The broker. It shares the volume `broker` with ZooKeeper, so that neither's data outlives the other's.

    It starts at the same time as ZooKeeper, and waits for it.
    """

    def __init__(self, deployment: Deployment) -> None:
        settings = deployment.settings
        eighth = settings.topic_retention_hours * 3600 // 8
        super().__init__(
            deployment,
            "kafka",
            ContainerSpec(
                image="kafka-jmx",
                user=users.KAFKA,
                memory_mib=settings.kafka_memory,
                command=[
                    "bash",
                    "/etc/lolstack/start_kafka.sh",
                    "java",
                    f"-Xmx{int(settings.kafka_memory * KAFKA_HEAP_SHARE)}m",
                    *JVM_RETURNS_MEMORY,
                    JVM_STARTS_QUICKLY,
                    JVM_EXITS_ON_OUT_OF_MEMORY,
                    "-Dlog4j.configuration=file:/etc/lolstack/log4j.properties",
                    "-Djava.security.auth.login.config=/etc/lolstack/kafka.jaas",
                    *jmx.OPTIONS,
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
                            local_port=LOCAL_PORT,
                            reauthentication_milliseconds=1000 * REAUTHENTICATION_SECONDS,
                            host_reauthentication_milliseconds=1000 * HOST_REAUTHENTICATION_SECONDS,
                            max_message_bytes=MAX_MESSAGE_BYTES,
                            retention_hours=settings.topic_retention_hours,
                            roll_milliseconds=1000 * sorted((MIN_ROLL_SECONDS, eighth, MAX_ROLL_SECONDS))[1],
                        ),
                    ),
                    ConfigFile("/etc/lolstack/start_kafka.sh", file_text("start_kafka.sh")),
                    ConfigFile("/etc/lolstack/kafka.jaas", _jaas(deployment)),
                    ConfigFile(
                        "/etc/lolstack/admin.properties",
                        deployment.password(login_of("kafka", ADMIN)).apply(
                            lambda password: f"{KAFKA_MECHANISM}=iterations={KAFKA_ITERATIONS},password={password}\n"
                        ),
                    ),
                    ConfigFile(ADMIN_CLIENT, _admin_client(deployment)),
                    ConfigFile("/etc/lolstack/log4j.properties", file_text("log4j.properties")),
                    ConfigFile("/etc/lolstack/log4j-tools.properties", file_text("log4j-tools.properties")),
                    jmx.rules(deployment, "kafka"),
                ],
                ports={KAFKA_HOST_LISTENER_PORT: settings.kafka_port},
                networks=[MAIN_NETWORK, ZOOKEEPER_NETWORK, GENERATOR_NETWORK],
                scrape_endpoints=[jmx.scrape_endpoint(deployment, "kafka")],
                mounts=[Mount("broker", "/var/lib/kafka/data")],
                health=HealthCheck(["bash", "-c", HEALTH_CHECK], start_timeout_seconds=120),
                grace_seconds=30,
            ),
        )
        self.bootstrap_servers = f"{self.name}:{KAFKA_PORT}"
        """For clients in the stack's network."""
        self.host_bootstrap_servers = f"{HOST_ADDRESS}:{self.host_ports[KAFKA_HOST_LISTENER_PORT]}"
        """For clients on the host."""

    def job_settings(self, user: str) -> dict[str, Any]:
        """Address and login, as keys of the job's settings."""
        return {
            "bootstrap_servers": self.bootstrap_servers,
            "security_protocol": KAFKA_SECURITY_PROTOCOL,
            "sasl_mechanism": KAFKA_MECHANISM,
            "username": user,
            "password": self.deployment.password(login_of("kafka", user)),
        }

    def client_settings(self, user: str, on_host: bool = False) -> pulumi.Output[dict[str, str]]:
        """Address and login as librdkafka's settings, a secret: in the stack's network, or on the host."""
        servers = self.host_bootstrap_servers if on_host else self.bootstrap_servers
        return self.deployment.password(login_of("kafka", user)).apply(
            lambda password: kafka_client_settings(servers, user, password).librdkafka()
        )

    def client_properties(self, user: str, on_host: bool = False) -> pulumi.Output[str]:
        """The same as the text of a properties file, a secret."""
        return self.client_settings(user, on_host).apply(properties)


def _admin_client(deployment: Deployment) -> pulumi.Output[str]:
    return deployment.password(login_of("kafka", ADMIN)).apply(
        lambda password: properties(kafka_client_settings(f"kafka:{KAFKA_PORT}", ADMIN, password).java())
    )


def _jaas(deployment: Deployment) -> pulumi.Output[str]:
    zookeeper, admin = (deployment.password(login) for login in ("zookeeper.kafka", login_of("kafka", ADMIN)))
    return pulumi.Output.all(zookeeper, admin).apply(
        lambda passwords: render("kafka.jaas", zookeeper_password=passwords[0], admin_password=passwords[1])
    )
