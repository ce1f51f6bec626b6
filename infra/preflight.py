"""What the machine must have, checked before the first resource: Docker, memory, disk, free ports."""

from __future__ import annotations

import shutil
import socket
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from infra import versions
from infra.clients.docker_engine import DockerUnavailableError, connect, engine_address, stack_containers
from infra.settings import Settings, SettingsError

if TYPE_CHECKING:
    from docker.models.containers import Container

DISK_FREE_GIB = 5
"""Room for the data of a day or two; the images, once there, are not counted."""


def check(settings: Settings, stack: str) -> None:
    """Raises SettingsError with one line for each thing that stands against the stack."""
    if complaints := _elsewhere(engine_address()):
        raise SettingsError("\n".join(complaints))
    try:
        client = connect()
    except DockerUnavailableError as error:
        raise SettingsError(str(error)) from error
    containers = stack_containers(client, stack)
    complaints = [
        *_version(client.version()["Version"]),
        *_memory(settings, client.info()["MemTotal"]),
        # On a full disk, `up` with other settings may be what mends a stack that is there.
        *([] if containers else _disk(Path(client.info()["DockerRootDir"]))),
        *_ports(settings.host_ports(stack), _ports_of(containers)),
    ]
    if complaints:
        raise SettingsError("\n".join(complaints))


def _elsewhere(engine: str) -> list[str]:
    """The containers' ports are on the loopback of the engine's machine, and topics and templates are made there."""
    if urlsplit(engine).hostname in (None, "localhost", "127.0.0.1", "::1"):
        return []
    return [f"the Docker Engine at {engine} is on another machine: run this there, or unset DOCKER_HOST"]


def _version(version: str) -> list[str]:
    found = tuple(int("".join(filter(str.isdigit, part)) or 0) for part in version.split("+")[0].split(".")[:2])
    if found >= versions.MINIMUM_DOCKER:
        return []
    return [f"Docker Engine {version} is too old: {'.'.join(map(str, versions.MINIMUM_DOCKER))} or newer is needed"]


def _memory(settings: Settings, total_bytes: int) -> list[str]:
    """No single container may be promised more than the machine has; together they may, as limits are not use."""
    total = total_bytes // 2**20
    limits = {name: value for name, value in settings.model_dump(by_alias=True).items() if name.endswith("Memory")}
    return [
        f"lolstack:{name}: {value} MiB is more than the {total} MiB of the Docker host: lower it"
        for name, value in limits.items()
        if value > total
    ]


def _disk(docker_root: Path) -> list[str]:
    if not docker_root.exists():  # the engine is in a machine of its own
        return []
    free = shutil.disk_usage(docker_root).free / 2**30
    if free >= DISK_FREE_GIB:
        return []
    return [f"{docker_root} has {free:.1f} GiB free: at least {DISK_FREE_GIB} GiB are needed"]


def _ports(wanted: dict[str, int], own: set[int]) -> list[str]:
    return [
        f"lolstack:{key}: port {port} on 127.0.0.1 is taken by another program (`ss -ltnp` tells which): "
        "stop it, choose another port, or set lolstack:portOffset"
        for key, port in wanted.items()
        if port not in own and _taken(port)
    ]


def _ports_of(containers: Sequence[Container]) -> set[int]:
    """The host ports that the stack's containers hold already."""
    return {
        int(binding["HostPort"])
        for container in containers
        for bindings in (container.attrs["HostConfig"]["PortBindings"] or {}).values()
        for binding in bindings or ()
    }


def _taken(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return True
    return False
