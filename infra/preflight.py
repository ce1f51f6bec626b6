"""Preflight checks before any resource is created: the Docker host's version, memory, disk space and port conflicts,
that the stack on the Docker host is the one of this Pulumi state, and that this checkout has the stack's settings."""

from __future__ import annotations

import errno
import os
import shutil
import socket
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pulumi
from packaging.version import Version

from infra import configuration, ownership, versions
from infra.clients.docker_engine import (
    DockerUnavailableError,
    connect,
    engine_address,
    engine_failures,
    engine_process_limit,
    published_ports,
    stack_containers,
)
from infra.names import HOST_ADDRESS, PROJECT, container_name, pulumi_command
from infra.settings import WEBHOOK, HostPort, Settings, SettingsError
from infra.users import MAX_PROCESSES

MIN_FREE_DISK_GIB = 5
"""Space for the data of a day or two. Images that are already on the host need no more."""
MIN_FREE_INODES = 200_000
"""Each file and folder of an image, and of what a build unpacks, needs one."""
CONTAINERD_ROOT = Path("/var/lib/containerd")
"""Where containerd keeps images by default. The Docker engine does not know its configuration."""
CONTAINERD_IMAGE_STORE = "io.containerd.snapshotter.v1"
LIMITS = {"MemoryLimit": "memory limits", "SwapLimit": "swap limits", "CPUShares": "CPU shares"}
"""The limits that the containers have, by what `docker info` says about the engine."""
PROVIDER_HOST = "docker:host"
PROVIDER_SETTINGS = (
    *("docker:context", "docker:sshOpts", "docker:certPath"),
    *("docker:caMaterial", "docker:certMaterial", "docker:keyMaterial"),
)
"""Settings of Pulumi's Docker provider with which it would reach the engine in another way than this program."""


def check(settings: Settings, stack: str, config: Mapping[str, str]) -> str:
    """Check that the Docker host fits the stack; return the id of its engine. `config` is Pulumi's configuration in
    use. Raises SettingsError with one line for each problem.

    If the provider would use another engine, or the engine is Podman's, or the stack there is not the one of this
    state, or the configuration lacks its settings, that is the only problem reported: the others follow from it.
    `check_ports` follows once it is known which services will be deployed.
    """
    if problem := _provider_settings(config, stack):
        raise SettingsError(problem)
    try:
        with engine_failures():
            client = connect()
            containers = stack_containers(client, stack)
            version, info = client.version(), client.info()
            state = ownership.read_state(_reference(stack))
            problem = (
                _podman(version)
                or ownership.foreign_deployment(state, stack, client)
                or ownership.renamed_deployment(state, stack)
                or ownership.unlabelled_volumes(state, stack, client)
                or configuration.lost_settings(state, stack, config)
            )
    except (DockerUnavailableError, ownership.StateError) as error:
        raise SettingsError(str(error)) from error
    if problem:
        raise SettingsError(problem)
    problems = [
        *_outdated_docker(version["Version"], version["ApiVersion"]),
        *_memory_shortage(settings, info["MemTotal"]),
        # Not for an existing stack: on a full disk, `up` with other settings may be the way to free space.
        *([] if containers else _disk_shortage(info)),
    ]
    if problems:
        raise SettingsError("\n".join(problems))
    for warning in (
        _exposed_ports(version["Version"]),
        _discarded_limits(info),
        _low_process_limit(info),
        _readable_webhook(settings, stack),
        _webhook_in_the_stack(settings),
        settings.unused_cores(),
    ):
        if warning:
            pulumi.log.warn(warning)
    return str(info["ID"])


def check_ports(settings: Settings, stack: str, left_out: Collection[str]) -> None:
    """Check that the host ports of all services but those in `left_out` are free. Raises SettingsError with one line
    for each port conflict."""
    try:
        with engine_failures():
            published = published_ports(connect(), stack)
    except DockerUnavailableError as error:
        raise SettingsError(str(error)) from error
    wanted = [port for port in settings.host_ports(stack) if port.service not in left_out]
    if problems := _port_conflicts(wanted, stack, published):
        raise SettingsError("\n".join(problems))


def _provider_settings(config: Mapping[str, str], stack: str) -> str | None:
    """A problem if settings of Pulumi's Docker provider select an engine in another way than DOCKER_HOST."""
    used = [key for key in PROVIDER_SETTINGS if config.get(key)]
    if config.get(PROVIDER_HOST, engine_address()) != engine_address():
        used.append(PROVIDER_HOST)
    if not used:
        return None
    remove = ", ".join(f"`{pulumi_command(f'config rm {key}', stack)}`" for key in used)
    return (
        f"{', '.join(used)}: Pulumi's Docker provider uses this in place of DOCKER_HOST, and this program does not: "
        f"{remove}, and set DOCKER_HOST to the address of that engine (`docker context ls`)"
    )


def _reference(stack: str) -> str:
    """The stack's name for Pulumi's commands, with which the short name would be of the user's default organization.

    Backends in files have one organization, `organization`, and those of Pulumi before 3.61 know the short name only.
    """
    organization = pulumi.get_organization()
    return stack if organization == "organization" else f"{organization}/{PROJECT}/{stack}"


def _podman(version: Mapping[str, Any]) -> str | None:
    """A problem if the engine is Podman's, whose own version would be taken for Docker's. `version` is the engine's."""
    if not any("Podman" in component["Name"] for component in version.get("Components") or ()):
        return None
    return (
        "the engine of DOCKER_HOST or the Docker context is Podman's, with which the stack does not run: unset "
        "DOCKER_HOST, select another Docker context, or remove the package podman-docker, then `tools/setup.sh`"
    )


def _outdated_docker(version: str, api_version: str) -> list[str]:
    """A problem if the Docker engine is older than the minimum version."""
    if Version(api_version) >= Version(versions.MINIMUM_DOCKER_API):
        return []
    return [f"Docker Engine {version} is too old: {versions.MINIMUM_DOCKER} or newer is needed"]


def _readable_webhook(settings: Settings, stack: str) -> str | None:
    """A warning: everybody may read the stack's settings file, and `pulumi config` prints it."""
    if not settings.alert_webhook_url or pulumi.runtime.is_config_secret(f"{PROJECT}:{WEBHOOK}"):
        return None
    change = pulumi_command(f"config set --secret {WEBHOOK} URL", stack)
    return f"{PROJECT}:{WEBHOOK} is not encrypted, and its URL often has a token: `{change}`"


def _webhook_in_the_stack(settings: Settings) -> str | None:
    """A warning: containers look up a name without a dot in the stack's networks only (DNS_OPTIONS)."""
    host = urlsplit(settings.alert_webhook_url).hostname
    if not host or "." in host or ":" in host:
        return None
    return f"{PROJECT}:{WEBHOOK}: {host} must be a container on the stack's network; write another host's whole name"


def _exposed_ports(version: str) -> str | None:
    """A warning for an engine that lets others reach ports that are published on 127.0.0.1."""
    if Version(version.partition("+")[0].partition("-")[0]) >= Version(versions.SAFE_DOCKER):
        return None
    return (
        f"Docker Engine {version}: before {versions.SAFE_DOCKER}, other machines on the same local network can reach "
        "ports that are published on 127.0.0.1 (https://github.com/moby/moby/issues/45610): upgrade it, or use the "
        "stack only in networks that you trust"
    )


def _discarded_limits(info: Mapping[str, Any]) -> str | None:
    """A warning for an engine without some of the kernel's cgroup controllers. `info` is the engine's.

    It creates containers without these limits, and warns only its own client. The provider reads back what the
    containers have, and updates it again at the next deployment.
    """
    discarded = [limit for key, limit in LIMITS.items() if not info.get(key, True)]
    if not discarded:
        return None
    return (
        f"the Docker engine discards {', '.join(discarded)} (`docker info` warns about it): containers run without "
        "them, and every `make up` updates the containers again: enable the kernel's cgroup controllers, see "
        "'make up warns: the engine discards limits' in docs/operations.md"
    )


def _low_process_limit(info: Mapping[str, Any]) -> str | None:
    """A warning for a rootless engine that cannot start a container: only root may give a process more than its own
    hard limit. `info` is the engine's."""
    if "name=rootless" not in (info.get("SecurityOptions") or ()):
        return None
    limit = engine_process_limit()
    if limit is None or limit >= MAX_PROCESSES:
        return None
    return (
        f"the rootless Docker engine has a hard limit of {limit} processes (nproc), and containers need "
        f"{MAX_PROCESSES}: they will fail to start (`error setting rlimit type 6: operation not permitted`): raise it, "
        "for example with LimitNPROC=infinity in the section [Service] of `sudo systemctl edit user@.service`, and "
        "reboot"
    )


def _memory_shortage(settings: Settings, total_bytes: int) -> list[str]:
    """A problem for each container whose memory limit alone exceeds the host's memory.

    The sum of the limits may exceed it: a limit is not what a container uses.
    """
    total = total_bytes // 2**20
    limits = {name: value for name, value in settings.model_dump(by_alias=True).items() if name.endswith("Memory")}
    return [
        f"lolstack:{name}: {value} MiB is more than the {total} MiB of memory of the Docker host: lower it"
        for name, value in limits.items()
        if value > total
    ]


def _disk_shortage(info: Mapping[str, Any]) -> list[str]:
    """A problem for each folder with Docker's data whose disk has too little free space or too few free inodes. `info`
    is the engine's."""
    folders = [Path(info["DockerRootDir"])]
    if any(CONTAINERD_IMAGE_STORE in each for each in info["DriverStatus"] or ()):
        folders.append(CONTAINERD_ROOT)
    problems = []
    for folder in folders:
        # It does not exist if the engine runs in a virtual machine; the user may not be permitted to look for it.
        with suppress(OSError):
            if not folder.exists():
                continue
            gib, files = shutil.disk_usage(folder).free / 2**30, os.statvfs(folder)
            if gib < MIN_FREE_DISK_GIB:
                problems.append(
                    f"not enough disk space: {folder} has {gib:.1f} GiB free, at least {MIN_FREE_DISK_GIB} GiB are "
                    "needed"
                )
            # btrfs, which has no limit of inodes, has a total of 0.
            if files.f_files and files.f_favail < MIN_FREE_INODES:
                problems.append(
                    f"not enough inodes: {folder} has {files.f_favail:,} free, at least {MIN_FREE_INODES:,} are needed "
                    "(`df -i`)"
                )
    return problems


def _port_conflicts(wanted: Sequence[HostPort], stack: str, published: Mapping[int, str]) -> list[str]:
    """A problem for each host port already in use: by another program, or still by another service of the stack.

    `published`: the ports of the stack's running containers, and those containers' names. While a container is stopped,
    another program may have its port, and would get the stack's logins.

    Pulumi replaces containers in the order of their dependencies, and deletes those without a successor last: the new
    container of one service could need the port before the old one of the other is gone.
    """
    problems = []
    for key, service, port in wanted:
        holder = published.get(port)
        is_own = holder == container_name(stack, service)
        if holder and not is_own:
            problems.append(
                f"lolstack:{key}: port conflict: {holder}, another container of this stack, still has port {port}: "
                f"`docker stop {holder}` and start again, or choose another port"
            )
        elif not _is_free(port, is_own):
            problems.append(
                f"lolstack:{key}: port conflict: another program uses port {port} of this machine (`ss -ltnp` shows "
                "which): stop it, choose another port, or set lolstack:portOffset"
            )
    return problems


def _is_free(port: int, is_own: bool) -> bool:
    """Whether no other program has the port. The stack's own is published on 127.0.0.1.

    Also on ::1, to which most machines resolve `localhost` first: a program that listens there would get the requests
    of people, with their logins.
    """
    addresses = ((socket.AF_INET6, "::1"), *(() if is_own else ((socket.AF_INET, HOST_ADDRESS),)))
    return not any(_is_used(family, address, port) for family, address in addresses)


def _is_used(family: socket.AddressFamily, address: str, port: int) -> bool:
    try:
        with socket.socket(family) as probe:
            # As Docker's own binding: a port with connections in TIME_WAIT is free.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((address, port))
            except PermissionError:  # below 1024: the engine may bind it, an ordinary user may only look who listens
                return probe.connect_ex((address, port)) == 0
    except OSError as error:
        return error.errno == errno.EADDRINUSE  # otherwise: a machine without IPv6
    return False
