"""The image source: pull official images from a registry, or build all images from package registries."""

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
"""Timeout after which a registry counts as unreachable."""


@dataclass(frozen=True)
class Source:
    """The source of a stack's images. `reason` is for the log."""

    kind: Kind
    reason: str
    settings: Settings

    def reference(self, service: str) -> str:
        """The reference to pull for `service`: from the setting `images`, else the official one through the mirror."""
        return self.settings.images.get(service) or mirrored(
            versions.OFFICIAL_IMAGES[service], self.settings.registry_mirror
        )

    def official(self) -> frozenset[str]:
        """The names of the images that this source pulls instead of building."""
        return frozenset(versions.OFFICIAL_IMAGES) if self.kind == "registry" else frozenset()

    def has(self, service: str) -> bool:
        """Whether this source has the image of `service`: it can be built, or is on this machine or in the registry."""
        if self.kind == "build":
            return service in versions.BUILT_IMAGES
        client = connect(timeout=PROBE_SECONDS)
        reference = self.reference(service)
        try:
            client.images.get(reference)
        except ImageNotFound:
            return _is_in_registry(client, reference)
        return True

    def why_not(self, service: str) -> str:
        """Why `has` is false, for the log and the outputs."""
        if self.kind == "build":
            return "images are built from package registries, which do not have it"
        return f"{self.reference(service)} is not available"


def choose_image_source(settings: Settings, stack: str) -> Source:
    """Choose the source for `stack`. `auto`: that of its existing containers, else the registry if it is reachable."""
    if settings.image_source != "auto":
        return Source(settings.image_source, "set by imageSource", settings)
    client = connect(timeout=PROBE_SECONDS)
    for container in stack_containers(client, stack):
        match container.labels.get(IMAGE_SOURCE_LABEL):
            case "registry":
                return Source("registry", "as in the running stack", settings)
            case "build":
                return Source("build", "as in the running stack", settings)
    registry = Source("registry", "", settings)
    reference = registry.reference("kafka")
    if _is_in_registry(client, reference):
        return Source("registry", f"{reference} is available", settings)
    return Source("build", f"no registry has {reference}", settings)


def mirrored(reference: str, mirror: str) -> str:
    """The reference at the mirror: its host replaces the registry's; Docker Hub's own images are under library/."""
    if not mirror:
        return reference
    host, _, rest = reference.partition("/")
    if rest and ("." in host or ":" in host):
        return f"{mirror}/{rest}"
    return f"{mirror}/{reference}" if rest else f"{mirror}/library/{reference}"


def _is_in_registry(client: docker.DockerClient, reference: str) -> bool:
    # Through the engine, which will also pull: it has its own proxies, mirrors and logins.
    try:
        client.images.get_registry_data(reference)
    except (NotFound, APIError, RequestException):
        return False
    return True
