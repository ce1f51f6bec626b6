"""A container of the job's image in the stack's network, that runs one of `bench.in_network`'s modules for a task."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import yaml
from docker.models.containers import Container

from bench.in_network import task as in_network_task
from bench.in_network.task import Report, Task
from bench.measured_stack import Target
from bench.progress import BenchError
from harness.load import TOPIC, Backlog
from infra.names import PROJECT, STACK_LABEL
from job.settings import laid_over

MEMORY = "2g"
FOLDER = Path(__file__).parent
JOB_SETTINGS = "/etc/lolstack/job.yaml"


class Guest:
    """The running container."""

    def __init__(self, container: Container) -> None:
        self._container = container

    def check(self) -> None:
        """Raises BenchError where it has failed."""
        self._container.reload()
        state = self._container.attrs["State"]
        if not state["Running"] and state["ExitCode"]:
            last = self._container.logs(tail=5).decode(errors="replace").strip()
            raise BenchError(f"{self._container.name} ended with {state['ExitCode']}: {last}")

    def reports(self) -> dict[str, list[Report]]:
        """Wait for its end; what it reported, by name."""
        self._container.wait()
        self.check()
        found: dict[str, list[Report]] = {}
        for line in self._container.logs().decode(errors="replace").splitlines():
            if line.startswith(in_network_task.REPORT):
                each = msgspec.json.decode(line.removeprefix(in_network_task.REPORT), type=Report)
                found.setdefault(each.name, []).append(each)
        return found


@contextmanager
def guest(target: Target, module: str, task: Task) -> Iterator[Guest]:
    """Start `bench.in_network.<module>` for the task; take the container away at the end."""
    stack = target.stack
    name = f"{PROJECT}-{stack.name}-bench"
    job = stack.container("spark-job")
    container = stack.engine.containers.create(
        str(job.attrs["Image"]),
        ["/opt/venv/bin/python", "-m", f"bench.in_network.{module}"],
        name=name,
        hostname=name,
        network=f"{PROJECT}-{stack.name}",
        labels={STACK_LABEL: stack.name},
        mem_limit=MEMORY,
        memswap_limit=MEMORY,
        init=True,
        cap_drop=["ALL"],
        security_opt=["no-new-privileges"],
    )
    try:
        container.put_archive("/opt/job", _archive(_settings(job, name), task))
        container.start()
        yield Guest(container)
    finally:
        container.remove(force=True)


def task_of(backlog: Backlog, rounds: int = 1, index: str = "", way: str = "", connections: int = 1) -> Task:
    """The task to take a backlog."""
    return Task(
        topic=TOPIC,
        starts=dict(backlog.starts),
        ends=dict(backlog.ends),
        messages=backlog.messages,
        rounds=rounds,
        index=index,
        way=way,
        connections=connections,
    )


def _settings(job: Container, host: str) -> str:
    """The running job's settings, for another driver."""
    parts, _ = job.get_archive(JOB_SETTINGS)
    with tarfile.open(fileobj=io.BytesIO(b"".join(parts))) as archive:
        file = archive.extractfile(Path(JOB_SETTINGS).name)
        assert file is not None
        settings: dict[str, Any] = yaml.safe_load(file)
    return yaml.safe_dump(laid_over(settings, {"app_name": "bench", "driver": {"host": host}}))


def _archive(settings: str, task: Task) -> bytes:
    content = {
        str(path.relative_to(FOLDER.parent)): path.read_bytes()
        for path in (FOLDER / "__init__.py", *sorted((FOLDER / "in_network").glob("*.py")))
    }
    content[in_network_task.TASK.name] = msgspec.json.encode(task)
    content["bench.yaml"] = settings.encode()
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, data in content.items():
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(data), 0o644
            archive.addfile(entry, io.BytesIO(data))
    return buffer.getvalue()
