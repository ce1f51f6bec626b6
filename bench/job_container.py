"""A benchmark container from the job's image on the stack's network: runs a module of `bench.in_network`."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import msgspec
import yaml
from docker.models.containers import Container

from bench.in_network.workload import SETTINGS_FILE, WORKLOAD_FILE, ConsumerKind, Timing, Workload, parse_timings
from bench.measured_stack import MeasuredStack
from bench.progress import BenchError
from harness.load import Backlog
from infra.names import JOB_SETTINGS, MATCHES_TOPIC, STACK_LABEL, container_name, stack_prefix
from job.settings import laid_over

Program = Literal["consumers", "raw_bulk", "spark_stages"]
"""The modules of `bench.in_network` that a container runs."""
MEMORY = "2g"
FOLDER = Path(__file__).parent


class JobContainer:
    """A running benchmark container."""

    def __init__(self, container: Container) -> None:
        self._container = container

    def check(self) -> None:
        """Raise BenchError, with the last log lines, if the container has exited with an error."""
        self._container.reload()
        state = self._container.attrs["State"]
        if not state["Running"] and state["ExitCode"]:
            last_lines = self._container.logs(tail=5).decode(errors="replace").strip()
            raise BenchError(f"{self._container.name} exited with code {state['ExitCode']}: {last_lines}")

    def wait_for_timings(self) -> list[Timing]:
        """Wait until the container exits, and return the timings from its log. Raises BenchError if it failed."""
        self._container.wait()
        self.check()
        return parse_timings(self._container.logs().decode(errors="replace"))


@contextmanager
def run_in_network(stack: MeasuredStack, program: Program, workload: Workload) -> Iterator[JobContainer]:
    """Start `bench.in_network.<program>` in a container beside the job, and remove the container at the end."""
    deployment = stack.deployment
    name = container_name(deployment.name, "bench")
    job = deployment.container("spark-job")
    container = deployment.engine.containers.create(
        str(job.attrs["Image"]),
        ["/opt/venv/bin/python", "-m", f"bench.in_network.{program}"],
        name=name,
        hostname=name,
        network=stack_prefix(deployment.name),
        labels={STACK_LABEL: deployment.name},
        mem_limit=MEMORY,
        memswap_limit=MEMORY,
        init=True,
        cap_drop=["ALL"],
        security_opt=["no-new-privileges"],
    )
    try:
        container.put_archive(str(WORKLOAD_FILE.parent), _archive(_spark_settings(job, driver_host=name), workload))
        container.start()
        yield JobContainer(container)
    finally:
        container.remove(force=True)


def workload_of(
    backlog: Backlog,
    rounds: int = 1,
    index: str = "",
    connections: int = 1,
    consumer: ConsumerKind | None = None,
) -> Workload:
    """The workload that processes `backlog`."""
    return Workload(
        topic=MATCHES_TOPIC,
        start_offsets=dict(backlog.start_offsets),
        end_offsets=dict(backlog.end_offsets),
        messages=backlog.messages,
        rounds=rounds,
        index=index,
        connections=connections,
        consumer=consumer,
    )


def _spark_settings(job: Container, driver_host: str) -> str:
    """The running job's settings as YAML, for a Spark driver on another host."""
    parts, _ = job.get_archive(JOB_SETTINGS)
    with tarfile.open(fileobj=io.BytesIO(b"".join(parts))) as archive:
        file = archive.extractfile(Path(JOB_SETTINGS).name)
        assert file is not None
        settings: dict[str, Any] = yaml.safe_load(file)
    return yaml.safe_dump(laid_over(settings, {"app_name": "bench", "driver": {"host": driver_host}}))


def _archive(settings: str, workload: Workload) -> bytes:
    """A tar archive of the package `bench.in_network`, the settings and the workload."""
    content = {
        str(path.relative_to(FOLDER.parent)): path.read_bytes()
        for path in (FOLDER / "__init__.py", *sorted((FOLDER / "in_network").glob("*.py")))
    }
    content[WORKLOAD_FILE.name] = msgspec.json.encode(workload)
    content[SETTINGS_FILE.name] = settings.encode()
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, data in content.items():
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(data), 0o644
            archive.addfile(entry, io.BytesIO(data))
    return buffer.getvalue()
