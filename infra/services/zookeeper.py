"""ZooKeeper: coordinates Kafka's broker, which is the only one with a login."""

from __future__ import annotations

from infra import users
from infra.names import ZOOKEEPER_NETWORK
from infra.services import file_text, jmx, render
from infra.services.base import (
    JVM_EXITS_ON_OUT_OF_MEMORY,
    JVM_STARTS_QUICKLY,
    ConfigFile,
    ContainerSpec,
    Deployment,
    HealthCheck,
    Mount,
    Service,
)

MAX_REQUEST_BYTES = 262144
"""By default 1 MiB, which is too much for the heap if many connections announce it. Kafka's largest nodes, the
assignments of topics, have some ten bytes for each partition; its client renews its watches in requests of 128 KiB."""
VOLUME = "/var/lib/kafka/data"
DATA = f"{VOLUME}/zookeeper"
LOGS = f"{DATA}/version-2"
"""The folder of the transaction logs and snapshots."""
START_SCRIPT = "/etc/lolstack/start_zookeeper.sh"
HEALTH_CHECK = "exec 3<>/dev/tcp/127.0.0.1/2181 && printf srvr >&3 && timeout 3 grep -q '^Mode:' <&3"


class ZooKeeper(Service):
    """ZooKeeper, from Kafka's distribution. It shares the volume `broker` with Kafka: the data of both is one
    unit."""

    def __init__(self, deployment: Deployment) -> None:
        memory = deployment.settings.zookeeper_memory
        super().__init__(
            deployment,
            "zookeeper",
            ContainerSpec(
                image="kafka-jmx",
                user=users.KAFKA,
                memory_mib=memory,
                command=[
                    "sh",
                    START_SCRIPT,
                    LOGS,
                    "java",
                    f"-Xmx{memory // 2}m",
                    "-XX:+UseSerialGC",
                    JVM_STARTS_QUICKLY,
                    JVM_EXITS_ON_OUT_OF_MEMORY,
                    f"-Djute.maxbuffer={MAX_REQUEST_BYTES}",
                    "-Dlog4j.configuration=file:/etc/lolstack/log4j.properties",
                    "-Djava.security.auth.login.config=/etc/lolstack/zookeeper.jaas",
                    *jmx.OPTIONS,
                    "-cp",
                    "/opt/kafka/libs/*",
                    "org.apache.zookeeper.server.quorum.QuorumPeerMain",
                    "/etc/lolstack/zookeeper.properties",
                ],
                files=[
                    ConfigFile(START_SCRIPT, file_text("start_zookeeper.sh")),
                    ConfigFile("/etc/lolstack/zookeeper.properties", render("zookeeper.properties", data=DATA)),
                    ConfigFile(
                        "/etc/lolstack/zookeeper.jaas",
                        deployment.password("zookeeper.kafka").apply(
                            lambda password: render("zookeeper.jaas", zookeeper_password=password)
                        ),
                    ),
                    ConfigFile("/etc/lolstack/log4j.properties", file_text("log4j.properties")),
                    jmx.rules(deployment, "zookeeper"),
                ],
                networks=[ZOOKEEPER_NETWORK],
                scrape_endpoints=[jmx.scrape_endpoint(deployment, "zookeeper")],
                mounts=[Mount("broker", VOLUME)],
                health=HealthCheck(["bash", "-c", HEALTH_CHECK], start_timeout_seconds=60),
            ),
        )
