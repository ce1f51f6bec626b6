"""Whether the containers of a stack on the Docker engine belong to its Pulumi state.

A stack is identified by its name on the engine, and by its state for Pulumi. Another user of the machine has another
state; `pulumi stack rename` changes the name in the state only.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from infra.names import IMAGE_SOURCE_LABEL, stack_prefix

if TYPE_CHECKING:
    from docker.models.containers import Container

ROOT = Path(__file__).parents[1]
CONTAINER = "docker:index/container:Container"
NETWORK = "docker:index/network:Network"

State = Mapping[str, Any]
"""The `deployment` of `pulumi stack export`."""


def read_state(stack: str) -> State:
    """The stack's state, also while `pulumi up` runs this program. Empty if Pulumi cannot export it."""
    try:
        run = subprocess.run(
            ["pulumi", "stack", "export", "--stack", stack], cwd=ROOT, capture_output=True, text=True, check=False
        )
    except FileNotFoundError:  # Pulumi was started with its path
        return {}
    deployment: State = json.loads(run.stdout)["deployment"] if run.returncode == 0 else {}
    return deployment


def foreign_deployment(state: State, stack: str, containers: Iterable[Container]) -> str | None:
    """A problem if another state deployed the stack: it has service containers that this state does not contain."""
    own = {resource.get("id") for resource in _resources(state, CONTAINER)}
    # Only a deployment sets this label; a backfill's container, for example, is in no state.
    foreign = [str(each.name) for each in containers if IMAGE_SOURCE_LABEL in each.labels and each.id not in own]
    if not foreign:
        return None
    return (
        f"the stack {stack} is already deployed on this Docker engine by another user, or from another Pulumi backend: "
        f"its containers are not in this state ({', '.join(sorted(foreign))}). Deploy under another name "
        "(`make up STACK=other`), or have its owner run `make down`; if its state is lost, see 'Two users, one Docker "
        "engine' in docs/operations.md"
    )


def renamed_deployment(state: State, stack: str) -> str | None:
    """A problem if the stack was deployed under another name. Docker cannot rename volumes: `up` would replace them."""
    for network in _resources(state, NETWORK):
        name = str(network["inputs"]["name"])
        if name != stack_prefix(stack):
            former = name.removeprefix(stack_prefix(""))
            return (
                f"the stack {stack} was deployed as {former} and then renamed: its containers and volumes have the "
                f"former name, and a deployment would delete all of its data. Take the name back with `pulumi stack "
                f"rename {former} --stack {stack}`, or delete the data with `make reset STACK={stack}`"
            )
    return None


def _resources(state: State, type_: str) -> Iterator[dict[str, Any]]:
    return (each for each in state.get("resources") or () if each["type"] == type_)
