"""`make status`: each link of the chain with its figures, from producer to searchable document; which is broken."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import docker
import requests
from confluent_kafka import Consumer, KafkaException, TopicPartition
from prometheus_client.parser import text_string_to_metric_families
from rich.console import Console
from rich.table import Table
from tenacity import RetryError, Retrying, retry_if_result, stop_after_delay, wait_fixed

sys.path.append(str(Path(__file__).parent.parent / "infra"))

from engine import EngineError, connect, execute, stack_containers
from settings import PROJECT

TIMEOUT_SECONDS = 10
SILENT_SECONDS = 60
"""How long the generator may deliver nothing before it counts as broken."""
DOCUMENTS_LIMIT_SECONDS = 180


@dataclass(frozen=True)
class Link:
    """A link of the chain: what it has done, and what is wrong with it (None: nothing)."""

    name: str
    figures: str
    trouble: str | None = None


class Chain:
    """The links of one stack, each asked directly."""

    def __init__(self, stack: str, outputs: dict[str, Any]) -> None:
        self._stack = stack
        self._outputs = outputs
        self._engine = connect("")

    def links(self) -> Iterator[Link]:
        """Every link in the data's order. A link that does not answer is a broken one."""
        for name, ask in (
            ("containers", self._containers),
            ("producer", self._producer),
            ("topic", self._topic),
            ("job", self._job),
            ("dead letters", self._dead_letters),
            ("documents", self._documents),
        ):
            yield _asked(name, ask)

    def _containers(self) -> tuple[str, str | None]:
        containers = stack_containers(self._engine, self._stack)
        ill = [
            f"{container.name} is {state['Status']}{', ' + health if health else ''}"
            for container in containers
            if (state := container.attrs["State"])
            and (health := state.get("Health", {}).get("Status")) not in ("healthy", "starting")
        ]
        memory = sum(self._memory(container) for container in containers if container.status == "running")
        missing = set(self._outputs["services"]) - {
            str(c.name).removeprefix(f"{PROJECT}-{self._stack}-") for c in containers
        }
        ill += [f"{service} has no container" for service in sorted(missing)]
        return f"{len(containers)}, {memory / 2**30:.1f} GiB of memory in use", "; ".join(ill) or None

    def _memory(self, container: Any) -> int:
        usage = container.stats(stream=False, one_shot=True)["memory_stats"]
        # As `docker stats` counts: without the page cache that the kernel would give back.
        return int(usage.get("usage", 0)) - int(usage.get("stats", {}).get("total_inactive_file", 0))

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
        messages, partitions = self._messages("lol_matches")
        return f"{messages:,} messages in {partitions} partitions", None

    def _job(self) -> tuple[str, str | None]:
        health = self._exec("spark-job", "curl", "-sS", "-m", "5", "http://127.0.0.1:8000/health")
        metrics = self._metrics("spark-job")
        done = sum(value for name, _, value in metrics if name == "lol_job_messages_total")
        lag = sum(value for name, _, value in metrics if name == "lol_job_kafka_lag_messages")
        trouble = None if health == "ok" else health
        return f"{done:,.0f} messages processed since its start, {lag:,.0f} behind", trouble

    def _dead_letters(self) -> tuple[str, str | None]:
        messages, _ = self._messages("lol_matches_dlq")
        return f"{messages:,}", None

    def _documents(self) -> tuple[str, str | None]:
        counts = {
            name: self._count(name) for name in ("lol_matches_stream", "lol_champion_stats", "lol_position_stats")
        }
        trouble = None if counts["lol_matches_stream"] else "no document can be found yet"
        return ", ".join(f"{count:,} in {name}" for name, count in counts.items()), trouble

    def documents(self) -> int:
        """How many participants can be found; 0 where Elasticsearch does not answer."""
        try:
            return self._count("lol_matches_stream")
        except requests.RequestException:
            return 0

    def _count(self, index: str) -> int:
        address = self._outputs["services"]["elasticsearch"]["9200"]
        response = requests.get(f"http://{address}/{index}/_count", timeout=TIMEOUT_SECONDS)
        response.raise_for_status()
        return int(response.json()["count"])

    def _messages(self, topic: str) -> tuple[int, int]:
        """How many messages the topic has had, and in how many partitions."""
        consumer = Consumer({"bootstrap.servers": self._outputs["bootstrapServers"], "group.id": "status"})
        try:
            found = consumer.list_topics(topic, timeout=TIMEOUT_SECONDS).topics[topic]
            if found.error:
                raise KafkaException(found.error)
            ends = [
                consumer.get_watermark_offsets(TopicPartition(topic, number), timeout=TIMEOUT_SECONDS)[1]
                for number in found.partitions
            ]
        finally:
            consumer.close()
        return sum(ends), len(ends)

    def _metrics(self, service: str) -> list[tuple[str, dict[str, str], float]]:
        text = self._exec(service, "curl", "-fsS", "-m", "5", "http://127.0.0.1:8000/metrics")
        return [
            (sample.name, sample.labels, sample.value)
            for family in text_string_to_metric_families(text)
            for sample in family.samples
        ]

    def _exec(self, service: str, *command: str) -> str:
        container = self._engine.containers.get(f"{PROJECT}-{self._stack}-{service}")
        exit_code, output = execute(container, command)
        if exit_code:
            raise RuntimeError(f"{service}: {output}")
        return output


def _asked(name: str, ask: Callable[[], tuple[str, str | None]]) -> Link:
    try:
        return Link(name, *ask())
    except (docker.errors.APIError, requests.RequestException, KafkaException, RuntimeError) as error:
        return Link(name, "–", str(error).splitlines()[0])


def outputs_of(stack: str) -> dict[str, Any]:
    """The stack's outputs. Empty where it is not deployed."""
    run = subprocess.run(
        ["pulumi", "stack", "output", "--json", "--stack", stack], capture_output=True, text=True, check=False
    )
    return dict(json.loads(run.stdout)) if run.returncode == 0 else {}


def show(console: Console, stack: str, outputs: dict[str, Any], links: list[Link]) -> None:
    """Print the stack on one screen."""
    services = Table(title=f"lolstack {stack}: images from {outputs['imageSource']}", title_justify="left")
    services.add_column("service")
    services.add_column("on this machine")
    for name, addresses in sorted(outputs["services"].items()):
        services.add_row(name, "  ".join(_shown(port, address) for port, address in addresses.items()) or "–")
    for name, reason in outputs["leftOut"].items():
        services.add_row(name, f"[yellow]left out: {reason}[/]")
    chain = Table(title="The chain", title_justify="left")
    for column in ("link", "figures", "state"):
        chain.add_column(column)
    for link in links:
        chain.add_row(link.name, link.figures, f"[red]{link.trouble}[/]" if link.trouble else "[green]ok[/]")
    console.print(services, chain)
    broken = [link for link in links if link.trouble]
    if broken:
        console.print(f"[red]broken: {broken[0].name}: {broken[0].trouble}[/]", soft_wrap=True)


def _shown(port: str, address: str) -> str:
    return address if port in ("7077", "9042", "29092") else f"http://{address}"


def main() -> int:
    """0 where every link is well, 1 where one is broken, 2 where there is no such stack."""
    parser = argparse.ArgumentParser(prog="make status")
    parser.add_argument("--stack", required=True)
    parser.add_argument("--wait", action="store_true", help="wait until a document can be found")
    options = parser.parse_args()
    console = Console()
    outputs = outputs_of(options.stack)
    if "services" not in outputs:
        console.print(f"the stack {options.stack} is not deployed: `make up STACK={options.stack}`")
        return 2
    try:
        chain = Chain(options.stack, outputs)
    except EngineError as error:
        console.print(str(error))
        return 1
    if options.wait and "generator" in outputs["services"]:
        with console.status("waiting for the first document to be searchable"):
            _wait_for_documents(chain)
    links = list(chain.links())
    show(console, options.stack, outputs, links)
    return 1 if any(link.trouble for link in links) else 0


def _wait_for_documents(chain: Chain) -> None:
    # Past the limit the table says what is wrong.
    try:
        Retrying(
            retry=retry_if_result(lambda count: count == 0),
            stop=stop_after_delay(DOCUMENTS_LIMIT_SECONDS),
            wait=wait_fixed(1),
        )(chain.documents)
    except RetryError:
        return


if __name__ == "__main__":
    sys.exit(main())
