"""Health of a stack: every stage from producer to searchable document, monitoring, and the services' containers.

Each service is queried directly. Only whether all messages become dead letters is known from Prometheus, which has a
stage of its own.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import requests
from docker.errors import APIError, NotFound
from elasticsearch import ApiError, Elasticsearch, TransportError
from prometheus_client.parser import text_string_to_metric_families

from analytics.key_figures import counted
from analytics.search import count
from infra.clients.docker_engine import connect, execute, foreign_endpoints, stack_containers
from infra.clients.elasticsearch import ElasticsearchServer, describe_failure, indices_of_this_month
from infra.clients.http import innermost_cause
from infra.clients.kafka import KafkaRequestError, TopicClient
from infra.clients.prometheus import PrometheusError
from infra.names import (
    CHAMPIONS_ALIAS,
    CURL_CONFIG,
    DEAD_LETTER_TOPIC,
    IMAGE_SOURCE_LABEL,
    INDEX_ALIASES,
    MATCHES_ALIAS,
    MATCHES_TOPIC,
    METRICS_PORT,
    POSITIONS_ALIAS,
    container_name,
    make_command,
)
from job.errors import first_line
from tools.printable import sanitize
from tools.stack_outputs import connect_prometheus, kafka_settings

if TYPE_CHECKING:
    from docker.models.containers import Container

TIMEOUT_SECONDS = 10
SILENT_SECONDS = 60
"""How long the generator may deliver nothing before it counts as broken."""
ELASTICSEARCH_ERRORS = (ApiError, TransportError)
DOCKER_ERRORS = (APIError, requests.RequestException)
"""What docker-py raises if the engine refuses a request, or does not answer."""
CONCURRENT_REQUESTS = 16
"""Requests at a time. A Docker engine of version 20.10 takes a second to return a container's memory."""

OPEN_TRANSACTION_SECONDS = 30
"""How long a transaction may stay open before it counts as a problem; the same as of the alert OpenTransaction."""

STALLED_PARTITION_SECONDS = 300
"""How long the archive may make no progress in a partition with messages; the same as of the alert
ArchivePartitionStalled."""

DEAD_LETTERS_ONLY = """\
sum by (reason) (increase(lol_job_dead_letters_total{job="job"}[3m])) > 0
and on () sum(increase(lol_job_dead_letters_total{job="job"}[3m])) >= 5
and on () sum(increase(lol_job_dead_letters_total{job="job"}[1m])) > 0
and on () sum(increase(lol_job_dead_letters_total{job="job"}[1m] offset 2m)) > 0
unless on () sum(increase(lol_job_matches_total{job="job"}[3m])) > 0
"""
"""The dead letters of the last three minutes by reason, if no match was indexed meanwhile. There must be five, and some
in the first and in the last minute: not a few bad messages in a sparse stream, nor a replay that fails again."""

SCRAPED = "min by (job) (max_over_time(up[1m]))"
"""By scrape job, whether each of its targets has answered a scrape within a minute (1 or 0). A job without a value:
Prometheus has stored no sample of it in this time."""

Samples = dict[str, dict[str, float]]
"""Sample values by metric name, then by labels in words, such as "partition 1"."""
StageResult = tuple[str, str | None]
"""A stage's figures, and its problem or None."""


@dataclass(frozen=True)
class StageHealth:
    """A stage of the pipeline: its figures in words, and its problem (None: it is healthy)."""

    name: str
    figures: str
    problem: str | None = None


@dataclass(frozen=True)
class ServiceHealth:
    """A service's container. `memory` in bytes, 0 if it is not running; `uptime` is how long it has run."""

    name: str
    state: str
    healthy: bool
    """Also while it is starting."""
    memory: int
    uptime: timedelta
    restarts: int
    networks: frozenset[str] = frozenset()
    """The names of the networks to which it is connected."""


@dataclass(frozen=True)
class StackHealth:
    """All stages in the order of the data flow, then monitoring, and the services by name."""

    stages: tuple[StageHealth, ...]
    services: tuple[ServiceHealth, ...]

    @property
    def broken(self) -> StageHealth | None:
        """The first stage with a problem."""
        return next((stage for stage in self.stages if stage.problem), None)


class HealthChecker:
    """Health checks of the stack with these Pulumi outputs. Raises DockerUnavailableError without a Docker engine."""

    def __init__(self, stack: str, outputs: dict[str, Any]) -> None:
        self._stack = stack
        self._outputs = outputs
        self._engine = connect()
        self._topics = TopicClient(kafka_settings(outputs), TIMEOUT_SECONDS)

    def check(self) -> StackHealth:
        """Check every stage and service concurrently. A stage that does not answer has a problem."""
        checks: tuple[tuple[str, Callable[[], StageResult]], ...] = (
            ("producer", self._check_producer),
            ("topic", self._check_topic),
            ("job", self._check_job),
            ("dead letters", self._check_dead_letters),
            ("documents", self._check_documents),
            ("archive", self._check_archive),
            ("monitoring", self._check_monitoring),
        )
        with ThreadPoolExecutor(CONCURRENT_REQUESTS) as pool:
            stages = [pool.submit(_run_check, name, check) for name, check in checks]
            services: list[ServiceHealth] = []

            def check_containers() -> StageResult:
                services.extend(sorted(pool.map(self._check_service, self._containers()), key=lambda each: each.name))
                return self._check_containers(services)

            containers = _run_check("containers", check_containers)
            return StackHealth((containers, *(stage.result() for stage in stages)), tuple(services))

    def count_documents(self) -> int:
        """The number of searchable participants; 0 if Elasticsearch does not answer."""
        try:
            return self._count(MATCHES_ALIAS)
        except ELASTICSEARCH_ERRORS:
            return 0

    # Services

    def _containers(self) -> list[Container]:
        containers = stack_containers(self._engine, self._stack)
        # A backfill that was killed leaves its container; the next one, or `make down`, removes it.
        return [
            each
            for each in containers
            if each.attrs["State"]["Status"] == "running" or IMAGE_SOURCE_LABEL in each.labels
        ]

    def _check_service(self, container: Container) -> ServiceHealth:
        state = container.attrs["State"]
        health = state.get("Health", {}).get("Status")
        running = state["Status"] == "running"
        return ServiceHealth(
            name=str(container.name).removeprefix(container_name(self._stack, "")),
            state=health if running and health else state["Status"],
            healthy=running and health in ("healthy", "starting", None),  # a backfill's container has no health check
            memory=_memory(container) if running else 0,
            uptime=datetime.now(UTC) - datetime.fromisoformat(state["StartedAt"]) if running else timedelta(),
            restarts=container.attrs["RestartCount"],
            networks=frozenset(container.attrs["NetworkSettings"]["Networks"]),
        )

    def _check_containers(self, services: list[ServiceHealth]) -> StageResult:
        problems = [f"{service.name} is {service.state}" for service in services if not service.healthy]
        missing = set(self._outputs["services"]) - {service.name for service in services}
        problems += [f"{name} has no container" for name in sorted(missing)]
        # An earlier version has not stored the networks.
        declared = self._outputs.get("networks", {})
        problems += [
            f"{service.name} is not connected to the network {network}: `{make_command('up', self._stack)}` connects it"
            for service in services
            for network in declared.get(service.name, ())
            if network not in service.networks
        ]
        foreign = list(self._foreign_containers())
        # Docker's DNS returns the addresses of both.
        problems += [
            f"{name} of another project answers to {service} on the network {network}, where clients may take it for "
            f"the stack's: give it another name, or `docker network disconnect {network} {name}`"
            for name, network, dns_names in foreign
            for service in sorted(dns_names.intersection(self._outputs["services"]))
        ]
        memory = sum(service.memory for service in services)
        figures = f"{len(services)}, {memory / 2**30:.1f} GiB of memory in use"
        if foreign:
            figures += f"; of others on its networks: {', '.join(sorted({name for name, _, _ in foreign}))}"
        return figures, "; ".join(problems) or None

    def _foreign_containers(self) -> Iterator[tuple[str, str, set[str]]]:
        """Running containers of others on the stack's networks: name, network, and the names that it has in Docker's
        DNS there."""
        for network, containers in foreign_endpoints(self._engine, self._stack).items():
            for container, name in containers.items():
                with suppress(NotFound):  # removed meanwhile
                    endpoints = self._engine.containers.get(container).attrs["NetworkSettings"]["Networks"]
                    endpoint = endpoints.get(network, {})
                    # An engine before version 25 has no DNSNames.
                    yield name, network, {name, *(endpoint.get("Aliases") or ()), *(endpoint.get("DNSNames") or ())}

    # The other stages

    def _check_producer(self) -> StageResult:
        if "generator" not in self._outputs["services"]:
            return "yours (the stack's generator is off)", None
        metrics = self._metrics("generator")
        sent = counted(_sum(metrics, "generator_messages_delivered_total"), "message")
        failed = _total(metrics, "generator_delivery_failures_total")
        last = max(metrics.get("generator_last_delivery_timestamp_seconds", {}).values(), default=0)
        silent = time.time() - last
        problem = None
        if silent > SILENT_SECONDS:
            problem = f"nothing delivered for {timedelta(seconds=int(silent))}" if last else "nothing delivered yet"
        return f"{sent} delivered since it started, {failed} failed", problem

    def _check_topic(self) -> StageResult:
        retained = self._retained(MATCHES_TOPIC)
        held, problem = self._open_transactions()
        messages, partitions = counted(sum(retained.values()), "message"), counted(len(retained), "partition")
        return f"{messages} in {partitions}{held}", problem

    def _retained(self, topic: str) -> dict[int, int]:
        """How many offsets each partition retains: its messages, and the markers of transactions."""
        begins = self._topics.beginning_offsets(topic)
        return {partition: end - begins.get(partition, 0) for partition, end in self._topics.end_offsets(topic).items()}

    def _open_transactions(self) -> tuple[str, str | None]:
        """How many messages wait behind open transactions, and the problem: transactions that stay open."""
        try:
            metrics = self._metrics("spark-job")
        except (*DOCKER_ERRORS, RuntimeError, ValueError):
            return "", None  # the problem of another stage
        held = metrics.get("lol_job_open_transaction_messages", {})
        seconds = metrics.get("lol_job_open_transaction_seconds", {})
        figures = "".join(
            f", {count:,.0f} behind an open transaction in {each}" for each, count in held.items() if count
        )
        problems = [
            f"a transaction in {partition} has been open for {timedelta(seconds=int(age))} and holds back "
            f"{counted(held.get(partition, 0), 'message')}"
            for partition, age in seconds.items()
            if age >= OPEN_TRANSACTION_SECONDS
        ]
        return figures, "; ".join(problems) or None

    def _check_job(self) -> StageResult:
        health = self._get_in_container("spark-job", "/health", fail=False)
        metrics = self._metrics("spark-job")
        processed = counted(_sum(metrics, "lol_job_messages_total"), "message")
        lag = _total(metrics, "lol_job_kafka_lag_messages")
        late = sum(metrics.get("lol_job_late_matches_total", {}).values())
        too_late = f", {counted(late, 'match')} too late for the windows" if late else ""
        of_uncounted = ("message", "of matches that do not count in the windows")
        uncounted = _by_label(metrics, "lol_job_uncounted_matches_total", *of_uncounted)
        dropped = _by_label(metrics, "lol_job_dropped_fields_total", "optional field", "dropped")
        log = make_command("logs SERVICE=spark-job", self._stack)
        problem = None if health == "ok" else f"{health}: `{log}` has more"
        return f"{processed} processed since it started{too_late}{uncounted}{dropped}, lag {lag}", problem

    def _check_dead_letters(self) -> StageResult:
        figures = counted(sum(self._retained(DEAD_LETTER_TOPIC).values()), "message")
        reasons: dict[str, float] = {}
        with suppress(PrometheusError):  # the problem of another stage
            reasons = connect_prometheus(self._outputs).values(DEAD_LETTERS_ONLY, "reason")
        if not reasons:
            return figures, None
        return figures, (
            f"no match was indexed within three minutes, only dead letters arrived ({', '.join(sorted(reasons))}): "
            f"`{make_command('dlq', self._stack)}`"
        )

    def _check_documents(self) -> StageResult:
        participants = self._count(MATCHES_ALIAS)
        champions, positions = self._count(CHAMPIONS_ALIAS), self._count(POSITIONS_ALIAS)
        figures = f"{counted(participants, 'participant')}; windows: {champions:,} champion, {positions:,} position"
        if problems := "; ".join(self._index_problems()):
            return figures, problems
        # A stack that waits for its first message is healthy.
        problem = "no document is searchable yet" if not participants and self._expects_documents() else None
        closed = ", ".join(self._closed_indices())
        return f"{figures}; closed: {closed}" if closed else figures, problem

    def _index_problems(self) -> Iterator[str]:
        """This month's indices whose documents no search finds. Those of earlier months may have been retired."""
        repair = f"`{make_command('up', self._stack)}` repairs it"
        with self._elasticsearch() as elasticsearch:
            for alias in INDEX_ALIASES:
                for index, found in indices_of_this_month(elasticsearch, alias).items():
                    if found["aliases"].get(alias) != {}:
                        yield f"{index} is not in the alias {alias} as declared, so no search finds it: {repair}"
                    interval = found["settings"]["index"].get("refresh_interval", "")
                    if re.fullmatch(r"-.*|0+[a-z]*", interval):
                        of = f"refresh_interval {interval}"
                        yield f"{index} is not refreshed ({of}), so no search finds its new documents: {repair}"

    def _expects_documents(self) -> bool:
        return "generator" in self._outputs["services"] or any(self._topics.end_offsets(MATCHES_TOPIC).values())

    def _check_archive(self) -> StageResult:
        metrics = self._metrics("archive")
        written = counted(_sum(metrics, "lol_archive_matches_total"), "match")
        lag = _total(metrics, "lol_archive_lag_messages")
        lost = {
            kind: sum(metrics.get(f"lol_archive_{name}_total", {}).values())
            for kind, name in (("too large", "refused"), ("unreadable", "unreadable"))
        }
        not_archived = "".join(f", {count:,.0f} {kind}" for kind, count in lost.items() if count)
        problem, log = "", make_command("logs SERVICE=archive", self._stack)
        if metrics.get("lol_archive_waiting", {}).get("") == 1:
            problem = f"it waits for Cassandra: `{log}` has the reason"
        elif "lol_archive_lag_messages" not in metrics:
            problem = "its lag is unknown: it cannot read the topic"
        else:
            problem = "; ".join(
                f"{partition} has made no progress for {timedelta(seconds=int(stalled))}: `{log}`"
                for partition, stalled in metrics.get("lol_archive_stalled_seconds", {}).items()
                if stalled >= STALLED_PARTITION_SECONDS
            )
        return f"{written} written since it started{not_archived}, lag {lag}", problem or None

    def _check_monitoring(self) -> StageResult:
        scraped = connect_prometheus(self._outputs).values(SCRAPED, "job")
        silent = sorted(job for job, answers in scraped.items() if not answers)
        figures = f"{len(scraped) - len(silent)} of {len(scraped)} scrape jobs answer"
        if silent:
            figures += f", not {', '.join(silent)}"
        problem = None
        if "prometheus" not in scraped:
            log = make_command("logs SERVICE=prometheus", self._stack)
            problem = f"Prometheus has stored no sample within a minute, so no alert can fire: `{log}`"
        elif not scraped.get("alertmanager"):
            log = make_command("logs SERVICE=alertmanager", self._stack)
            problem = f"Alertmanager does not answer Prometheus, so nobody is notified of alerts: `{log}`"
        return figures, problem

    # Requests

    def _elasticsearch(self) -> Elasticsearch:
        """A client. Whether it has a login is known anew each time: the container may start during `make watch`."""
        return ElasticsearchServer.of_stack(self._outputs).client(request_timeout=TIMEOUT_SECONDS, max_retries=0)

    def _count(self, alias: str) -> int:
        """The number of documents in the alias's open indices."""
        with self._elasticsearch() as elasticsearch:
            return count(elasticsearch, alias)

    def _closed_indices(self) -> list[str]:
        """The closed indices of all aliases. An alias that does not exist is an HTTP error."""
        with self._elasticsearch() as elasticsearch:
            indices: Any = elasticsearch.cat.indices(
                index=list(INDEX_ALIASES), h="index,status", s="index", format="json"
            ).body
        return [index["index"] for index in indices if index["status"] == "close"]

    def _metrics(self, service: str) -> Samples:
        """The service's metrics, from its metrics endpoint."""
        text = self._get_in_container(service, "/metrics")
        metrics: Samples = {}
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                labels = ", ".join(f"{name} {value}" for name, value in sample.labels.items())
                metrics.setdefault(sample.name, {})[labels] = sample.value
        return metrics

    def _get_in_container(self, service: str, path: str, fail: bool = True) -> str:
        """GET from the service's metrics port, which is not published on the host; `fail` on an HTTP error."""
        name = container_name(self._stack, service)
        try:
            container = self._engine.containers.get(name)
        except NotFound as error:
            raise RuntimeError(f"{service} has no container") from error
        if container.status != "running":
            raise RuntimeError(f"{service} is {container.status}")
        url = f"http://127.0.0.1:{METRICS_PORT}{path}"
        # The outputs do not say whether this container needs a login: after an interrupted deployment it can be of an
        # earlier version or security, without the file.
        curl = f'[ ! -r {CURL_CONFIG} ] || set -- -K {CURL_CONFIG} "$@"; exec curl "$@"'
        exit_code, output = execute(name, ["sh", "-c", curl, "curl", "-fsS" if fail else "-sS", "-m", "5", url])
        if exit_code:
            reason = output.rpartition("\n")[2]  # warnings of Docker's client come first
            raise RuntimeError(f"{service}: {reason}")
        return output


def _run_check(name: str, check: Callable[[], StageResult]) -> StageHealth:
    """The result of a check. Its text is sanitized: a service's answer can have text of a message."""
    figures, problem = "–", None
    try:
        figures, problem = check()
    except requests.RequestException as error:
        problem = innermost_cause(error)
    except ELASTICSEARCH_ERRORS as error:
        problem = describe_failure(error)
    except (APIError, KafkaRequestError, PrometheusError, RuntimeError) as error:
        problem = first_line(error)
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        problem = f"unreadable answer: {first_line(error)}"
    return StageHealth(name, sanitize(figures), problem and sanitize(problem))


def _sum(metrics: Samples, name: str) -> float | None:
    """The sum of a metric's samples; a metric without samples is unknown (None), not 0."""
    return sum(metrics[name].values()) if name in metrics else None


def _total(metrics: Samples, name: str) -> str:
    """The same in words."""
    total = _sum(metrics, name)
    return "unknown" if total is None else f"{total:,.0f}"


def _by_label(metrics: Samples, name: str, noun: str, rest: str) -> str:
    """The sum of a counter with one label in words, and its parts; empty if it is 0."""
    parts = {label.partition(" ")[2]: number for label, number in metrics.get(name, {}).items() if number}
    if not parts:
        return ""
    each = ", ".join(f"{label} {number:,.0f}" for label, number in sorted(parts.items()))
    return f", {counted(sum(parts.values()), noun)} {rest} ({each})"


def _memory(container: Container) -> int:
    """The container's memory usage in bytes; 0 if the engine does not return it."""
    try:
        stats: Any = container.stats(stream=False, one_shot=True)
    except DOCKER_ERRORS:  # the container has just exited, for example
        return 0
    usage = stats["memory_stats"]
    # The same figure as in `docker stats`: without the page cache that the kernel would give back. Its first name is
    # that of control groups of version 1, its second one that of version 2.
    details = usage.get("stats", {})
    return int(usage.get("usage", 0)) - int(details.get("total_inactive_file", details.get("inactive_file", 0)))
