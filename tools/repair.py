"""Repair a stack's state before a deployment: `python -m tools.repair --stack dev`.

- Lock (concurrent deployments): a Pulumi process that was killed leaves the stack locked. A lock whose process is gone
  is released.
- Interrupted deployment: Pulumi records a pending operation, creates the resource, then records the result. Killed in
  between, it leaves a container or network that is not in its state: the next `up` fails with a name conflict, and
  `destroy` leaves it behind. This orphaned resource is removed.
- Failed creation: a container whose creation failed half-way, for example while its files were uploaded, is in the
  state with its errors. A refresh would drop the errors, and the next `up` only start it, without its files. It is
  removed, so that `up` creates it again.
- Removed network: while a stack is stopped, `docker network prune` removes its networks. Pulumi creates them again, but
  Docker cannot start a container whose network, by id, is gone. Such containers are removed, as above.
- Disconnected container: somebody has cut a container off from a network (`docker network disconnect`), or connected it
  again without its alias. For Pulumi's provider this is no drift. It is connected again.
- Incompatible state: dynamic resources are stored with a pickled provider. After a change of the program's modules,
  Pulumi can neither refresh nor destroy them. This is an error; with `--discard` the stack's containers, networks and
  volumes are removed by their label, and its state is emptied.

It refuses what the following deployment or destruction would only do by half: a stack that is being deployed, that
was deployed on another Docker engine, or that another state deployed on this one, a renamed stack, with `--create` a
checkout without the stack's settings, and, with `--discard`, a network to which other containers are connected, and
volumes that other containers use.

`make up` begins with this and `--create`, `make down` with `--discard`, `make reset` with both. If there is nothing
to repair, nothing changes.
"""

from __future__ import annotations

import argparse
import base64
import json
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import dill  # as Pulumi itself: it pickles the providers of dynamic resources
import docker
from docker.errors import DockerException
from docker.models.containers import Container
from docker.models.networks import Network
from docker.models.volumes import Volume
from requests import RequestException

from infra.clients.docker_engine import (
    DockerUnavailableError,
    connect,
    engine_failures,
    foreign_endpoints,
    stack_containers,
    stack_filter,
)
from infra.configuration import lost_settings
from infra.home import home_folder
from infra.names import PROJECT, make_command, pulumi_command
from infra.ownership import CONTAINER, NETWORK, foreign_deployment, renamed_deployment
from tools.command_line import run, stack_name

ROOT = Path(__file__).parent.parent
WRONG_PASSPHRASE = "incorrect passphrase"
"""Part of Pulumi's error message."""
DAMAGED_STATE = "failed to load checkpoint"
"""Part of Pulumi's error message."""


class RepairError(Exception):
    """The stack cannot be repaired; the message names the reason and what to do."""


def repair(stack: str, discard: bool = False, create: bool = False) -> Iterator[str]:
    """Release a dead process's lock and remove what an interrupted or failed deployment left; yield a line for each
    action.

    `discard`: the stack is about to be destroyed; remove it here if its state is incompatible with this program.
    `create`: select the stack, after creating it if there is none.

    Raises RepairError if the state is incompatible and not to be discarded, if the stack on the Docker engine is not
    the one of the state, if a deployment would lose settings, or if Pulumi or the Docker engine fails.
    """
    try:
        with engine_failures():
            yield from _repair(stack, discard, create)
    except DockerUnavailableError as error:
        raise RepairError(str(error)) from error


def _repair(stack: str, discard: bool, create: bool) -> Iterator[str]:
    client = connect()  # first: a remote engine is refused
    if dead := check_locks(stack):
        _pulumi("cancel", "--yes", "--stack", stack)
        yield f"unlocked the stack {stack}: process {', '.join(map(str, dead))}, which held the lock, is gone"
    exported = _export(stack)
    state = exported or {}
    if problem := foreign_deployment(state, stack, client):
        raise RepairError(problem)
    if create:
        # Before Pulumi creates the file, and records a configuration without settings as the latest one.
        if problem := lost_settings(state, stack):
            raise RepairError(problem)
        _select(stack)
    elif exported is None:
        raise RepairError(f"there is no stack {stack}: `pulumi stack ls` lists yours")
    if discard:
        _refuse_foreign_endpoints(client, stack)
        _refuse_foreign_mounts(client, stack)
    reason = incompatibility(state)
    if reason and not discard:
        raise RepairError(
            f"the stack {stack} was deployed by another version of this program, which cannot manage it "
            f"({reason}): run `{make_command('reset', stack)}`, which deletes all of its data, "
            "or deploy with the version that created it"
        )
    interrupted = [each["resource"] for each in state.get("pending_operations", []) if each["type"] == "creating"]
    failed = [each["id"] for each in state.get("resources", ()) if each["type"] == CONTAINER and each.get("initErrors")]
    detached = [] if discard else _without_network(client, stack)
    disconnected = [] if discard else _disconnected(client, stack, state)
    if reason or interrupted or failed or detached or disconnected:
        check_locks(stack)  # a deployment may have begun meanwhile
    if reason:
        yield f"the stack {stack} was deployed by another version of this program ({reason}): discarding it"
        yield from remove_all(client, stack)
        _pulumi("state", "delete", "--all", "--force", "--yes", "--stack", stack)
        return
    yield from remove_containers(client, stack, failed, "its creation failed half-way")
    yield from remove_containers(client, stack, detached, "its network was removed while it was stopped")
    for container, network, aliases in disconnected:
        if container.id not in (*failed, *detached):
            yield from _connect(client, stack, container, network, aliases)
    if interrupted:
        for resource in interrupted:
            yield from remove_half_created(client, stack, resource)
        # If the pending operation stayed in the state, the next repair would remove the container created since.
        _pulumi("refresh", "--clear-pending-creates", "--yes", "--skip-preview", "--stack", stack)
    if not discard and (problem := renamed_deployment(state, stack)):
        raise RepairError(problem)


def _export(stack: str) -> dict[str, Any] | None:
    """The stack's state; None if there is no such stack."""
    try:
        state: dict[str, Any] = json.loads(_pulumi("stack", "export", "--show-secrets", "--stack", stack))["deployment"]
    except RepairError as error:
        if "no stack named" in str(error):
            return None
        if WRONG_PASSPHRASE in str(error):
            raise RepairError(
                f"the secrets of the stack {stack} are encrypted with another passphrase than the one in use: "
                "PULUMI_CONFIG_PASSPHRASE or the file PULUMI_CONFIG_PASSPHRASE_FILE, which `source tools/env.sh` sets; "
                "see 'Secrets' in docs/operations.md"
            ) from error
        if DAMAGED_STATE in str(error) and (folder := state_folder()):
            raise RepairError(_damaged_state(folder, stack, str(error))) from error
        raise
    return state


def _damaged_state(folder: Path, stack: str, reason: str) -> str:
    file, backups = folder / "stacks" / PROJECT / f"{stack}.json", folder / "backups" / PROJECT / stack
    cause = f"for example by a full disk ({' '.join(reason.split())})"
    attributes = file.with_name(f"{file.name}.attrs")  # Pulumi writes it without a sync, and needs none
    if attributes.exists() and not _is_json(attributes):
        return f"{attributes}, of the state of the stack {stack}, is damaged, {cause}: delete it, then start again"
    return (
        f"the state of the stack {stack}, {file}, is damaged, {cause}: "
        f"restore the one before, `cp {file}.bak {file}`, or, if that is damaged too, the newest file of {backups}; "
        "then start again"
    )


def _is_json(file: Path) -> bool:
    try:
        json.loads(file.read_bytes())
    except ValueError:
        return False
    return True


def _select(stack: str) -> None:
    """Select the stack for plain `pulumi` commands; create it if there is none."""
    try:
        _pulumi("stack", "select", "--create", stack)
    except RepairError as error:
        if WRONG_PASSPHRASE not in str(error):
            raise
        raise RepairError(
            f"the stack {stack} cannot be created: the line `encryptionsalt` of {ROOT / f'Pulumi.{stack}.yaml'} is of "
            "another passphrase than yours, because another user or machine, or you before ~/.pulumi was deleted, "
            f"deployed {stack} from this checkout. Choose another name (`{make_command('up', 'other')}`), use a "
            "checkout of your own, or delete that line and all values `secure:` of the file"
        ) from error


def _refuse_foreign_endpoints(client: docker.DockerClient, stack: str) -> None:
    """Raise RepairError if containers of others are connected to the stack's network, which then cannot be removed."""
    for network, foreign in foreign_endpoints(client, stack).items():
        if foreign:
            raise RepairError(
                f"other containers are connected to the network {network} of the stack {stack}, which cannot be "
                f"removed before they are disconnected: {', '.join(sorted(foreign.values()))}. For each: `docker "
                f"network disconnect {network} NAME`; then start again"
            )


def _refuse_foreign_mounts(client: docker.DockerClient, stack: str) -> None:
    """Raise RepairError if containers of others use the stack's volumes, which then cannot be removed."""
    own = {container.id for container in stack_containers(client, stack)}
    foreign: dict[str, list[str]] = {}
    for volume in client.volumes.list(filters=stack_filter(stack)):
        for container in client.containers.list(all=True, filters={"volume": volume.name}, ignore_removed=True):
            if container.id not in own:
                foreign.setdefault(str(container.name), []).append(volume.name)
    if foreign:
        uses = "; ".join(f"{name} uses {', '.join(volumes)}" for name, volumes in sorted(foreign.items()))
        raise RepairError(
            f"other containers use volumes of the stack {stack}, which cannot be removed before the containers are: "
            f"{uses}. Remove them, `docker rm -f {' '.join(sorted(foreign))}`, then start again"
        )


def state_folder() -> Path | None:
    """The folder of Pulumi's state; None if it is not in files of this machine."""
    url: str = json.loads(_pulumi("whoami", "--json"))["url"]
    if not url.startswith("file://"):
        return None
    path = url.removeprefix("file://").partition("?")[0]
    if path.startswith("~"):  # Pulumi takes off two characters, whatever the second one is
        path = str(home_folder() / path[2:])
    return ROOT / path / ".pulumi"


def lock_folder(stack: str) -> Path | None:
    """The folder of the stack's locks; None if the state is not in files of this machine."""
    folder = state_folder()
    return folder / "locks" / "organization" / PROJECT / stack if folder else None


def check_locks(stack: str) -> list[int]:
    """Process ids of the stack's stale locks: held by processes of this machine that are gone.

    Raises RepairError if another lock may be in use.
    """
    folder = lock_folder(stack)
    dead = []
    for file in folder.glob("*.json") if folder else ():
        try:
            lock = json.loads(file.read_text())
            pid, host = lock["pid"], lock["hostname"]
        except FileNotFoundError:  # released meanwhile
            continue
        except (OSError, ValueError, KeyError, TypeError) as error:  # of a full disk, for example
            raise RepairError(
                f"the lock {file} of the stack {stack} cannot be read ({error}): if nobody deploys the stack "
                "(`pgrep -a pulumi`), delete that file"
            ) from error
        if host != socket.gethostname():
            raise RepairError(
                f"the stack {stack} is locked by process {pid} on the machine {host}: wait for it; if it is gone, "
                f"release its lock with `{pulumi_command('cancel', stack)}`"
            )
        if _is_pulumi(pid):
            raise RepairError(f"the stack {stack} is being deployed by process {pid}: wait for it or end it")
        dead.append(pid)
    return dead


def _is_pulumi(pid: int) -> bool:
    """Whether the process runs and is Pulumi, not another program that got the same id later."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return status.startswith("Name:\tpulumi\n") and "\nState:\tZ" not in status  # Z: it has ended (a zombie)


def incompatibility(state: dict[str, Any]) -> str | None:
    """Why this program cannot manage the state's dynamic resources; None if it can.

    `state` is the `deployment` of `pulumi stack export --show-secrets`.
    """
    providers = {
        secret["plaintext"]
        for resource in state.get("resources", ())
        if isinstance(secret := resource.get("outputs", {}).get("__provider"), dict)
    }
    for provider in sorted(providers):
        try:
            dill.loads(base64.b64decode(json.loads(provider)))
        except (ImportError, AttributeError) as error:  # a module or a class that this program does not have
            return str(error)
    return None


def remove_all(client: docker.DockerClient, stack: str) -> Iterator[str]:
    """Remove the containers, networks and volumes with the stack's label; yield a line for each."""
    list_resources: tuple[Callable[[], Sequence[Container | Network | Volume]], ...] = (
        lambda: stack_containers(client, stack),
        lambda: client.networks.list(filters=stack_filter(stack)),
        lambda: client.volumes.list(filters=stack_filter(stack)),
    )
    for list_kind in list_resources:
        for resource in list_kind():
            yield from _remove(resource, "it belongs to a discarded stack")


def remove_half_created(client: docker.DockerClient, stack: str, resource: dict[str, Any]) -> Iterator[str]:
    """Remove the container or network with the pending resource's name, if it carries the stack's label.

    Other kinds need no removal: a volume, a topic, an index template is adopted, and an image is a cache.
    """
    list_resources: dict[str, Callable[[], Sequence[Container | Network]]] = {
        CONTAINER: lambda: stack_containers(client, stack),
        NETWORK: lambda: client.networks.list(filters=stack_filter(stack)),
    }
    for existing in list_resources.get(resource["type"], list)():
        if existing.name == resource["inputs"].get("name"):
            yield from _remove(existing, "an interrupted deployment left it half created")


def remove_containers(client: docker.DockerClient, stack: str, ids: Sequence[str], reason: str) -> Iterator[str]:
    """Remove the stack's containers with these ids."""
    for container in stack_containers(client, stack):
        if container.id in ids:
            yield from _remove(container, reason)


def _without_network(client: docker.DockerClient, stack: str) -> list[str]:
    """The ids of the stack's stopped containers of which a network no longer exists."""
    existing = {network.id for network in client.networks.list()}
    return [
        str(container.id)
        for container in stack_containers(client, stack)
        if container.status in ("created", "exited", "dead")
        # A container that was never started has no ids yet.
        and any(
            network["NetworkID"] and network["NetworkID"] not in existing
            for network in container.attrs["NetworkSettings"]["Networks"].values()
        )
    ]


def _disconnected(
    client: docker.DockerClient, stack: str, state: dict[str, Any]
) -> list[tuple[Container, str, list[str]]]:
    """The stack's containers that lack a network of the state, or an alias on it: each with that network's name and its
    aliases."""
    declared = {
        each.get("id"): each.get("outputs", {}).get("networksAdvanced") or []
        for each in state.get("resources", ())
        if each["type"] == CONTAINER
    }
    return [
        (container, network["name"], network["aliases"])
        for container in stack_containers(client, stack)
        for network in declared.get(container.id, [])
        if not set(network["aliases"]) <= set(_aliases(container, network["name"]))
    ]


def _aliases(container: Container, network: str) -> list[str]:
    """The container's aliases on the network; empty if it is not connected to it."""
    endpoint = container.attrs["NetworkSettings"]["Networks"].get(network) or {}
    return endpoint.get("Aliases") or []


def _connect(
    client: docker.DockerClient, stack: str, container: Container, network: str, aliases: list[str]
) -> Iterator[str]:
    """Connect a container to a network of the stack under these aliases; yield a line."""
    for existing in client.networks.list(filters=stack_filter(stack)):
        if existing.name != network:
            continue
        try:
            if network in container.attrs["NetworkSettings"]["Networks"]:
                existing.disconnect(container)
            existing.connect(container, aliases=aliases)
        except (DockerException, RequestException) as error:
            raise RepairError(f"{container.name} cannot be connected to the network {network}: {error}") from error
        yield f"connected {container.name} to the network {network} again"


def _remove(resource: Container | Network | Volume, reason: str) -> Iterator[str]:
    try:
        if isinstance(resource, Container):
            resource.remove(force=True, v=True)  # with the anonymous volumes that its image declares
        else:
            resource.remove()
    except (DockerException, RequestException) as error:
        raise RepairError(f"{resource.name} cannot be removed ({reason}): {error}") from error
    yield f"removed {resource.name}: {reason}"


def _pulumi(*words: str) -> str:
    run = subprocess.run(["pulumi", *words], cwd=ROOT, capture_output=True, text=True, check=False)
    if run.returncode:
        # `pulumi refresh` writes its errors to its standard output.
        raise RepairError(f"pulumi {' '.join(words[:2])}: {run.stderr.strip() or run.stdout.strip()}")
    return run.stdout


def main() -> int:
    """Repair the stack."""
    parser = argparse.ArgumentParser(
        prog="python -m tools.repair", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--stack", type=stack_name, required=True, help="the stack, deployed or not")
    parser.add_argument("--create", action="store_true", help="select the stack, after creating it if there is none")
    parser.add_argument("--discard", action="store_true", help="discard a stack with incompatible state and its data")
    options = parser.parse_args()
    try:
        for line in repair(options.stack, options.discard, options.create):
            print(line, flush=True)
    except RepairError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    run(main)
