"""The base image of all built images as a Pulumi resource: a Dockerfile needs a first image to build on."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pulumi
from docker.errors import ImageNotFound
from pulumi.dynamic import CreateResult, DiffResult, ReadResult, Resource, ResourceProvider

import infra.provisioning.preload  # noqa: F401
from infra.clients.docker_engine import connect

SCRIPT = Path(__file__).parents[1] / "images" / "base" / "build.sh"
LOG_LINES = 15


class _Provider(ResourceProvider):
    def create(self, props: dict[str, Any]) -> CreateResult:
        if not _exists(props):
            _build(props)
        return CreateResult(props["name"], props)

    def read(self, id_: str, props: dict[str, Any]) -> ReadResult:
        return ReadResult(id_, props) if _exists(props) else ReadResult(None, {})

    def diff(self, id_: str, old: dict[str, Any], new: dict[str, Any]) -> DiffResult:
        return DiffResult(changes=old["name"] != new["name"], replaces=["name"])

    # No delete: the image is a cache that other stacks may use.


class BaseImage(Resource, module="image", name="BaseImage"):
    """An image built by base/build.sh, unless the engine already has one of this name. The name has a content hash."""

    name: pulumi.Output[str]

    def __init__(self, name: str, opts: pulumi.ResourceOptions) -> None:
        super().__init__(_Provider(), "base", {"name": name}, opts)


def _exists(props: dict[str, Any]) -> bool:
    try:
        connect().images.get(props["name"])
    except ImageNotFound:
        return False
    return True


def _build(props: dict[str, Any]) -> None:
    run = subprocess.run(
        [str(SCRIPT), props["name"]],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    if run.returncode:
        tail = "\n".join(run.stdout.splitlines()[-LOG_LINES:])
        raise RuntimeError(f"{SCRIPT.name} failed with exit code {run.returncode}; last lines of its output:\n{tail}")
