"""Client for Kafka topics: create, read, grow, configure, delete, and their offsets."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

from confluent_kafka import KafkaError, KafkaException, TopicCollection, TopicPartition
from confluent_kafka.admin import (
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    ConfigSource,
    NewPartitions,
    NewTopic,
    OffsetSpec,
    ResourceType,
)
from tenacity import RetryError, Retrying, retry_if_exception_type, retry_if_result, stop_after_delay, wait_fixed

from infra.names import pulumi_command
from job.kafka_client import ConnectionErrors, check_listed, describe_login_error, is_login_error

TIMEOUT_SECONDS = 30
# librdkafka's error codes for a broker that does not answer.
_UNAVAILABLE = (KafkaError._ALL_BROKERS_DOWN, KafkaError._TIMED_OUT, KafkaError._TRANSPORT)


class KafkaRequestError(Exception):
    """Kafka rejected a request, or did not answer."""


class KafkaUnavailableError(KafkaRequestError):
    """Kafka does not answer."""


class KafkaLoginError(KafkaRequestError):
    """Kafka rejects the login, or does not permit its user the request."""


class _NotShownError(KafkaRequestError):
    """The broker's metadata do not show an expected state of the topic in time."""


class _TopicExistsError(KafkaException):
    """A topic of this name exists."""


class _DeletionPendingError(KafkaException):
    """Kafka has not finished deleting the previous topic of this name."""


@dataclass(frozen=True)
class TopicState:
    """A topic as the broker has it. `id` identifies its incarnation: a recreated topic of the same name has another."""

    id: str
    partitions: int
    config: Mapping[str, str]
    """The topic's own settings, without the broker's defaults."""


class TopicClient:
    """Creates, reads, changes and deletes topics. Each request has a timeout of `timeout_seconds`.

    `client` has librdkafka's settings: addresses and login.
    """

    def __init__(self, client: Mapping[str, Any], timeout_seconds: float = TIMEOUT_SECONDS) -> None:
        self._client = client
        self._timeout = timeout_seconds
        self._errors = ConnectionErrors()
        settings: dict[str, Any] = {
            **client,
            "error_cb": self._errors,
            "socket.timeout.ms": int(timeout_seconds * 1000),
            # Critical only: librdkafka's log line for each connection attempt would hide the error that is raised.
            "log_level": 2,
        }
        self._admin = AdminClient(settings)

    def create(self, name: str, partitions: int, config: Mapping[str, str]) -> TopicState:
        """Create the topic, or change an existing one to match. Raises KafkaRequestError."""
        new = NewTopic(name, num_partitions=partitions, replication_factor=1, config=dict(config))
        try:
            # Retry: for a moment after its deletion a topic cannot be read, but its name is still taken.
            Retrying(
                retry=retry_if_exception_type(_DeletionPendingError),
                stop=stop_after_delay(self._timeout),
                wait=wait_fixed(0.2),
                reraise=True,
            )(self._create, new)
        except _TopicExistsError:
            self.change(name, partitions, config)
        except KafkaException as error:
            raise self._explained(f"create topic {name}", error) from error
        state = self._read_until(name, lambda state: state is not None and state.partitions == partitions)
        assert state is not None
        return state

    def read(self, name: str) -> TopicState | None:
        """The topic, or None if it does not exist.

        Raises KafkaRequestError; KafkaUnavailableError if Kafka does not answer.
        """
        try:
            described = self._describe(name)
            config = self._config(name)
        except KafkaException as error:
            if error.args[0].code() == KafkaError.UNKNOWN_TOPIC_OR_PART:
                return None
            raise self._explained(f"read topic {name}", error) from error
        return TopicState(id=str(described.topic_id), partitions=len(described.partitions), config=config)

    def end_offsets(self, name: str) -> dict[int, int]:
        """The end offset of each partition. Raises KafkaRequestError."""
        return self._offsets(name, OffsetSpec.latest())  # type: ignore[no-untyped-call]

    def beginning_offsets(self, name: str) -> dict[int, int]:
        """The offset of the oldest message that each partition retains. Raises KafkaRequestError."""
        return self._offsets(name, OffsetSpec.earliest())  # type: ignore[no-untyped-call]

    def change(self, name: str, partitions: int, config: Mapping[str, str]) -> TopicState:
        """Grow the topic to `partitions` and set its own settings to exactly `config`. Raises KafkaRequestError."""
        try:
            # A broker that has just started answers before it knows its topics.
            found = self._read_until(name, lambda state: state is not None)
        except _NotShownError as error:
            raise KafkaRequestError(f"topic {name} no longer exists; refresh and deploy the stack again") from error
        assert found is not None
        if partitions < found.partitions:
            raise KafkaRequestError(shrink_refusal(name, found.partitions, partitions))
        try:
            if partitions > found.partitions:
                self._wait(self._admin.create_partitions([NewPartitions(name, partitions)])[name])
            if config != found.config:
                self._set_config(name, found.config, config)
        except KafkaException as error:
            raise self._explained(f"change topic {name}", error) from error
        state = self._read_until(
            name, lambda state: state is not None and state.partitions == partitions and state.config == config
        )
        assert state is not None
        return state

    def delete(self, name: str) -> None:
        """Delete the topic, if it exists, and wait until it is gone. Raises KafkaRequestError."""
        try:
            self._wait(self._admin.delete_topics([name], request_timeout=self._timeout)[name])
        except KafkaException as error:
            if error.args[0].code() != KafkaError.UNKNOWN_TOPIC_OR_PART:
                raise self._explained(f"delete topic {name}", error) from error
        self._read_until(name, lambda state: state is None)

    def _create(self, new: NewTopic) -> None:
        try:
            self._wait(self._admin.create_topics([new], request_timeout=self._timeout)[new.topic])
        except KafkaException as error:
            if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
                raise
            raise (_DeletionPendingError if self.read(new.topic) is None else _TopicExistsError)(*error.args) from error

    def _offsets(self, name: str, spec: OffsetSpec) -> dict[int, int]:
        try:
            described = self._describe(name)
            partitions = [TopicPartition(name, partition.id) for partition in described.partitions]
            found = self._admin.list_offsets(dict.fromkeys(partitions, spec), request_timeout=self._timeout)
            return {each.partition: check_listed(self._wait(found[each])).offset for each in partitions}
        except KafkaException as error:
            raise self._explained(f"return the offsets of topic {name}", error) from error

    def _config(self, name: str) -> dict[str, str]:
        resource = ConfigResource(ResourceType.TOPIC, name)
        entries = self._wait(self._admin.describe_configs([resource])[resource])
        own = ConfigSource.DYNAMIC_TOPIC_CONFIG.value
        return {key: entry.value for key, entry in sorted(entries.items()) if entry.source == own}

    def _set_config(self, name: str, old: Mapping[str, str], new: Mapping[str, str]) -> None:
        changes = [ConfigEntry(key, value, incremental_operation=AlterConfigOpType.SET) for key, value in new.items()]
        changes += [
            ConfigEntry(key, None, incremental_operation=AlterConfigOpType.DELETE) for key in old if key not in new
        ]
        resource = ConfigResource(ResourceType.TOPIC, name, incremental_configs=changes)
        self._wait(self._admin.incremental_alter_configs([resource])[resource])

    def _read_until(self, name: str, condition: Callable[[TopicState | None], bool]) -> TopicState | None:
        # Poll: the broker acknowledges a change before all of its metadata shows it.
        try:
            return Retrying(
                retry=retry_if_result(lambda state: not condition(state)),
                stop=stop_after_delay(self._timeout),
                wait=wait_fixed(0.2),
            )(self.read, name)
        except RetryError:
            raise _NotShownError(
                f"topic {name} does not show the change after {self._timeout} s at {self._client['bootstrap.servers']}"
            ) from None

    def _describe(self, name: str) -> Any:
        return self._wait(self._admin.describe_topics(TopicCollection([name]), request_timeout=self._timeout)[name])

    def _wait(self, future: Future[Any]) -> Any:
        return self._errors.wait(self._admin, future)

    def _explained(self, what: str, error: KafkaException) -> KafkaRequestError:
        return explain(self._client, what, error)


def explain(client: Mapping[str, Any], what: str, error: KafkaException) -> KafkaRequestError:
    """The error of a request as one line: what Kafka did not do, and why."""
    reason, servers = error.args[0], client["bootstrap.servers"]
    if is_login_error(reason):
        return KafkaLoginError(
            f"{describe_login_error(reason, servers, client.get('sasl.username', ''), 'the login of Kafka')}: "
            "a deployment of the stack sets the users' passwords and ACLs again, and a restart of Kafka that of admin"
        )
    kind = KafkaUnavailableError if reason.code() in _UNAVAILABLE else KafkaRequestError
    return kind(f"Kafka at {servers} did not {what}: {reason.str()}")


def shrink_refusal(name: str, found: int, wanted: int) -> str:
    """The error for a topic that would shrink: why Kafka refuses fewer partitions, and what to do."""
    # The placeholder is a name that no stack has.
    destroy = pulumi_command(f"destroy --target '**::{name}' --target-dependents", "NAME")
    return (
        f"topic {name} has {found} partitions and Kafka cannot take partitions away: set lolstack:topicPartitions to "
        f"{found} or more (not {wanted}); or, to lose its messages, first `{destroy}`"
    )
