"""Consumer lag and open transactions, from the topic's offsets and a reader's progress."""

import time

import pytest
from prometheus_client import CollectorRegistry

from job.lag import ConsumerLag, OpenTransactions
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
