"""A Cassandra like the stack's, with a data directory of limited size that can be filled and freed."""

from __future__ import annotations

import os
import threading
from contextlib import suppress
from typing import Any

from docker.errors import NotFound
from docker.models.containers import Container

from harness.stack import Stack
from harness.waiting import eventually
from infra.clients.cassandra import ADMIN, ArchiveNode, CassandraUnavailableError, connect
from infra.clients.docker_engine import execute
from infra.logins import CASSANDRA_ARCHIVE, CASSANDRA_LOGINS, user_of
from infra.names import CASSANDRA_PORT, STACK_LABEL
from job.archive_table import TABLE, ArchivedMatch, ArchiveTable, Heartbeat, cassandra_session
from job.message import Original
from job.settings import with_overrides

SMALL_DISK = "small-disk"
HOST_PORT = 12042
SIZE_MIB = 160
CHUNK = 20
MESSAGE_BYTES = 4000
PASSWORDS = {user_of(login): f"small{number}" for number, login in enumerate(CASSANDRA_LOGINS)}
CONFIG_FILES = ("/etc/cassandra/cassandra.yaml", "/etc/cassandra/logback.xml", "/etc/lolstack")


class CassandraOnSmallDisk:
    """The stack's Cassandra again, with the same image, options, files and health check, on a small tmpfs volume.

    A second container keeps the volume mounted while Cassandra restarts, and fills it.
    """

    def __init__(self, stack: Stack) -> None:
        model = stack.container("cassandra")
        generator = stack.container("generator")
        assert model.image is not None
        assert generator.image is not None
        self._engine = stack.engine
        self._names = [stack.container_name(f"{SMALL_DISK}-{each}") for each in ("cassandra", "filler")]
        labels = {STACK_LABEL: stack.name}  # by which Stack.clean_up finds what a killed test run leaves
        self._volume = stack.container_name(SMALL_DISK)
        self.remove()
        user = model.attrs["Config"]["User"]
        options = {"type": "tmpfs", "device": "tmpfs", "o": f"size={SIZE_MIB}m,mode=1777"}
        self._engine.volumes.create(self._volume, driver_opts=options)
        filler: dict[str, Any] = {self._volume: {"bind": "/disk", "mode": "rw"}}
        self._filler = self._engine.containers.run(
            generator.image,
            entrypoint=["sleep", "1000"],
            name=self._names[1],
            labels=labels,
            user=user,
            volumes=filler,
            detach=True,
        )
        self.container: Container = self._engine.containers.create(
            model.image,
            model.attrs["Config"]["Cmd"],
            name=self._names[0],
            labels=labels,
            hostname="cassandra",
            environment=model.attrs["Config"]["Env"],
            user=user,
            init=True,
            cap_drop=["ALL"],
            mem_limit=model.attrs["HostConfig"]["Memory"],
            tmpfs=model.attrs["HostConfig"]["Tmpfs"],
            ports={f"{CASSANDRA_PORT}/tcp": ("127.0.0.1", HOST_PORT)},
            volumes={self._volume: {"bind": "/var/lib/cassandra", "mode": "rw"}},
            restart_policy={"Name": "always", "MaximumRetryCount": 0},
        )
        for path in CONFIG_FILES:
            archive, _ = model.get_archive(path)
            self.container.put_archive(path.rpartition("/")[0], b"".join(archive))
        self.container.start()

    def remove(self) -> None:
        """Remove containers and volume."""
        for name in self._names:
            with suppress(NotFound):
                self._engine.containers.get(name).remove(force=True, v=True)
        with suppress(NotFound):
            self._engine.volumes.get(self._volume).remove()

    def lose_no_row_when_the_disk_is_full(self) -> None:
        """Write as the archive does, fill the disk until Cassandra has ended and restarted, free it, and wait until it
        serves again. Raises AssertionError if it does not, or if it lost a row that it had acknowledged."""
        login = {"username": user_of(CASSANDRA_ARCHIVE), "password": PASSWORDS[user_of(CASSANDRA_ARCHIVE)]}
        options = with_overrides({"archive": {"hosts": ["127.0.0.1"], "port": HOST_PORT, **login}}).archive
        node = ArchiveNode("127.0.0.1", HOST_PORT, options.keyspace, TABLE, PASSWORDS)
        eventually(lambda: _provision(node), timeout_seconds=300)
        stopping = threading.Event()
        acknowledged: list[str] = []
        with cassandra_session(options) as session:
            table = ArchiveTable(session, options, stopping, Heartbeat())

            def write() -> None:
                while not stopping.is_set():
                    rows = [_row(len(acknowledged) + number) for number in range(CHUNK)]
                    table.write(rows)
                    acknowledged.extend(row.match_id for row in rows)

            def has_written(rows: int) -> None:
                assert writer.is_alive(), "the write failed for a reason that is not transient"
                assert len(acknowledged) >= rows, f"{len(acknowledged)} rows are written"

            def has_restarted() -> None:
                self.container.reload()
                assert self.container.attrs["RestartCount"] > 0, "Cassandra has not ended"

            writer = threading.Thread(target=write, daemon=True)
            writer.start()
            try:
                eventually(lambda: has_written(CHUNK))
                execute(self._names[1], ["dd", "if=/dev/zero", "of=/disk/fill", "bs=64k"])
                eventually(has_restarted)
                assert execute(self._names[1], ["rm", "/disk/fill"])[0] == 0
                more = len(acknowledged) + CHUNK
                eventually(lambda: has_written(more))
            finally:
                stopping.set()
                writer.join(30)
        with connect("127.0.0.1", HOST_PORT, ADMIN, PASSWORDS[ADMIN]) as session:
            stored = {row.match_id for row in session.execute(f"SELECT match_id FROM {options.keyspace}.{TABLE}")}
        lost = sorted(set(acknowledged) - stored)
        assert lost == [], f"{len(lost)} of {len(acknowledged)} acknowledged rows are lost"


def _provision(node: ArchiveNode) -> None:
    try:
        node.provision()
    except CassandraUnavailableError as error:
        raise AssertionError(str(error)) from error


def _row(number: int) -> ArchivedMatch:
    return ArchivedMatch(f"EUW1_{number}", 0, Original(0, 0, number), os.urandom(MESSAGE_BYTES))
