"""The Kafka topic through the admin API: incarnation, offsets, retention, and deletion while it is being read."""

import logging
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from confluent_kafka import IsolationLevel, KafkaError, KafkaException, TopicCollection, TopicPartition, Uuid
from confluent_kafka.admin import AdminClient, OffsetSpec
from tenacity import Retrying, retry_if_exception_type, stop_after_attempt, wait_fixed

from job.errors import JobError, first_line
from job.kafka_client import ConnectionErrors, check_listed, client_settings, describe_error, is_login_error
from job.retry import wait_until_available
from job.settings import Kafka
from job.times import to_ms

_REQUEST_TIMEOUT_SECONDS = 10
_WATCH_INTERVAL_SECONDS = 3


class MissingTopicError(JobError):
    """A topic that the settings name does not exist."""


# A broker that has just started reports every topic as unknown for a moment, so a missing topic is retried.
_retry_missing_topic = Retrying(
    retry=retry_if_exception_type(MissingTopicError), stop=stop_after_attempt(10), wait=wait_fixed(1), reraise=True
)

Offsets = dict[int, int]
"""An offset for each partition."""


class PartitionOffsets(NamedTuple):
    """A partition's offsets at one time: the first one that is retained, the last stable offset, and the end offset.

    Consumers of committed messages read up to the last stable offset, which is before the end offset (the high
    watermark) while a transaction is open.
    """

    begin: int
    last_stable: int
    end: int


TopicOffsets = dict[int, PartitionOffsets]
"""By partition, also those that were added since the start; empty while they are unknown."""


class RetainedRange(NamedTuple):
    """What Kafka's retention has left of a partition: the first offset, the arrival time of that message, and the
    latest arrival time (ms), which is not the last message's if the broker's clock went back. It is None if unknown:
    Kafka does not return it while that message is behind an open transaction."""

    first_offset: int
    first_arrived_at: int
    latest_arrived_at: int | None


@dataclass(frozen=True)
class Incarnation:
    """One life of a topic, from its creation to its deletion. A topic that is deleted and created again has another id,
    and its offsets start from 0 again."""

    topic: str
    cluster_id: str
    topic_id: str
    partitions: tuple[int, ...]


class TopicInspector:
    """Reads the topic's metadata and offsets through Kafka's admin API.

    Retries while Kafka is not available, and logs each retry. Raises JobError after the timeout of `job.retry`.
    """

    def __init__(self, settings: Kafka) -> None:
        self._settings = settings
        self._errors = ConnectionErrors()
        self.unavailable_reason = ""
        """Why Kafka was not available when its offsets were read last."""
        configuration: dict[str, Any] = {
            **client_settings(settings).librdkafka(),
            "client.id": "lol-topic-inspector",
            "logger": logging.getLogger("librdkafka"),
            "error_cb": self._errors,
        }
        self._admin = AdminClient(configuration)

    def connect(self) -> Incarnation:
        """Wait for Kafka and return the topic's incarnation. Raises JobError if one of the two topics is missing."""
        cluster = self._retry(
            lambda: self._wait(self._admin.describe_cluster(request_timeout=_REQUEST_TIMEOUT_SECONDS))
        )
        _retry_missing_topic(self._retry, lambda: self._describe("dead_letter_topic"))
        description = _retry_missing_topic(self._retry, lambda: self._describe("topic"))
        return Incarnation(
            self._settings.topic,
            str(cluster.cluster_id),
            _path_safe(description.topic_id),
            tuple(sorted(partition.id for partition in description.partitions)),
        )

    def offsets(self, incarnation: Incarnation, position: str | datetime) -> Offsets:
        """Resolve a position to an offset for each partition: `earliest`, `latest`, or an arrival time.

        A time resolves to the first message that arrived then or later, and to the partition's end if there is none.
        """
        spec: Any = OffsetSpec

        def list_offsets(which: Any) -> Offsets:
            return _offsets(self._retry(lambda: self._list_offsets(incarnation.partitions, which)))

        if position == "earliest":
            return list_offsets(spec.earliest())
        # The end offsets are requested first: a message that arrives between the two requests must not be skipped.
        ends = list_offsets(spec.latest())
        if not isinstance(position, datetime):
            return ends
        found = list_offsets(spec.for_timestamp(to_ms(position)))
        return {partition: offset if offset >= 0 else ends[partition] for partition, offset in found.items()}

    def retained_ranges(self, incarnation: Incarnation) -> dict[int, RetainedRange]:
        """What Kafka's retention has left of each partition; empty partitions are left out."""
        spec: Any = OffsetSpec
        first = self._retry(lambda: self._list_offsets(incarnation.partitions, spec.for_timestamp(0)))
        latest = self._retry(lambda: self._list_offsets(incarnation.partitions, spec.max_timestamp()))
        return {
            partition: RetainedRange(
                found.offset, found.timestamp, latest[partition].timestamp if latest[partition].offset >= 0 else None
            )
            for partition, found in first.items()
            if found.offset >= 0
        }

    def replacement_reason(self, incarnation: Incarnation) -> str:
        """Why the incarnation no longer exists: the topic was deleted, or recreated (deleted and created again).

        Empty while it exists, and while Kafka is not available.
        """
        try:
            description = _retry_missing_topic(self._describe, "topic")
        except MissingTopicError:
            return f"topic {incarnation.topic} was deleted while it was being read"
        except KafkaException:
            return ""
        if _path_safe(description.topic_id) != incarnation.topic_id:
            return f"topic {incarnation.topic} was deleted and created again while it was being read"
        return ""

    def topic_offsets(self) -> TopicOffsets:
        """The present offsets of each present partition; empty while Kafka is not available."""
        spec: Any = OffsetSpec
        try:
            partitions = [partition.id for partition in self._describe("topic").partitions]
            begins = self._list_offsets(partitions, spec.earliest())
            # The high watermark is requested first: a message that arrives in between is not held by a transaction.
            ends = self._list_offsets(partitions, spec.latest(), IsolationLevel.READ_UNCOMMITTED)
            last_stable = self._list_offsets(partitions, spec.latest())
        except MissingTopicError as error:
            self.unavailable_reason = str(error)
            return {}
        except KafkaException as error:
            cause = self._errors.last or error.args[0]
            self.unavailable_reason = describe_error(cause, client_settings(self._settings))
            return {}
        return {
            partition: PartitionOffsets(
                begins[partition].offset, min(last_stable[partition].offset, end.offset), end.offset
            )
            for partition, end in ends.items()
        }

    def _describe(self, key: str) -> Any:
        name = getattr(self._settings, key)
        futures = self._admin.describe_topics(TopicCollection([name]), request_timeout=_REQUEST_TIMEOUT_SECONDS)
        try:
            return self._wait(futures[name])
        except KafkaException as error:
            if error.args[0].code() != KafkaError.UNKNOWN_TOPIC_OR_PART:
                raise
            raise MissingTopicError(
                f"kafka.{key}: there is no topic {name} at {self._settings.bootstrap_servers}; create it "
                "(a deployment of the stack does) or correct the setting"
            ) from error

    def _list_offsets(
        self, partitions: Iterable[int], spec: Any, isolation: IsolationLevel = IsolationLevel.READ_COMMITTED
    ) -> dict[int, Any]:
        """Kafka's response for each partition: an offset and a timestamp, both -1 if no message matches."""
        requests = {TopicPartition(self._settings.topic, partition): spec for partition in partitions}
        futures = self._admin.list_offsets(
            requests, isolation_level=isolation, request_timeout=_REQUEST_TIMEOUT_SECONDS
        )
        return {request.partition: check_listed(self._wait(future)) for request, future in futures.items()}

    def _wait(self, future: "Future[Any]") -> Any:
        return self._errors.wait(self._admin, future)

    def _retry(self, request: Callable[[], Any]) -> Any:
        """Retry a request until Kafka is available. Raises JobError if Kafka rejects the login."""
        servers, username = self._settings.bootstrap_servers, self._settings.username

        def is_temporary(error: BaseException) -> bool:
            return isinstance(error, KafkaException) and not is_login_error(error.args[0])

        def complaint(error: KafkaException) -> str:
            cause = self._errors.last or error.args[0]
            login = "" if username else "does it need a login (kafka.username), "
            return (
                f"kafka.bootstrap_servers: {servers} is not available ({cause.str()}); {login}is Kafka running, is the "
                "address right?"
            )

        try:
            return wait_until_available("Kafka", request, is_temporary, complaint)
        except KafkaException as error:
            raise JobError(describe_error(error.args[0], client_settings(self._settings))) from error


def _path_safe(topic_id: Uuid) -> str:
    """The topic id as Kafka's own tools write it, URL-safe base64 (no '+' and '/'), so that it can be in a path."""
    return str(topic_id).replace("+", "-").replace("/", "_")


def _offsets(responses: dict[int, Any]) -> Offsets:
    return {partition: found.offset for partition, found in responses.items()}


def watch(
    topic: TopicInspector,
    incarnation: Incarnation,
    on_end: Callable[[str], None],
    on_offsets: Callable[[TopicOffsets], None],
    stopped: threading.Event,
    on_wait: Callable[[str], None],
) -> None:
    """Poll the topic every few seconds in a thread, until `stopped` is set or the topic was replaced.

    Calls `on_offsets` at each poll, and `on_wait`, with the reason, at each at which Kafka is not available. Calls
    `on_end` once, with the reason, if the topic was deleted or created again: Spark would not notice a new topic that
    already has more messages than the old one had. `on_end` is also called if the watch itself fails: without it, the
    process would go on with a lag that never changes.
    """

    def poll() -> None:
        while not stopped.is_set():
            reason = topic.replacement_reason(incarnation)
            if reason:
                on_end(reason)
                return
            offsets = topic.topic_offsets()
            on_offsets(offsets)
            if not offsets:
                on_wait(topic.unavailable_reason)
            stopped.wait(_WATCH_INTERVAL_SECONDS)

    def poll_until_end() -> None:
        try:
            poll()
        except Exception as error:
            on_end(f"the topic's offsets can no longer be read: {type(error).__name__}: {first_line(error)}")

    threading.Thread(target=poll_until_end, name="topic-watch", daemon=True).start()
