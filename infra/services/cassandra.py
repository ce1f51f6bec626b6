"""Cassandra: the batch storage beside the stream, for the archive of raw matches."""

from __future__ import annotations

from infra import users
from infra.names import CASSANDRA_PORT
from infra.services import file_text, jmx, render
from infra.services.base import (
    JVM_DUMPS_NO_HEAP,
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
from infra.settings import CASSANDRA_HEAP_SHARE

# Sends OPTIONS and expects SUPPORTED, protocol version 4: an open port alone does not mean that CQL is served.
HEALTH_CHECK = (
    rf"exec 3<>/dev/tcp/127.0.0.1/{CASSANDRA_PORT} && printf '\4\0\0\0\5\0\0\0\0' >&3 && "
    r"""[ "$(timeout 3 head -c 5 <&3 | od -An -tx1 | tr -d ' \n')" = 8400000006 ]"""
)

_MEMORY_PER_REQUEST = 96
"""The largest request is this fraction of the memory: 13 MiB of the default, for a match of 12 MiB (job.archive)."""


class Cassandra(Service):
    """A single Cassandra node."""

    def __init__(self, deployment: Deployment) -> None:
        settings = deployment.settings
        super().__init__(
            deployment,
            "cassandra",
            ContainerSpec(
                image="cassandra-jmx",
                user=users.CASSANDRA,
                memory_mib=settings.cassandra_memory,
                cpu_shares=200,  # only the archive uses it, and the archive yields to the stream
                # Not the bare word `cassandra`: with it the official entrypoint would edit our cassandra.yaml.
                command=["/opt/cassandra/bin/cassandra", "-f"],
                environment={
                    "MAX_HEAP_SIZE": f"{int(settings.cassandra_memory * CASSANDRA_HEAP_SHARE)}M",
                    # Unset, the official image computes it from the host's memory, not from the container's limit.
                    "MAX_DIRECT_MEMORY_SIZE": f"{settings.cassandra_memory // 4}M",
                    "MALLOC_ARENA_MAX": "4",
                    # A single node has no gossip to wait for; without these options it would wait half a minute.
                    "JVM_EXTRA_OPTS": "-Dcassandra.skip_wait_for_gossip_to_settle=0 -Dcassandra.ring_delay_ms=1 "
                    # While the disk is full, each restart leaves an empty segment in the commit log. Without this
                    # option the node would refuse to start because of them, also when there is space again.
                    "-Dcassandra.commitlog.ignorereplayerrors=true "
                    # Only an assertion notices that the commit log was written in part, because the disk became full.
                    "-ea "
                    # Both images select G1, which takes 120 MiB more at rest, and a heap of fixed size.
                    f"-XX:-UseG1GC {' '.join(JVM_RETURNS_MEMORY)} "
                    # The clock for timeouts: by default a thread reads the time 500 times a second.
                    "-Dcassandra.approximate_time_precision_ms=50 "
                    # The first superuser exists once CQL is served. The stack replaces it (provisioning).
                    "-Dcassandra.superuser_setup_delay_ms=0 "
                    # A login's hash need not be slow: nobody can guess a random password of 160 bits.
                    "-Dcassandra.auth_bcrypt_gensalt_log2_rounds=4 "
                    f"{JVM_STARTS_QUICKLY} {JVM_EXITS_ON_OUT_OF_MEMORY} {JVM_DUMPS_NO_HEAP} {' '.join(jmx.OPTIONS)}",
                },
                files=[
                    ConfigFile(
                        "/etc/cassandra/cassandra.yaml",
                        render(
                            "cassandra.yaml",
                            cluster_name=deployment.prefix,
                            request_mib=settings.cassandra_memory // _MEMORY_PER_REQUEST,
                        ),
                    ),
                    ConfigFile("/etc/cassandra/logback.xml", file_text("logback.xml")),
                    jmx.rules(deployment, "cassandra"),
                ],
                ports={CASSANDRA_PORT: settings.cassandra_port},
                scrape_endpoints=[jmx.scrape_endpoint(deployment, "cassandra")],
                mounts=[Mount("cassandra", "/var/lib/cassandra")],
                health=HealthCheck(["bash", "-c", HEALTH_CHECK], start_timeout_seconds=180),
                grace_seconds=60,
            ),
        )
