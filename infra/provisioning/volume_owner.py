"""The owners of the volumes' files as one Pulumi resource.

A new volume takes its owner from the image, and the volume of an earlier version has that version's. Neither is the
user that the service runs as.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import pulumi
from docker.errors import ContainerError, NotFound
from docker.models.containers import Container
from docker.types import LogConfig
from pulumi.dynamic import CreateResult, DiffResult, ReadResult, Resource, ResourceProvider, UpdateResult

import infra.provisioning.preload  # noqa: F401
from infra.clients.docker_engine import connect
from infra.names import LOG_DRIVER, LOG_OPTIONS, VOLUME_OWNERS, container_labels, container_name

FOLDER = "/volumes"
SCRIPT = """
for owner in "$@"; do
    user=${owner%%=*} folder=${owner#*=}
    # Docker gives an empty volume the owner of the image's directory. Root, without further capabilities, creates files
    # in its own folders only.
    [ -n "$(ls -A "$folder")" ] || { chown 0:0 "$folder" && touch "$folder/.owner"; }
    # chown changes a folder after its files: with the right owner, it is finished. Services may use the folder then,
    # and a file that vanishes meanwhile would be an error.
    [ "$(stat -c %u:%g "$folder")" = "$user" ] || chown -R --no-dereference "$user" "$folder"
done
"""


class VolumeOwnerError(Exception):
    """The owner of a volume's files cannot be changed; the message is the engine's or the command's."""


class _Provider(ResourceProvider):
    def create(self, props: dict[str, Any]) -> CreateResult:
        _change_owners(props["stack"], props["users"], props["image"])
        return CreateResult("changed", props)

    def read(self, id_: str, props: dict[str, Any]) -> ReadResult:
        # Without `users`: of an earlier version, which had a resource for each volume. That one is forgotten.
        users = {name: user for name, user in props.get("users", {}).items() if _exists(name)}
        return ReadResult(id_, props | {"users": users}) if users else ReadResult(None, {})

    def diff(self, id_: str, old: dict[str, Any], new: dict[str, Any]) -> DiffResult:
        return DiffResult(changes=old["users"] != new["users"])

    def update(self, id_: str, old: dict[str, Any], new: dict[str, Any]) -> UpdateResult:
        changed = {name: user for name, user in new["users"].items() if old["users"].get(name) != user}
        if changed:
            _change_owners(new["stack"], changed, new["image"])
        return UpdateResult(new)

    # No delete: the volumes are deleted with their files.


class VolumeOwners(Resource, module="container", name="VolumeOwners"):
    """Gives all files of each volume in `users` to its user (uid:gid), by one container of `image` that runs `chown` as
    root. A container for each would take seconds. It has the label of `stack`.

    Containers that use a volume as another user are stopped first: they could no longer write.
    """

    def __init__(
        self, stack: str, users: pulumi.Input[Mapping[str, str]], image: pulumi.Input[str], opts: pulumi.ResourceOptions
    ) -> None:
        super().__init__(_Provider(), VOLUME_OWNERS, {"stack": stack, "users": users, "image": image}, opts)


def _change_owners(stack: str, users: Mapping[str, str], image: str) -> None:
    client = connect(timeout=120)  # a service may take a minute to end
    name = container_name(stack, VOLUME_OWNERS)
    with suppress(NotFound):  # a deployment that was killed has left it
        client.containers.get(name).remove(force=True)
    for volume, user in users.items():
        containers: list[Container] = client.containers.list(filters={"volume": volume}, ignore_removed=True)
        for container in containers:
            if container.attrs["Config"]["User"] != user:
                container.stop()
    try:
        client.containers.run(
            image,
            name=name,
            labels=container_labels(stack, VOLUME_OWNERS),
            entrypoint=["sh", "-ec", SCRIPT, "sh"],
            command=[f"{user}={FOLDER}/{volume}" for volume, user in users.items()],
            user="0:0",
            cap_drop=["ALL"],
            cap_add=["CHOWN", "DAC_READ_SEARCH"],
            security_opt=["no-new-privileges"],
            network_mode="none",
            read_only=True,
            volumes={volume: {"bind": f"{FOLDER}/{volume}", "mode": "rw"} for volume in users},
            remove=True,
            log_config=LogConfig(type=LOG_DRIVER, config=LOG_OPTIONS),
        )
    except ContainerError as error:
        raise VolumeOwnerError(f"the files of volumes cannot be given to the services' users: {error}") from error


def _exists(volume: str) -> bool:
    try:
        connect().volumes.get(volume)
    except NotFound:
        return False
    return True
