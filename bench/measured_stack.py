"""The stack that is measured: its clients, its job paused, stopped and asked."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from bench.progress import BenchError, say
from generator.match import Size
from harness.load import Backlog, fill
from harness.stack import Stack
from harness.waiting import eventually
from infra.clients.docker_engine import execute

MATCHES = "lol_matches_stream"
PAUSE_LIMIT_SECONDS = 100
"""Spark gives an executor up whose driver has not heard of it for 120 s."""


@dataclass(frozen=True)
class Progress:
    """What the job says of itself: messages done since its start, messages that are still to be read."""

    done: int
    behind: int


class Target:
    """A stack that is up, whose topic gets nothing but what the benchmarks send."""

    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        if "services" not in stack.outputs:
            raise BenchError(f"the stack {stack.name} is not deployed: `make up STACK={stack.name}`")
        if "generator" in stack.services:
            raise BenchError(
                f"the generator of stack {stack.name} would be measured too: "
                f"`pulumi config set generatorEnabled false --stack {stack.name}`, then `make up STACK={stack.name}`"
            )
        self.bootstrap_servers: str = stack.outputs["bootstrapServers"]
        self.elasticsearch = stack.elasticsearch().options(request_timeout=60)

    def fill(self, size: Size, messages: int) -> Backlog:
        """Send a backlog."""
        begun = time.monotonic()
        backlog = fill(self.bootstrap_servers, size, messages)
        say(f"sent {messages:,} {size} matches in {time.monotonic() - begun:.0f} s")
        return backlog

    @contextmanager
    def job_paused(self) -> Iterator[Callable[[], None]]:
        """The job's driver stands still and begins no batch; its executors stay warm. Gives what lets it go on."""
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
        # To each process in the container but its init. Docker's own pause fails at times on a busy machine.
        exit_code, answer = execute(self.stack.container_name("spark-job"), ["bash", "-c", f"kill -{signal} -1"])
        if exit_code:
            raise BenchError(f"the job's driver cannot be sent {signal}: {answer}")

    @contextmanager
    def job_stopped(self) -> Iterator[None]:
        """The job away and its cores free. Afterwards it starts again; `settle` waits for it."""
        job = self.stack.container("spark-job")
        job.stop()
        try:
            yield
        finally:
            job.start()

    def progress(self) -> Progress:
        """How far the job is."""
        metrics = self.metrics()
        return Progress(
            done=int(sum(metrics["lol_job_messages_total"])),
            behind=int(sum(metrics.get("lol_job_kafka_lag_messages", []))),
        )

    def metrics(self) -> dict[str, list[float]]:
        """The job's metrics: by name, the value of each series."""
        try:
            samples = self.stack.job_samples()
        except AssertionError as error:
            raise BenchError(str(error)) from error
        found: dict[str, list[float]] = {}
        for sample in samples:
            found.setdefault(sample.name, []).append(sample.value)
        return found

    def memory(self, service: str) -> int:
        """Bytes that the processes of the service's container hold, without the kernel's cache of files."""
        stats: Any = self.stack.container(service).stats(stream=False, one_shot=True)
        parts = stats["memory_stats"]["stats"]
        # By its name in the first and in the second version of control groups.
        return int(parts["total_rss"] if "total_rss" in parts else parts["anon"])

    def wait_until_done(self, messages: int, limit_seconds: float = 600) -> None:
        """Until the job has done so many messages since its start, statistics included, and is behind by none."""

        def done() -> None:
            progress = self.progress()
            assert progress.done >= messages, f"the job has done {progress.done:,} of {messages:,} messages"
            assert progress.behind == 0, f"the job is {progress.behind:,} messages behind"

        eventually(done, limit_seconds, every_seconds=0.3)

    def cores(self) -> int:
        """How many tasks the Spark cluster can run at once."""
        workers = self.stack.get("spark-master", 8080, "/json/").json()["workers"]
        return sum(worker["cores"] for worker in workers if worker["state"] == "ALIVE")

    def settle(self) -> None:
        """Until the job is healthy, by its own health check, and nothing of what came before is still being worked
        on."""

        def healthy() -> None:
            exit_code, answer = execute(
                self.stack.container_name("spark-job"), ["curl", "-fsS", "-m", "5", "http://127.0.0.1:8000/health"]
            )
            assert exit_code == 0, f"the job is not healthy: {answer}"

        def still() -> None:
            behind = self.progress().behind
            assert behind == 0, f"the job is {behind:,} messages behind"

        eventually(healthy, limit_seconds=300)
        eventually(still, limit_seconds=600)
        self.settle_elasticsearch()

    def settle_elasticsearch(self) -> None:
        """Until its merges are over."""

        def still() -> None:
            merges = self.elasticsearch.indices.stats(metric="merge")["_all"]["total"]["merges"]["current"]
            assert merges == 0, f"Elasticsearch is still merging {merges} times"

        eventually(still, limit_seconds=300)

    @contextmanager
    def index(self, name: str) -> Iterator[str]:
        """An empty index with the settings and mapping of the matches' indices, dropped afterwards."""
        client = self.elasticsearch
        template = client.indices.get_index_template(name=MATCHES)["index_templates"][0]["index_template"]["template"]
        client.options(ignore_status=404).indices.delete(index=name)
        client.indices.create(index=name, settings=template["settings"], mappings=template["mappings"])
        try:
            yield name
        finally:
            client.indices.delete(index=name)
