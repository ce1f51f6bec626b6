"""The Docker engine, asked directly: what Pulumi's provider has no resource for."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from typing import TYPE_CHECKING

import docker
from docker.errors import DockerException

if TYPE_CHECKING:
    from docker.models.containers import Container

STACK_LABEL = "lolstack.stack"
SERVICE_LABEL = "lolstack.service"
IMAGE_SOURCE_LABEL = "lolstack.image-source"
EXECUTE_SECONDS = 30


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


def execute(container: str, command: Sequence[str], docker_host: str = "") -> tuple[int, str]:
    """Exit code and output of `command` inside a running container; that of timeout(1) after half a minute.

    By Docker's own client: docker-py can lose an output's beginning (https://github.com/docker/docker-py/issues/425).
    """
    try:
        done = subprocess.run(
            ["docker", "exec", container, *command],
            env=environment(docker_host),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            timeout=EXECUTE_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return 124, f"no answer in {EXECUTE_SECONDS} s"
    return done.returncode, done.stdout.strip()


def environment(docker_host: str) -> dict[str, str]:
    """This process's environment, for Docker's own client to find the engine at `docker_host` (empty: as usual)."""
    return os.environ | ({"DOCKER_HOST": docker_host} if docker_host else {})


def stack_containers(client: docker.DockerClient, stack: str) -> list[Container]:
    """The containers of `stack`, running or not."""
    return client.containers.list(all=True, filters={"label": f"{STACK_LABEL}={stack}"})
