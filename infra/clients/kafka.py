"""Client for Kafka topics: create, read, grow, configure, delete, and end offsets."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

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

TIMEOUT_SECONDS = 30
# librdkafka's error codes for a broker that does not answer.
_UNAVAILABLE = (KafkaError._ALL_BROKERS_DOWN, KafkaError._TIMED_OUT, KafkaError._TRANSPORT)


class TopicError(Exception):
    """Kafka rejected a request about a topic, or did not answer."""


class KafkaUnavailableError(TopicError):
    """Kafka does not answer."""


class _TopicExistsError(KafkaException):
    """A topic of this name exists."""


class _DeletionPendingError(KafkaException):
    """Kafka has not finished deleting the previous topic of this name."""


@dataclass(frozen=True)
class TopicState:
    """A topic as the broker has it. `id` identifies its incarnation: a recreated topic of the same name has another."""

    id: str
    partitions: int
    replication_factor: int
    config: Mapping[str, str]
    """The topic's own settings, without the broker's defaults."""


class TopicClient:
    """Creates, reads, changes and deletes topics. Each request has a timeout of `timeout_seconds`."""

    def __init__(self, bootstrap_servers: str, timeout_seconds: int = TIMEOUT_SECONDS) -> None:
        self._servers = bootstrap_servers
        self._timeout = timeout_seconds
        self._admin = AdminClient(
            {
                "bootstrap.servers": bootstrap_servers,
                "socket.timeout.ms": timeout_seconds * 1000,
                # Critical only: librdkafka's log line for each connection attempt would hide the error that is raised.
                "log_level": 2,
            }
        )

    def create(self, name: str, partitions: int, replication_factor: int, config: Mapping[str, str]) -> TopicState:
        """Create the topic, or change an existing one to match. Raises TopicError."""
        new = NewTopic(name, num_partitions=partitions, replication_factor=replication_factor, config=dict(config))
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

        Raises TopicError; KafkaUnavailableError if Kafka does not answer.
        """
        try:
            described = self._admin.describe_topics(TopicCollection([name]), request_timeout=self._timeout)[
                name
            ].result()
            config = self._config(name)
        except KafkaException as error:
            if error.args[0].code() == KafkaError.UNKNOWN_TOPIC_OR_PART:
                return None
            raise self._explained(f"read topic {name}", error) from error
        return TopicState(
            id=str(described.topic_id),
            partitions=len(described.partitions),
            replication_factor=len(described.partitions[0].replicas),
            config=config,
        )

    def end_offsets(self, name: str) -> dict[int, int]:
        """The end offset of each partition. Raises TopicError."""
        try:
            described = self._admin.describe_topics(TopicCollection([name]), request_timeout=self._timeout)[
                name
            ].result()
            partitions = [TopicPartition(name, partition.id) for partition in described.partitions]
            latest = OffsetSpec.latest()  # type: ignore[no-untyped-call]
            ends = self._admin.list_offsets(dict.fromkeys(partitions, latest), request_timeout=self._timeout)
            return {each.partition: ends[each].result().offset for each in partitions}
        except KafkaException as error:
            raise self._explained(f"return the end offsets of topic {name}", error) from error

    def change(self, name: str, partitions: int, config: Mapping[str, str]) -> TopicState:
        """Grow the topic to `partitions` and set its own settings to exactly `config`. Raises TopicError."""
        found = self.read(name)
        if found is None:
            raise TopicError(f"topic {name} no longer exists; run `pulumi refresh`, then `pulumi up`")
        if partitions < found.partitions:
            raise TopicError(shrink_refusal(name, found.partitions, partitions))
        try:
            if partitions > found.partitions:
                self._admin.create_partitions([NewPartitions(name, partitions)])[name].result()
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
        """Delete the topic, if it exists, and wait until it is gone. Raises TopicError."""
        try:
            self._admin.delete_topics([name], request_timeout=self._timeout)[name].result()
        except KafkaException as error:
            if error.args[0].code() != KafkaError.UNKNOWN_TOPIC_OR_PART:
                raise self._explained(f"delete topic {name}", error) from error
        self._read_until(name, lambda state: state is None)

    def _create(self, new: NewTopic) -> None:
        try:
            self._admin.create_topics([new], request_timeout=self._timeout)[new.topic].result()
        except KafkaException as error:
            if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
                raise
            raise (_DeletionPendingError if self.read(new.topic) is None else _TopicExistsError)(*error.args) from error

    def _config(self, name: str) -> dict[str, str]:
        resource = ConfigResource(ResourceType.TOPIC, name)
        entries = self._admin.describe_configs([resource])[resource].result()
        own = ConfigSource.DYNAMIC_TOPIC_CONFIG.value
        return {key: entry.value for key, entry in sorted(entries.items()) if entry.source == own}

    def _set_config(self, name: str, old: Mapping[str, str], new: Mapping[str, str]) -> None:
        changes = [ConfigEntry(key, value, incremental_operation=AlterConfigOpType.SET) for key, value in new.items()]
        changes += [
            ConfigEntry(key, None, incremental_operation=AlterConfigOpType.DELETE) for key in old if key not in new
        ]
        resource = ConfigResource(ResourceType.TOPIC, name, incremental_configs=changes)
        self._admin.incremental_alter_configs([resource])[resource].result()

    def _read_until(self, name: str, condition: Callable[[TopicState | None], bool]) -> TopicState | None:
        # Poll: the broker acknowledges a change before all of its metadata shows it.
        try:
            return Retrying(
                retry=retry_if_result(lambda state: not condition(state)),
                stop=stop_after_delay(self._timeout),
                wait=wait_fixed(0.2),
            )(self.read, name)
        except RetryError:
            raise TopicError(
                f"topic {name} does not show the change after {self._timeout} s at {self._servers}"
            ) from None

    def _explained(self, what: str, error: KafkaException) -> TopicError:
        kind = KafkaUnavailableError if error.args[0].code() in _UNAVAILABLE else TopicError
        return kind(f"Kafka at {self._servers} did not {what}: {error.args[0].str()}")


def shrink_refusal(name: str, found: int, wanted: int) -> str:
    """The error for a topic that would shrink: why Kafka refuses fewer partitions, and what to do."""
    return (
        f"topic {name} has {found} partitions and Kafka cannot take partitions away: set lolstack:topicPartitions to "
        f"{found} or more (not {wanted}); or, to lose its messages, first `pulumi destroy --target '**::{name}' "
        "--target-dependents`"
    )
