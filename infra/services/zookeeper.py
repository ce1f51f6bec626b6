"""ZooKeeper: Kafka's coordinator."""

from __future__ import annotations

import pulumi_docker as docker

from infra.services import file, jmx
from infra.services.base import Container, Deployment, File, HealthCheck, Mount, Service

ASK = "exec 3<>/dev/tcp/127.0.0.1/2181 && printf srvr >&3 && timeout 3 grep -q '^Mode:' <&3"


class ZooKeeper(Service):
    """ZooKeeper, out of Kafka's own distribution. `broker_data` is shared with Kafka: the two live and die together."""

    def __init__(self, deployment: Deployment, broker_data: docker.Volume) -> None:
        memory = deployment.settings.zookeeper_memory
        super().__init__(
            deployment,
            "zookeeper",
            Container(
                image="kafka-jmx",
                user="1000:1000",
                memory_mib=memory,
                command=[
                    "java",
                    f"-Xmx{memory // 2}m",
                    "-XX:+UseSerialGC",
                    "-Dlog4j.configuration=file:/etc/lolstack/log4j.properties",
                    jmx.AGENT,
                    "-cp",
                    "/opt/kafka/libs/*",
                    "org.apache.zookeeper.server.quorum.QuorumPeerMain",
                    "/etc/lolstack/zookeeper.properties",
                ],
                files=[
                    File("/etc/lolstack/zookeeper.properties", file("zookeeper.properties")),
                    File("/etc/lolstack/log4j.properties", file("log4j.properties")),
                    jmx.rules("zookeeper"),
                ],
                mounts=[Mount(broker_data, "/var/lib/kafka/data")],
                health=HealthCheck(["bash", "-c", ASK], limit_seconds=60),
            ),
        )
