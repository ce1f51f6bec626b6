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
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
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
from infra.names import make_command
from infra.ownership import CONTAINER, NETWORK, State, foreign_deployment, renamed_deployment
from tools.command_line import run, stack_name
from tools.pulumi_state import PulumiError, check_locks, export_state, run_pulumi, select_stack

Resource = Container | Network | Volume
Leftover = tuple[Resource, str]
"""What is removed, and why."""


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
    except (DockerUnavailableError, PulumiError) as error:
        raise RepairError(str(error)) from error


def _repair(stack: str, discard: bool, create: bool) -> Iterator[str]:
    client = connect()  # first: a remote engine is refused before Pulumi runs
    if dead := check_locks(stack):  # before the state is read, which a running deployment changes
        run_pulumi("cancel", "--yes", "--stack", stack)
        yield f"unlocked the stack {stack}: process {', '.join(map(str, dead))}, which held the lock, is gone"
    exported = export_state(stack)
    state = exported or {}
    incompatible = incompatibility(state)
    if problem := next(filter(None, _problems(client, stack, exported, incompatible, discard, create)), None):
        raise RepairError(problem)
    if create:
        # After the refusals: Pulumi creates a missing file, and records a configuration without settings as the latest.
        select_stack(stack)
    containers, networks = stack_containers(client, stack), client.networks.list(filters=stack_filter(stack))
    pending = [each["resource"] for each in state.get("pending_operations") or () if each["type"] == "creating"]
    found = [  # containers before networks, which cannot be removed while a container is connected
        *(_discarded(client, stack) if incompatible else ()),
        *_failed(containers, state),
        *(() if discard else _without_network(client, containers)),
        *_half_created(containers, networks, pending),
    ]
    leftovers: dict[str | None, Leftover] = {}
    for resource, reason in found:
        leftovers.setdefault(resource.id, (resource, reason))  # a container can be found for several reasons
    disconnected = [] if discard else [*_disconnected(containers, networks, state)]
    if incompatible or leftovers or disconnected or pending:
        check_locks(stack)  # a deployment may have begun meanwhile
    if incompatible:
        yield f"the stack {stack} was deployed by another version of this program ({incompatible}): discarding it"
    for resource, reason in leftovers.values():
        yield _remove(resource, reason)
    for container, network, aliases in disconnected:
        if not {container.id, network.id} & leftovers.keys():
            yield _connect(container, network, aliases)
    # After the removals: what Pulumi has forgotten, a later repair does not find.
    if incompatible:
        run_pulumi("state", "delete", "--all", "--force", "--yes", "--stack", stack)
    elif pending:
        # If the pending operation stayed in the state, the next repair would remove the container created since.
        run_pulumi("refresh", "--clear-pending-creates", "--yes", "--skip-preview", "--stack", stack)


def _problems(
    client: docker.DockerClient, stack: str, state: State | None, incompatible: str | None, discard: bool, create: bool
) -> Iterator[str | None]:
    """Reasons to refuse the stack, the first one to be reported first. `state`: None if there is no such stack."""
    yield foreign_deployment(state or {}, stack, client)  # first: the rest is no concern of another user
    if create:
        yield lost_settings(state or {}, stack)
    elif state is None:
        yield f"there is no stack {stack}: `pulumi stack ls` lists yours"
    if discard:
        yield _foreign_endpoints(client, stack)
        yield _foreign_mounts(client, stack)
        return
    if incompatible:
        yield (
            f"the stack {stack} was deployed by another version of this program, which cannot manage it "
            f"({incompatible}): run `{make_command('reset', stack)}`, which deletes all of its data, "
            "or deploy with the version that created it"
        )
    yield renamed_deployment(state or {}, stack)


def _foreign_endpoints(client: docker.DockerClient, stack: str) -> str | None:
    """A problem if containers of others are connected to the stack's network, which then cannot be removed."""
    for network, foreign in foreign_endpoints(client, stack).items():
        if foreign:
            return (
                f"other containers are connected to the network {network} of the stack {stack}, which cannot be "
                f"removed before they are disconnected: {', '.join(sorted(foreign.values()))}. For each: `docker "
                f"network disconnect {network} NAME`; then start again"
            )
    return None


def _foreign_mounts(client: docker.DockerClient, stack: str) -> str | None:
    """A problem if containers of others use the stack's volumes, which then cannot be removed."""
    own = {container.id for container in stack_containers(client, stack)}
    foreign: dict[str, list[str]] = {}
    for volume in client.volumes.list(filters=stack_filter(stack)):
        for container in client.containers.list(all=True, filters={"volume": volume.name}, ignore_removed=True):
            if container.id not in own:
                foreign.setdefault(str(container.name), []).append(volume.name)
    if not foreign:
        return None
    uses = "; ".join(f"{name} uses {', '.join(volumes)}" for name, volumes in sorted(foreign.items()))
    return (
        f"other containers use volumes of the stack {stack}, which cannot be removed before the containers are: "
        f"{uses}. Remove them, `docker rm -f {' '.join(sorted(foreign))}`, then start again"
    )


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


def _discarded(client: docker.DockerClient, stack: str) -> Iterator[Leftover]:
    """All that carries the stack's label."""
    label = stack_filter(stack)
    resources: list[Resource] = [*stack_containers(client, stack)]
    resources += [*client.networks.list(filters=label), *client.volumes.list(filters=label)]
    for resource in resources:
        yield resource, "it belongs to a discarded stack"


def _failed(containers: Sequence[Container], state: State) -> Iterator[Leftover]:
    """The containers that the state has with the errors of their creation."""
    failed = {
        each["id"] for each in state.get("resources") or () if each["type"] == CONTAINER and each.get("initErrors")
    }
    for container in containers:
        if container.id in failed:
            yield container, "its creation failed half-way"


def _without_network(client: docker.DockerClient, containers: Sequence[Container]) -> Iterator[Leftover]:
    """The stopped containers of which a network no longer exists."""
    existing = {network.id for network in client.networks.list()}
    for container in containers:
        networks = container.attrs["NetworkSettings"]["Networks"].values()
        used = {network["NetworkID"] for network in networks if network["NetworkID"]}  # none if it was never started
        if container.status in ("created", "exited", "dead") and not used <= existing:
            yield container, "its network was removed while it was stopped"


def _half_created(
    containers: Sequence[Container], networks: Sequence[Network], pending: Iterable[Mapping[str, Any]]
) -> Iterator[Leftover]:
    """The containers and networks with a pending resource's name.

    Other kinds need no removal: a volume, a topic, an index template is adopted, and an image is a cache.
    """
    names = {(each["type"], each.get("inputs", {}).get("name")) for each in pending}
    existing: list[tuple[str, Container | Network]] = [(CONTAINER, container) for container in containers]
    existing += [(NETWORK, network) for network in networks]
    for type_, resource in existing:
        if (type_, resource.name) in names:
            yield resource, "an interrupted deployment left it half created"


def _disconnected(
    containers: Sequence[Container], networks: Sequence[Network], state: State
) -> Iterator[tuple[Container, Network, list[str]]]:
    """The containers that lack a network of the state, or an alias on it: each with that network and its aliases."""
    declared = {
        each.get("id"): each.get("outputs", {}).get("networksAdvanced") or []
        for each in state.get("resources") or ()
        if each["type"] == CONTAINER
    }
    for container in containers:
        for wanted in declared.get(container.id, []):
            missing = set(wanted["aliases"]) - set(_aliases(container, wanted["name"]))
            for network in networks:
                if missing and network.name == wanted["name"]:
                    yield container, network, wanted["aliases"]


def _aliases(container: Container, network: str) -> list[str]:
    """The container's aliases on the network; empty if it is not connected to it."""
    endpoint = container.attrs["NetworkSettings"]["Networks"].get(network) or {}
    return endpoint.get("Aliases") or []


def _remove(resource: Resource, reason: str) -> str:
    """Remove the resource; return a line."""
    try:
        if isinstance(resource, Container):
            resource.remove(force=True, v=True)  # with the anonymous volumes that its image declares
        else:
            resource.remove()
    except (DockerException, RequestException) as error:
        raise RepairError(f"{resource.name} cannot be removed ({reason}): {error}") from error
    return f"removed {resource.name}: {reason}"


def _connect(container: Container, network: Network, aliases: list[str]) -> str:
    """Connect the container to the network under these aliases; return a line."""
    try:
        if network.name in container.attrs["NetworkSettings"]["Networks"]:
            network.disconnect(container)
        network.connect(container, aliases=aliases)
    except (DockerException, RequestException) as error:
        raise RepairError(f"{container.name} cannot be connected to the network {network.name}: {error}") from error
    return f"connected {container.name} to the network {network.name} again"


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
