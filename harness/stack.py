"""A stack as its tests see it: deployed through Pulumi's Automation API, looked at from outside and inside."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import docker
import requests
import testinfra
from docker.errors import NotFound
from docker.models.containers import Container
from elasticsearch import Elasticsearch
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample
from pulumi import automation
from testinfra.host import Host

from harness.waiting import eventually
from infra.clients.docker_engine import execute
from infra.clients.kafka import TopicClient
from infra.names import PROJECT, SERVICE_LABEL, STACK_LABEL
from tools.repair import mend

ROOT = Path(__file__).parents[1]
WEBHOOK = "webhook"
"""The name on the stack's network under which test_monitoring listens for alerts."""


def total(samples: Sequence[Sample], name: str, **labels: str) -> float:
    """The sum of the samples of a metric with these labels. What is compared has to be of one scrape."""
    values = [sample.value for sample in samples if sample.name == name and labels.items() <= sample.labels.items()]
    assert values, f"there is no metric {name} {labels}"
    return sum(values)


class Stack:
    """The stack `name`, with `config` on top of Pulumi.yaml's defaults where the tests deploy it."""

    def __init__(self, name: str, config: Mapping[str, str] | None = None) -> None:
        self.name = name
        self.engine = docker.from_env()
        self._pulumi = automation.create_or_select_stack(stack_name=name, work_dir=str(ROOT))
        self._outputs: dict[str, Any] | None = None
        self._set(config or {})

    # What people do with it

    def up(self, refresh: bool = True, **config: str) -> automation.UpResult:
        """`pulumi up`; `config` (camelCase keys, or paths such as job.window.size_seconds) changes settings first."""
        self._set(config)
        result = self._pulumi.up(refresh=refresh, on_output=print, color="never")
        self._outputs = {key: output.value for key, output in result.outputs.items()}
        return result

    def _set(self, config: Mapping[str, str]) -> None:
        for key, value in config.items():
            self._pulumi.set_config(f"{PROJECT}:{key}", automation.ConfigValue(value), path="." in key)

    def preview(self) -> automation.PreviewResult:
        """`pulumi preview`."""
        return self._pulumi.preview(color="never")

    def refresh(self) -> automation.RefreshResult:
        """`pulumi refresh`."""
        return self._pulumi.refresh(on_output=print, color="never")

    def destroy(self) -> automation.DestroyResult:
        """`pulumi destroy`."""
        return self._pulumi.destroy(on_output=print, color="never")

    def clear(self) -> None:
        """Take away what an interrupted run of the tests left: a locked state, a stack that is half there."""
        with suppress(NotFound):  # on the stack's network, which could not be removed
            self.engine.containers.get(self.container_name(WEBHOOK)).remove(force=True)
        self._pulumi.cancel()
        for line in mend(self.name):
            print(line)
        self.destroy()

    def remove(self) -> None:
        """Destroy it, and forget its settings and state."""
        self.destroy()
        self._pulumi.workspace.remove_stack(self.name)

    def make(self, *words: str) -> Any:
        """`make` for this stack."""
        return testinfra.get_host("local://").run(f"make -s -C {ROOT} STACK={self.name} {' '.join(words)}")

    # What it says of itself

    @property
    def outputs(self) -> dict[str, Any]:
        """Its outputs; those of the last `up` here."""
        if self._outputs is None:
            self._outputs = {key: output.value for key, output in self._pulumi.outputs().items()}
        return self._outputs

    @property
    def services(self) -> list[str]:
        """The services it has."""
        return list(self.outputs["services"])

    def url(self, service: str, port: int, path: str = "/") -> str:
        """Where the service's `port` is on the host."""
        return f"http://{self.outputs['services'][service][str(port)]}{path}"

    def get(self, service: str, port: int, path: str = "/") -> requests.Response:
        """What the service answers to GET, which must be a success."""
        response = requests.get(self.url(service, port, path), timeout=10)
        response.raise_for_status()
        return response

    def elasticsearch(self) -> Elasticsearch:
        """A client of its Elasticsearch."""
        return Elasticsearch(self.url("elasticsearch", 9200), request_timeout=10)

    def documents(self) -> int:
        """How many participants can be found."""
        return int(self.get("elasticsearch", 9200, "/lol_matches_stream/_count").json()["count"])

    def messages(self, topic: str = "lol_matches") -> int:
        """How many messages the topic has had."""
        return sum(TopicClient(self.outputs["bootstrapServers"]).end_offsets(topic).values())

    def job_samples(self) -> list[Sample]:
        """All that the job tells Prometheus, now."""
        exit_code, text = execute(self.container_name("spark-job"), ["curl", "-fsS", "http://127.0.0.1:8000/metrics"])
        assert exit_code == 0, f"the job's metrics: {text}"
        return [sample for family in text_string_to_metric_families(text) for sample in family.samples]

    def job_metric(self, name: str, **labels: str) -> float:
        """The sum of the job's samples of a metric with these labels."""
        return total(self.job_samples(), name, **labels)

    # Its containers

    def container(self, service: str) -> Container:
        """The service's container."""
        return self.engine.containers.get(self.container_name(service))

    def container_name(self, service: str) -> str:
        """What Docker calls the service's container."""
        return f"{PROJECT}-{self.name}-{service}"

    def kill_driver(self) -> None:
        """End the job's driver as a crash would. From inside: Docker starts nothing again that `docker kill` ended."""
        job = self.container("spark-job")
        started = job.attrs["State"]["StartedAt"]
        execute(self.container_name("spark-job"), ["pkill", "-KILL", "-f", "python -m job"])

        def again() -> None:
            job.reload()
            assert job.attrs["State"]["StartedAt"] != started, "the driver was not killed, or not started again"
            assert job.attrs["State"]["Running"]

        eventually(again, limit_seconds=60)

    def host(self, service: str) -> Host:
        """testinfra's view into the service's container."""
        return testinfra.get_host(f"docker://{self.container_name(service)}")

    def log(self, service: str) -> str:
        """All that the service's container has printed."""
        return str(self.container(service).logs().decode(errors="replace"))

    def leftovers(self) -> list[str]:
        """Everything on the Docker host that carries the stack's name."""
        named: dict[str, str | list[str] | bool] = {"label": f"{STACK_LABEL}={self.name}"}
        things = [
            *self.engine.containers.list(all=True, filters=named),
            *self.engine.volumes.list(filters=named),
            *self.engine.networks.list(filters=named),
        ]
        return [str(thing.attrs.get("Name")) for thing in things]

    def print_logs(self, lines: int = 60) -> None:
        """Show what the containers that are not well said last; the job's always."""
        for container in self.engine.containers.list(all=True, filters={"label": f"{STACK_LABEL}={self.name}"}):
            state = container.attrs["State"]
            well = state["Running"] and state.get("Health", {}).get("Status") == "healthy"
            if not well or container.labels[SERVICE_LABEL] == "spark-job":
                print(
                    f"\n=== {container.name}: {state['Status']}\n{container.logs(tail=lines).decode(errors='replace')}"
                )
