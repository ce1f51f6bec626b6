"""The links of the chain from producer to searchable document, and the services behind them, each asked directly."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import docker
import requests
from prometheus_client.parser import text_string_to_metric_families

from infra.clients.docker_engine import connect, execute, stack_containers
from infra.clients.kafka import TopicClient, TopicError
from infra.clients.prometheus import root_cause
from infra.names import PROJECT

if TYPE_CHECKING:
    from docker.models.containers import Container

TIMEOUT_SECONDS = 10
SILENT_SECONDS = 60
"""How long the generator may deliver nothing before it counts as broken."""
UNANSWERED = (docker.errors.APIError, requests.RequestException)
"""What docker-py raises where the engine refuses, or does not answer."""
AT_ONCE = 16
"""How many questions are asked at a time. An engine of version 20.10 takes a second to say a container's memory."""


@dataclass(frozen=True)
class Link:
    """A link of the chain: what it has done, and what is wrong with it (None: nothing)."""

    name: str
    figures: str
    trouble: str | None = None


@dataclass(frozen=True)
class ServiceState:
    """A service's container. `memory` in bytes, 0 where it does not run; `up` is how long it has run."""

    name: str
    state: str
    well: bool
    memory: int
    up: timedelta
    restarts: int


@dataclass(frozen=True)
class ChainState:
    """All links in the data's order, and the services by name."""

    links: tuple[Link, ...]
    services: tuple[ServiceState, ...]

    @property
    def broken(self) -> Link | None:
        """The first link that is."""
        return next((link for link in self.links if link.trouble), None)


class Chain:
    """The chain of one stack, with its Pulumi outputs. Raises DockerUnavailableError where no Docker engine answers."""

    def __init__(self, stack: str, outputs: dict[str, Any]) -> None:
        self._stack = stack
        self._outputs = outputs
        self._engine = connect()
        self._topics = TopicClient(outputs["bootstrapServers"], TIMEOUT_SECONDS)

    def state(self) -> ChainState:
        """Ask everything. A link that does not answer is a broken one."""
        questions: tuple[tuple[str, Callable[[], tuple[str, str | None]]], ...] = (
            ("producer", self._producer),
            ("topic", self._topic),
            ("job", self._job),
            ("dead letters", self._dead_letters),
            ("documents", self._documents),
            ("archive", self._archive),
        )
        with ThreadPoolExecutor(AT_ONCE) as pool:
            links = [pool.submit(_asked, name, ask) for name, ask in questions]
            services = tuple(sorted(pool.map(self._service, self._containers()), key=lambda service: service.name))
            return ChainState((self._containers_link(services), *(link.result() for link in links)), services)

    def documents(self) -> int:
        """How many participants can be found; 0 where Elasticsearch does not answer."""
        try:
            return self._count("lol_matches_stream")
        except requests.RequestException:
            return 0

    # The services

    def _containers(self) -> list[Container]:
        try:
            return stack_containers(self._engine, self._stack)
        except UNANSWERED:
            return []

    def _service(self, container: Container) -> ServiceState:
        state = container.attrs["State"]
        health = state.get("Health", {}).get("Status")
        running = state["Status"] == "running"
        return ServiceState(
            name=str(container.name).removeprefix(f"{PROJECT}-{self._stack}-"),
            state=health if running and health else state["Status"],
            well=running and health in ("healthy", "starting", None),  # a backfill's container has no check
            memory=_memory(container) if running else 0,
            up=datetime.now(UTC) - datetime.fromisoformat(state["StartedAt"]) if running else timedelta(),
            restarts=container.attrs["RestartCount"],
        )

    def _containers_link(self, services: tuple[ServiceState, ...]) -> Link:
        ill = [f"{service.name} is {service.state}" for service in services if not service.well]
        missing = set(self._outputs["services"]) - {service.name for service in services}
        ill += [f"{name} has no container" for name in sorted(missing)]
        memory = sum(service.memory for service in services)
        return Link("containers", f"{len(services)}, {memory / 2**30:.1f} GiB of memory in use", "; ".join(ill) or None)

    # The other links: figures, and what is wrong

    def _producer(self) -> tuple[str, str | None]:
        if "generator" not in self._outputs["services"]:
            return "yours (the stack's generator is off)", None
        metrics = self._metrics("generator")
        sent = sum(value for name, _, value in metrics if name == "generator_messages_delivered_total")
        failed = sum(value for name, _, value in metrics if name == "generator_delivery_failures_total")
        last = max(value for name, _, value in metrics if name == "generator_last_delivery_timestamp_seconds")
        silent = time.time() - last
        trouble = None
        if silent > SILENT_SECONDS:
            trouble = f"nothing delivered for {timedelta(seconds=int(silent))}" if last else "nothing delivered yet"
        return f"{sent:,.0f} messages delivered since its start, {failed:,.0f} failed", trouble

    def _topic(self) -> tuple[str, str | None]:
        ends = self._topics.end_offsets("lol_matches")
        return f"{sum(ends.values()):,} messages in {len(ends)} partitions", None

    def _job(self) -> tuple[str, str | None]:
        health = self._exec("spark-job", "curl", "-sS", "-m", "5", "http://127.0.0.1:8000/health")
        metrics = self._metrics("spark-job")
        done = sum(value for name, _, value in metrics if name == "lol_job_messages_total")
        behind = sum(value for name, _, value in metrics if name == "lol_job_kafka_lag_messages")
        trouble = None if health == "ok" else health
        return f"{done:,.0f} messages processed since its start, {behind:,.0f} behind", trouble

    def _dead_letters(self) -> tuple[str, str | None]:
        return f"{sum(self._topics.end_offsets('lol_matches_dlq').values()):,} messages", None

    def _documents(self) -> tuple[str, str | None]:
        participants = self._count("lol_matches_stream")
        champions, positions = self._count("lol_champion_stats"), self._count("lol_position_stats")
        # A stack that waits for its first message is well.
        trouble = "no document can be found yet" if not participants and self._expects_documents() else None
        return f"{participants:,} participants; windows: {champions:,} champion, {positions:,} position", trouble

    def _expects_documents(self) -> bool:
        return "generator" in self._outputs["services"] or any(self._topics.end_offsets("lol_matches").values())

    def _archive(self) -> tuple[str, str | None]:
        metrics = self._metrics("archive")
        written = sum(value for name, _, value in metrics if name == "lol_archive_matches_total")
        behind = sum(value for name, _, value in metrics if name == "lol_archive_lag_messages")
        return f"{written:,.0f} matches written since its start, {behind:,.0f} messages behind", None

    # How they are asked

    def _count(self, index: str) -> int:
        address = self._outputs["services"]["elasticsearch"]["9200"]
        response = requests.get(f"http://{address}/{index}/_count", timeout=TIMEOUT_SECONDS)
        response.raise_for_status()
        return int(response.json()["count"])

    def _metrics(self, service: str) -> list[tuple[str, dict[str, str], float]]:
        text = self._exec(service, "curl", "-fsS", "-m", "5", "http://127.0.0.1:8000/metrics")
        return [
            (sample.name, sample.labels, sample.value)
            for family in text_string_to_metric_families(text)
            for sample in family.samples
        ]

    def _exec(self, service: str, *command: str) -> str:
        try:
            container = self._engine.containers.get(f"{PROJECT}-{self._stack}-{service}")
        except docker.errors.NotFound as error:
            raise RuntimeError(f"{service} has no container") from error
        if container.status != "running":
            raise RuntimeError(f"{service} is {container.status}")
        exit_code, output = execute(str(container.name), command)
        if exit_code:
            raise RuntimeError(f"{service}: {output}")
        return output


def _asked(name: str, ask: Callable[[], tuple[str, str | None]]) -> Link:
    try:
        return Link(name, *ask())
    except requests.RequestException as error:
        return Link(name, "–", root_cause(error))
    except (docker.errors.APIError, TopicError, RuntimeError) as error:
        return Link(name, "–", str(error).splitlines()[0])


def _memory(container: Container) -> int:
    try:
        stats: Any = container.stats(stream=False, one_shot=True)
    except UNANSWERED:  # it ended while it was asked, say
        return 0
    usage = stats["memory_stats"]
    # As `docker stats` counts: without the page cache that the kernel would give back.
    return int(usage.get("usage", 0)) - int(usage.get("stats", {}).get("total_inactive_file", 0))
