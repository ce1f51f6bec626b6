"""A benchmark container from the job's image on the stack's network: runs a module of `bench.in_network`."""

from __future__ import annotations

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
from infra.clients.task_container import create_task_container, put_files, read_job_file
from infra.names import JOB_SETTINGS, MATCHES_TOPIC
from job.settings import deep_merge

Program = Literal["consumers", "raw_bulk", "spark_stages"]
"""The modules of `bench.in_network` that a container runs."""
TASK = "bench"
MEMORY = "2g"
BENCH_FOLDER = Path(__file__).parent


class BenchContainer:
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
def run_in_network(stack: MeasuredStack, program: Program, workload: Workload) -> Iterator[BenchContainer]:
    """Start `bench.in_network.<program>` in a container beside the job, and remove the container at the end.

    Raises TaskContainerError if the job is not deployed, or such a container is already running.
    """
    engine, name = stack.deployment.engine, stack.deployment.name
    job_settings: dict[str, Any] = yaml.safe_load(read_job_file(engine, name, JOB_SETTINGS))
    properties = job_settings["spark_properties_file"]
    container = create_task_container(engine, name, TASK, ["-m", f"bench.in_network.{program}"], MEMORY)
    try:
        put_files(
            container,
            {
                **_package_files(),
                str(WORKLOAD_FILE): msgspec.json.encode(_with_elasticsearch(workload, stack, job_settings)),
                str(SETTINGS_FILE): _spark_settings(job_settings, driver_host=str(container.name)),
                properties: read_job_file(engine, name, properties),
            },
        )
        container.start()
        yield BenchContainer(container)
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


def _package_files() -> dict[str, bytes]:
    """The source of `bench.in_network`, by its path in the container."""
    sources = [BENCH_FOLDER / "__init__.py", *sorted((BENCH_FOLDER / "in_network").glob("*.py"))]
    folder = WORKLOAD_FILE.parent / BENCH_FOLDER.name
    return {str(folder / path.relative_to(BENCH_FOLDER)): path.read_bytes() for path in sources}


def _with_elasticsearch(workload: Workload, stack: MeasuredStack, job_settings: dict[str, Any]) -> Workload:
    """The workload with the job's Elasticsearch, and the login that may write to the benchmarks' indices."""
    server = job_settings["elasticsearch"]
    return msgspec.structs.replace(
        workload,
        elasticsearch_url=server["hosts"][0],
        elasticsearch_password=stack.deployment.outputs["credentials"]["elasticsearch.admin"],
        elasticsearch_authority=server["ca_certificate"],
    )


def _spark_settings(job_settings: dict[str, Any], driver_host: str) -> bytes:
    """The running job's settings as YAML, for a Spark driver on another host."""
    return yaml.safe_dump(deep_merge(job_settings, {"app_name": TASK, "driver": {"host": driver_host}})).encode()
