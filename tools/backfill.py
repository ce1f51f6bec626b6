"""`make backfill`: re-index a time range of the topic without stopping the job.

`job.backfill` does the reprocessing, in a container of its own beside the running job. That container has the job's
image and settings, so it writes the job's documents, and a memory limit of its own.
"""

from __future__ import annotations

import argparse
import signal
import sys
from contextlib import suppress
from typing import TYPE_CHECKING

from docker.errors import APIError
from requests import RequestException

from infra.clients.docker_engine import DockerUnavailableError, connect
from infra.clients.task_container import TaskContainerError, create_task_container, put_files, read_job_file
from infra.names import JOB_SETTINGS
from job.errors import first_line
from tools import command_line
from tools.printable import sanitize

if TYPE_CHECKING:
    import docker
    from docker.models.containers import Container

MEMORY = "768m"


def create(engine: docker.DockerClient, stack: str, arguments: list[str]) -> Container:
    """Create the backfill's container, without starting it.

    `arguments` are those of `job.backfill`. Raises TaskContainerError if the job is not deployed, or a backfill is
    already running.
    """
    settings = read_job_file(engine, stack, JOB_SETTINGS)
    command = ["-m", "job.backfill", "--config", JOB_SETTINGS, *arguments]
    container = create_task_container(engine, stack, "backfill", command, MEMORY)
    put_files(container, {JOB_SETTINGS: settings})
    return container


def run(container: Container) -> int:
    """Start the container, print its output until it exits, and return its exit code.

    Graceful shutdown: SIGINT, SIGTERM and SIGHUP are forwarded as SIGTERM. A closed pipe does not end it.
    """

    stopped = False

    def stop(*_: object) -> None:
        nonlocal stopped
        stopped = True
        with suppress(APIError):  # it does not run yet, or has just exited
            container.kill("SIGTERM")

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, stop)
    try:
        container.start()
        if stopped:
            stop()
        for text in container.logs(stream=True, follow=True):
            command_line.write(sys.stdout, sanitize(text.decode(errors="replace")))
        return int(container.wait()["StatusCode"])
    finally:
        container.remove(force=True)


def main() -> int:
    """Return the exit code of `job.backfill`, which parses all arguments but the stack; 1 if it cannot start."""
    parser = argparse.ArgumentParser(prog="make backfill", add_help=False, allow_abbrev=False)
    parser.add_argument("--stack", type=command_line.stack_name, required=True)
    options, arguments = parser.parse_known_args()
    try:
        return run(create(connect(), options.stack, arguments))
    except (TaskContainerError, DockerUnavailableError, APIError, RequestException) as error:
        print(sanitize(first_line(error)), file=sys.stderr)
        return 1


if __name__ == "__main__":
    command_line.run(main)
