"""A deployed stack for tests and benchmarks: deployment by Pulumi's Automation API, URLs, metrics, containers."""

from __future__ import annotations

import fcntl
import json
import os
import shlex
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any, Self

import requests
import testinfra
from docker.models.containers import Container
from elasticsearch import Elasticsearch
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample
from pulumi import automation
from testinfra.host import Host

from analytics.search import count
from harness.waiting import LIMIT_SECONDS, eventually
from infra.clients.cassandra import CassandraUnavailableError
from infra.clients.cassandra import connect as connect_cassandra
from infra.clients.docker_engine import connect, execute, kill_containers, stack_containers, stack_filter
from infra.clients.elasticsearch import ElasticsearchServer
from infra.clients.kafka import TopicClient
from infra.clients.prometheus import PrometheusClient
from infra.kafka_acls import ADMIN
from infra.logins import OPERATOR, user_of
from infra.names import (
    CASSANDRA_PORT,
    CURL_CONFIG,
    MATCHES_ALIAS,
    MATCHES_TOPIC,
    METRICS_PORT,
    PROJECT,
    ROOT,
    SERVICE_LABEL,
    container_name,
)
from infra.ownership import foreign_deployment, read_state
from job.settings import Settings as JobSettings
from job.settings import with_overrides
from tools.cache import cache_folder
from tools.pulumi_state import PulumiError, run_pulumi
from tools.repair import RepairError, repair
from tools.stack_outputs import connect_prometheus, kafka_settings, read_stack_outputs


def sum_samples(samples: Sequence[Sample], name: str, **labels: str) -> float:
    """The sum of the metric's samples with these labels. Compare only sums of the same scrape."""
    values = [sample.value for sample in samples if sample.name == name and labels.items() <= sample.labels.items()]
    if not values:
        raise AssertionError(f"no sample of the metric {name} {labels}")
    return sum(values)


def lock_stack(name: str) -> int:
    """The lock of a stack that tests or benchmarks deploy for themselves. A file descriptor: it is released when
    that is closed, at the latest with the process.

    Raises RepairError if another run of this user has it: it would destroy that run's stack.
    """
    folder = cache_folder()
    folder.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(folder / f"{name}.lock", os.O_CREAT | os.O_WRONLY, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(descriptor)
        raise RepairError(f"another run of tests or benchmarks uses the stack {name}: wait for its end") from error
    return descriptor


@contextmanager
def selection_kept() -> Iterator[None]:
    """Leaves the stack selected on which a person's plain `pulumi` commands act: Pulumi selects a stack that it
    creates, and none after it has removed one."""
    selected = selected_stack()
    try:
        yield
    finally:
        if selected is None:
            _run_pulumi("stack", "unselect")
        else:
            try:
                _run_pulumi("stack", "select", selected)
            except PulumiError as error:
                if "no stack named" not in str(error):  # it was the one that was removed
                    raise


def selected_stack() -> str | None:
    """The stack on which plain `pulumi` commands act; None if none is selected."""
    try:
        return _run_pulumi("stack", "--show-name").strip()
    except PulumiError as error:
        if "no stack selected" not in str(error):
            raise
        return None


def _run_pulumi(*words: str) -> str:
    """Without PULUMI_STACK, which takes the place of the selection."""
    return run_pulumi(*words, environment={name: os.environ[name] for name in os.environ.keys() - {"PULUMI_STACK"}})


class Stack:
    """The Pulumi stack `name`. With `config`, which overrides Pulumi.yaml's defaults, it is a run's own stack: the run
    has its lock. Raises RepairError if another run has it."""

    def __init__(self, name: str, config: Mapping[str, str] | None = None) -> None:
        self.name = name
        self._lock = None if config is None else lock_stack(name)
        self.engine = connect()
        with selection_kept():
            self._pulumi = automation.create_or_select_stack(stack_name=name, work_dir=str(ROOT))
        self._outputs: dict[str, Any] | None = None
        self._set_config(config or {})

    @classmethod
    def deployed(cls, name: str) -> Self:
        """A running stack. Raises NotDeployedError; a misspelt name does not create a stack."""
        read_stack_outputs(name)
        return cls(name)

    # Deployment

    def up(self, refresh: bool = True, **config: str) -> automation.UpResult:
        """`pulumi up`, after setting `config`: camelCase keys, or paths such as job.window.size_seconds."""
        self._set_config(config)
        result = self._pulumi.up(refresh=refresh, on_output=print, color="never")
        self._outputs = {key: output.value for key, output in result.outputs.items()}
        return result

    def _set_config(self, config: Mapping[str, str]) -> None:
        for key, value in config.items():
            self._pulumi.set_config(f"{PROJECT}:{key}", automation.ConfigValue(value), path="." in key)

    def preview(self) -> automation.PreviewResult:
        """`pulumi preview`."""
        return self._pulumi.preview(color="never")

    def refresh(self) -> automation.RefreshResult:
        """`pulumi refresh`."""
        return self._pulumi.refresh(on_output=print, color="never")

    def destroy(self) -> automation.DestroyResult:
        """`pulumi destroy`, as `make down` does."""
        kill_containers(self.engine, self.name)
        return self._pulumi.destroy(on_output=print, color="never")

    def clean_up(self) -> None:
        """Remove what an interrupted run left: the state's lock, pending resources, containers, volumes, networks, and
        the tests' own containers.

        Raises RepairError, for example if the stack is another user's, or is being deployed.
        """
        if problem := foreign_deployment(read_state(self.name), self.name, self.engine):
            raise RepairError(problem)
        for line in repair(self.name, discard=True):
            print(line)
        self.destroy()
        for container in stack_containers(self.engine, self.name):  # of tests: Pulumi does not know them
            container.remove(force=True, v=True)

    def remove(self) -> None:
        """Destroy the stack, and delete its configuration and state."""
        self.destroy()
        with selection_kept():
            self._pulumi.workspace.remove_stack(self.name)

    def make(self, *arguments: str) -> Any:
        """Run `make` for this stack. Returns testinfra's result: rc, stdout, stderr."""
        return testinfra.get_host("local://").run(
            f"make -s -C {shlex.quote(str(ROOT))} STACK={self.name} {' '.join(arguments)}"
        )

    def wait_until_healthy(self, timeout_seconds: float = LIMIT_SECONDS) -> None:
        """Wait until `make status` finds every stage healthy."""

        def healthy() -> None:
            status = self.make("status")
            if status.rc:
                raise AssertionError(status.stdout)

        eventually(healthy, timeout_seconds)

    # Outputs, services and their URLs

    @property
    def outputs(self) -> dict[str, Any]:
        """The stack's outputs; after `up`, those of that deployment."""
        if self._outputs is None:
            self._outputs = {key: output.value for key, output in self._pulumi.outputs().items()}
        return self._outputs

    @property
    def services(self) -> list[str]:
        """Names of the deployed services."""
        return list(self.outputs["services"])

    def url(self, service: str, port: int, path: str = "/") -> str:
        """URL on the host for the service's container port."""
        return f"http://{self.outputs['services'][service][str(port)]}{path}"

    def address(self, service: str) -> str:
        """The container's address on one of its networks: every local user can connect to it."""
        networks = self.container(service).attrs["NetworkSettings"]["Networks"]
        return str(next(iter(networks.values()))["IPAddress"])

    def get(self, service: str, port: int, path: str = "/") -> requests.Response:
        """HTTP GET with the operator's login. Raises requests.RequestException, for an error status too."""
        response = requests.get(self.url(service, port, path), auth=self.login(service), timeout=10)
        response.raise_for_status()
        return response

    def login(self, service: str) -> tuple[str, str] | None:
        """User and password of the operator, for services that may need a login to be looked at."""
        has_one = service in ("prometheus", "alertmanager") or service.startswith("spark-")
        return (OPERATOR, self.outputs["operatorPassword"]) if has_one else None

    def prometheus(self) -> PrometheusClient:
        """A client of the stack's Prometheus."""
        return connect_prometheus(self.outputs)

    def elasticsearch(self, user: str = "admin") -> Elasticsearch:
        """An Elasticsearch client for the stack, with the login of this user of infra/logins.py."""
        return ElasticsearchServer.of_stack(self.outputs, user).client(request_timeout=10)

    def document_count(self) -> int:
        """How many participants a search finds."""
        return count(self.elasticsearch())

    def wait_for_new_documents(self) -> None:
        """Wait until there are more documents than at the time of the call."""
        before = self.document_count()

        def more() -> None:
            if self.document_count() <= before:
                raise AssertionError(f"{MATCHES_ALIAS} stays at {before} documents")

        eventually(more)

    def setting(self, key: str) -> str:
        """The value of a setting: its default, or that of the stack's configuration."""
        return self._pulumi.get_config(f"{PROJECT}:{key}").value

    def job_settings(self) -> JobSettings:
        """The job's settings: its defaults with the stack's overrides, without what the stack sets itself."""
        return with_overrides(json.loads(self.setting("job")))

    def message_count(self, topic: str = MATCHES_TOPIC) -> int:
        """How many messages the topic has received: the sum of its end offsets."""
        return sum(TopicClient(self.kafka_settings()).end_offsets(topic).values())

    def kafka_settings(self, user: str = ADMIN) -> dict[str, Any]:
        """Settings of librdkafka for a client on the host, with this user's login."""
        return kafka_settings(self.outputs, user)

    def get_inside(self, service: str, path: str) -> str:
        """HTTP GET of a page of the job, the archive or the generator, which only their containers publish.

        Raises AssertionError if it does not answer, or with an error status.
        """
        url = f"http://127.0.0.1:{METRICS_PORT}{path}"
        exit_code, text = execute(self.container_name(service), ["curl", "-fsSK", CURL_CONFIG, "-m", "5", url])
        if exit_code:
            raise AssertionError(f"{path} of {service} does not answer, or with an error: {text}")
        return text

    def samples(self, service: str) -> list[Sample]:
        """The current samples of the service's own metrics endpoint."""
        families = text_string_to_metric_families(self.get_inside(service, "/metrics"))
        return [sample for family in families for sample in family.samples]

    def job_samples(self) -> list[Sample]:
        """The current samples of the job's own metrics endpoint."""
        return self.samples("spark-job")

    def job_metric(self, name: str, **labels: str) -> float:
        """The sum of the job's samples of this metric with these labels."""
        return sum_samples(self.job_samples(), name, **labels)

    @contextmanager
    def cassandra(self, login: str = OPERATOR) -> Iterator[Any]:
        """A Cassandra session of the login. Raises AssertionError if Cassandra does not answer: it may be starting."""
        host, port = self.outputs["services"]["cassandra"][str(CASSANDRA_PORT)].split(":")
        try:
            with connect_cassandra(host, int(port), user_of(login), self.outputs["credentials"][login]) as session:
                yield session
        except CassandraUnavailableError as error:
            raise AssertionError(str(error)) from error

    # Containers

    def container(self, service: str) -> Container:
        """The service's container."""
        return self.engine.containers.get(self.container_name(service))

    def container_name(self, service: str) -> str:
        """The name of the service's container."""
        return container_name(self.name, service)

    def kill_driver(self) -> None:
        """Crash the job's driver and wait until Docker's restart policy has restarted it.

        The signal is sent inside the container: Docker does not restart a container ended by `docker kill`.
        """
        job = self.container("spark-job")
        started_at = job.attrs["State"]["StartedAt"]
        execute(self.container_name("spark-job"), ["pkill", "-KILL", "-f", "python -m job"])

        def restarted() -> None:
            job.reload()
            if job.attrs["State"]["StartedAt"] == started_at or not job.attrs["State"]["Running"]:
                raise AssertionError("the driver was not killed, or not restarted")

        eventually(restarted)

    def host(self, service: str) -> Host:
        """testinfra's host for commands inside the service's container."""
        return testinfra.get_host(f"docker://{self.container_name(service)}")

    def log(self, service: str, since_start: bool = False) -> str:
        """The log of the service's container: the complete one, or since its last start."""
        container = self.container(service)
        started_at = datetime.fromisoformat(container.attrs["State"]["StartedAt"])
        log = container.logs(since=started_at.timestamp() if since_start else None)
        return str(log.decode(errors="replace"))

    def leftovers(self) -> list[str]:
        """Names of all containers, volumes and networks on the Docker host that carry the stack's label."""
        objects = [
            *stack_containers(self.engine, self.name),
            *self.engine.volumes.list(filters=stack_filter(self.name)),
            *self.engine.networks.list(filters=stack_filter(self.name)),
        ]
        return [str(each.attrs.get("Name")) for each in objects]

    def failed_container_logs(self) -> Iterator[tuple[str, str]]:
        """Name and status, and the last log lines, of each container that is not healthy, and always of the job's."""
        for container in stack_containers(self.engine, self.name):
            state = container.attrs["State"]
            health = state.get("Health", {}).get("Status")
            if health != "healthy" or not state["Running"] or container.labels.get(SERVICE_LABEL) == "spark-job":
                status = f"{state['Status']}, {health}" if health else state["Status"]
                yield f"{container.name}: {status}", container.logs(tail=60).decode(errors="replace")
