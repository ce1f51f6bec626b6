"""The one place that knows how a container is run here: hardening, limits, health gate, ports, labels, logs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import pulumi
import pulumi_docker as docker

from infra.images import Images
from infra.names import IMAGE_SOURCE_LABEL, PROJECT, SERVICE_LABEL, STACK_LABEL
from infra.provisioning.health_gate import HealthGate
from infra.settings import Settings


@dataclass(frozen=True)
class Deployment:
    """What every service of one stack shares."""

    stack: str
    settings: Settings
    images: Images
    network: docker.Network

    @property
    def name(self) -> str:
        """The prefix of everything the stack has on the Docker host."""
        return f"{PROJECT}-{self.stack}"

    def host_port(self, base: int) -> int:
        """The host's port for the setting's value `base`."""
        return base + self.settings.offset(self.stack)


@dataclass(frozen=True)
class HealthCheck:
    """A command that asks the service itself, and how long the service may take to answer it well."""

    command: Sequence[str]
    limit_seconds: int
    interval_seconds: int = 10
    timeout_seconds: int = 8
    retries: int = 3


@dataclass(frozen=True)
class File:
    """A configuration file that the container finds at `path`: root's, readable by all."""

    path: str
    content: pulumi.Input[str]


@dataclass(frozen=True)
class Mount:
    """A volume at a directory of the container. The image makes that directory with the owner the service needs."""

    volume: docker.Volume
    path: str


@dataclass(frozen=True)
class Container:
    """What a service's container runs, and what it needs. Everything else is the same for all of them."""

    image: str
    user: str
    memory_mib: int
    health: HealthCheck
    command: Sequence[pulumi.Input[str]] | None = None
    environment: Mapping[str, pulumi.Input[str]] = field(default_factory=dict)
    ports: Mapping[int, int] = field(default_factory=dict)
    """The container's port → the host's setting."""
    files: Sequence[File] = ()
    mounts: Sequence[Mount] = ()
    grace_seconds: int = 10
    """How long it may take to stop after SIGTERM."""
    tmp_mib: int = 64
    cpu_shares: int | None = None
    """Its claim to processor time where that is short; the others have 1024, Docker's own default."""
    init: bool = False
    """Whether PID 1 must be an init: where the image has none and the process starts others."""


class Service(pulumi.ComponentResource):
    """A service of the stack: one container on the stack's network, reachable there under the service's name.

    It starts when the services `after` which it comes are healthy and what it needs is `provisioned`. `ready` is the
    resource to depend on: it exists once the service's own health check has passed.
    """

    def __init__(
        self,
        deployment: Deployment,
        name: str,
        container: Container,
        after: Sequence[Service] = (),
        provisioned: Sequence[pulumi.Resource] = (),
    ) -> None:
        super().__init__(f"{PROJECT}:services:{type(self).__name__}", name, {})
        self.name = name
        self.deployment = deployment
        self.host_ports = {inside: deployment.host_port(base) for inside, base in container.ports.items()}
        self.container = docker.Container(
            name,
            name=f"{deployment.name}-{name}",
            hostname=name,
            image=deployment.images.id_of(container.image),
            command=container.command,
            envs=[pulumi.Output.concat(key, "=", value) for key, value in sorted(container.environment.items())],
            user=container.user,
            init=container.init,
            capabilities=docker.ContainerCapabilitiesArgs(drops=["ALL"]),
            security_opts=["no-new-privileges"],
            memory=container.memory_mib,
            memory_swap=container.memory_mib,
            cpu_shares=container.cpu_shares,
            # The JVMs unpack and map native libraries here, which Docker's default for tmpfs, noexec, forbids.
            tmpfs={"/tmp": f"exec,size={container.tmp_mib}m"},
            network_mode=deployment.network.name,
            networks_advanced=[docker.ContainerNetworksAdvancedArgs(name=deployment.network.name, aliases=[name])],
            ports=[
                docker.ContainerPortArgs(internal=inside, external=outside, ip="127.0.0.1")
                for inside, outside in sorted(self.host_ports.items())
            ],
            uploads=[docker.ContainerUploadArgs(file=file.path, content=file.content) for file in container.files],
            volumes=[
                docker.ContainerVolumeArgs(volume_name=mount.volume.name, container_path=mount.path)
                for mount in container.mounts
            ],
            healthcheck=docker.ContainerHealthcheckArgs(
                tests=["CMD", *container.health.command],
                interval=_duration(container.health.interval_seconds),
                timeout=_duration(container.health.timeout_seconds),
                retries=container.health.retries,
                start_period=_duration(container.health.limit_seconds),
            ),
            restart="unless-stopped",
            destroy_grace_seconds=container.grace_seconds,
            stop_timeout=container.grace_seconds,
            log_driver="json-file",
            log_opts={"max-size": "10m", "max-file": "3"},
            labels=[
                docker.ContainerLabelArgs(label=label, value=value)
                for label, value in (
                    (STACK_LABEL, deployment.stack),
                    (SERVICE_LABEL, name),
                    (IMAGE_SOURCE_LABEL, deployment.images.source.kind),
                )
            ],
            opts=pulumi.ResourceOptions(
                parent=self,
                depends_on=[*(service.ready for service in after), *provisioned],
                delete_before_replace=True,  # its name and ports are taken until it is gone
            ),
        )
        self.ready: HealthGate = HealthGate(
            f"{name}-healthy",
            container=f"{deployment.name}-{name}",
            container_id=self.container.id,
            check=container.health.command,
            limit_seconds=container.health.limit_seconds,
            opts=pulumi.ResourceOptions(parent=self, deleted_with=self.container),
        )
        self.register_outputs({"container": self.container.name})

    def url(self, port: int) -> str:
        """Where the container's HTTP `port` is on the host."""
        return f"http://localhost:{self.host_ports[port]}"

    def addresses(self) -> dict[str, str]:
        """Where its ports are on the host, by the port in the container."""
        return {str(inside): f"localhost:{outside}" for inside, outside in self.host_ports.items()}


def volume(deployment: Deployment, name: str) -> docker.Volume:
    """A volume of the stack."""
    return docker.Volume(
        name,
        name=f"{deployment.name}-{name}",
        labels=[docker.VolumeLabelArgs(label=STACK_LABEL, value=deployment.stack)],
    )


def _duration(seconds: int) -> str:
    """As the engine writes it back (90 s is 1m30s): any other form differs from the state at every `up`."""
    minutes, seconds = divmod(seconds, 60)
    return f"{minutes}m{seconds}s" if minutes else f"{seconds}s"
