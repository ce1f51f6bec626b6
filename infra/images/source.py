"""The choice between the two sources of images, and where each official image is found."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import docker
from docker.errors import APIError, ImageNotFound, NotFound
from requests.exceptions import RequestException

from infra import versions
from infra.clients.docker_engine import connect, stack_containers
from infra.names import IMAGE_SOURCE_LABEL
from infra.settings import Settings

Kind = Literal["registry", "build"]

PROBE_SECONDS = 15
"""How long a registry may take to answer before it counts as out of reach."""


@dataclass(frozen=True)
class Source:
    """One of the two sources, chosen for a stack. `reason` says why, for people."""

    kind: Kind
    reason: str
    settings: Settings

    def reference(self, service: str) -> str:
        """What to pull for `service`: the setting's reference, else the pinned official one through the mirror."""
        return self.settings.images.get(service) or mirrored(
            versions.OFFICIAL_IMAGES[service], self.settings.registry_mirror
        )

    def official(self) -> frozenset[str]:
        """The names this source pulls instead of building."""
        return frozenset(versions.OFFICIAL_IMAGES) if self.kind == "registry" else frozenset()

    def has(self, service: str) -> bool:
        """Whether `service`'s image can be had from this source: built, on this machine already, or in the registry."""
        if self.kind == "build":
            return service in versions.BUILT_IMAGES
        client = connect(timeout=PROBE_SECONDS)
        reference = self.reference(service)
        try:
            client.images.get(reference)
        except ImageNotFound:
            return _answers(client, reference)
        return True

    def why_not(self, service: str) -> str:
        """For people: why `has` says no."""
        if self.kind == "build":
            return "images are built here from package registries, and none of them has it"
        return f"{self.reference(service)} cannot be had"


def choose(settings: Settings, stack: str) -> Source:
    """The source for `stack`. `auto` keeps what its containers have, else asks a registry for one small image."""
    if settings.image_source != "auto":
        return Source(settings.image_source, "as imageSource says", settings)
    client = connect(timeout=PROBE_SECONDS)
    for container in stack_containers(client, stack):
        match container.labels.get(IMAGE_SOURCE_LABEL):
            case "registry":
                return Source("registry", "as the running stack's", settings)
            case "build":
                return Source("build", "as the running stack's", settings)
    registry = Source("registry", "", settings)
    reference = registry.reference("kafka")
    if _answers(client, reference):
        return Source("registry", f"{reference} can be had", settings)
    return Source("build", f"no registry answers for {reference}", settings)


def mirrored(reference: str, mirror: str) -> str:
    """`reference` as the mirror names it: the registry's host replaced, Docker's own images under library/."""
    if not mirror:
        return reference
    host, _, rest = reference.partition("/")
    if rest and ("." in host or ":" in host):
        return f"{mirror}/{rest}"
    return f"{mirror}/{reference}" if rest else f"{mirror}/library/{reference}"


def _answers(client: docker.DockerClient, reference: str) -> bool:
    # The engine is asked, not this process: it is the engine that will pull, with its own proxies, mirrors and logins.
    try:
        client.images.get_registry_data(reference)
    except (NotFound, APIError, RequestException):
        return False
    return True
