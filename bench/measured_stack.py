"""A running stack under measurement: its clients, job metrics and memory; pausing and stopping the job; idle waits."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from docker.models.containers import Container

from bench.progress import BenchError, print_progress
from generator.match_factory import MatchSize
from harness.load import Backlog, LoadError, send_backlog
from harness.stack import Stack
from harness.waiting import eventually
from infra.clients.docker_engine import DockerUnavailableError, execute
from infra.clients.task_container import TaskContainerError
from infra.names import MATCHES_ALIAS, SPARK_MASTER_UI_PORT, make_command, pulumi_command
from tools.repair import RepairError
from tools.stack_outputs import NotDeployedError

FAILURES = (
    *(BenchError, TaskContainerError, LoadError, AssertionError),
    *(NotDeployedError, RepairError, DockerUnavailableError),
)
"""What can prevent a measure, each with one line that names the reason."""
PAUSE_LIMIT_SECONDS = 100
"""A Spark executor exits when it gets no heartbeat response from its driver for 120 s."""


@dataclass(frozen=True)
class JobProgress:
    """Messages that the job has processed since its start, and its Kafka lag in messages: that of the documents or
    of the statistics, whichever is larger; None while it is unknown."""

    processed: int
    lag: int | None


def resident_memory(container: Container) -> int:
    """Bytes of anonymous memory of the container: resident memory without the page cache."""
    stats: Any = container.stats(stream=False, one_shot=True)
    details = stats["memory_stats"]["stats"]
    # `total_rss` in version 1 of control groups, `anon` in version 2.
    return int(details["total_rss"] if "total_rss" in details else details["anon"])


class MeasuredStack:
    """A deployed stack without a generator: its topic receives nothing but what the benchmarks send.

    Raises BenchError if the stack has a generator.
    """

    def __init__(self, stack: Stack) -> None:
        self.deployment = stack

        if "generator" in stack.services:
            raise BenchError(
                f"the generator of stack {stack.name} would add its own load to the measured one: "
                f"`{pulumi_command('config set generatorEnabled false', stack.name)}`, then "
                f"`{make_command('up', stack.name)}`"
            )
        self.kafka_settings = stack.kafka_settings()
        self.elasticsearch = stack.elasticsearch().options(request_timeout=60)

    def send_backlog(self, size: MatchSize, messages: int) -> Backlog:
        """Send a backlog of new matches to Kafka."""
        started = time.monotonic()
        backlog = send_backlog(self.kafka_settings, size, messages)
        print_progress(f"sent {messages:,} {size} matches in {time.monotonic() - started:.0f} s")
        return backlog

    @contextmanager
    def job_paused(self) -> Iterator[Callable[[], None]]:
        """Pause the job's driver with SIGSTOP: no batch begins and the executors stay warm. Yields `resume`.

        `resume` raises BenchError if the pause was longer than PAUSE_LIMIT_SECONDS.
        """
        self._signal_driver("STOP")
        paused_at = time.monotonic()
        paused = True

        def resume() -> None:
            nonlocal paused
            self._signal_driver("CONT")
            paused = False
            if time.monotonic() > paused_at + PAUSE_LIMIT_SECONDS:
                raise BenchError(f"the job was paused for more than {PAUSE_LIMIT_SECONDS} s: send a smaller backlog")

        try:
            yield resume
        finally:
            if paused:
                self._signal_driver("CONT")

    def _signal_driver(self, signal: str) -> None:
        # Each process of the container except init gets the signal. `docker pause` sometimes fails on a busy machine.
        exit_code, output = execute(self.deployment.container_name("spark-job"), ["bash", "-c", f"kill -{signal} -1"])
        if exit_code:
            raise BenchError(f"SIG{signal} could not be sent to the job's driver: {output}")

    @contextmanager
    def job_stopped(self) -> Iterator[None]:
        """Stop the job, which frees its cores, and start it again at the end; `wait_until_idle` waits for it."""
        job = self.deployment.container("spark-job")
        job.stop()
        try:
            yield
        finally:
            job.start()

    def job_progress(self) -> JobProgress:
        """Processed messages and lag, from the job's metrics."""
        metrics = self.job_metrics()
        lags = [metrics.get(f"lol_job_{name}_lag_messages") for name in ("kafka", "statistics")]
        known = [int(sum(lag)) for lag in lags if lag is not None]
        return JobProgress(int(sum(metrics["lol_job_messages_total"])), max(known) if len(known) == len(lags) else None)

    def job_metrics(self) -> dict[str, list[float]]:
        """The job's Prometheus metrics: name → the value of each series. Raises BenchError if they are unavailable."""
        try:
            samples = self.deployment.job_samples()
        except AssertionError as error:
            raise BenchError(str(error)) from error
        values: dict[str, list[float]] = {}
        for sample in samples:
            values.setdefault(sample.name, []).append(sample.value)
        return values

    def resident_memory(self, service: str) -> int:
        """Bytes of anonymous memory of the service's container."""
        return resident_memory(self.deployment.container(service))

    def minutes_since_start(self) -> float:
        """Minutes since the first of the services' containers started."""
        containers = map(self.deployment.container, self.deployment.services)
        started = min(datetime.fromisoformat(container.attrs["State"]["StartedAt"]) for container in containers)
        return (datetime.now(UTC) - started).total_seconds() / 60

    def wait_until_processed(self, messages: int) -> None:
        """Wait until the job has processed `messages` since its start, statistics included, and its lag is 0."""

        def processed() -> None:
            progress = self.job_progress()
            assert progress.processed >= messages, f"the job has processed {progress.processed:,} of {messages:,}"
            assert progress.lag == 0, f"the job's lag is {progress.lag} messages"

        eventually(processed, timeout_seconds=600, poll_seconds=0.3)

    def spark_cores(self) -> int:
        """Cores of the Spark cluster's live workers: how many tasks run at once."""
        workers = self.deployment.get("spark-master", SPARK_MASTER_UI_PORT, "/json/").json()["workers"]
        return sum(worker["cores"] for worker in workers if worker["state"] == "ALIVE")

    def wait_until_idle(self) -> None:
        """Wait until the job passes its health check, its lag is 0 and Elasticsearch has finished its merges."""

        def healthy() -> None:
            self.deployment.get_inside("spark-job", "/health")

        def no_lag() -> None:
            lag = self.job_progress().lag
            assert lag == 0, f"the job's lag is {lag} messages"

        eventually(healthy, timeout_seconds=300)
        eventually(no_lag, timeout_seconds=600)
        self.wait_until_merged()

    def wait_until_archived(self) -> None:
        """Wait until the archive has written every match. Its rate limit is below that of a backlog."""

        def no_lag() -> None:
            lag = self.deployment.prometheus().value("sum(lol_archive_lag_messages)")
            assert lag == 0, f"the archive's lag is {lag:.0f} messages"

        eventually(no_lag, timeout_seconds=3600, poll_seconds=5)

    def wait_until_merged(self) -> None:
        """Wait until Elasticsearch has no running segment merge."""

        def no_merges() -> None:
            merges = self.elasticsearch.indices.stats(metric="merge")["_all"]["total"]["merges"]["current"]
            assert merges == 0, f"Elasticsearch has {merges} running merges"

        eventually(no_merges, timeout_seconds=300)

    @contextmanager
    def temporary_index(self, name: str) -> Iterator[str]:
        """Create an empty index with the settings and mapping of the match indices; delete it at the end."""
        client = self.elasticsearch
        found = client.indices.get_index_template(name=MATCHES_ALIAS)["index_templates"]
        template = found[0]["index_template"]["template"]
        client.options(ignore_status=404).indices.delete(index=name)
        client.indices.create(index=name, settings=template["settings"], mappings=template["mappings"])
        try:
            yield name
        finally:
            client.indices.delete(index=name)
