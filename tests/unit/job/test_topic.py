"""The topic through Kafka's admin API: incarnation, offsets, retention, retries, and deletion. The API is a fake."""

import threading
import time
from concurrent.futures import Future
from datetime import UTC, datetime
from queue import SimpleQueue
from types import SimpleNamespace
from typing import Any

import pytest
from confluent_kafka import OFFSET_INVALID, IsolationLevel, KafkaError, KafkaException, Uuid
from confluent_kafka.admin import OffsetSpec

from job import retry, topic
from job.errors import JobError
from job.settings import with_overrides
from job.topic import PartitionOffsets, RetainedRange, TopicInspector, TopicOffsets

BOTH = {"lol_matches": Uuid(2**63 - 1, -1), "lol_matches_dlq": Uuid(1, 1)}


@pytest.fixture(autouse=True)
def _no_sleep(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "sleep", lambda _: None)


class FakeAdminClient:
    """Fake of Kafka's AdminClient: topic ids by topic name, and `errors` (codes) with which the next requests fail."""

    def __init__(self, **topics: Uuid) -> None:
        self.topics = topics
        self.errors: list[int] = []
        self.unanswered = 0  # the next requests for a partition's offset that Kafka does not answer
        self.partitions = [2, 0, 1]
        self.uncommitted = 0  # messages behind an open transaction in each partition
        self.arriving: list[int] = []  # partitions in which a message arrives after the next request for offsets
        self.arrived = [0, 0, 0, 0]
        self.latest_behind_transaction: set[int] = set()  # partitions whose latest message is not committed yet
        self.first_at = {0: (43, 7_000), 1: (-1, -1), 2: (45, 8_000)}  # offset and timestamp by partition, for any time

    def poll(self, _timeout: float) -> None:
        """No callbacks are pending."""

    def describe_cluster(self, **_: Any) -> "Future[Any]":
        return self._answer(SimpleNamespace(cluster_id="cluster"))

    def describe_topics(self, names: Any, **_: Any) -> dict[str, "Future[Any]"]:
        (name,) = names.topic_names
        if name not in self.topics:
            return {name: self._fail(KafkaError.UNKNOWN_TOPIC_OR_PART)}
        partitions = [SimpleNamespace(id=number) for number in self.partitions]
        return {name: self._answer(SimpleNamespace(topic_id=self.topics[name], partitions=partitions))}

    def list_offsets(self, wanted: Any, isolation_level: IsolationLevel, **_: Any) -> dict[Any, "Future[Any]"]:
        answers = {
            partition: self._answer(self._offset(partition.partition, wanted[partition], isolation_level))
            for partition in wanted
        }
        while self.arriving:
            partition = self.arriving.pop()
            self.first_at[partition] = (50 + partition, 9_500)
            self.arrived[partition] += 1
        return answers

    def _offset(self, partition: int, which: Any, isolation: IsolationLevel) -> SimpleNamespace:
        spec: Any = OffsetSpec
        if self.unanswered:
            self.unanswered -= 1
            return SimpleNamespace(offset=OFFSET_INVALID, timestamp=-1)
        if which is spec.latest():
            uncommitted = self.uncommitted if isolation == IsolationLevel.READ_UNCOMMITTED else 0
            return SimpleNamespace(offset=50 + partition + self.arrived[partition] + uncommitted, timestamp=-1)
        if which is spec.max_timestamp():
            if partition in self.latest_behind_transaction and isolation == IsolationLevel.READ_COMMITTED:
                return SimpleNamespace(offset=-1, timestamp=-1)
            return SimpleNamespace(offset=49 + partition, timestamp=9_000)
        if which is spec.earliest():
            return SimpleNamespace(offset=40 + partition, timestamp=-1)
        offset, timestamp = self.first_at[partition]
        return SimpleNamespace(offset=offset, timestamp=timestamp)

    def _answer(self, value: Any) -> "Future[Any]":
        if self.errors:
            return self._fail(self.errors.pop(0))
        future: Future[Any] = Future()
        future.set_result(value)
        return future

    def _fail(self, code: int) -> "Future[Any]":
        future: Future[Any] = Future()
        future.set_exception(KafkaException(KafkaError(code)))
        return future


def inspector_of(monkeypatch: pytest.MonkeyPatch, **topics: Uuid) -> tuple[TopicInspector, FakeAdminClient]:
    admin = FakeAdminClient(**topics)
    monkeypatch.setattr(topic, "AdminClient", lambda _: admin)
    return TopicInspector(with_overrides({}).kafka), admin


def test_incarnation_has_cluster_id_topic_id_and_partitions(monkeypatch: pytest.MonkeyPatch) -> None:
    inspector, _ = inspector_of(monkeypatch, **BOTH)
    found = inspector.connect()
    assert (found.topic, found.cluster_id, found.partitions) == ("lol_matches", "cluster", (0, 1, 2))
    assert found.topic_id.startswith("f_____")
    assert "/" not in found.topic_id
    assert inspector.offsets(found, "earliest") == {0: 40, 1: 41, 2: 42}
    assert inspector.offsets(found, "latest") == {0: 50, 1: 51, 2: 52}
    assert inspector.replacement_reason(found) == ""


def test_time_resolves_to_the_first_later_message_or_the_end_offset(monkeypatch: pytest.MonkeyPatch) -> None:
    inspector, _ = inspector_of(monkeypatch, **BOTH)
    assert inspector.offsets(inspector.connect(), datetime(2026, 11, 24, tzinfo=UTC)) == {0: 43, 1: 51, 2: 45}


def test_message_that_arrives_while_a_time_is_resolved_is_not_skipped(monkeypatch: pytest.MonkeyPatch) -> None:
    inspector, admin = inspector_of(monkeypatch, **BOTH)
    found = inspector.connect()
    admin.arriving = [1]
    assert inspector.offsets(found, datetime(2026, 11, 24, tzinfo=UTC))[1] == 51
    assert inspector.offsets(found, "latest")[1] == 52


def test_retained_ranges_leave_out_empty_partitions(monkeypatch: pytest.MonkeyPatch) -> None:
    inspector, _ = inspector_of(monkeypatch, **BOTH)
    assert inspector.retained_ranges(inspector.connect()) == {
        0: RetainedRange(43, 7_000, 9_000),
        2: RetainedRange(45, 8_000, 9_000),
    }


def test_latest_arrival_behind_an_open_transaction_is_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    inspector, admin = inspector_of(monkeypatch, **BOTH)
    admin.latest_behind_transaction = {2}
    assert inspector.retained_ranges(inspector.connect()) == {
        0: RetainedRange(43, 7_000, 9_000),
        2: RetainedRange(45, 8_000, None),
    }


@pytest.mark.parametrize(("missing", "key"), [("lol_matches", "topic"), ("lol_matches_dlq", "dead_letter_topic")])
def test_missing_topic_is_reported_with_its_setting(monkeypatch: pytest.MonkeyPatch, missing: str, key: str) -> None:
    inspector, _ = inspector_of(monkeypatch, **{name: uuid for name, uuid in BOTH.items() if name != missing})
    with pytest.raises(JobError, match=rf"^kafka.{key}: there is no topic {missing} at kafka:9092; create it"):
        inspector.connect()


def test_retries_until_kafka_is_available(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    inspector, admin = inspector_of(monkeypatch, **BOTH)
    admin.errors = [KafkaError._TRANSPORT, KafkaError._TIMED_OUT]
    assert inspector.connect().cluster_id == "cluster"
    assert caplog.text.count("Waiting for Kafka: kafka.bootstrap_servers: kafka:9092 is not available (") == 2


def test_missing_answer_about_offsets_is_no_offset(monkeypatch: pytest.MonkeyPatch) -> None:
    """Taken for offsets, -1001 would be lost messages, an empty topic, or a start at the topic's end."""
    inspector, admin = inspector_of(monkeypatch, **BOTH)
    found = inspector.connect()
    admin.unanswered = 1
    assert inspector.topic_offsets() == {}
    assert "no answer" in inspector.unavailable_reason
    for unanswered in (1, 4, 7):
        admin.unanswered = unanswered
        assert inspector.offsets(found, datetime(2026, 11, 24, tzinfo=UTC)) == {0: 43, 1: 51, 2: 45}
        admin.unanswered = unanswered
        assert set(inspector.retained_ranges(found)) == {0, 2}


@pytest.mark.parametrize(
    ("code", "line"),
    [
        (
            KafkaError._AUTHENTICATION,
            "kafka.username, kafka.password: Kafka at kafka:9092 rejects the login of the user job; correct",
        ),
        (
            KafkaError.TOPIC_AUTHORIZATION_FAILED,
            "kafka.username, kafka.password: Kafka at kafka:9092 does not permit the user job this (",
        ),
    ],
)
def test_rejected_login_ends_the_job_at_once_and_names_the_settings(
    monkeypatch: pytest.MonkeyPatch, code: int, line: str
) -> None:
    admin = FakeAdminClient(**BOTH)
    admin.errors = [code]
    monkeypatch.setattr(topic, "AdminClient", lambda _: admin)
    login = {"security_protocol": "SASL_PLAINTEXT", "username": "job", "password": "wrong"}
    with pytest.raises(JobError) as error:
        TopicInspector(with_overrides({"kafka": login}).kafka).connect()
    assert str(error.value).startswith(line)


@pytest.mark.parametrize(
    ("servers", "cause"), [("localhost:1", "Connection refused"), ("-nobody.invalid:9092", "Failed to resolve")]
)
def test_timeout_for_kafka_names_setting_and_cause(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, servers: str, cause: str
) -> None:
    monkeypatch.setattr(retry, "TIMEOUT_SECONDS", 0.1)
    monkeypatch.setattr(topic, "_REQUEST_TIMEOUT_SECONDS", 3)
    with pytest.raises(JobError) as error:
        TopicInspector(with_overrides({"kafka": {"bootstrap_servers": servers}}).kafka).connect()
    assert str(error.value).startswith(f"kafka.bootstrap_servers: {servers} is not available (")
    assert cause in str(error.value)
    assert str(error.value).endswith("is the address right? Gave up after 0.1 s")


def test_deleted_or_recreated_topic_is_detected(monkeypatch: pytest.MonkeyPatch) -> None:
    inspector, admin = inspector_of(monkeypatch, **BOTH)
    found = inspector.connect()
    admin.errors = [KafkaError._TRANSPORT]
    assert inspector.replacement_reason(found) == ""  # a restart of Kafka is not a deletion
    admin.topics["lol_matches"] = Uuid(7, 7)
    reason = inspector.replacement_reason(found)
    assert reason == "topic lol_matches was deleted and created again while it was being read"
    del admin.topics["lol_matches"]
    assert inspector.replacement_reason(found) == "topic lol_matches was deleted while it was being read"


def test_topic_offsets_have_the_messages_behind_an_open_transaction(monkeypatch: pytest.MonkeyPatch) -> None:
    inspector, admin = inspector_of(monkeypatch, **BOTH)
    assert inspector.topic_offsets()[1] == PartitionOffsets(begin=41, last_stable=51, end=51)
    admin.uncommitted = 30
    assert inspector.topic_offsets()[1] == PartitionOffsets(begin=41, last_stable=51, end=81)


def test_topic_offsets_include_partitions_that_were_added(monkeypatch: pytest.MonkeyPatch) -> None:
    inspector, admin = inspector_of(monkeypatch, **BOTH)
    inspector.connect()
    admin.partitions = [0, 1, 2, 3]
    assert inspector.topic_offsets()[3] == PartitionOffsets(43, 53, 53)


def test_watch_reports_offsets_until_the_topic_is_recreated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(topic, "_WATCH_INTERVAL_SECONDS", 0.01)
    inspector, admin = inspector_of(monkeypatch, **BOTH)
    reasons: SimpleQueue[str] = SimpleQueue()
    offsets: SimpleQueue[TopicOffsets] = SimpleQueue()
    waits: SimpleQueue[str] = SimpleQueue()
    topic.watch(inspector, inspector.connect(), reasons.put, offsets.put, threading.Event(), waits.put)
    assert {partition: each.end for partition, each in offsets.get(timeout=10).items()} == {0: 50, 1: 51, 2: 52}
    admin.errors = [KafkaError._TIMED_OUT] * 2
    assert waits.get(timeout=10) == "Local: Timed out"
    admin.topics["lol_matches"] = Uuid(7, 7)
    assert "was deleted and created again" in reasons.get(timeout=10)


def test_watch_that_fails_ends_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without its watch, a job would live on and never notice a recreated topic."""
    inspector, _ = inspector_of(monkeypatch, **BOTH)
    reasons: SimpleQueue[str] = SimpleQueue()

    def fail(_offsets: TopicOffsets) -> None:
        raise RuntimeError("no such partition")

    topic.watch(inspector, inspector.connect(), reasons.put, fail, threading.Event(), lambda _: None)
    assert reasons.get(timeout=10) == "the topic's offsets can no longer be read: RuntimeError: no such partition"


def test_topic_offsets_are_unknown_while_kafka_is_not_available(monkeypatch: pytest.MonkeyPatch) -> None:
    inspector, admin = inspector_of(monkeypatch, **BOTH)
    inspector.connect()
    admin.errors = [KafkaError._TRANSPORT]
    assert inspector.topic_offsets() == {}
