"""The archive's consumer: polled chunks, committed offsets, lag, and partitions that are no longer fetched."""

from __future__ import annotations

import time
from collections.abc import Iterator
from itertools import count
from types import SimpleNamespace
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException
from prometheus_client import Counter

from job.errors import JobError
from job.kafka_client import KafkaClientSettings
from job.lag import ConsumerLag, StalledPartitions
from job.offset_tracker import OffsetTracker
from job.topic import PartitionOffsets, TopicOffsets
from tests.support.fakes import FakeMessage

KAFKA = KafkaClientSettings("kafka:9092")


class FakeConsumer:
    def __init__(self, *polled: FakeMessage, committed: dict[int, int] | None = None) -> None:
        self._polled: Iterator[FakeMessage] = iter(polled)
        self.commits: dict[int, int] = committed or {}
        self.commit_errors: list[KafkaException] = []
        self.committed_errors: list[KafkaException] = []
        self.partition_errors: dict[int, KafkaError] = {}
        """The errors of the next request for committed offsets or to commit them, by partition."""
        self.watermark_errors: list[KafkaException] = []
        self.begin = 0
        self.assigned: dict[int, int] = {}

    def assign(self, partitions: list[Any]) -> None:
        self.assigned = {each.partition: each.offset for each in partitions}

    def seek(self, partition: Any) -> None:
        self.assigned[partition.partition] = partition.offset

    def get_watermark_offsets(self, _partition: Any, timeout: float) -> tuple[int, int]:
        if self.watermark_errors:
            raise self.watermark_errors.pop()
        return self.begin, 6

    def poll(self, _seconds: float) -> FakeMessage | None:
        return next(self._polled, None)

    def commit(self, offsets: list[Any], asynchronous: bool) -> list[Any]:
        assert not asynchronous
        if self.commit_errors:
            raise self.commit_errors.pop()
        errors, self.partition_errors = self.partition_errors, {}
        self.commits |= {each.partition: each.offset for each in offsets if each.partition not in errors}
        return [SimpleNamespace(error=errors.get(each.partition)) for each in offsets]

    def committed(self, partitions: list[Any], timeout: float) -> list[Any]:
        if self.committed_errors:
            raise self.committed_errors.pop()
        errors, self.partition_errors = self.partition_errors, {}
        return [
            SimpleNamespace(
                partition=p.partition, offset=self.commits.get(p.partition, -1001), error=errors.get(p.partition)
            )
            for p in partitions
        ]


def tracker(*polled: FakeMessage) -> tuple[OffsetTracker, FakeConsumer, ConsumerLag]:
    """A tracker of a consumer with these messages, and its lag."""
    consumer, lag = FakeConsumer(*polled), ConsumerLag("lag")
    unreadable = Counter("unreadable", "", ["partition"], registry=None)
    return OffsetTracker(consumer, "lol_matches", lag, unreadable, KAFKA), consumer, lag  # type: ignore[arg-type]


def topic_offsets(**ends: int) -> TopicOffsets:
    """The offsets of a topic without open transactions: p0=11 is an end offset of 11 in partition 0."""
    return {int(name[1:]): PartitionOffsets(0, end, end) for name, end in ends.items()}


class TestOffsetTracker:
    def test_commits_the_offsets_behind_the_polled_messages(self) -> None:
        end = FakeMessage(10, error=KafkaError._PARTITION_EOF, partition=1)
        offsets, consumer, _ = tracker(FakeMessage(4), FakeMessage(5), end)
        assert [message.offset for message in offsets.poll()] == [4, 5]
        assert consumer.commits == {}
        offsets.commit()
        assert consumer.commits == {0: 6, 1: 10}

    def test_partition_is_read_from_its_first_message_if_the_next_one_does_not_exist(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        """Kafka has lost the messages that were read, and then deleted some by its retention."""
        gone = [FakeMessage(offset, error=KafkaError._AUTO_OFFSET_RESET) for offset in (9, 9, 0)]
        offsets, consumer, _ = tracker(*gone)
        offsets.assign({0: 9, 1: 4})
        consumer.watermark_errors = [KafkaException(KafkaError(KafkaError._TIMED_OUT))]
        positions = []
        consumer.assign = lambda partitions: positions.append({each.partition: each.offset for each in partitions})  # type: ignore[method-assign]
        for _ in gone:
            offsets.poll()
        assert positions == [{0: 9, 1: 4}, {0: 0, 1: 4}, {0: 0, 1: 4}]
        assert [record.levelname for record in caplog.records] == ["WARNING", "ERROR", "ERROR"]
        assert "Waiting for Kafka: " in caplog.messages[0]
        assert caplog.messages[1] == "Kafka has lost messages of partition 0 that were archived: reading it again"

    @pytest.mark.parametrize("code", [KafkaError.KAFKA_STORAGE_ERROR, KafkaError._AUTO_OFFSET_RESET])
    def test_repeated_error_ends_each_poll(self, code: int) -> None:
        """Between two polls the archive commits offsets, reports that it lives, and obeys SIGTERM."""
        offsets, consumer, _ = tracker()
        offsets.assign({0: 4})
        errors = count()

        def poll(_seconds: float) -> FakeMessage:
            assert next(errors) < 100, "the poll does not end"
            return FakeMessage(4, error=code)

        consumer.poll = poll  # type: ignore[method-assign]
        assert [offsets.poll(), offsets.poll()] == [[], []]

    def test_partition_whose_reads_fail_is_stalled_while_another_proceeds(
        self, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        error = FakeMessage(4, error=KafkaError.KAFKA_STORAGE_ERROR, partition=1)
        offsets, _, lag = tracker(*[each for offset in range(4, 9) for each in (FakeMessage(offset), error)])
        stalled = StalledPartitions("stalled", lag)
        now = 1000.0
        monkeypatch.setattr(time, "monotonic", lambda: now)
        offsets.assign({0: 4, 1: 4})
        for _ in range(5):
            stalled.set_topic_offsets(topic_offsets(p0=9, p1=9))
            now += 100
            assert [message.partition for message in offsets.poll()] == [0]
        stalled.set_topic_offsets(topic_offsets(p0=9, p1=9))
        values = {each.labels["partition"]: each.value for family in stalled.collect() for each in family.samples}
        assert values == {"0": 0, "1": 500}
        assert [line.startswith("Waiting for Kafka: ") for line in caplog.messages] == [True] * 5

    def test_failed_commit_is_logged_and_repeated_with_the_next(self, caplog: pytest.LogCaptureFixture) -> None:
        offsets, consumer, _ = tracker(FakeMessage(4))
        consumer.commit_errors = [KafkaException(KafkaError(KafkaError._TRANSPORT))]
        offsets.poll()
        offsets.commit()
        assert "Waiting for Kafka: " in caplog.text
        offsets.commit()
        assert consumer.commits == {0: 5}

    def test_commit_that_fails_in_one_partition_is_repeated(self, caplog: pytest.LogCaptureFixture) -> None:
        offsets, consumer, _ = tracker()
        offsets.assign({0: 4, 1: 5})
        consumer.partition_errors = {1: KafkaError(KafkaError.COORDINATOR_LOAD_IN_PROGRESS)}
        offsets.commit()
        assert "Waiting for Kafka: " in caplog.text
        offsets.commit()
        assert consumer.commits == {0: 4, 1: 5}

    def test_offsets_of_an_idle_topic_are_committed_again_before_kafka_deletes_them(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        offsets, consumer, _ = tracker()
        offsets.assign({0: 7})
        offsets.commit()
        assert consumer.commits == {0: 7}
        consumer.commits = {}
        offsets.commit()
        assert consumer.commits == {}
        later = time.monotonic() + 6 * 86_400
        monkeypatch.setattr(time, "monotonic", lambda: later)
        offsets.commit()
        assert consumer.commits == {0: 7}

    def test_consumer_error_is_logged_and_polling_goes_on(self, caplog: pytest.LogCaptureFixture) -> None:
        offsets, _, _ = tracker(FakeMessage(0, error=KafkaError._ALL_BROKERS_DOWN), FakeMessage(4))
        assert [[message.offset for message in offsets.poll()] for _ in range(2)] == [[], [4]]
        assert "Waiting for Kafka: " in caplog.text

    def test_partitions_are_read_from_their_committed_offset_or_their_beginning(self) -> None:
        offsets, consumer, lag = tracker()
        consumer.commits = {0: 7}
        offsets.assign({0: 0, 1: 0, 2: 40})
        assert consumer.assigned == {0: 7, 1: 0, 2: 40}
        lag.set_topic_offsets(topic_offsets(p0=11, p1=5))
        assert lags(lag) == [4, 5]

    def test_lag_includes_messages_that_wait_for_cassandra(self) -> None:
        offsets, _, lag = tracker(FakeMessage(8), FakeMessage(9))
        offsets.assign({0: 8})
        lag.set_topic_offsets(topic_offsets(p0=11))
        assert lags(lag) == [3]
        offsets.poll()
        assert lags(lag) == [3]
        lag.set_topic_offsets(topic_offsets(p0=12))
        assert lags(lag) == [4]
        offsets.poll()
        assert lags(lag) == [2]

    def test_added_partition_has_lag_at_once_and_is_read_from_its_beginning(self) -> None:
        """Also if it already has messages. The others are read on from where they are."""
        offsets, consumer, lag = tracker(FakeMessage(4))
        offsets.assign({0: 4})
        offsets.poll()
        lag.set_topic_offsets(topic_offsets(p0=5, p1=5_000))
        assert lags(lag) == [1, 5_000]
        offsets.poll()
        assert consumer.assigned == {0: 5, 1: 0}

    def test_added_partition_is_assigned_once_kafka_answers(self, caplog: pytest.LogCaptureFixture) -> None:
        offsets, consumer, lag = tracker(FakeMessage(4))
        offsets.assign({0: 4})
        lag.set_topic_offsets(topic_offsets(p0=5, p1=5_000))
        consumer.committed_errors = [KafkaException(KafkaError(KafkaError._TRANSPORT))]
        offsets.poll()
        assert "Waiting for Kafka: " in caplog.text
        assert consumer.assigned == {0: 4}
        offsets.poll()
        assert consumer.assigned == {0: 5, 1: 0}

    def test_partition_whose_committed_offset_is_unknown_is_not_read_from_its_beginning(self) -> None:
        offsets, consumer, _ = tracker()
        consumer.partition_errors = {1: KafkaError(KafkaError.GROUP_AUTHORIZATION_FAILED)}
        with pytest.raises(KafkaException):
            offsets.assign({0: 0, 1: 0})
        assert consumer.assigned == {}

    def test_added_partition_waits_until_its_committed_offset_is_known(self, caplog: pytest.LogCaptureFixture) -> None:
        offsets, consumer, lag = tracker()
        offsets.assign({0: 4})
        lag.set_topic_offsets(topic_offsets(p0=4, p1=5, p2=6))
        consumer.partition_errors = {2: KafkaError(KafkaError.UNSTABLE_OFFSET_COMMIT)}
        offsets.poll()
        assert consumer.assigned == {0: 4}
        assert "Waiting for Kafka: " in caplog.text
        offsets.poll()
        assert consumer.assigned == {0: 4, 1: 0, 2: 0}

    def test_fatal_error_ends_the_archive(self) -> None:
        class Fatal(FakeMessage):
            def error(self) -> KafkaError:
                return KafkaError(KafkaError._FATAL, "fatal", True)

        offsets, _, _ = tracker(Fatal(0))
        with pytest.raises(KafkaException):
            offsets.poll()

    def test_chunk_is_limited_by_bytes(self) -> None:
        large = FakeMessage(0, b" " * 5 * 2**20)
        offsets, _, _ = tracker(*[large] * 5)
        assert [len(offsets.poll()) for _ in range(3)] == [2, 2, 1]

    def test_chunk_is_limited_by_messages(self) -> None:
        offsets, _, _ = tracker(*[FakeMessage(number) for number in range(250)])
        assert [len(offsets.poll()) for _ in range(2)] == [200, 50]


class TestStoppedFetch:
    """After a restart of a broker, Kafka's client can stop to fetch a partition, without an error (librdkafka#5153)."""

    @pytest.fixture(autouse=True)
    def _clock(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1000.0
        monkeypatch.setattr(time, "monotonic", lambda: self.now)

    def poll(self, *polled: FakeMessage | None) -> tuple[OffsetTracker, FakeConsumer, ConsumerLag]:
        """A tracker of two partitions with ten messages each, after the poll of these events; None ends a poll."""
        offsets, consumer, lag = tracker()
        events = iter(polled)
        consumer.poll = lambda _seconds: next(events, None)  # type: ignore[method-assign]
        offsets.assign({0: 4, 1: 4})
        lag.set_topic_offsets(topic_offsets(p0=10, p1=10))
        offsets.poll()
        return offsets, consumer, lag

    def poll_for(self, offsets: OffsetTracker, seconds: float, every: float = 10) -> None:
        end = self.now + seconds
        while self.now < end:
            self.now += every
            offsets.poll()

    def test_partition_that_is_no_longer_fetched_ends_the_archive(self) -> None:
        """It is read again after a restart. Other partitions go on meanwhile."""
        others = [each for offset in range(4, 10) for each in (FakeMessage(offset), None)]
        offsets, _, _ = self.poll(FakeMessage(4, partition=1), FakeMessage(4), None, *others)
        self.poll_for(offsets, 290)
        with pytest.raises(JobError, match=r"partition 1 of lol_matches for five minutes"):
            self.poll_for(offsets, 10)

    def test_partition_without_a_message_since_the_start_does_not_end_it_again(self) -> None:
        """A restart has not helped, so that another would not."""
        offsets, _, _ = self.poll(FakeMessage(4))
        with pytest.raises(JobError, match="partition 0 "):
            self.poll_for(offsets, 1000)
        offsets, _, _ = self.poll()
        self.poll_for(offsets, 1000)

    def test_partition_whose_reads_fail_does_not_end_it(self) -> None:
        failed = [FakeMessage(5, error=KafkaError.KAFKA_STORAGE_ERROR, partition=1), None]
        offsets, _, _ = self.poll(FakeMessage(4, partition=1), None, *failed * 200)
        self.poll_for(offsets, 1000)

    def test_messages_behind_an_open_transaction_do_not_end_it(self) -> None:
        offsets, _, lag = self.poll(FakeMessage(4))
        lag.set_topic_offsets({0: PartitionOffsets(0, 5, 10), 1: PartitionOffsets(0, 4, 10)})
        self.poll_for(offsets, 1000)

    def test_partition_without_a_leader_does_not_end_it(self) -> None:
        """The topic's offsets are unknown then."""
        offsets, _, lag = self.poll(FakeMessage(4))
        self.poll_for(offsets, 200)
        lag.set_topic_offsets({})
        self.poll_for(offsets, 1000)
        lag.set_topic_offsets(topic_offsets(p0=10, p1=10))
        self.poll_for(offsets, 290)

    def test_wait_for_cassandra_between_two_polls_does_not_end_it(self) -> None:
        """After it, the client can need a moment, too, if Kafka was not available either."""
        offsets, _, _ = self.poll(FakeMessage(4))
        self.poll_for(offsets, 200)
        self.now += 1000
        self.poll_for(offsets, 290)

    def test_messages_that_the_client_has_not_handed_over_yet_do_not_end_it(self) -> None:
        """A backlog of another partition is before them in its queue."""
        offsets, consumer, _ = self.poll(FakeMessage(4, partition=1))
        number = count(4)
        consumer.poll = lambda _seconds: FakeMessage(next(number))  # type: ignore[method-assign]
        self.poll_for(offsets, 1000)


def lags(lag: ConsumerLag) -> list[float]:
    """The lag of each partition that has one."""
    return [sample.value for family in lag.collect() for sample in family.samples]


def test_messages_that_expired_before_the_start_are_logged_and_counted(caplog: pytest.LogCaptureFixture) -> None:
    """Data loss in the archive by Kafka's retention. A partition without a committed offset has lost nothing."""
    consumer, unreadable = FakeConsumer(), Counter("unreadable", "", ["partition"], registry=None)
    consumer.commits = {0: 7, 1: 10}
    restarted = OffsetTracker(consumer, "lol_matches", ConsumerLag("lag"), unreadable, KAFKA)  # type: ignore[arg-type]
    restarted.assign({0: 10, 1: 10, 2: 10})
    assert [record.message for record in caplog.records] == [
        "Not archived: topic lol_matches, partition 0, offsets 7 to 9 cannot be read: "
        "they expired (retention) before they were archived"
    ]
    counts = {sample.labels["partition"]: sample.value for sample in samples(unreadable)}
    assert counts == {"0": 3, "1": 0, "2": 0}


def samples(counter: Counter) -> list[Any]:
    return [sample for family in counter.collect() for sample in family.samples if sample.name.endswith("_total")]
