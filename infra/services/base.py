"""How every container runs: hardening, resource limits, health check and restart, health gate, ports, scraping, labels,
logs."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pulumi
import pulumi_docker as docker
import yaml

from infra.images import Images
from infra.names import (
    DNS_OPTIONS,
    DNS_SEARCH,
    HOST_ADDRESS,
    IMAGE_SOURCE_LABEL,
    LIMITS_LABEL,
    LOG_DRIVER,
    LOG_OPTIONS,
    MAIN_NETWORK,
    PROJECT,
    STACK_LABEL,
    container_labels,
    container_name,
    stack_prefix,
)
from infra.provisioning.certificates import Certificates
from infra.provisioning.credentials import Credentials
from infra.provisioning.health_gate import SLOW_START_FACTOR, HealthGate
from infra.provisioning.volume_owner import VolumeOwners
from infra.services import file_text
from infra.settings import INITIAL_HEAP_MIB, Settings
from infra.users import MAX_PROCESSES

HEALTH_CHECK_SCRIPT = "/etc/lolstack/health_check.sh"
ULIMITS = [docker.ContainerUlimitArgsDict(name="nproc", soft=MAX_PROCESSES, hard=MAX_PROCESSES)]
JVM_STARTS_QUICKLY = "-XX:TieredStopAtLevel=1"
"""Only the first JIT compiler (C1), for a JVM that has little to do: the second takes a third of the processor time of
a start, and its code is rarely needed."""
JVM_RETURNS_MEMORY = (
    "-XX:+UseSerialGC",
    f"-Xms{INITIAL_HEAP_MIB}m",
    "-XX:MinHeapFreeRatio=20",
    "-XX:MaxHeapFreeRatio=40",
)
"""The serial collector needs the least memory beside the heap; the heap grows only as needed, and shrinks again."""
JVM_EXITS_ON_OUT_OF_MEMORY = "-XX:+ExitOnOutOfMemoryError"
"""A JVM without memory ends, and Docker restarts it, instead of going on with threads that have died."""
JVM_DUMPS_NO_HEAP = "-XX:-HeapDumpOnOutOfMemoryError"
"""The official images write the whole heap, with documents and logins, to the disk each time."""
GO_MEMORY_SHARE = 0.9
"""Share of a container's memory limit above which a Go program collects its garbage at once."""
INTERVAL_SECONDS = 30
"""The time between two health checks. Each starts processes in the container, which cost more than the check itself."""
TIMEOUT_SECONDS = 8
"""Timeout of a health check. Docker's own is longer, so that the script can count a check that timed out."""
FAILED_CHECKS = 4
"""Failed health checks in a row before a service is restarted: within two and a half minutes if they time out, within
two if they fail at once. No garbage collection takes that long, and on an overloaded machine one check in two minutes
succeeds."""
HUNG_GRACE_SECONDS = 15
"""The time between SIGTERM and SIGKILL for a service whose health check failed. Most of them hang, and never end by
themselves. Each recovers from a SIGKILL."""
EXIT_NOT_READY = 75
"""Exit code of a health check (EX_TEMPFAIL): not ready, and a restart would not help, for example while another service
is unavailable."""

CURL_HTTP_ERROR = 22
CURL_REFUSES_CERTIFICATE = 60
"""The server has answered the TLS handshake, with a certificate that is not valid: expired, say, or not yet valid."""
CURL_CANNOT_READ_AUTHORITY = 77


def http_check(url: str) -> list[str]:
    """A health check by HTTP. A service that answers with an HTTP error is alive, and so is one whose certificate does
    not fit the clock: a restart corrects neither."""
    return curl_check(f"'{url}'")


def curl_check(arguments: str) -> list[str]:
    """The same with curl's own arguments, such as -K with a file that has the URL and a login."""
    curl = f"curl -fsS -o /dev/null {arguments}"
    not_ready = f"{CURL_HTTP_ERROR} | {CURL_REFUSES_CERTIFICATE} | {CURL_CANNOT_READ_AUTHORITY}"
    return ["sh", "-c", f"{curl}; code=$?; case $code in {not_ready}) exit {EXIT_NOT_READY} ;; esac; exit $code"]


def go_memory_limit(memory_mib: int) -> dict[str, str]:
    """The environment of a Go program in a container with this memory limit."""
    return {"GOMEMLIMIT": f"{memory_mib * GO_MEMORY_SHARE:.0f}MiB"}


@dataclass(frozen=True)
class Volumes:
    """The stack's Docker volumes by name, and the resource that gives their files to the services' users."""

    volumes: Mapping[str, docker.Volume]
    owners: VolumeOwners


@dataclass(frozen=True)
class Deployment:
    """The context of a deployment, which all services of the stack share."""

    stack: str
    settings: Settings
    images: Images
    networks: Mapping[str, docker.Network]
    """The stack's networks by name: MAIN_NETWORK, and those of services that need to reach few others."""
    credentials: Credentials
    certificates: Certificates
    volumes: Volumes
    services: list[Service] = field(default_factory=list)
    """The services declared so far. Each adds itself; Prometheus's targets and the stack's outputs follow from them."""

    @property
    def strict(self) -> bool:
        """Whether reading needs a login too, and Elasticsearch uses TLS."""
        return self.settings.security == "strict"

    def password(self, login: str) -> pulumi.Output[str]:
        """The generated password of a login of infra/logins.py, a secret."""
        return self.credentials.password(login)

    @property
    def prefix(self) -> str:
        """The prefix of the names of everything that the stack has on the Docker host."""
        return stack_prefix(self.stack)

    def host_port(self, setting: int) -> int:
        """The host port for a port setting's value, with the stack's port offset added."""
        return setting + self.settings.port_offset_of(self.stack)


@dataclass(frozen=True)
class HealthCheck:
    """A readiness and liveness check: a command in the container that succeeds once the service itself answers, and how
    long a start may take.

    A service whose check fails for two minutes, before its first success for SLOW_START_FACTOR times the start timeout,
    is restarted (files/health_check.sh), unless the exit code is EXIT_NOT_READY.
    """

    command: Sequence[str]
    start_timeout_seconds: int


@dataclass(frozen=True)
class ScrapeEndpoint:
    """Metrics that Prometheus scrapes: the scrape job's name, the port in the container, the metrics path, and, where
    the endpoint needs one, the login (a key of infra/logins.py)."""

    job: str
    port: int
    path: str = "/metrics"
    login: str | None = None


GROUP_ONLY = "0640"
"""Permissions of a file with a secret, for a service whose group is 0, as the file's."""


@dataclass(frozen=True)
class ConfigFile:
    """A configuration file that is uploaded to `path` in the container: owned by root, by default readable by all."""

    path: str
    content: pulumi.Input[str]
    permissions: str | None = None


@dataclass(frozen=True)
class Mount:
    """A volume (of infra/users.py) mounted at a directory of the container."""

    volume: str
    path: str


@dataclass(frozen=True)
class ContainerSpec:
    """The container settings of a service; `Service` adds those that all containers have."""

    image: str
    user: str
    memory_mib: int
    """The container's memory limit, without swap (Compose's `mem_limit`): the OOM killer enforces it."""
    health: HealthCheck
    command: Sequence[pulumi.Input[str]] | None = None
    entrypoint: Sequence[str] | None = None
    """In place of the image's own."""
    environment: Mapping[str, pulumi.Input[str]] = field(default_factory=dict)
    ports: Mapping[int, int] = field(default_factory=dict)
    """Published ports: the container's port → the value of the host port's setting."""
    scrape_endpoints: Sequence[ScrapeEndpoint] = ()
    files: Sequence[ConfigFile] = ()
    mounts: Sequence[Mount] = ()
    networks: Sequence[str] = (MAIN_NETWORK,)
    """The networks on which the service is reachable, and reaches others."""
    grace_seconds: int = 10
    """Graceful shutdown: the time between SIGTERM and SIGKILL."""
    tmp_mib: int = 64
    cpu_shares: int | None = None
    """The container's weight where processor time is short. None: 1024, Docker's default."""


class Service(pulumi.ComponentResource):
    """A service of the stack: one container, reachable under the service's name on its networks.

    The container is created once the services in `depends_on` are healthy and the resources in `provisioned` exist.
    `ready` is the health gate: the resource to depend on, created once the service's own health check succeeds.
    """

    def __init__(
        self,
        deployment: Deployment,
        name: str,
        spec: ContainerSpec,
        depends_on: Sequence[Service] = (),
        provisioned: Sequence[pulumi.Resource] = (),
    ) -> None:
        super().__init__(f"{PROJECT}:services:{type(self).__name__}", name, {})
        self.name = name
        self.deployment = deployment
        self.scrape_endpoints = spec.scrape_endpoints
        self.host_ports = {inside: deployment.host_port(setting) for inside, setting in spec.ports.items()}
        self.networks = [deployment.networks[network].name for network in spec.networks]
        self.container_name = container_name(deployment.stack, name)
        needed = [*(service.ready for service in depends_on), *provisioned]
        self.container = self._declare_container(spec, needed)
        self.ready: HealthGate = HealthGate(
            f"{name}-healthy",
            container=self.container_name,
            container_id=self.container.id,
            check=spec.health.command,
            timeout_seconds=spec.health.start_timeout_seconds,
            opts=pulumi.ResourceOptions(parent=self, deleted_with=self.container),
        )
        deployment.services.append(self)
        self.register_outputs({"container": self.container.name})

    def _declare_container(self, spec: ContainerSpec, depends_on: Sequence[pulumi.Resource]) -> docker.Container:
        deployment = self.deployment
        files = [ConfigFile(HEALTH_CHECK_SCRIPT, file_text("health_check.sh")), *spec.files]
        return docker.Container(
            self.name,
            name=self.container_name,
            hostname=self.name,
            image=deployment.images.id_of(spec.image),
            command=spec.command,
            entrypoints=spec.entrypoint,
            envs=[pulumi.Output.concat(key, "=", value) for key, value in sorted(spec.environment.items())],
            user=spec.user,
            init=True,  # the health check can end any process but PID 1
            capabilities=docker.ContainerCapabilitiesArgs(drops=["ALL"]),  # Compose's cap_drop
            security_opts=["no-new-privileges"],
            memory=spec.memory_mib,
            memory_swap=spec.memory_mib,
            cpu_shares=spec.cpu_shares,
            # JVMs unpack and map native libraries in /tmp, which Docker's default for tmpfs, noexec, forbids.
            tmpfs={"/tmp": f"exec,size={spec.tmp_mib}m"},
            ulimits=ULIMITS,
            dns_opts=DNS_OPTIONS,
            dns_searches=DNS_SEARCH,
            network_mode=self.networks[0],
            networks_advanced=[
                docker.ContainerNetworksAdvancedArgs(name=network, aliases=[self.name]) for network in self.networks
            ],
            ports=[
                docker.ContainerPortArgs(internal=inside, external=outside, ip=HOST_ADDRESS)
                for inside, outside in sorted(self.host_ports.items())
            ],
            uploads=[
                docker.ContainerUploadArgs(file=file.path, content=file.content, permissions=file.permissions)
                for file in files
            ],
            volumes=[
                docker.ContainerVolumeArgs(
                    volume_name=deployment.volumes.volumes[mount.volume].name, container_path=mount.path
                )
                for mount in spec.mounts
            ],
            healthcheck=docker.ContainerHealthcheckArgs(
                tests=["CMD", *_with_restart(spec.health)],
                interval=_duration(INTERVAL_SECONDS),
                timeout=_duration(2 * TIMEOUT_SECONDS),
                retries=2,
                start_period=_duration(spec.health.start_timeout_seconds),
            ),
            # After a crash of the Docker daemon too, at whose restart `unless-stopped` leaves every container stopped.
            restart="always",
            destroy_grace_seconds=spec.grace_seconds,
            stop_timeout=spec.grace_seconds,
            log_driver=LOG_DRIVER,
            log_opts=LOG_OPTIONS,
            labels=[
                docker.ContainerLabelArgs(label=label, value=value)
                for label, value in {
                    **container_labels(deployment.stack, self.name),
                    IMAGE_SOURCE_LABEL: deployment.images.source.kind,
                    # Replaces the container if they change.
                    LIMITS_LABEL: json.dumps({"logOpts": LOG_OPTIONS, "ulimits": ULIMITS}),
                }.items()
            ],
            opts=pulumi.ResourceOptions(
                parent=self,
                depends_on=[*depends_on, *([deployment.volumes.owners] if spec.mounts else [])],
                delete_before_replace=True,  # the old container holds the name and the host ports
                # A container whose creation failed half-way would only be started, without its files.
                replace_on_changes=["#initerror"],
                # The engine adds its defaults (daemon.json) to the options that the provider then reads.
                ignore_changes=["logOpts", "ulimits"],
            ),
        )

    def url(self, port: int) -> str:
        """The host's URL for the container's HTTP `port`."""
        return f"http://{HOST_ADDRESS}:{self.host_ports[port]}"

    def addresses(self) -> dict[str, str]:
        """The published ports: the container's port → host:port on the Docker host."""
        return {str(inside): f"{HOST_ADDRESS}:{outside}" for inside, outside in self.host_ports.items()}


def declare_network(stack: str, name: str) -> docker.Network:
    """A Docker network of the stack, in a subnet that the engine chooses."""
    main = name == MAIN_NETWORK
    return docker.Network(
        "network" if main else f"{name}-network",
        name=stack_prefix(stack) if main else f"{stack_prefix(stack)}-{name}",
        labels=[docker.NetworkLabelArgs(label=STACK_LABEL, value=stack)],
        opts=pulumi.ResourceOptions(
            # An engine refuses a second network of the name; an older one creates it, and no container would use it.
            delete_before_replace=True,
            # The engine enables IPv6 if its daemon.json has it in default-network-opts; the provider then reads it.
            ignore_changes=["ipv6"],
        ),
    )


def yaml_text(values: Mapping[str, Any]) -> pulumi.Output[str]:
    """A YAML file's text of nested values, among them outputs. A secret if one of them is."""
    return pulumi.Output.from_input(values).apply(lambda known: yaml.safe_dump(known, sort_keys=False))


def declare_volumes(stack: str, images: Images, credentials: Credentials, users: Mapping[str, str]) -> Volumes:
    """The stack's Docker volumes: the files of each belong to its user (uid:gid).

    Without `protect` and `retain_on_delete`: `pulumi destroy` deletes the data, unless volumes are excluded.
    """
    volumes = {
        name: docker.Volume(
            name,
            name=f"{stack_prefix(stack)}-{name}",
            labels=[docker.VolumeLabelArgs(label=STACK_LABEL, value=stack)],
            opts=pulumi.ResourceOptions(
                # `pulumi destroy --exclude` keeps what the excluded resources depend on. Without its passwords,
                # Cassandra's data cannot be read again.
                depends_on=[credentials],
                # Otherwise `pulumi up --replace` would adopt the volume as its own replacement and then delete it.
                delete_before_replace=True,
                # Docker cannot change the labels of a volume: it would be replaced, without its data.
                ignore_changes=["labels"],
            ),
        )
        for name in users
    }
    # Any image that has chown, also where a service's is the official one.
    owners = VolumeOwners(
        stack,
        {f"{stack_prefix(stack)}-{name}": user for name, user in users.items()},
        images.id_of("java"),
        # A replaced volume has another owner again, and the same name: its properties do not show it.
        pulumi.ResourceOptions(depends_on=list(volumes.values()), replace_with=list(volumes.values())),
    )
    return Volumes(volumes, owners)


def _with_restart(health: HealthCheck) -> list[str]:
    """The health check, run by the script that restarts a service that no longer serves."""
    # One more: the health gate reports a service that does not start before this script restarts it.
    start_checks = SLOW_START_FACTOR * health.start_timeout_seconds // INTERVAL_SECONDS + 1
    numbers = (TIMEOUT_SECONDS, HUNG_GRACE_SECONDS, FAILED_CHECKS, start_checks)
    return ["sh", HEALTH_CHECK_SCRIPT, *map(str, numbers), *health.command]


def _duration(seconds: int) -> str:
    """A duration in the form the engine reports (90 s as 1m30s): any other form would be a diff at every `up`."""
    minutes, seconds = divmod(seconds, 60)
    return f"{minutes}m{seconds}s" if minutes else f"{seconds}s"
