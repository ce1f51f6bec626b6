"""A container beside the running job: same image, user and network, without capabilities, for one task.

The backfill and the benchmarks run in one, so that they use the job's code and libraries but not its memory.
"""

from __future__ import annotations

import io
import tarfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from docker.errors import NotFound
from docker.types import LogConfig, Ulimit

from infra.names import (
    DNS_OPTIONS,
    DNS_SEARCH,
    LOG_DRIVER,
    LOG_OPTIONS,
    container_labels,
    container_name,
    make_command,
    stack_prefix,
)
from infra.users import MAX_PROCESSES

if TYPE_CHECKING:
    import docker
    from docker.models.containers import Container

JOB_SERVICE = "spark-job"
PYTHON = "/opt/venv/bin/python"
"""The interpreter in the job's image."""
_MAX_START = timedelta(minutes=1)
"""How long a run takes at most from the creation of its container to its start."""


class TaskContainerError(Exception):
    """The container cannot be created; the message is one line with the reason and what to do."""


def create_task_container(
    engine: docker.DockerClient, stack: str, task: str, arguments: Sequence[str], memory: str
) -> Container:
    """Create, but do not start, the container `lolstack-<stack>-<task>` that runs Python with `arguments`.

    `memory` is Docker's limit, such as "512m". A container of an earlier run that has ended, or was killed before it
    started the container, is replaced. Raises TaskContainerError if the job is not deployed, or the task is already
    running or starting.
    """
    job = _job(engine, stack)
    name = container_name(stack, task)
    with suppress(NotFound):
        earlier = engine.containers.get(name)
        if not _is_left_over(earlier):
            raise TaskContainerError(
                f"a {task} of {stack} is already running or starting: `docker logs -f {name}`, `docker stop {name}`"
            )
        earlier.remove()
    return engine.containers.create(
        str(job.attrs["Image"]),
        [PYTHON, *arguments],
        name=name,
        hostname=task,  # Linux allows 64 characters, and a stack's name can be longer
        labels=container_labels(stack, task),
        network=stack_prefix(stack),
        dns_opt=DNS_OPTIONS,
        dns_search=DNS_SEARCH,
        user=job.attrs["Config"]["User"],
        cap_drop=["ALL"],
        security_opt=["no-new-privileges"],
        mem_limit=memory,
        memswap_limit=memory,
        ulimits=[Ulimit(name="nproc", soft=MAX_PROCESSES, hard=MAX_PROCESSES)],
        init=True,
        log_config=LogConfig(type=LOG_DRIVER, config=LOG_OPTIONS),
    )


def read_job_file(engine: docker.DockerClient, stack: str, path: str) -> bytes:
    """A file of the running job's container, such as its settings. Raises TaskContainerError if the job is not
    deployed."""
    parts, _ = _job(engine, stack).get_archive(path)
    with tarfile.open(fileobj=io.BytesIO(b"".join(parts))) as archive:
        file = archive.extractfile(PurePosixPath(path).name)
        assert file is not None
        return file.read()


def put_files(container: Container, files: Mapping[str, bytes]) -> None:
    """Copy files into the container, by absolute path. Every user can read them."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for path, content in files.items():
            entry = tarfile.TarInfo(path.lstrip("/"))
            entry.size, entry.mode = len(content), 0o644
            archive.addfile(entry, io.BytesIO(content))
    container.put_archive("/", buffer.getvalue())


def _is_left_over(container: Container) -> bool:
    """Whether no run uses the container any more."""
    if container.status == "created":
        return datetime.now(UTC) - datetime.fromisoformat(container.attrs["Created"]) > _MAX_START
    return container.status in ("exited", "dead")


def _job(engine: docker.DockerClient, stack: str) -> Container:
    try:
        return engine.containers.get(container_name(stack, JOB_SERVICE))
    except NotFound as error:
        raise TaskContainerError(f"the stack {stack} is not deployed: `{make_command('up', stack)}`") from error
