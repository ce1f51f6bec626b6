"""Whether the containers and volumes of a stack on the Docker engine belong to its Pulumi state.

A stack is identified by its name on the engine, and by its state for Pulumi. Another user of the machine has another
state; `pulumi stack rename` changes the name in the state only. A machine can have several engines (rootless, Docker
Desktop): on an engine other than the one it was deployed on, Pulumi's refresh would treat the whole stack as deleted.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator, Mapping
from typing import Any

import docker

from infra.clients.docker_engine import stack_containers, stack_filter
from infra.names import IMAGE_SOURCE_LABEL, ROOT, STACK_LABEL, make_command, pulumi_command, stack_prefix
from infra.users import VOLUMES

CONTAINER = "docker:index/container:Container"
NETWORK = "docker:index/network:Network"
VOLUME = "docker:index/volume:Volume"
STACK = "pulumi:pulumi:Stack"
ENGINE_OUTPUT = "dockerEngine"
"""The stack's output with the id of the Docker engine. Stacks of earlier versions do not have it."""
_NAMED = 3

State = Mapping[str, Any]
"""The `deployment` of `pulumi stack export`."""


class StateError(Exception):
    """Pulumi cannot export the stack's state; the message is one line: the reason."""


def read_state(stack: str) -> State:
    """The stack's state, also while `pulumi up` runs this program. Empty if there is no such stack.

    Raises StateError: with an empty state, the own stack would be another user's.
    """
    try:
        run = subprocess.run(
            ["pulumi", "stack", "export", "--stack", stack], cwd=ROOT, capture_output=True, text=True, check=False
        )
    except FileNotFoundError as error:  # Pulumi was started with its path
        raise StateError(
            f"the state of the stack {stack} cannot be read: pulumi is not on the PATH: `source tools/env.sh`"
        ) from error
    if run.returncode and "no stack named" in run.stderr:
        return {}
    if run.returncode:
        reason = run.stderr.strip().rpartition("\n")[2]
        raise StateError(f"the state of the stack {stack} cannot be read: {reason}")
    deployment: State = json.loads(run.stdout)["deployment"]
    return deployment


def foreign_deployment(state: State, stack: str, engine: docker.DockerClient) -> str | None:
    """A problem if this state deployed the stack on another engine, or another state deployed it on this one."""
    return _of_another_engine(state, stack, engine) or _of_another_state(state, stack, engine)


def _of_another_engine(state: State, stack: str, engine: docker.DockerClient) -> str | None:
    """A problem if this engine is not the one of the state's containers, networks and volumes."""
    recorded = stack_output(state, ENGINE_OUTPUT)
    deployed = {resource.get("id") for resource in _resources(state, CONTAINER, NETWORK, VOLUME)}
    if not recorded or not deployed or recorded == engine.info()["ID"]:
        return None
    if any(each.id in deployed for each in stack_containers(engine, stack)):  # the same engine has got a new id
        return None
    return (
        f"the stack {stack} was deployed on another Docker engine (id {recorded}) than the selected one: deploy "
        f"another stack (`{make_command('up', 'other')}`), or select that engine (`docker context ls`, DOCKER_HOST). "
        "If its volumes were copied to this engine, see 'On another machine' in docs/operations.md. If that engine is "
        f"gone for good, `{pulumi_command('state delete --all --force --yes', stack)}` makes Pulumi forget the stack "
        "and its passwords, which copies of its volumes need; it removes nothing: containers and volumes that still "
        "exist stay"
    )


def _of_another_state(state: State, stack: str, engine: docker.DockerClient) -> str | None:
    """A problem if another state deployed the stack: it has service containers that this state does not contain, or it
    has volumes, and this state has deployed nothing. Also if this state has lost containers of its own stack.

    A volume alone proves nothing in a state that has deployed something: a killed deployment may not have recorded it.
    """
    own = {resource.get("id") for resource in _resources(state, CONTAINER, NETWORK, VOLUME)}
    # Only a deployment sets this label; a backfill's container, for example, is in no state.
    services = [each for each in stack_containers(engine, stack) if IMAGE_SOURCE_LABEL in each.labels]
    # A container that is being created, or that an interrupted deployment has begun to create.
    pending = {
        each["resource"].get("inputs", {}).get("name")
        for each in state.get("pending_operations") or ()
        if each["type"] == "creating"
    }
    foreign = {str(each.name) for each in services if each.id not in own} - pending
    if not own and not state.get("pending_operations"):
        foreign |= {each.name for each in engine.volumes.list(filters=stack_filter(stack))}
    if not foreign:
        return None
    if _has_deployed(state, stack, engine):
        lost = sorted(foreign)
        return (
            f"this state deployed the stack {stack}, but does not contain {', '.join(lost)}: left by an interrupted "
            f"deployment, recreated outside Pulumi, or newer than this state. `docker rm -f {' '.join(lost)}`, then "
            f"`{make_command('up', stack)}` or `{make_command('down', stack)}` again; the volumes keep the data"
        )
    names = sorted(foreign)[:_NAMED] + (["…"] if len(foreign) > _NAMED else [])
    return (
        f"the stack {stack} is already deployed on this Docker engine by another user, or from another Pulumi backend: "
        f"this state does not contain {', '.join(names)}. Deploy under another name "
        f"(`{make_command('up', 'other')}`), or have its owner run `{make_command('down', stack)}`; if its state is "
        "lost, see 'Two users, one Docker engine' in docs/operations.md"
    )


def _has_deployed(state: State, stack: str, engine: docker.DockerClient) -> bool:
    """Whether a container or network of the stack on the engine is of this state. Then the others are of its stack too:
    a stack's name is refused to another state from the first container or volume on.

    Ids of volumes are their names, which the volumes of another state have as well.
    """
    deployed = {resource.get("id") for resource in _resources(state, CONTAINER, NETWORK)}
    networks = engine.networks.list(filters=stack_filter(stack))
    return any(each.id in deployed for each in (*stack_containers(engine, stack), *networks))


def unlabelled_volumes(state: State, stack: str, engine: docker.DockerClient) -> str | None:
    """A problem if volumes that no deployment created have names of the stack's: Docker would give them to the stack
    without an error, and a destroy would delete their data."""
    own = {resource.get("id") for resource in _resources(state, VOLUME)}
    names = {f"{stack_prefix(stack)}-{name}" for name in VOLUMES} - own
    found = [each for each in engine.volumes.list() if each.name in names]
    unlabelled = sorted(each.name for each in found if STACK_LABEL not in (each.attrs.get("Labels") or {}))
    if not unlabelled:
        return None
    return (
        f"the stack {stack} would take over volumes that it did not create, and delete them at its end: "
        f"{', '.join(unlabelled)}. Deploy under another name (`{make_command('up', 'other')}`), or remove them if "
        f"nobody needs their data: `docker volume rm {' '.join(unlabelled)}`"
    )


def renamed_deployment(state: State, stack: str) -> str | None:
    """A problem if the stack was deployed under another name. Docker cannot rename volumes: `up` would replace them."""
    for network in _resources(state, NETWORK):
        if not str(network["urn"]).endswith("::network"):  # the main network, which has the stack's own name
            continue
        name = str(network["inputs"]["name"])
        if name != stack_prefix(stack):
            former = name.removeprefix(stack_prefix(""))
            return (
                f"the stack {stack} was deployed as {former} and then renamed: its containers and volumes have the "
                f"former name, and a deployment would delete all of its data. Take the name back with "
                f"`{pulumi_command(f'stack rename {former}', stack)}`, or delete the data with "
                f"`{make_command('reset', stack)}`"
            )
    return None


def stack_output(state: State, name: str) -> Any:
    """The value of an output of the stack's last deployment; None if it has none."""
    return next((each.get("outputs", {}).get(name) for each in _resources(state, STACK)), None)


def _resources(state: State, *types: str) -> Iterator[dict[str, Any]]:
    return (each for each in state.get("resources") or () if each["type"] in types)
