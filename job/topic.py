"""The Kafka topic, seen from the driver: which incarnation it is, where it begins and ends, is it still there."""

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from confluent_kafka import KafkaError, KafkaException, TopicCollection, TopicPartition, Uuid
from confluent_kafka.admin import AdminClient, OffsetSpec
from tenacity import (
    RetryCallState,
    Retrying,
    retry_if_exception_type,
    stop_after_attempt,
    wait_fixed,
    wait_random_exponential,
)

from job.errors import JobError
from job.settings import Kafka

log = logging.getLogger(__name__)

_REQUEST_SECONDS = 10
_WATCH_SECONDS = 3

# A broker that has just started knows of no topics for a moment: only one that stays missing is.
_until_settled = Retrying(
    retry=retry_if_exception_type(JobError), stop=stop_after_attempt(10), wait=wait_fixed(1), reraise=True
)

Offsets = dict[int, int]


@dataclass(frozen=True)
class Incarnation:
    """A topic from its creation to its deletion. A topic that is made anew has another id and counts from 0 again."""

    topic: str
    cluster_id: str
    topic_id: str
    partitions: tuple[int, ...]


class Topic:
    """Asks Kafka about the topic. Waits for Kafka where it does not answer, and says so."""

    def __init__(self, settings: Kafka) -> None:
        self._settings = settings
        configuration: dict[str, Any] = {
            "bootstrap.servers": settings.bootstrap_servers,
            "client.id": "lol-job-driver",
            "logger": logging.getLogger("librdkafka"),
        }
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

    def offsets(self, incarnation: Incarnation, position: str) -> Offsets:
        """Where each partition begins (position `earliest`) or ends (`latest`) now."""
        spec: Any = OffsetSpec
        spec = spec.earliest() if position == "earliest" else spec.latest()
        wanted = {TopicPartition(incarnation.topic, partition): spec for partition in incarnation.partitions}

        def ask() -> Offsets:
            answers = self._admin.list_offsets(wanted, request_timeout=_REQUEST_SECONDS)
            return {asked.partition: answer.result().offset for asked, answer in answers.items()}

        return dict(self._patiently(ask))

    def gone(self, incarnation: Incarnation) -> str:
        """Say what became of the incarnation if it is no longer there; empty if it is, or if Kafka does not answer."""
        try:
            description = _until_settled(self._describe, "topic")
        except JobError:
            return f"topic {incarnation.topic} was deleted while the job was reading it"
        except KafkaException:
            return ""
        if _name(description.topic_id) != incarnation.topic_id:
            return f"topic {incarnation.topic} was deleted and made anew while the job was reading it"
        return ""

    def _describe(self, key: str) -> Any:
        name = getattr(self._settings, key)
        asked = self._admin.describe_topics(TopicCollection([name]), request_timeout=_REQUEST_SECONDS)
        try:
            return asked[name].result()
        except KafkaException as error:
            if error.args[0].code() != KafkaError.UNKNOWN_TOPIC_OR_PART:
                raise
            raise JobError(
                f"kafka.{key}: there is no topic {name} at {self._settings.bootstrap_servers}; create it "
                "(`pulumi up` does) or correct the setting"
            ) from error

    def _patiently(self, ask: Callable[[], Any]) -> Any:
        """Ask until Kafka answers."""
        retrying = Retrying(
            retry=retry_if_exception_type(KafkaException),
            wait=wait_random_exponential(multiplier=1, max=10),
            before_sleep=partial(_say_waiting, servers=self._settings.bootstrap_servers),
        )
        return retrying(ask)


def _name(topic_id: Uuid) -> str:
    """The id as Kafka's own tools write it, which is also fit for a path: base64 without '+' and '/'."""
    return str(topic_id).replace("+", "-").replace("/", "_")


def _say_waiting(state: RetryCallState, servers: str) -> None:
    error = state.outcome.exception() if state.outcome else None
    log.warning(
        "Waiting for Kafka: kafka.bootstrap_servers %s do not answer (%s); is Kafka running, is the address right?",
        servers,
        error.args[0].str() if error else "",
    )


def watch(topic: Topic, incarnation: Incarnation, tell: Callable[[str], None], stopped: threading.Event) -> None:
    """Look every few seconds, in a thread, whether the incarnation is still there; tell once when it is not.

    Spark alone would go on silently when the new topic has already more messages than the old one had.
    """

    def look() -> None:
        while not stopped.wait(_WATCH_SECONDS):
            reason = topic.gone(incarnation)
            if reason:
                tell(reason)
                return

    threading.Thread(target=look, name="topic-watch", daemon=True).start()
