"""Kafka topics, as a plain client sees them."""

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
# What librdkafka says when no broker answered it.
_AWAY = (KafkaError._ALL_BROKERS_DOWN, KafkaError._TIMED_OUT, KafkaError._TRANSPORT)


class TopicError(Exception):
    """Kafka refused, or did not answer."""


class KafkaUnavailableError(TopicError):
    """Kafka does not answer."""


class _AlreadyThereError(KafkaException):
    """There is a topic of this name."""


class _StillThereError(KafkaException):
    """There was a topic of this name, and Kafka has not finished deleting it."""


@dataclass(frozen=True)
class TopicState:
    """A topic as the broker has it. `id` differs between two topics that had the same name one after the other."""

    id: str
    partitions: int
    replication_factor: int
    config: Mapping[str, str]
    """What was set for this topic; the broker's defaults are not in it."""


class TopicClient:
    """Creates, reads, changes and deletes topics of one Kafka, which has `timeout_seconds` for each answer."""

    def __init__(self, bootstrap_servers: str, timeout_seconds: int = TIMEOUT_SECONDS) -> None:
        self._servers = bootstrap_servers
        self._timeout = timeout_seconds
        self._admin = AdminClient(
            {
                "bootstrap.servers": bootstrap_servers,
                "socket.timeout.ms": timeout_seconds * 1000,
                # What failed is in the error that is raised; librdkafka's line for each attempt would hide it.
                "log_level": 2,
            }
        )

    def create(self, name: str, partitions: int, replication_factor: int, config: Mapping[str, str]) -> TopicState:
        """Make the topic; one that is there already is changed to fit. Raises TopicError."""
        new = NewTopic(name, num_partitions=partitions, replication_factor=replication_factor, config=dict(config))
        try:
            # A topic that was just deleted can no longer be read, and is still in the way for a moment.
            Retrying(
                retry=retry_if_exception_type(_StillThereError),
                stop=stop_after_delay(self._timeout),
                wait=wait_fixed(0.2),
                reraise=True,
            )(self._create, new)
        except _AlreadyThereError:
            self.change(name, partitions, config)
        except KafkaException as error:
            raise self._explained(f"create topic {name}", error) from error
        state = self._read_until(name, lambda state: state is not None and state.partitions == partitions)
        assert state is not None
        return state

    def read(self, name: str) -> TopicState | None:
        """The topic, or None where there is none.

        Raises TopicError; KafkaUnavailableError where Kafka does not answer.
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
        """By partition, how many messages it has had. Raises TopicError."""
        try:
            described = self._admin.describe_topics(TopicCollection([name]), request_timeout=self._timeout)[
                name
            ].result()
            places = [TopicPartition(name, partition.id) for partition in described.partitions]
            latest = OffsetSpec.latest()  # type: ignore[no-untyped-call]
            ends = self._admin.list_offsets(dict.fromkeys(places, latest), request_timeout=self._timeout)
            return {place.partition: ends[place].result().offset for place in places}
        except KafkaException as error:
            raise self._explained(f"say how far topic {name} goes", error) from error

    def change(self, name: str, partitions: int, config: Mapping[str, str]) -> TopicState:
        """Grow the topic to `partitions` and make its own settings exactly `config`. Raises TopicError."""
        found = self.read(name)
        if found is None:
            raise TopicError(f"topic {name} is not there any more; run `pulumi refresh`, then `pulumi up`")
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
        """Delete the topic and return when it is gone; one that is not there is no error. Raises TopicError."""
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
            raise (_StillThereError if self.read(new.topic) is None else _AlreadyThereError)(*error.args) from error

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
        # The broker answers a change before all of its metadata shows it.
        try:
            return Retrying(
                retry=retry_if_result(lambda state: not condition(state)),
                stop=stop_after_delay(self._timeout),
                wait=wait_fixed(0.2),
            )(self.read, name)
        except RetryError:
            raise TopicError(
                f"topic {name} does not show its change after {self._timeout} s at {self._servers}"
            ) from None

    def _explained(self, what: str, error: KafkaException) -> TopicError:
        kind = KafkaUnavailableError if error.args[0].code() in _AWAY else TopicError
        return kind(f"Kafka at {self._servers} did not {what}: {error.args[0].str()}")


def shrink_refusal(name: str, found: int, wanted: int) -> str:
    """Why a topic cannot get fewer partitions, and what can be done."""
    return (
        f"topic {name} has {found} partitions and Kafka cannot take partitions away: set lolstack:topicPartitions to "
        f"{found} or more (not {wanted}); or, to lose its messages, first `pulumi destroy --target '**::{name}' "
        "--target-dependents`"
    )
