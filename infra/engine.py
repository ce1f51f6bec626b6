"""The Docker engine, asked directly: what Pulumi's provider has no resource for."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

import docker
from docker.errors import DockerException

if TYPE_CHECKING:
    from docker.models.containers import Container

STACK_LABEL = "lolstack.stack"
SERVICE_LABEL = "lolstack.service"
IMAGE_SOURCE_LABEL = "lolstack.image-source"


class EngineError(Exception):
    """The Docker engine cannot be reached, or refuses."""


def connect(docker_host: str, timeout: int = 30) -> docker.DockerClient:
    """A client of the engine at `docker_host` (empty: DOCKER_HOST, else the local one); `timeout` in seconds a call.

    Raises EngineError saying where it looked.
    """
    host = docker_host or os.environ.get("DOCKER_HOST", "unix:///var/run/docker.sock")
    try:
        client = docker.DockerClient(base_url=host, timeout=timeout)
    except DockerException as error:
        raise EngineError(
            f"no Docker engine answers at {host} ({error}): start it, or `make setup`, or set lolstack:dockerHost"
        ) from error
    return client


def execute(container: Container, command: Sequence[str]) -> tuple[int, str]:
    """Exit code and output of `command` inside a running container."""
    result = container.exec_run(list(command))
    assert isinstance(result.output, bytes)
    return result.exit_code or 0, result.output.decode(errors="replace").strip()


def stack_containers(client: docker.DockerClient, stack: str) -> list[Container]:
    """The containers of `stack`, running or not."""
    return client.containers.list(all=True, filters={"label": f"{STACK_LABEL}={stack}"})
