"""The owner of a volume's files as a Pulumi resource.

A new volume takes its owner from the image, and the volume of an earlier version has that version's. Neither is the
user that the service runs as.
"""

from __future__ import annotations

from typing import Any

import pulumi
from docker.errors import ContainerError, NotFound
from docker.models.containers import Container
from pulumi.dynamic import CreateResult, DiffResult, ReadResult, Resource, ResourceProvider, UpdateResult

import infra.provisioning.preload  # noqa: F401
from infra.clients.docker_engine import connect

FOLDER = "/volume"
SCRIPT = f"""
[ -n "$(ls -A {FOLDER})" ] || touch {FOLDER}/.owner  # Docker gives an empty volume the owner of the image's directory
chown -R --no-dereference "$1" {FOLDER}
"""


class VolumeOwnerError(Exception):
    """The owner of a volume's files cannot be changed; the message is the engine's or the command's."""


class _Provider(ResourceProvider):
    def create(self, props: dict[str, Any]) -> CreateResult:
        _change_owner(props)
        return CreateResult(props["volume"], props)

    def read(self, id_: str, props: dict[str, Any]) -> ReadResult:
        return ReadResult(id_, props) if _exists(props["volume"]) else ReadResult(None, {})

    def diff(self, id_: str, old: dict[str, Any], new: dict[str, Any]) -> DiffResult:
        replaces = ["volume"] if old["volume"] != new["volume"] else []
        return DiffResult(changes=bool(replaces) or old["user"] != new["user"], replaces=replaces)

    def update(self, id_: str, old: dict[str, Any], new: dict[str, Any]) -> UpdateResult:
        _change_owner(new)
        return UpdateResult(new)

    # No delete: the volume is deleted with its files.


class VolumeOwner(Resource, module="container", name="VolumeOwner"):
    """Gives all files of a volume to `user` (uid:gid), by a container of `image` that runs `chown` as root.

    Containers that use the volume as another user are stopped first: they could no longer write.
    """

    def __init__(
        self, volume: pulumi.Input[str], user: str, image: pulumi.Input[str], name: str, opts: pulumi.ResourceOptions
    ) -> None:
        super().__init__(_Provider(), name, {"volume": volume, "user": user, "image": image}, opts)


def _change_owner(props: dict[str, Any]) -> None:
    client = connect(timeout=120)  # a service may take a minute to end
    volume, user = props["volume"], props["user"]
    users: list[Container] = client.containers.list(filters={"volume": volume})
    for container in users:
        if container.attrs["Config"]["User"] != user:
            container.stop()
    try:
        client.containers.run(
            props["image"],
            entrypoint=["sh", "-ec", SCRIPT, "sh"],
            command=[user],
            user="0:0",
            cap_drop=["ALL"],
            cap_add=["CHOWN", "DAC_READ_SEARCH"],
            security_opt=["no-new-privileges"],
            network_mode="none",
            read_only=True,
            volumes={volume: {"bind": FOLDER, "mode": "rw"}},
            remove=True,
        )
    except ContainerError as error:
        raise VolumeOwnerError(f"the files of the volume {volume} cannot be given to {user}: {error}") from error


def _exists(volume: str) -> bool:
    try:
        connect().volumes.get(volume)
    except NotFound:
        return False
    return True
