"""`python -m tools.repair`: mends what Pulumi leaves when it is killed in the middle of a deployment.

Pulumi notes that it begins to make a thing, then that it has made it. Killed in between, it leaves its lock, and a
thing that it does not know of: the next `up` fails at the thing's name, and `destroy` leaves it there. `make up` and
`make down` begin with this; where nothing was interrupted it changes nothing.
"""

from __future__ import annotations

import argparse
import json
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import docker
from docker.errors import DockerException
from docker.models.containers import Container
from docker.models.networks import Network
from requests import RequestException

from infra.clients.docker_engine import DockerUnavailableError, connect
from infra.names import PROJECT, STACK_LABEL

ROOT = Path(__file__).parent.parent


class MendError(Exception):
    """It cannot be mended; the message says why."""


def mend(stack: str) -> Iterator[str]:
    """Take away a dead process's lock and what was made without being noted, and say so, a line for each.

    Raises MendError where Pulumi or Docker's engine refuses.
    """
    if dead := dead_locks(lock_folder(stack)):
        _pulumi("cancel", "--yes", "--stack", stack)
        yield f"unlocked the stack {stack}: process {', '.join(map(str, dead))}, which held it, is gone"
    exported = _pulumi("stack", "export", "--stack", stack)
    pending = json.loads(exported)["deployment"].get("pending_operations", [])
    interrupted = [each["resource"] for each in pending if each["type"] == "creating"]
    if interrupted:
        client = _engine()
        for resource in interrupted:
            yield from remove(client, stack, resource)
        _pulumi("stack", "import", "--stack", stack, given=exported)  # Pulumi drops what was pending from it


def lock_folder(stack: str) -> Path | None:
    """Where Pulumi keeps the stack's locks; None where the state is not in files of this machine."""
    url = json.loads(_pulumi("whoami", "--json"))["url"]
    if not url.startswith("file://"):
        return None
    return Path(url.removeprefix("file://")).expanduser() / ".pulumi" / "locks" / "organization" / PROJECT / stack


def dead_locks(folder: Path | None) -> list[int]:
    """The processes of this machine that locked the stack and are no more; none where one may be alive."""
    dead = []
    for file in folder.glob("*.json") if folder else ():
        lock = json.loads(file.read_text())
        if lock["hostname"] != socket.gethostname() or _is_pulumi(lock["pid"]):
            return []
        dead.append(lock["pid"])
    return dead


def _is_pulumi(pid: int) -> bool:
    """Whether there is such a process, and it is not another one that got the number later."""
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip() == "pulumi"
    except (FileNotFoundError, ProcessLookupError):
        return False


def remove(client: docker.DockerClient, stack: str, resource: dict[str, Any]) -> Iterator[str]:
    """Remove the container or network that is there under the resource's name, if it carries the stack's label.

    Other kinds need no removal: a volume, or what lives in a server, is adopted, and an image is a cache.
    """
    label: dict[str, str | list[str] | bool] = {"label": f"{STACK_LABEL}={stack}"}
    things: dict[str, Callable[[], Sequence[Container | Network]]] = {
        "docker:index/container:Container": lambda: client.containers.list(all=True, filters=label),
        "docker:index/network:Network": lambda: client.networks.list(filters=label),
    }
    name = resource["inputs"].get("name")
    try:
        for thing in things.get(resource["type"], list)():
            if thing.name == name:
                if isinstance(thing, Container):
                    thing.remove(force=True, v=True)  # with the anonymous volumes that its image declares
                else:
                    thing.remove()
                yield f"removed {name}: a deployment that was interrupted left it half made"
    except (DockerException, RequestException) as error:
        raise MendError(f"{name}, which an interrupted deployment left, cannot be removed: {error}") from error


def _engine() -> docker.DockerClient:
    try:
        return connect()
    except DockerUnavailableError as error:
        raise MendError(str(error)) from error


def _pulumi(*words: str, given: str | None = None) -> str:
    run = subprocess.run(["pulumi", *words], cwd=ROOT, input=given, capture_output=True, text=True, check=False)
    if run.returncode:
        raise MendError(f"pulumi {' '.join(words[:2])}: {run.stderr.strip()}")
    return run.stdout


def main() -> int:
    """Mend the stack."""
    parser = argparse.ArgumentParser(prog="python -m tools.repair", description=__doc__)
    parser.add_argument("--stack", required=True, help="one that there is, deployed or not")
    try:
        for line in mend(parser.parse_args().stack):
            print(line, flush=True)
    except MendError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
