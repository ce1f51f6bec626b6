"""Consumer lag, open transactions and stalled partitions, from the topic's offsets and a reader's progress."""

import time

import pytest
from prometheus_client import CollectorRegistry

from job.lag import ConsumerLag, OpenTransactions, StalledPartitions
from job.topic import PartitionOffsets


def lags(lag: ConsumerLag) -> dict[str, float]:
    return {sample.labels["partition"]: sample.value for family in lag.collect() for sample in family.samples}


def test_lag_counts_messages_behind_an_open_transaction() -> None:
    """A reader of committed messages is at the last stable offset: everything that it may read is read."""
    lag = ConsumerLag("lag")
    lag.set_processed_offsets({0: 100})
    lag.set_topic_offsets({0: PartitionOffsets(0, last_stable=100, end=131)})
    assert lags(lag) == {"0": 31}


def test_lag_of_a_partition_from_which_nothing_was_read_is_all_that_it_retains() -> None:
    lag = ConsumerLag("lag")
    lag.set_processed_offsets({0: 50})
    lag.set_topic_offsets({0: PartitionOffsets(0, 50, 50), 1: PartitionOffsets(1_000, 6_000, 6_000)})
    assert lags(lag) == {"0": 0, "1": 5_000}


def test_expired_messages_do_not_count_as_lag() -> None:
    lag = ConsumerLag("lag")
    lag.set_processed_offsets({0: 10, 1: -2})  # -2: Spark's offset for the beginning
    lag.set_topic_offsets({0: PartitionOffsets(40, 50, 50), 1: PartitionOffsets(40, 50, 50)})
    assert lags(lag) == {"0": 10, "1": 10}


def test_unknown_lag_is_absent() -> None:
    lag = ConsumerLag("lag")
    lag.set_processed_offsets({0: 10})
    assert lags(lag) == {}
    lag.set_topic_offsets({0: PartitionOffsets(0, 10, 10)})
    assert lags(lag) == {"0": 0}
    lag.set_topic_offsets({})
    assert lags(lag) == {}


def test_end_offset_that_the_reader_has_seen_counts_before_the_topic_is_asked_again() -> None:
    lag = ConsumerLag("lag")
    lag.set_topic_offsets({0: PartitionOffsets(0, 10, 10)})
    lag.set_processed_offsets({0: 12})
    assert lags(lag) == {"0": 0}
    lag.set_end_offsets({0: 40})
    assert lags(lag) == {"0": 28}


class TestOpenTransactions:
    @pytest.fixture(autouse=True)
    def _clock(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1_000.0
        monkeypatch.setattr(time, "monotonic", lambda: self.now)
        self.open = OpenTransactions()
        self.registry = CollectorRegistry()
        self.registry.register(self.open)

    def at(self, seconds: float, last_stable: int, end: int) -> tuple[float | None, float | None]:
        """Messages and seconds of partition 1 if it has these offsets at this time."""
        self.now = 1_000 + seconds
        self.open.set_topic_offsets({0: PartitionOffsets(0, 9, 9), 1: PartitionOffsets(0, last_stable, end)})
        return self.samples("1")

    def samples(self, partition: str) -> tuple[float | None, float | None]:
        labels = {"partition": partition}
        messages = self.registry.get_sample_value("lol_job_open_transaction_messages", labels)
        return messages, self.registry.get_sample_value("lol_job_open_transaction_seconds", labels)

    def test_open_transaction_has_the_messages_behind_it_and_its_duration(self) -> None:
        assert self.at(0, last_stable=100, end=100) == (0, 0)
        assert self.at(3, last_stable=100, end=101) == (1, 0)
        assert self.at(33, last_stable=100, end=131) == (31, 30)
        assert self.samples("0") == (0, 0)
        assert self.at(36, last_stable=132, end=132) == (0, 0)

    def test_duration_starts_anew_with_each_transaction(self) -> None:
        """A producer of short transactions always has one open; none of them stays open."""
        assert self.at(0, last_stable=100, end=110) == (10, 0)
        assert self.at(10, last_stable=110, end=125) == (15, 0)
        assert self.at(15, last_stable=110, end=130) == (20, 5)

    def test_unknown_offsets_are_absent_and_do_not_end_the_transaction(self) -> None:
        assert self.at(0, last_stable=100, end=110) == (10, 0)
        self.open.set_topic_offsets({})
        assert self.samples("1") == (None, None)
        assert self.at(20, last_stable=100, end=110) == (10, 20)


class TestStalledPartitions:
    @pytest.fixture(autouse=True)
    def _clock(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1_000.0
        monkeypatch.setattr(time, "monotonic", lambda: self.now)
        self.lag = ConsumerLag("lag")
        self.stalled = StalledPartitions("stalled", self.lag)

    def at(self, seconds: float, processed: int, last_stable: int, end: int = 0, begin: int = 0) -> float | None:
        """Seconds of partition 1 if it has these offsets at this time."""
        self.now = 1_000 + seconds
        self.lag.set_processed_offsets({0: 9, 1: processed})
        offsets = PartitionOffsets(begin, last_stable, max(last_stable, end))
        self.stalled.set_topic_offsets({0: PartitionOffsets(0, 9, 9), 1: offsets})
        assert self.seconds(0) == 0
        return self.seconds(1)

    def seconds(self, partition: int) -> float | None:
        registry = CollectorRegistry()
        registry.register(self.stalled)
        return registry.get_sample_value("stalled", {"partition": str(partition)})

    def test_partition_without_progress_is_stalled_until_the_reader_proceeds(self) -> None:
        assert self.at(0, processed=100, last_stable=100) == 0
        assert self.at(3, processed=100, last_stable=101) == 0
        assert self.at(33, processed=100, last_stable=131) == 30
        self.now += 5
        assert self.seconds(1) == 35, "the time of the scrape counts"
        assert self.at(40, processed=101, last_stable=131) == 0
        assert self.at(50, processed=101, last_stable=131) == 10
        assert self.at(55, processed=131, last_stable=131) == 0
        assert self.at(90, processed=131, last_stable=132) == 0, "an idle partition is not stalled"

    def test_messages_behind_an_open_transaction_do_not_count(self) -> None:
        assert self.at(0, processed=100, last_stable=100, end=131) == 0
        assert self.at(400, processed=100, last_stable=100, end=150) == 0

    def test_messages_that_expire_are_no_progress(self) -> None:
        assert self.at(0, processed=100, last_stable=500) == 0
        assert self.at(200, processed=100, last_stable=600, begin=150) == 200
        assert self.at(400, processed=100, last_stable=700, begin=700) == 400

    def test_unknown_offsets_are_absent_and_the_time_goes_on(self) -> None:
        assert self.at(0, processed=100, last_stable=110) == 0
        self.stalled.set_topic_offsets({})
        assert self.seconds(1) is None
        assert self.at(20, processed=100, last_stable=110) == 20

    def test_partition_from_which_nothing_was_read_is_stalled(self) -> None:
        """As one that was added to the topic and could not be assigned."""
        self.stalled.set_topic_offsets({2: PartitionOffsets(0, 5, 5), 3: PartitionOffsets(0, 0, 0)})
        self.now += 60
        assert (self.seconds(2), self.seconds(3)) == (60, 0)
