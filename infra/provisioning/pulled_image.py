"""An image pulled from a registry as a Pulumi resource.

Docker's provider for Pulumi has such a resource too. It discards the errors in a pull's progress (a rate limit, a
missing tag, a full disk) and does not use the credentials of `docker login`.
"""

from __future__ import annotations

from typing import Any

import pulumi
from docker.errors import APIError, DockerException, ImageNotFound
from pulumi.dynamic import CreateResult, DiffResult, ReadResult, Resource, ResourceProvider
from requests.exceptions import RequestException

import infra.provisioning.preload  # noqa: F401
from infra.clients.docker_engine import connect, credentials_problem


class PullError(Exception):
    """The engine cannot pull the image; the message is the registry's or the engine's."""


class _Provider(ResourceProvider):
    def create(self, props: dict[str, Any]) -> CreateResult:
        image_id = _local_id(props["name"]) or _pull(props["name"])
        return CreateResult(props["name"], props | {"image_id": image_id})

    def read(self, id_: str, props: dict[str, Any]) -> ReadResult:
        image_id = _local_id(props["name"])
        return ReadResult(id_, props | {"image_id": image_id}) if image_id else ReadResult(None, {})

    def diff(self, id_: str, old: dict[str, Any], new: dict[str, Any]) -> DiffResult:
        return DiffResult(changes=old["name"] != new["name"], replaces=["name"])

    # No delete: the image is a cache that other stacks may use.


class PulledImage(Resource, module="image", name="PulledImage"):
    """The image `reference`, pulled by the engine with the credentials of `docker login` unless it has the image."""

    name: pulumi.Output[str]
    image_id: pulumi.Output[str]

    def __init__(self, name: str, reference: str, opts: pulumi.ResourceOptions) -> None:
        super().__init__(_Provider(), name, {"name": reference, "image_id": None}, opts)


def _local_id(reference: str) -> str | None:
    try:
        return str(connect().images.get(reference).id)
    except ImageNotFound:
        return None


def _pull(reference: str) -> str:
    """Pull the image and return its id. Raises PullError with the first error of the pull's progress."""
    client = connect()
    try:
        for progress in client.api.pull(reference, stream=True, decode=True):
            if "error" in progress:
                raise PullError(f"{reference} cannot be pulled: {progress['error']}")
    except APIError as error:
        raise PullError(f"{reference} cannot be pulled: {error.explanation or error}") from error
    except RequestException as error:
        raise PullError(f"{reference} cannot be pulled: {error}") from error
    except DockerException as error:
        raise PullError(credentials_problem(reference, error)) from error
    return str(client.images.get(reference).id)
