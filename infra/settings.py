"""The stack's settings: Pulumi's configuration, typed and validated before any resource is declared."""

from __future__ import annotations

import math
import re
import zlib
from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Annotated, Any, Literal, NamedTuple, Self
from urllib.parse import urlsplit

import pulumi
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    Json,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic.alias_generators import to_camel

from generator.modes import have_remakes, parse_modes
from infra import versions
from infra.names import DEV_STACK, PROJECT, pulumi_command
from job.settings import SettingsError as JobSettingsError
from job.settings import mebibytes, with_overrides

Port = Field(ge=1, le=65535)
INITIAL_HEAP_MIB = 96
"""The initial heap of the JVMs whose heap grows and shrinks (-Xms). A JVM with a smaller maximum does not start."""
KAFKA_HEAP_SHARE = Fraction(1, 2)
CASSANDRA_HEAP_SHARE = Fraction(3, 8)
"""The share of a container's memory limit that is the maximum of its heap (-Xmx)."""
MIN_ELASTICSEARCH_MIB = 384
"""An estimate: Elasticsearch has used 350 MiB at rest."""
MAX_MEMORY_MIB = 1024 * 1024
MemoryMiB = Field(ge=64, le=MAX_MEMORY_MIB)
Percent = Field(ge=0, le=100)

# Docker's grammar of image references. Without a dot, a port or localhost it reads a host as part of a name.
_LABEL = "[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?"
_HOST = rf"(localhost|{_LABEL}(\.{_LABEL})+|{_LABEL}(\.{_LABEL})*:[0-9]+)"
_NAME = "[a-z0-9]+(([.]|__?|-+)[a-z0-9]+)*"
REGISTRY_MIRROR = re.compile(rf"{_HOST}(/{_NAME})*")
IMAGE_REFERENCE = re.compile(
    rf"({_HOST}/)?{_NAME}(/{_NAME})*(:[A-Za-z0-9_][A-Za-z0-9_.-]{{0,127}})?(@sha256:[0-9a-f]{{64}})?"
)

WEBHOOK = "alertWebhookUrl"
"""Its URL has a token, anywhere in it: its value is never printed."""
CHAT_SERVICES = ("hooks.slack.com", "discord.com", "discordapp.com", "webhook.office.com", "chat.googleapis.com")
"""Hosts whose webhooks, also on hosts below them, take messages of their own format only."""
BAD_ESCAPE = re.compile("%(?![0-9A-Fa-f]{2})")
LOGIN = re.compile(r"@(?!sha256:)")
"""A value that may have a login, `user:password@`, is redacted: it is not printed."""
MAX_DUPLICATES_PERCENT = 90
PORT_OFFSET_STEP = 115
"""No two default ports are equal modulo this step: stacks whose offsets are multiples of it have no port conflict."""
PORT_OFFSETS = 31
"""The number of derived offsets. With the largest, Kafka's port, the highest, is below 32768: from there on, Linux uses
ports for outgoing connections."""

WORKER_EXTRA_MIB = 768
"""Memory of a worker's container beside the executor's heap: the daemon, native memory, Python workers."""
ELASTICSEARCH_MIB = {"build": 1280, "registry": 1536}
"""Elasticsearch's memory limit by image source, unless it is set. The official image has a second JVM, a launcher. Its
limit is an estimate."""
DRIVER_EXTRA_MIB = 512
"""Memory of the driver's container beside the JVM's heap: native memory, Python."""

STACK_OWNED_JOB_KEYS = (
    *("master", "spark_properties_file", "driver.host", "driver.ui_port", "checkpoint_location"),
    *("http.port", "http.username", "http.password"),
    *("kafka.bootstrap_servers", "kafka.topic", "kafka.dead_letter_topic", "kafka.security_protocol"),
    *("kafka.sasl_mechanism", "kafka.username", "kafka.password", "kafka.ca_certificate"),
    *("elasticsearch.hosts", "elasticsearch.matches", "elasticsearch.teams", "elasticsearch.champions"),
    *("elasticsearch.positions", "elasticsearch.username", "elasticsearch.password", "elasticsearch.ca_certificate"),
    *("archive.hosts", "archive.port", "archive.username", "archive.password"),
)
"""The keys of job/config.yaml that a deployment cannot override: topics, templates, ports and dashboards depend on
them, the tools read the services of the stack, and logins are generated."""


class SettingsError(pulumi.RunError):
    """Invalid settings, or a host that does not fit them. One line each: the key, what is wrong and what to do."""


def _image_reference(text: str) -> str:
    if not IMAGE_REFERENCE.fullmatch(text):
        raise ValueError("no image reference like registry.example.com/team/name:1; a name has lower-case letters")
    return text


class HostPort(NamedTuple):
    """A port that a service publishes on the host, and the setting that it comes from."""

    setting: str
    service: str
    number: int


class Settings(BaseModel):
    """Every setting of one stack, with Pulumi.yaml's names in snake_case. The defaults are in Pulumi.yaml only."""

    model_config = ConfigDict(extra="forbid", frozen=True, alias_generator=to_camel)

    image_source: Literal["auto", "registry", "build"]
    registry_mirror: str
    images: Json[dict[str, Annotated[str, AfterValidator(_image_reference)]]]

    security: Literal["guarded", "strict"]
    credentials_generation: int = Field(ge=1, le=1_000_000)

    port_offset: int = Field(ge=-1, le=35000)
    kafka_port: int = Port
    spark_master_ui_port: int = Port
    spark_worker_ui_port: int = Port
    spark_job_ui_port: int = Port
    elasticsearch_port: int = Port
    kibana_port: int = Port
    cassandra_port: int = Port
    prometheus_port: int = Port
    alertmanager_port: int = Port
    grafana_port: int = Port
    dashboard_port: int = Port

    zookeeper_memory: int = MemoryMiB
    kafka_memory: int = Field(ge=math.ceil(INITIAL_HEAP_MIB / KAFKA_HEAP_SHARE), le=MAX_MEMORY_MIB)
    spark_master_memory: int = MemoryMiB
    spark_worker_memory: int = MemoryMiB
    spark_job_memory: int = MemoryMiB
    elasticsearch_memory: int = Field(ge=-1, le=MAX_MEMORY_MIB)
    kibana_memory: int = MemoryMiB
    cassandra_memory: int = Field(ge=math.ceil(INITIAL_HEAP_MIB / CASSANDRA_HEAP_SHARE), le=MAX_MEMORY_MIB)
    elasticsearch_exporter_memory: int = MemoryMiB
    node_exporter_memory: int = MemoryMiB
    prometheus_memory: int = MemoryMiB
    alertmanager_memory: int = MemoryMiB
    grafana_memory: int = MemoryMiB
    generator_memory: int = MemoryMiB
    archive_memory: int = MemoryMiB
    dashboard_memory: int = MemoryMiB

    spark_workers: int = Field(ge=1, le=64)
    spark_worker_cores: int = Field(ge=1, le=256)
    # More partitions than this on one broker only add cost: files, a leader and a task in every micro-batch.
    topic_partitions: int = Field(ge=1, le=128)
    topic_retention_hours: int = Field(ge=1, le=24 * 365)
    elasticsearch_replicas: int = Field(ge=0, le=5)
    elasticsearch_refresh_interval: str = Field(pattern=r"^[0-9]{1,6}(ms|s|m)$")
    prometheus_retention_days: int = Field(ge=1, le=3650)
    alert_webhook_url: str

    job: Json[dict[str, Any]]

    dashboard_enabled: bool

    generator_enabled: Literal["auto", "true", "false"]
    generator_rate: int = Field(ge=1, le=100_000)
    generator_size: Literal["full", "compact"]
    generator_modes: str
    generator_seed: int = Field(ge=-1)
    generator_duplicates_percent: int = Percent
    generator_remakes_percent: int = Percent
    generator_empty_positions_percent: int = Percent
    generator_poison_percent: int = Percent

    @model_validator(mode="after")
    def _host_ports_are_distinct_and_valid(self) -> Self:
        by_port: dict[int, str] = {}
        for key, _, port in self._base_ports():
            if port in by_port:
                raise ValueError(f"{key} and {by_port[port]} are both {port}: give one of them another port")
            by_port[port] = key
        return self

    @field_validator("elasticsearch_memory")
    @classmethod
    def _elasticsearch_memory_is_automatic_or_enough(cls, memory: int) -> int:
        if -1 < memory < MIN_ELASTICSEARCH_MIB:
            raise ValueError(f"must be at least {MIN_ELASTICSEARCH_MIB}, or -1")
        return memory

    @field_validator("elasticsearch_refresh_interval")
    @classmethod
    def _refresh_is_not_switched_off(cls, interval: str) -> str:
        """Nothing else makes the statistics searchable, nor the documents of a backlog."""
        if not int(interval.rstrip("ms")):
            raise ValueError("must be above 0, which would switch it off")
        return interval

    @field_validator("alert_webhook_url")
    @classmethod
    def _webhook_url_is_one_that_alertmanager_accepts(cls, url: str) -> str:
        if not url:
            return url
        if re.search(r"[\s\x00-\x1f\x7f]", url):
            raise ValueError("no spaces and control characters; write %20 for a space")
        if BAD_ESCAPE.search(url.partition("?")[0]):
            raise ValueError("a % stands before two hexadecimal digits; write %25 for the character itself")
        try:
            parts = urlsplit(url)
            port_is_valid = parts.port != 0
        except ValueError:  # its text has a part of the URL
            port_is_valid = False
        if not port_is_valid or parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError("no URL like https://hooks.example.com:8443/path: http or https, a host, a valid port")
        for service in CHAT_SERVICES:
            if f".{parts.hostname}".endswith(f".{service}"):
                raise ValueError(
                    f"{service} refuses Alertmanager's JSON: set the URL of a service that translates it and posts it "
                    "there, or of an on-call service that takes it"
                )
        return url

    @field_validator("registry_mirror")
    @classmethod
    def _registry_mirror_is_a_host_with_a_path(cls, mirror: str) -> str:
        mirror = mirror.removesuffix("/")
        if mirror and not REGISTRY_MIRROR.fullmatch(mirror):
            raise ValueError(
                "no registry like registry.example.com:5000/mirror: a host with a dot, a port or localhost, and a path "
                "in lower-case letters"
            )
        return mirror

    @field_validator("images")
    @classmethod
    def _image_names_are_known(cls, images: dict[str, str]) -> dict[str, str]:
        unknown = sorted(set(images) - set(versions.OFFICIAL_IMAGES))
        if unknown:
            raise ValueError(
                f"no image of that name: {', '.join(unknown)}; there are {', '.join(versions.OFFICIAL_IMAGES)}"
            )
        return images

    @model_validator(mode="after")
    def _generator_shares_are_at_most_100_percent(self) -> Self:
        if self.generator_duplicates_percent > MAX_DUPLICATES_PERCENT:
            raise ValueError(
                f"generatorDuplicatesPercent: a match is sent ten times at most: {MAX_DUPLICATES_PERCENT} or less"
            )
        shares = self.generator_duplicates_percent + self.generator_remakes_percent + self.generator_poison_percent
        if shares > 100:
            raise ValueError(
                "generatorDuplicatesPercent, generatorRemakesPercent and generatorPoisonPercent are shares of the same "
                f"messages and make {shares}: together at most 100"
            )
        return self

    @field_validator("generator_modes")
    @classmethod
    def _generator_modes_exist(cls, modes: str) -> str:
        parse_modes(modes)
        return modes

    @model_validator(mode="after")
    def _remakes_need_a_mode_with_two_teams(self) -> Self:
        if self.generator_remakes_percent and not have_remakes(parse_modes(self.generator_modes)):
            raise ValueError(
                "generatorRemakesPercent must be 0, or generatorModes needs a mode with two teams: no other has remakes"
            )
        return self

    @field_validator("job")
    @classmethod
    def _job_overrides_leave_the_stacks_keys(cls, job: dict[str, Any]) -> dict[str, Any]:
        owned = [path for path in STACK_OWNED_JOB_KEYS if _contains(job, path.split("."))]
        if owned:
            raise ValueError(
                f"{', '.join(owned)}: set by the stack: topics, templates, ports, dashboards or logins depend on it; "
                "remove it"
            )
        return job

    @model_validator(mode="after")
    def _job_overrides_are_valid(self) -> Self:
        try:
            job = with_overrides(self.job)
        except JobSettingsError as error:
            raise ValueError("; ".join(f"job.{line}" for line in error.lines)) from error
        # Otherwise Spark would wait forever for a worker that is large enough.
        _check_heap_fits(
            "sparkWorkerMemory", self.spark_worker_memory, "job.executor.memory", job.executor.memory, WORKER_EXTRA_MIB
        )
        _check_heap_fits(
            "sparkJobMemory", self.spark_job_memory, "job.driver.memory", job.driver.memory, DRIVER_EXTRA_MIB
        )
        if self.topic_partitions > job.max_statistics_messages:
            # A batch of a backlog has a message of each partition at least.
            raise ValueError(
                f"topicPartitions: a match has {job.window.rows_of_a_match:,} rows of the statistics with "
                f"job.window.size_seconds {job.window.size_seconds} and job.window.slide_seconds "
                f"{job.window.slide_seconds}, and {self.topic_partitions} of them can exceed job.executor.memory "
                f"{job.executor.memory}: make job.window.slide_seconds longer, or raise job.executor.memory"
            )
        if job.executor.cores > self.spark_worker_cores:
            raise ValueError(
                f"sparkWorkerCores: {self.spark_worker_cores} is less than job.executor.cores {job.executor.cores}: "
                "no worker could run an executor; raise the one or lower the other"
            )
        return self

    def unused_cores(self) -> str | None:
        """A warning if a worker has cores without an executor that uses them. Executors are all alike."""
        cores, executor = self.spark_worker_cores, with_overrides(self.job).executor
        executor_mib = mebibytes(executor.memory)
        executors = min(cores // executor.cores, (self.spark_worker_memory - WORKER_EXTRA_MIB) // executor_mib)
        used = executors * executor.cores
        if used == cores:
            return None
        more_memory = executor_mib * cores // executor.cores + WORKER_EXTRA_MIB
        memory = "" if cores % executor.cores else f", or {PROJECT}:sparkWorkerMemory to {more_memory}"
        return (
            f"{PROJECT}:sparkWorkerCores: the job uses {used} of {cores}: a worker runs {executors} executor(s) with "
            f"job.executor.cores {executor.cores} and job.executor.memory {executor.memory}. To use all, raise "
            f"job.executor.cores to {cores}{memory}"
        )

    def _base_ports(self) -> list[HostPort]:
        ports = [
            HostPort(to_camel(name), re.sub("(_ui)?_port$", "", name).replace("_", "-"), getattr(self, name))
            for name in type(self).model_fields
            if name.endswith("_port") and name != "spark_worker_ui_port"
        ]
        for n in range(self.spark_workers):
            key = "sparkWorkerUiPort" + (f" (worker {n + 1})" if n else "")
            ports.append(HostPort(key, worker_name(n + 1), self.spark_worker_ui_port + n))
        return [port for port in ports if port.service != "dashboard" or self.dashboard_enabled]

    def host_ports(self, stack: str) -> list[HostPort]:
        """The host ports of the stack, with the port offset added: of Kibana and Grafana also if they are left out."""
        offset = self.port_offset_of(stack)
        return [port._replace(number=port.number + offset) for port in self._base_ports()]

    def port_offset_of(self, stack: str) -> int:
        """Port allocation: the number added to each of the stack's host ports, derived from its name unless
        `portOffset` is set."""
        if self.port_offset >= 0:
            return self.port_offset
        if stack == DEV_STACK:
            return 0
        return PORT_OFFSET_STEP * (1 + zlib.crc32(stack.encode()) % PORT_OFFSETS)

    def generator_runs(self, stack: str) -> bool:
        """Whether the stack has a generator. `auto`: only the stack `dev` has one."""
        return self.generator_enabled == "true" or (self.generator_enabled == "auto" and stack == DEV_STACK)

    @classmethod
    def load(cls, config: Mapping[str, str], stack: str) -> Self:
        """The settings of `stack` from Pulumi's raw configuration (`project:key` → text).

        Raises SettingsError with a line for every key that is unknown, missing or invalid.
        """
        prefix = f"{PROJECT}:"
        values = {key.removeprefix(prefix): value for key, value in config.items() if key.startswith(prefix)}
        keys = {field.alias for field in cls.model_fields.values()}
        misspelt = [key for key in config if not key.startswith(prefix) and key.partition(":")[2] in keys]
        problems = [_explain_namespace(key, stack) for key in misspelt]
        try:
            settings = cls.model_validate(values)
        except ValidationError as error:
            problems += [_explain(each, stack) for each in error.errors()]
        if problems:
            raise SettingsError("\n".join(problems))
        too_high = [f"{key} ({port})" for key, _, port in settings.host_ports(stack) if port > 65535]
        if too_high:
            names = ", ".join(too_high)
            raise SettingsError(
                f"{names}: above 65535 with the stack's port offset {settings.port_offset_of(stack)}: "
                f"lower {prefix}portOffset"
            )
        return settings


def worker_name(number: int) -> str:
    """The service name of the `number`-th Spark worker, from 1."""
    return "spark-worker" if number == 1 else f"spark-worker-{number}"


def _contains(values: Any, path: Sequence[str]) -> bool:
    for part in path:
        if not isinstance(values, Mapping) or part not in values:
            return False
        values = values[part]
    return True


def _check_heap_fits(key: str, container_mib: int, heap_key: str, heap: str, rest_mib: int) -> None:
    heap_mib = mebibytes(heap)
    if container_mib < heap_mib + rest_mib:
        raise ValueError(
            f"{key}: {container_mib} MiB is too little for {heap_key} {heap} and {rest_mib} MiB beside it: raise it to "
            f"{heap_mib + rest_mib} or lower {heap_key}"
        )


def _explain_namespace(key: str, stack: str) -> str:
    remove = pulumi_command(f"config rm {key}", stack)
    return f"{key}: unknown setting, did you mean {PROJECT}:{key.partition(':')[2]}? Remove it: `{remove}`"


def _explain(error: Any, stack: str) -> str:
    key = ".".join(str(part) for part in error["loc"])
    what = error["msg"].removeprefix("Value error, ")
    if error["type"] == "extra_forbidden":
        remove = pulumi_command(f"config rm {key}", stack)
        return f"{PROJECT}:{key}: unknown setting (Pulumi.yaml lists all settings); remove it: `{remove}`"
    if error["type"] == "missing":
        return f"{PROJECT}:{key}: not set and without a default: run from a checkout with its Pulumi.yaml"
    if not key:
        return f"{PROJECT}: {what}"
    if key == "job":  # without the value: it may have a password
        change = pulumi_command("config set --path job.KEY VALUE", stack)
        remove = pulumi_command("config rm --path job.KEY", stack)
        return f"{PROJECT}:{key}: {what}; `{change}` changes a key, `{remove}` removes it"
    path = "--path " if len(error["loc"]) > 1 else ""
    is_secret = key == WEBHOOK or LOGIN.search(str(error["input"]))
    value = "" if is_secret else f" (is {error['input']!r})"
    change = pulumi_command(f"config set {path}{key} VALUE", stack)
    return f"{PROJECT}:{key}: {what}{value}; change it with `{change}`"
