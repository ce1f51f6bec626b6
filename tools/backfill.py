"""`make backfill`: a range of the topic once more into the same documents, beside the running job.

`job.backfill` does it, in a container of its own on the stack's network, from the running job's image and with its
settings; so its documents are the job's, and its memory is not.
"""

from __future__ import annotations

import argparse
import signal
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import docker
from docker.errors import APIError, NotFound
from requests import RequestException

from infra.clients.docker_engine import DockerUnavailableError, connect
from infra.names import PROJECT, SERVICE_LABEL, STACK_LABEL

if TYPE_CHECKING:
    from docker.models.containers import Container

CONFIG = Path("/etc/lolstack/job.yaml")
"""The job's settings in its container."""
MEMORY = "512m"


class BackfillError(Exception):
    """It cannot be started; the message is one line that says why and what to do."""


def create(engine: docker.DockerClient, stack: str, arguments: list[str]) -> Container:
    """The container, made and not yet started. Raises BackfillError if there is no job, or a backfill already runs."""
    prefix = f"{PROJECT}-{stack}"
    name = f"{prefix}-backfill"
    try:
        job = engine.containers.get(f"{prefix}-spark-job")
    except NotFound as error:
        raise BackfillError(f"the stack {stack} is not deployed: `make up STACK={stack}`") from error
    with suppress(NotFound):
        earlier = engine.containers.get(name)
        if earlier.status == "running":
            raise BackfillError(f"a backfill of {stack} is running: `docker logs -f {name}`, `docker stop {name}`")
        earlier.remove()
    container = engine.containers.create(
        job.attrs["Image"],
        ["/opt/venv/bin/python", "-m", "job.backfill", "--config", str(CONFIG), *arguments],
        name=name,
        labels={STACK_LABEL: stack, SERVICE_LABEL: "backfill"},
        network=prefix,
        user=job.attrs["Config"]["User"],
        cap_drop=["ALL"],
        security_opt=["no-new-privileges"],
        mem_limit=MEMORY,
        memswap_limit=MEMORY,
        init=True,
    )
    folder, _ = job.get_archive(str(CONFIG.parent))
    container.put_archive(str(CONFIG.parent.parent), b"".join(folder))
    return container


def run(container: Container) -> int:
    """Start it and print what it says to its end, which an interrupt brings about; its exit code."""

    def stop(*_: object) -> None:
        with suppress(APIError):  # it has just ended by itself
            container.kill("SIGTERM")

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, stop)
    try:
        container.start()
        for text in container.logs(stream=True, follow=True):
            sys.stdout.write(text.decode(errors="replace"))
            sys.stdout.flush()
        return int(container.wait()["StatusCode"])
    finally:
        container.remove(force=True)


def main() -> int:
    """The exit code of `job.backfill`, which takes all arguments but the stack; 1 where it cannot be started."""
    parser = argparse.ArgumentParser(prog="make backfill", add_help=False, allow_abbrev=False)
    parser.add_argument("--stack", required=True)
    options, arguments = parser.parse_known_args()
    try:
        return run(create(connect(), options.stack, arguments))
    except (BackfillError, DockerUnavailableError, APIError, RequestException) as error:
        print(str(error).partition("\n")[0], file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
