"""Cassandra: the batch storage beside the stream, for the archive of raw matches."""

from __future__ import annotations

from infra.services import file, jmx
from infra.services.base import Container, Deployment, File, HealthCheck, Mount, Service, volume

# OPTIONS answered by SUPPORTED, protocol version 4: CQL is served, not only the port open.
ASK = (
    r"exec 3<>/dev/tcp/127.0.0.1/9042 && printf '\4\0\0\0\5\0\0\0\0' >&3 && "
    r"""[ "$(timeout 3 head -c 5 <&3 | od -An -tx1 | tr -d ' \n')" = 8400000006 ]"""
)


class Cassandra(Service):
    """A single node."""

    def __init__(self, deployment: Deployment) -> None:
        settings = deployment.settings
        super().__init__(
            deployment,
            "cassandra",
            Container(
                image="cassandra-jmx",
                user="999:999",
                memory_mib=settings.cassandra_memory,
                cpu_shares=200,  # it serves the archive, which gives way to the stream
                # Not the bare word `cassandra`: for that the official entrypoint edits cassandra.yaml, which is ours.
                command=["/opt/cassandra/bin/cassandra", "-f"],
                environment={
                    "MAX_HEAP_SIZE": f"{settings.cassandra_memory * 3 // 8}M",
                    "MALLOC_ARENA_MAX": "4",
                    # One node has nobody to gossip with: without these it waits half a minute.
                    "JVM_EXTRA_OPTS": "-Dcassandra.skip_wait_for_gossip_to_settle=0 -Dcassandra.ring_delay_ms=1 "
                    + jmx.AGENT,
                },
                files=[
                    File("/etc/cassandra/cassandra.yaml", file("cassandra.yaml", cluster_name=deployment.name)),
                    File("/etc/cassandra/logback.xml", file("logback.xml")),
                    jmx.rules("cassandra"),
                ],
                ports={9042: settings.cassandra_port},
                mounts=[Mount(volume(deployment, "cassandra"), "/var/lib/cassandra")],
                health=HealthCheck(["bash", "-c", ASK], limit_seconds=180),
                grace_seconds=60,
            ),
        )
