"""The image source: pull official images from a registry, or build all images from package registries."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

import docker
import pulumi
from docker.errors import APIError, DockerException, ImageNotFound
from requests.exceptions import RequestException

from infra import versions
from infra.clients.docker_engine import connect, credentials_problem, stack_containers
from infra.names import IMAGE_SOURCE_LABEL
from infra.settings import Settings

Kind = Literal["registry", "build"]

PROBE_SECONDS = 15
"""Timeout after which a registry counts as unreachable."""
# The engine reports a registry's answer with its status, or with its text and status 500.
RATE_LIMIT_STATUS = 429
RATE_LIMIT_TEXT = re.compile("toomanyrequests|Too Many Requests")
REFUSED_STATUS = (401, 403)
REFUSED_TEXT = re.compile(r"\b(unauthorized|denied): |no basic auth credentials|Proxy Authentication Required")


class RegistryError(pulumi.RunError):
    """A registry answers, but refuses access: a login is missing or wrong, or a rate limit is reached."""

    def __init__(self, reference: str, answer: str, rate_limited: bool) -> None:
        super().__init__(
            f"the registry of {reference} refuses access ({answer}): "
            + ("wait, or " if rate_limited else "")
            + "`docker login` with an account that may pull it, or set lolstack:registryMirror, or set "
            "lolstack:imageSource to build"
        )
        self.rate_limited = rate_limited


class CredentialsError(pulumi.RunError):
    """The login of a registry cannot be read from Docker's configuration or its credential helper."""


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

    def why_not(self, service: str) -> str | None:
        """Why this source cannot have the image of `service`, for the log and the outputs; None if it has it.

        A stack can do without the service, so that a registry's refusal is a reason too. A rate limit is not: it would
        remove a service that was there. Neither is a missing credential helper.
        """
        if self.kind == "build":
            built = service in versions.BUILT_IMAGES
            return None if built else "images are built from package registries, which do not have it"
        try:
            return _unavailable(connect(timeout=PROBE_SECONDS), self.reference(service))
        except RegistryError as error:
            if error.rate_limited:
                raise
            return str(error)


def choose_image_source(settings: Settings, stack: str) -> Source:
    """Choose the source for `stack`. `auto`: that of its existing containers, else the registry if it has all images.

    Raises RegistryError if a registry refuses access. To build instead would be for good: a stack keeps its source.
    """
    if settings.image_source != "auto":
        return Source(settings.image_source, "set by imageSource", settings)
    client = connect(timeout=PROBE_SECONDS)
    for container in stack_containers(client, stack):
        match container.labels.get(IMAGE_SOURCE_LABEL):
            case "registry":
                return Source("registry", "as in the running stack", settings)
            case "build":
                return Source("build", "as in the running stack", settings)
    registry = Source("registry", "all official images are available", settings)
    for service in ("base", *versions.BUILT_IMAGES):
        try:
            reason = _unavailable(client, registry.reference(service))
        except CredentialsError as error:  # without a login no registry is asked, and builds need none
            reason = str(error)
        if reason:
            return Source("build", reason, settings)
    return registry


def mirrored(reference: str, mirror: str) -> str:
    """The reference at the mirror: its host replaces the registry's; Docker Hub's own images are under library/."""
    if not mirror:
        return reference
    host, _, rest = reference.partition("/")
    if rest and ("." in host or ":" in host):
        return f"{mirror}/{rest}"
    return f"{mirror}/{reference}" if rest else f"{mirror}/library/{reference}"


def _unavailable(client: docker.DockerClient, reference: str) -> str | None:
    """Why the engine cannot have the image; None if it is on this machine or in its registry. Raises RegistryError or
    CredentialsError."""
    try:
        client.images.get(reference)
    except ImageNotFound:
        pass
    else:
        return None
    # Through the engine, which will also pull: it has its own proxies and mirrors. With the logins of `docker login`.
    try:
        client.images.get_registry_data(reference)
    except APIError as error:
        text = error.explanation or str(error)
        rate_limited = error.status_code == RATE_LIMIT_STATUS or RATE_LIMIT_TEXT.search(text) is not None
        if rate_limited or error.status_code in REFUSED_STATUS or REFUSED_TEXT.search(text):
            raise RegistryError(reference, text, rate_limited) from error
        return f"{reference} is not available: {text}"
    except RequestException as error:
        return f"{reference} is not available: {error}"
    except DockerException as error:
        raise CredentialsError(credentials_problem(reference, error)) from error
    return None
