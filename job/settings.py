"""The job's settings: the defaults of config.yaml with a deployment's overrides, validated before anything starts.

Imports only pydantic and PyYAML, because the Pulumi program on the host validates the overrides with it too.
"""

import re
from collections.abc import Mapping
from datetime import UTC, date, datetime, time
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import yaml
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    model_validator,
)
from pydantic_core import PydanticCustomError

DEFAULTS = Path(__file__).with_name("config.yaml")

_INVALID = "invalid_setting"


def _invalid(what_to_do: str) -> PydanticCustomError:
    """The error of a value that is wrong by a rule of this module."""
    return PydanticCustomError(_INVALID, what_to_do)


def _format(pattern: str, expected: str) -> AfterValidator:
    """Validates a text by a pattern. pydantic's own message would show the regular expression, not what is expected."""

    def check(value: str) -> str:
        if not re.search(pattern, value):
            raise _invalid(expected)
        return value

    return AfterValidator(check)


Port = Annotated[int, Field(ge=1, le=65535)]
Positive = Annotated[int, Field(ge=1)]
Text = Annotated[str, Field(min_length=1)]
Memory = Annotated[str, _format(r"^[1-9][0-9]*[mg]\Z", "write a size such as 512m or 2g")]
MIN_SPARK_HEAP_MIB = 466
"""Spark's driver and executors end at their start if less than 450 MiB of the heap can be used: all but a part of the
young generation, with the serial garbage collector."""


def mebibytes(memory: str) -> int:
    """A size such as 512m or 2g, in MiB."""
    return int(memory[:-1]) * (1024 if memory.endswith("g") else 1)


def _check_spark_heap(value: str) -> str:
    if mebibytes(value) < MIN_SPARK_HEAP_MIB:
        raise _invalid(f"Spark starts with at least {MIN_SPARK_HEAP_MIB}m")
    return value


SparkMemory = Annotated[Memory, AfterValidator(_check_spark_heap)]
TopicName = Annotated[
    str, _format(r"^[A-Za-z0-9._-]{1,249}\Z", "write a topic name: letters, digits, '.', '_' and '-'")
]
_lower_case_name = _format(r"^[a-z][a-z0-9_]*\Z", "write a name of lower-case letters, digits and '_'")
AliasName = Annotated[str, _lower_case_name]

# Cassandra's file reserved_keywords.txt. The statements have the name of the keyspace without quotes.
_RESERVED_IN_CQL = frozenset(
    (
        *("add", "allow", "alter", "and", "apply", "asc", "authorize", "batch", "begin", "by", "columnfamily"),
        *("create", "delete", "desc", "describe", "drop", "entries", "execute", "from", "full", "grant", "if", "in"),
        *("index", "infinity", "insert", "into", "is", "keyspace", "limit", "materialized", "modify", "nan"),
        *("norecursive", "not", "null", "of", "on", "or", "order", "primary", "rename", "revoke", "schema", "select"),
        *("set", "table", "to", "token", "truncate", "unlogged", "update", "use", "using", "view", "where", "with"),
    )
)


_CASSANDRAS_OWN = frozenset(
    (
        *("system", "system_auth", "system_cluster_metadata", "system_distributed", "system_metrics", "system_schema"),
        *("system_traces", "system_views", "system_virtual_schema"),
    )
)


def _check_keyspace(value: str) -> str:
    if value in _RESERVED_IN_CQL:
        raise _invalid("CQL reserves this word: write another name")
    if value in _CASSANDRAS_OWN:
        raise _invalid("Cassandra has a keyspace of this name itself: write another one")
    return value


Keyspace = Annotated[
    str,
    Field(max_length=48),  # Cassandra's own limit
    _lower_case_name,
    AfterValidator(_check_keyspace),
]
Location = Annotated[str, _format(r"^[a-z][a-z0-9]*://.*/", "write a URI such as file:///var/lib/checkpoints")]
Certificate = Annotated[
    str,
    _format(r"^\Z|-----BEGIN CERTIFICATE-----", "write the certificate itself, as PEM: -----BEGIN CERTIFICATE-----, …"),
]
HostName = Annotated[str, _format(r"^[^\s:/]+\Z", "write a host name without a port")]


def _check_ports(value: str) -> str:
    """Validate the port of one or several addresses, separated by commas."""
    for address in value.split(","):
        if not 1 <= int(address.rpartition(":")[2]) <= 65535:
            raise _invalid("a port is between 1 and 65535")
    return value


HttpUrl = Annotated[
    str,
    _format(r"^https?://[^/\s,]+:[0-9]{1,9}\Z", "write a URL with its port, such as http://elasticsearch:9200"),
    AfterValidator(_check_ports),
]
Servers = Annotated[
    str,
    _format(r"^[^\s,:]+:[0-9]{1,9}(,[^\s,:]+:[0-9]{1,9})*\Z", "write host:port, several separated by commas"),
    AfterValidator(_check_ports),
]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def parse_time(value: Any) -> datetime:
    """Parse ISO 8601 text, or what YAML parsed such text to, as a time in UTC. Without a time zone it is UTC.

    Raises ValueError if it is not a time, or before 1970, where Kafka's timestamps begin.
    """
    if isinstance(value, str):
        value = datetime.fromisoformat(value)
    elif isinstance(value, date) and not isinstance(value, datetime):
        value = datetime.combine(value, time())
    elif not isinstance(value, datetime):
        raise ValueError(f"{value!r} is not a time")
    try:
        moment: datetime = (value if value.tzinfo else value.replace(tzinfo=UTC)).astimezone(UTC)
    except OverflowError as error:
        raise ValueError(f"{value} is out of range") from error
    if moment < _EPOCH:
        raise ValueError(f"{value} is before 1970")
    return moment


def _position(value: Any) -> Any:
    if value in ("latest", "earliest"):
        return value
    try:
        return parse_time(value)
    except ValueError as error:
        raise _invalid("write latest, earliest or a time: 2026-11-24T06:00:00Z") from error


StartingPosition = Annotated[Literal["latest", "earliest"] | datetime, BeforeValidator(_position)]


_MIDNIGHT_UTC = re.compile(r"[T ]00:00(:00)?(Z| \+0000 UTC|\+00:00)$")
"""Behind a date: Pulumi rewrites a date without quotes as `2026-02-01 00:00:00 +0000 UTC`."""


def _plain_date(value: Any) -> Any:
    """A date, or its ISO 8601 text. A time but midnight is refused: its hour and its offset would be dropped."""
    text = value.isoformat() if isinstance(value, date) else value  # YAML parses dates and times
    try:
        return date.fromisoformat(_MIDNIGHT_UTC.sub("", text))
    except (TypeError, ValueError) as error:
        raise _invalid("write a date without a time: 2026-02-01, from 00:00 UTC") from error


PlainDate = Annotated[date, BeforeValidator(_plain_date)]


def _queue_ids(value: Any) -> Any:
    if value == "all" or (isinstance(value, list) and value and all(type(each) is int for each in value)):
        return value
    raise _invalid("write all, or a list of Riot's queue ids: [420, 440]")


QueueIds = Annotated[Literal["all"] | list[int], BeforeValidator(_queue_ids)]

_IDLE_EVENT_SECONDS = 10  # Spark's spark.sql.streaming.noDataProgressEventInterval
_BATCH_AGE_FACTOR = 4
_DAY_SECONDS = 86_400
_MAX_WINDOWS_OF_A_MATCH = 1440
_GROUPS_OF_A_MATCH = 15
"""Ten champions and five positions. Any match that counts has at most 24: eighteen champions, as in Arena, the
positions and UNKNOWN. The other half of the heap has room for these."""
_STATISTICS_ROWS_PER_HEAP_MIB = 1024
"""Rows of the statistics that a batch may have: half of the heap, with 512 bytes for each (see docs/decisions.md)."""


class SettingsError(Exception):
    """Invalid settings. `lines` has one line for each error: the key, what is wrong, what to do."""

    def __init__(self, lines: list[str]) -> None:
        super().__init__("\n".join(lines))
        self.lines = lines


class Section(BaseModel):
    """A section of the settings. Validation is strict: no unknown keys, no type conversion. Immutable."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Login(Section):
    """A user and a password for a service; both are empty for a service without logins."""

    username: str
    password: SecretStr

    @model_validator(mode="after")
    def _login_is_complete(self) -> Self:
        if self.username and not self.password.get_secret_value():
            raise ValueError(f"password: is missing for the user {self.username}; set it, or remove the username")
        if self.password.get_secret_value() and not self.username:
            raise ValueError("username: is missing for the password; set it, or remove the password")
        return self


class Driver(Section):
    host: Text
    memory: SparkMemory
    ui_port: Port


class Executor(Section):
    memory: SparkMemory
    cores: Positive

    @property
    def max_statistics_rows(self) -> int:
        """The most rows of the statistics that a batch may have: a single task keeps them in an executor's heap."""
        return _STATISTICS_ROWS_PER_HEAP_MIB * mebibytes(self.memory)


class Kafka(Login):
    bootstrap_servers: Servers
    security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"]
    sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"]
    ca_certificate: Certificate
    topic: TopicName
    dead_letter_topic: TopicName
    starting_offsets: StartingPosition

    @model_validator(mode="after")
    def _topics_differ(self) -> Self:
        if self.topic == self.dead_letter_topic:
            raise ValueError(f"dead_letter_topic: {self.topic} is also kafka.topic; dead letters need their own topic")
        return self

    @model_validator(mode="after")
    def _security_protocol_fits(self) -> Self:
        protocol = self.security_protocol
        if protocol.startswith("SASL_") and not self.username:
            raise ValueError(f"username: is missing; security_protocol {protocol} needs a login: set it")
        if self.username and not protocol.startswith("SASL_"):
            raise ValueError(
                f"username: is of no use with security_protocol {protocol}; set SASL_PLAINTEXT or SASL_SSL"
            )
        if self.ca_certificate and not protocol.endswith("SSL"):
            raise ValueError(f"ca_certificate: is of no use with security_protocol {protocol}; set SSL or SASL_SSL")
        return self


class Batch(Section):
    # JobStalled fires a minute after the last batch, which is longer than an interval and a batch together.
    interval_milliseconds: Annotated[int, Field(ge=0, le=30_000)]
    max_messages_per_second_and_partition: Annotated[int, Field(ge=1, le=10_000)]  # no batch is limited to fewer
    max_seconds: Annotated[int, Field(gt=0, le=30)]

    def initial_size(self, partitions: int) -> int:
        """The initial batch size for a number of partitions: one second's messages at the maximum rate."""
        return self.max_messages_per_second_and_partition * partitions


class Window(Section):
    # Windows stay in the memory of an executor until the watermark has passed them.
    size_seconds: Annotated[int, Field(ge=1, le=7 * _DAY_SECONDS)]
    slide_seconds: Positive
    watermark_seconds: Annotated[int, Field(ge=1, le=30 * _DAY_SECONDS)]
    # A query without progress for two minutes is restarted, and StatisticsStalled fires after one.
    update_seconds: Annotated[int, Field(gt=0, le=30)]

    @property
    def rows_of_a_match(self) -> int:
        """The rows of the statistics that a match changes: as many new ones if no other match is in its windows."""
        return self.size_seconds // self.slide_seconds * _GROUPS_OF_A_MATCH

    @model_validator(mode="after")
    def _check_window(self) -> "Window":
        size, slide, watermark = self.size_seconds, self.slide_seconds, self.watermark_seconds
        if slide > size:
            raise ValueError(
                f"slide_seconds: {slide} is longer than window.size_seconds {size}; matches between "
                "two windows would not be counted: make it shorter"
            )
        if size % slide:
            raise ValueError(
                f"size_seconds: {size} is not a multiple of window.slide_seconds {slide}; matches would "
                "count in a varying number of windows: change one of the two"
            )
        if size // slide > _MAX_WINDOWS_OF_A_MATCH:
            raise ValueError(
                f"slide_seconds: {slide} makes {size // slide} windows of window.size_seconds {size} for each match, "
                f"at most {_MAX_WINDOWS_OF_A_MATCH} are possible: make it longer"
            )
        if watermark < size:
            raise ValueError(
                f"watermark_seconds: {watermark} is shorter than window.size_seconds {size}; a window "
                "would close before it ends: make it at least as long"
            )
        return self


class Statistics(Section):
    queue_ids: QueueIds

    @property
    def counted_queue_ids(self) -> frozenset[int] | None:
        """The queues that count in the windows; None for all."""
        return None if isinstance(self.queue_ids, str) else frozenset(self.queue_ids)


class EventTime(Section):
    earliest: PlainDate
    ahead_seconds: Annotated[int, Field(ge=0)]


class Elasticsearch(Login):
    hosts: Annotated[list[HttpUrl], Field(min_length=1)]
    ca_certificate: Certificate
    matches: AliasName
    teams: AliasName
    champions: AliasName
    positions: AliasName
    request_timeout_seconds: Positive


class Archive(Login):
    hosts: Annotated[list[HostName], Field(min_length=1)]
    port: Port
    keyspace: Keyspace
    messages_per_second: Positive
    retention_days: Annotated[int, Field(ge=0, le=7300)]  # Cassandra's own limit


class Log(Section):
    level: Literal["DEBUG", "INFO", "WARNING", "ERROR"]
    format: Literal["readable", "json"]


class Http(Login):
    port: Port
    max_batch_age_seconds: Positive


class Settings(Section):
    """All settings, named as in config.yaml, which documents them."""

    app_name: Text
    master: Text
    spark_properties_file: str
    driver: Driver
    executor: Executor
    parallelism: Positive
    kafka: Kafka
    batch: Batch
    window: Window
    statistics: Statistics
    event_time: EventTime
    checkpoint_location: Location
    elasticsearch: Elasticsearch
    archive: Archive
    log: Log
    http: Http
    stop_grace_seconds: Positive

    @property
    def max_statistics_messages(self) -> int:
        """The maximum batch size of the statistics: the heap holds its rows even if no two matches share a window."""
        return max(1, self.executor.max_statistics_rows // self.window.rows_of_a_match)

    @model_validator(mode="after")
    def _check_batch_age(self) -> Self:
        """A query that is healthy, but slow or idle, must not count as one that hangs: Docker would restart the driver
        again and again."""
        seconds = {
            "batch.interval_milliseconds": self.batch.interval_milliseconds / 1000,
            "batch.max_seconds": self.batch.max_seconds,
            "window.update_seconds": self.window.update_seconds,
            "the interval of an idle query's events": _IDLE_EVENT_SECONDS,
        }
        longest = max(seconds, key=lambda name: seconds[name])
        if self.http.max_batch_age_seconds < _BATCH_AGE_FACTOR * seconds[longest]:
            raise ValueError(
                f"http.max_batch_age_seconds: {self.http.max_batch_age_seconds} is shorter than {_BATCH_AGE_FACTOR} "
                f"times {longest} ({seconds[longest]:g} s); healthy queries would count as hanging: make it longer"
            )
        return self

    @model_validator(mode="after")
    def _request_times_out_before_a_query_counts_as_hung(self) -> Self:
        timeout, limit = self.elasticsearch.request_timeout_seconds, self.http.max_batch_age_seconds
        if timeout >= limit:
            raise ValueError(
                f"elasticsearch.request_timeout_seconds: {timeout} is not shorter than http.max_batch_age_seconds "
                f"{limit}; a slow Elasticsearch would count as a job that hangs: make it shorter"
            )
        return self


def load(path: Path | None) -> Settings:
    """Return the defaults, overridden by the YAML file at `path` unless it is None.

    Raises SettingsError if the file cannot be read or is invalid.
    """
    if path is None:
        return with_overrides({})
    try:
        overrides = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError([f"{path}: cannot be read ({error}); give a YAML file with keys of config.yaml"]) from error
    except yaml.YAMLError as error:
        # Not the error's own text: it quotes the line, which may have a password.
        mark = getattr(error, "problem_mark", None)
        where = f"line {mark.line + 1}: {getattr(error, 'problem', '')}" if mark else type(error).__name__
        raise SettingsError([f"{path}: is not YAML ({where}); correct the file"]) from error
    if overrides is None:
        overrides = {}
    if not isinstance(overrides, dict):
        raise SettingsError([f"{path}: contains a {type(overrides).__name__}; write keys of config.yaml with values"])
    return with_overrides(overrides)


def with_overrides(overrides: Mapping[str, Any]) -> Settings:
    """Return the defaults, overridden by `overrides`, which are nested as in config.yaml.

    Raises SettingsError with every invalid key.
    """
    defaults: dict[str, Any] = yaml.safe_load(DEFAULTS.read_text(encoding="utf-8"))
    values = deep_merge(defaults, overrides)
    try:
        return Settings.model_validate(values)
    except ValidationError as error:
        raise SettingsError([_error_line(each, defaults) for each in error.errors()]) from error


def deep_merge(base: Mapping[str, Any], overrides: Mapping[str, Any]) -> dict[str, Any]:
    """Merge nested mappings key by key; overrides replace every other value."""
    result = dict(base)
    for key, value in overrides.items():
        nested = result.get(key)
        if isinstance(nested, Mapping) and isinstance(value, Mapping):
            result[key] = deep_merge(nested, value)
        else:
            result[key] = value
    return result


def _error_line(error: Any, defaults: Mapping[str, Any]) -> str:
    """One of pydantic's validation errors as `key: what is wrong; what to do`."""
    key = ".".join(str(part) for part in error["loc"])
    if error["type"] == "value_error":  # raised in this module: the message begins with the key's last part
        return f"{key}.{error['ctx']['error']}" if key else str(error["ctx"]["error"])
    if error["type"] == "extra_forbidden":
        return f"{key}: is not a key of the job's settings; {_suggestion(error['loc'], defaults)}"
    if error["type"] == _INVALID:
        value = error["input"]  # maybe a date or a time, whose repr() would be Python
        return f"{key}: {str(value) if isinstance(value, date) else repr(value)} is invalid; {error['msg']}"
    wrong = error["msg"][0].lower() + error["msg"][1:]
    shown = "its value" if key.endswith("password") else repr(error["input"])
    return f"{key}: {shown} is invalid: {wrong}; correct or remove it, config.yaml has the default"


def _suggestion(location: tuple[Any, ...], defaults: Mapping[str, Any]) -> str:
    """Suggest the key that an unknown one was probably meant to be."""
    siblings: Any = defaults
    for part in location[:-1]:
        siblings = siblings[part]
    known = sorted(str(name) for name in siblings)
    close = get_close_matches(str(location[-1]), known, n=1)
    parent = "".join(f"{part}." for part in location[:-1])
    return f"did you mean {parent}{close[0]}?" if close else f"known keys: {', '.join(known)}"
