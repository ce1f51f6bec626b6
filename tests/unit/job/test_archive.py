"""The archive: rows, the path from Kafka to a fake Cassandra, and exit codes."""

from __future__ import annotations

import logging
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from itertools import count
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from cassandra import InvalidRequest, OperationTimedOut
from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition
from prometheus_client import CollectorRegistry

from job import archive, archive_table, logs
from job.archive import MAX_BYTES, archived_matches
from job.errors import JobError
from job.message import Message
from job.rate_limit import RateLimiter
from job.retry import TransientError
from job.settings import with_overrides
from job.topic import Incarnation, PartitionOffsets, TopicOffsets
from tests.support.fake_cassandra import TOO_LARGE, FakeSession
from tests.support.kafka_batch import send_batch
from tests.support.raw_producer import send_with_header
from tests.support.sample_matches import ARRIVED_AT, PLAUSIBLE_TIMES, START, match, participant, value


def message(offset: int, value: bytes | None, partition: int = 0, arrived_at: int = ARRIVED_AT) -> Message:
    return Message("lol_matches", partition, offset, arrived_at, None, value, [])


class TestArchivedMatches:
    def test_raw_match_is_archived_byte_for_byte(self) -> None:
        raw = value(match())
        (row,), too_large = archived_matches([message(7, raw, partition=2)], PLAUSIBLE_TIMES)
        assert row == ("EUW1_7012345678", START + 1_845_000, (ARRIVED_AT, 2, 7), raw)
        assert too_large == 0

    @pytest.mark.parametrize("bad", [None, b"", b"{", b"[]", b"{}"])
    def test_dead_letters_are_not_archived(self, bad: bytes | None) -> None:
        assert archived_matches([message(0, bad)], PLAUSIBLE_TIMES) == ([], 0)

    def test_match_too_large_for_cassandra_is_logged_and_counted(self, caplog: pytest.LogCaptureFixture) -> None:
        raw = value(match())
        largest = raw + b" " * (MAX_BYTES - len(raw))
        with caplog.at_level(logging.ERROR):
            (row,), too_large = archived_matches([message(0, largest), message(1, largest + b" ")], PLAUSIBLE_TIMES)
        assert (row.original.offset, too_large) == (0, 1)
        assert "Not archived: match EUW1_7012345678 (partition 0, offset 1) has 12582913 bytes" in caplog.text

    @pytest.mark.parametrize("arrival", [(ARRIVED_AT, ARRIVED_AT), (ARRIVED_AT, ARRIVED_AT + 1)])
    def test_later_message_of_a_duplicate_match_wins(self, arrival: tuple[int, int]) -> None:
        """Also where the arrival time is the same, as in a producer's batch: then the offset decides."""
        raws = [value(match(participant(1, kills=kills))) for kills in (7, 5)]
        messages = [message(number, raw, arrived_at=arrival[number]) for number, raw in enumerate(raws)]
        for order in (messages, messages[::-1]):
            rows, _ = archived_matches(order, PLAUSIBLE_TIMES)
            assert [row.message for row in rows] == [raws[1]]

    def test_replay_has_the_row_of_its_original_and_does_not_replace_a_later_message(self) -> None:
        """Version 1 became a dead letter, version 2 was archived, then version 1 is replayed."""
        first, second = (value(match(participant(1, kills=kills))) for kills in (1, 2))
        original = message(7, first, partition=1)
        replay = message(90, first, partition=2, arrived_at=ARRIVED_AT + 90)._replace(
            headers=original.original.headers()
        )
        newer = message(8, second, partition=1)
        (original_row,), _ = archived_matches([original], PLAUSIBLE_TIMES)
        (row,), _ = archived_matches([replay], PLAUSIBLE_TIMES)
        assert row == original_row
        (newer_row,), _ = archived_matches([newer], PLAUSIBLE_TIMES)
        times = [each.original.write_time for each in (row, newer_row)]
        assert times[0] < times[1], "Cassandra keeps the row with the higher write time"
        for order in ([newer, replay], [replay, newer]):
            assert archived_matches(order, PLAUSIBLE_TIMES) == ([newer_row], 0)


class FakeTopic:
    """A fake TopicInspector of a topic with one partition from which nothing has expired."""

    def __init__(self, _settings: Any) -> None:
        pass

    def connect(self) -> Incarnation:
        return Incarnation("lol_matches", "cluster", "id", (0,))

    def offsets(self, _incarnation: Incarnation, _position: str) -> dict[int, int]:
        return {0: 0}

    def replacement_reason(self, _incarnation: Incarnation) -> str:
        return ""

    def topic_offsets(self) -> TopicOffsets:
        return {0: PartitionOffsets(0, 0, 0)}


class TestRun:
    """The archive from Kafka (librdkafka's mock broker) to a fake Cassandra."""

    @pytest.fixture(autouse=True)
    def _fakes(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(archive, "TopicInspector", FakeTopic)
        monkeypatch.setattr(archive, "serve", lambda *_: None)

    def send(self, servers: str, *values: bytes, compression: str = "none") -> None:
        send_batch({"bootstrap.servers": servers}, "lol_matches", values, compression=compression)

    def archive(
        self, monkeypatch: pytest.MonkeyPatch, servers: str, session: FakeSession, count: int, rate: int = 1000
    ) -> CollectorRegistry:
        """Run the archive until Cassandra has had this many attempts to write, and the chunk with them is done."""

        @contextmanager
        def fake_session(_options: Any) -> Iterator[FakeSession]:
            yield session

        deadline = time.monotonic() + 30

        class StopEvent(threading.Event):
            def is_set(self) -> bool:
                if super().is_set():
                    return True
                assert time.monotonic() < deadline, f"the archive has written {len(session.attempts)} rows in 30 s"
                return len(session.attempts) >= count

        monkeypatch.setattr(archive, "cassandra_session", fake_session)
        overrides = {"kafka": {"bootstrap_servers": servers}, "archive": {"messages_per_second": rate}}
        registry = CollectorRegistry()
        stopping, started = StopEvent(), threading.Event()
        try:
            archive.run(with_overrides(overrides), stopping, pytest.fail, started, registry)
        finally:
            stopping.set()  # ends the topic's watch
        assert started.is_set()
        return registry

    def committed(self, servers: str, table_id: str = "table") -> int:
        """The committed offset of the archive's consumer group; negative without one."""
        group = f"lol-archive-id-{table_id}"
        consumer = Consumer({"bootstrap.servers": servers, "group.id": group, "log_level": 0})
        with closing(consumer):
            (partition,) = consumer.committed([TopicPartition("lol_matches", 0)], timeout=10)
        return int(partition.offset)

    def test_raw_matches_from_the_topics_beginning_are_archived_and_offsets_committed(
        self, monkeypatch: pytest.MonkeyPatch, mock_kafka: str
    ) -> None:
        raws = [value(match(match_id=f"EUW1_{number}")) for number in range(2)]
        self.send(mock_kafka, raws[0], b"{", raws[1])
        session = FakeSession()
        registry = self.archive(monkeypatch, mock_kafka, session, 2)
        assert [row[5] for row in session.written] == raws
        assert self.committed(mock_kafka) == 3
        assert registry.get_sample_value("lol_archive_matches_total") == 2
        assert registry.get_sample_value("lol_archive_messages_total") == 3
        assert registry.get_sample_value("lol_archive_refused_total") == 0
        assert registry.get_sample_value("lol_archive_stalled_seconds", {"partition": "0"}) == 0

    def test_offsets_are_not_committed_before_cassandra_has_the_rows(
        self, monkeypatch: pytest.MonkeyPatch, mock_kafka: str
    ) -> None:
        """At least once: the next run reads the messages again that an interrupted run could not write."""
        self.send(mock_kafka, value(match(match_id="EUW1_1")))
        with pytest.raises(TransientError):
            self.archive(monkeypatch, mock_kafka, FakeSession(EUW1_1=[OperationTimedOut()]), 1)
        assert self.committed(mock_kafka) < 0

    def test_topic_is_archived_again_into_a_recreated_table(
        self, monkeypatch: pytest.MonkeyPatch, mock_kafka: str
    ) -> None:
        """As after a loss of Cassandra's volume. A restart with the same table continues at the committed offset."""
        self.send(mock_kafka, *[value(match(match_id=f"EUW1_{number}")) for number in range(2)])
        self.archive(monkeypatch, mock_kafka, FakeSession(), 2)
        self.send(mock_kafka, value(match(match_id="EUW1_2")))
        same, recreated = FakeSession(), FakeSession()
        self.archive(monkeypatch, mock_kafka, same, 1)
        assert [row[0] for row in same.written] == ["EUW1_2"]
        recreated.table_id = "another"
        self.archive(monkeypatch, mock_kafka, recreated, 3)
        assert [row[0] for row in recreated.written] == ["EUW1_0", "EUW1_1", "EUW1_2"]
        assert (self.committed(mock_kafka), self.committed(mock_kafka, "another")) == (3, 3)

    def test_messages_that_expire_while_it_runs_are_logged_and_counted(
        self, monkeypatch: pytest.MonkeyPatch, mock_kafka: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        """The mock broker keeps the latest 5 MB of a partition."""
        last = value(match(match_id="EUW1_8"))
        for number in range(8):
            self.send(mock_kafka, value(match(match_id=f"EUW1_{number}")) + b" " * 900_000)
        self.send(mock_kafka, last)
        session = FakeSession()
        registry = self.archive(monkeypatch, mock_kafka, session, 6)
        archived = [row[0] for row in session.written]
        expired = 9 - len(archived)
        assert 0 < expired < 9
        assert archived == [f"EUW1_{number}" for number in range(expired, 9)]
        assert registry.get_sample_value("lol_archive_unreadable_total", {"partition": "0"}) == expired
        assert f"offsets 0 to {expired - 1} cannot be read: they expired (retention)" in caplog.text
        assert self.committed(mock_kafka) == 9

    def test_match_too_large_for_cassandra_is_counted(self, monkeypatch: pytest.MonkeyPatch, mock_kafka: str) -> None:
        monkeypatch.setattr(archive, "MAX_BYTES", 10_000)
        raw = value(match(match_id="EUW1_1"))
        self.send(mock_kafka, raw + b" " * 10_000, raw)
        registry = self.archive(monkeypatch, mock_kafka, FakeSession(), 1)
        assert registry.get_sample_value("lol_archive_refused_total") == 1

    def test_match_that_cassandra_refuses_for_its_size_is_counted_and_its_offset_committed(
        self, monkeypatch: pytest.MonkeyPatch, mock_kafka: str
    ) -> None:
        self.send(mock_kafka, *[value(match(match_id=f"EUW1_{number}")) for number in range(3)])
        registry = self.archive(monkeypatch, mock_kafka, FakeSession(EUW1_1=[TOO_LARGE]), 3)
        assert registry.get_sample_value("lol_archive_refused_total") == 1
        assert registry.get_sample_value("lol_archive_matches_total") == 2
        assert self.committed(mock_kafka) == 3

    def test_unreadable_batch_is_logged_counted_and_passed(
        self, monkeypatch: pytest.MonkeyPatch, mock_kafka: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        """The limit of a batch's size is small here, so that a small batch exceeds it."""
        monkeypatch.setattr("job.consumer.MAX_BATCH_BYTES", 100_000)
        before, after = (value(match(match_id=f"EUW1_{number}")) for number in range(2))
        self.send(mock_kafka, before)
        self.send(mock_kafka, *[before + b" " * 90_000] * 14, compression="zstd")
        self.send(mock_kafka, after)
        session = FakeSession()
        registry = self.archive(monkeypatch, mock_kafka, session, 2)
        assert [row[5] for row in session.written] == [before, after]
        assert registry.get_sample_value("lol_archive_unreadable_total", {"partition": "0"}) == 14
        (line,) = [record.getMessage() for record in caplog.records if record.levelno == logging.ERROR]
        assert line.startswith(
            "Not archived: topic lol_matches, partition 0, offsets 1 to 14 cannot be read: Decompression "
        )
        assert self.committed(mock_kafka) == 16

    def test_match_with_a_header_name_that_is_not_utf_8_is_archived(
        self, monkeypatch: pytest.MonkeyPatch, mock_kafka: str
    ) -> None:
        raw = value(match(match_id="EUW1_1"))
        send_with_header({"bootstrap.servers": mock_kafka}, "lol_matches", raw, b"tr\xe4ce", b"1", partition=0)
        session = FakeSession()
        self.archive(monkeypatch, mock_kafka, session, 1)
        assert [row[5] for row in session.written] == [raw]

    def test_rate_limit_is_respected(self, monkeypatch: pytest.MonkeyPatch, mock_kafka: str) -> None:
        acquired: list[int] = []
        monkeypatch.setattr(RateLimiter, "acquire", lambda _, messages: acquired.append(messages))
        self.send(mock_kafka, *[value(match(match_id=f"EUW1_{number}")) for number in range(3)])
        self.archive(monkeypatch, mock_kafka, FakeSession(), 3)
        assert sum(acquired) == 3

    def test_recreated_table_ends_the_archive_of_an_idle_topic(
        self, monkeypatch: pytest.MonkeyPatch, mock_kafka: str
    ) -> None:
        monkeypatch.setattr(archive_table, "_CHECK_SECONDS", 0)
        session = FakeSession()
        ids = count()
        monkeypatch.setattr(
            session, "execute", lambda *_: SimpleNamespace(one=lambda: SimpleNamespace(id=f"table {next(ids)}"))
        )
        with pytest.raises(JobError, match="created again"):
            self.archive(monkeypatch, mock_kafka, session, 1)


class TestMain:
    @pytest.fixture(autouse=True)
    def _process(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(sys, "argv", ["archive"])
        monkeypatch.setattr(logs, "configure", lambda _: None)
        self.handlers: dict[int, Any] = {}
        monkeypatch.setattr(signal, "signal", self.handlers.__setitem__)

    @pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
    def test_signal_during_the_start_ends_it_at_once(self, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
        """The start can wait two minutes for Kafka or Cassandra."""

        def run(*_: Any) -> None:
            self.handlers[number](number, None)
            pytest.fail("the start goes on")

        monkeypatch.setattr(archive, "run", run)
        with pytest.raises(SystemExit) as end:
            archive.main()
        assert not end.value.code

    def test_signal_after_the_start_lets_the_chunk_end(self, monkeypatch: pytest.MonkeyPatch) -> None:
        stopped: list[bool] = []

        def run(_options: Any, stopping: threading.Event, _end: Any, started: threading.Event) -> None:
            started.set()
            self.handlers[signal.SIGTERM](signal.SIGTERM, None)
            stopped.append(stopping.is_set())

        monkeypatch.setattr(archive, "run", run)
        assert archive.main() == 0
        assert stopped == [True]

    def test_exit_code_0_when_stopped_during_an_outage_of_cassandra(
        self, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        def run(*_: Any) -> None:
            raise TransientError("no host")

        monkeypatch.setattr(archive, "run", run)
        assert archive.main() == 0
        assert caplog.messages == ["Stopped while waiting for Cassandra: no host"]

    def test_exit_code_0_when_stopped(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(archive, "run", lambda *_: None)
        assert archive.main() == 0

    @pytest.mark.parametrize(
        "error",
        [
            JobError("kafka.topic: there is no topic"),
            InvalidRequest("unconfigured table"),
            KafkaException(KafkaError(KafkaError.UNKNOWN_TOPIC_OR_PART)),
        ],
        ids=lambda error: type(error).__name__,
    )
    def test_exit_code_1_and_a_log_line_after_an_error(
        self, error: Exception, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        def fail(*_: Any) -> None:
            raise error

        monkeypatch.setattr(archive, "run", fail)
        assert archive.main() == 1
        assert [record.message.partition(": ")[0] for record in caplog.records] == ["The archive ends"]

    def test_exit_code_1_when_the_topic_was_replaced(
        self, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        stopped: list[bool] = []

        def replaced(_options: Any, stopping: threading.Event, end: Callable[[str], None], _started: Any) -> None:
            end("topic lol_matches was deleted")
            stopped.append(stopping.is_set())

        monkeypatch.setattr(archive, "run", replaced)
        assert archive.main() == 1
        assert stopped == [True]
        assert caplog.records[-1].message == "The archive ends: topic lol_matches was deleted"

    def test_exit_code_2_for_invalid_settings(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        file = tmp_path / "job.yaml"
        file.write_text("archive: {messages_per_second: 0}")
        monkeypatch.setattr(sys, "argv", ["archive", "--config", str(file)])
        with pytest.raises(SystemExit) as end:
            archive.main()
        assert end.value.code == 2
        assert capsys.readouterr().err.startswith("Settings: archive.messages_per_second: 0 is invalid")
