"""The Kafka topic, seen from the driver: which incarnation it is, where it begins and ends, is it still there."""

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from confluent_kafka import IsolationLevel, KafkaError, KafkaException, TopicCollection, TopicPartition, Uuid
from confluent_kafka.admin import AdminClient, OffsetSpec
from tenacity import Retrying, retry_if_exception_type, stop_after_attempt, wait_fixed

from job.errors import JobError
from job.retry import wait_until_available
from job.settings import Kafka

_REQUEST_SECONDS = 10
_WATCH_SECONDS = 3


class MissingTopicError(JobError):
    """There is no topic of the name that a setting says."""


# A broker that has just started knows of no topics for a moment: only one that stays missing is.
_until_settled = Retrying(
    retry=retry_if_exception_type(MissingTopicError), stop=stop_after_attempt(10), wait=wait_fixed(1), reraise=True
)

Offsets = dict[int, int]


class Held(NamedTuple):
    """What a partition holds: the offset of its first message, and when its first and its latest came to Kafka (ms)."""

    begin: int
    first: int
    latest: int


@dataclass(frozen=True)
class Incarnation:
    """A topic from its creation to its deletion. A topic that is made anew has another id and counts from 0 again."""

    topic: str
    cluster_id: str
    topic_id: str
    partitions: tuple[int, ...]


class Topic:
    """Asks Kafka about the topic. Waits for Kafka where it does not answer, and says so.

    Raises JobError if Kafka does not answer within the limit of `job.waiting`.
    """

    def __init__(self, settings: Kafka) -> None:
        self._settings = settings
        configuration: dict[str, Any] = {
            "bootstrap.servers": settings.bootstrap_servers,
            "client.id": "lol-job-driver",
            "logger": logging.getLogger("librdkafka"),
            "error_cb": self._note,
        }
        self._cause = ""  # why the last request got no answer
        self._admin = AdminClient(configuration)

    def connect(self) -> Incarnation:
        """Wait for Kafka and return the topic's incarnation. Raises JobError if one of the two topics is missing."""
        cluster = self._patiently(lambda: self._admin.describe_cluster(request_timeout=_REQUEST_SECONDS).result())
        _until_settled(self._patiently, lambda: self._describe("dead_letter_topic"))
        description = _until_settled(self._patiently, lambda: self._describe("topic"))
        return Incarnation(
            self._settings.topic,
            str(cluster.cluster_id),
            _name(description.topic_id),
            tuple(sorted(partition.id for partition in description.partitions)),
        )

    def offsets(self, incarnation: Incarnation, position: str | datetime) -> Offsets:
        """Where each partition begins (position `earliest`) or ends (`latest`) now, or has its first message that came
        to Kafka at a time or later; its end where there is none."""
        spec: Any = OffsetSpec

        def ask(which: Any) -> Offsets:
            return _offsets(self._patiently(lambda: self._list_offsets(incarnation, which)))

        if position == "earliest":
            return ask(spec.earliest())
        # The ends first: a message that comes between the two questions must not be behind the answer.
        ends = ask(spec.latest())
        if not isinstance(position, datetime):
            return ends
        found = ask(spec.for_timestamp(round(position.timestamp() * 1000)))
        return {partition: offset if offset >= 0 else ends[partition] for partition, offset in found.items()}

    def held(self, incarnation: Incarnation) -> dict[int, Held]:
        """What each partition holds; those that hold nothing are left out."""
        spec: Any = OffsetSpec
        first = self._patiently(lambda: self._list_offsets(incarnation, spec.for_timestamp(0)))
        latest = self._patiently(lambda: self._list_offsets(incarnation, spec.max_timestamp()))
        return {
            partition: Held(found.offset, found.timestamp, latest[partition].timestamp)
            for partition, found in first.items()
            if found.offset >= 0
        }

    def gone(self, incarnation: Incarnation) -> str:
        """Say what became of the incarnation if it is no longer there; empty if it is, or if Kafka does not answer."""
        try:
            description = _until_settled(self._describe, "topic")
        except MissingTopicError:
            return f"topic {incarnation.topic} was deleted while the job was reading it"
        except KafkaException:
            return ""
        if _name(description.topic_id) != incarnation.topic_id:
            return f"topic {incarnation.topic} was deleted and made anew while the job was reading it"
        return ""

    def ends(self, incarnation: Incarnation) -> Offsets:
        """Where each partition ends now; empty if Kafka does not answer."""
        spec: Any = OffsetSpec
        try:
            return _offsets(self._list_offsets(incarnation, spec.latest()))
        except KafkaException:
            return {}

    def _describe(self, key: str) -> Any:
        name = getattr(self._settings, key)
        asked = self._admin.describe_topics(TopicCollection([name]), request_timeout=_REQUEST_SECONDS)
        try:
            return asked[name].result()
        except KafkaException as error:
            if error.args[0].code() != KafkaError.UNKNOWN_TOPIC_OR_PART:
                raise
            raise MissingTopicError(
                f"kafka.{key}: there is no topic {name} at {self._settings.bootstrap_servers}; create it "
                "(`pulumi up` does) or correct the setting"
            ) from error

    def _list_offsets(self, incarnation: Incarnation, spec: Any) -> dict[int, Any]:
        """Kafka's answer for each partition: an offset and a timestamp, both -1 where there is no such message."""
        wanted = {TopicPartition(incarnation.topic, partition): spec for partition in incarnation.partitions}
        answers = self._admin.list_offsets(
            wanted, isolation_level=IsolationLevel.READ_COMMITTED, request_timeout=_REQUEST_SECONDS
        )
        return {asked.partition: answer.result() for asked, answer in answers.items()}

    def _patiently(self, ask: Callable[[], Any]) -> Any:
        """Ask until Kafka answers."""
        servers = self._settings.bootstrap_servers

        def complaint(error: KafkaException) -> str:
            self._admin.poll(0)  # what became of the connections is told from here
            cause, self._cause = self._cause or error.args[0].str(), ""
            return f"kafka.bootstrap_servers: {servers} cannot serve ({cause}); is Kafka running, is the address right?"

        return wait_until_available("Kafka", ask, lambda error: isinstance(error, KafkaException), complaint)

    def _note(self, error: KafkaError) -> None:
        if error.code() != KafkaError._ALL_BROKERS_DOWN:  # says nothing that the others do not
            self._cause = error.str()


def _name(topic_id: Uuid) -> str:
    """The id as Kafka's own tools write it, which is also fit for a path: base64 without '+' and '/'."""
    return str(topic_id).replace("+", "-").replace("/", "_")


def _offsets(answers: dict[int, Any]) -> Offsets:
    return {partition: found.offset for partition, found in answers.items()}


def watch(
    topic: Topic,
    incarnation: Incarnation,
    gone: Callable[[str], None],
    ends: Callable[[Offsets], None],
    stopped: threading.Event,
) -> None:
    """Look every few seconds, in a thread, whether the incarnation is still there, and where it ends. Call `gone` once,
    with the reason, when it is not; `ends` each time.

    Spark alone would go on silently when the new topic has already more messages than the old one had.
    """

    def look() -> None:
        while not stopped.wait(_WATCH_SECONDS):
            reason = topic.gone(incarnation)
            if reason:
                gone(reason)
                return
            ends(topic.ends(incarnation))

    threading.Thread(target=look, name="topic-watch", daemon=True).start()
