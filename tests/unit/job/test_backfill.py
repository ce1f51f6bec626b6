"""A backfill reads each message of the time range once, within its rate limit, and indexes the job's documents.

Kafka is librdkafka's mock broker, which cannot look up offsets by time: a fake topic returns the range's offsets.
"""

import logging
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import KafkaError

from job import backfill, logs, startup_checks
from job.backfill import OffsetRange, OffsetRanges, offset_ranges, read
from job.errors import JobError
from job.ids import monthly_index
from job.kafka_client import KafkaClientSettings
from job.message import Message, Original
from job.rate_limit import RateLimiter
from job.times import iso, now_ms, to_ms
from job.topic import Incarnation, RetainedRange
from tests.support.fakes import FakeElasticsearch, FakeMessage, fake_elasticsearch
from tests.support.kafka_batch import send_batch
from tests.support.raw_producer import send_with_header
from tests.support.sample_matches import TWO_TEAMS, match, participant, value

INCARNATION = Incarnation("lol_matches", "cluster", "id", (0, 1))
BEGIN, END = 1_000, 2_000


class FakeTopic:
    """A fake topic: offsets by arrival time in milliseconds or `latest`, and what it retains."""

    def __init__(self, offsets: dict[int | str, dict[int, int]], retained: dict[int, RetainedRange]) -> None:
        self._offsets = offsets
        self._retained = retained

    def connect(self) -> Incarnation:
        return INCARNATION

    def offsets(self, _: Incarnation, position: datetime | str) -> dict[int, int]:
        found = self._offsets[position if isinstance(position, str) else to_ms(position)]
        return dict(found)

    def retained_ranges(self, _: Incarnation) -> dict[int, RetainedRange]:
        return self._retained


def ranges(begin: dict[int, int], end: dict[int, int], retained: dict[int, RetainedRange]) -> OffsetRanges:
    kafka: Any = FakeTopic({BEGIN: begin, END: end}, retained)
    return offset_ranges(kafka, INCARNATION, BEGIN, END, unordered={})


def send(
    servers: str,
    *values: bytes | None,
    partition: int = 0,
    headers: Any = (("h", b"1"),),
    compression: str = "none",
) -> None:
    send_batch({"bootstrap.servers": servers}, "lol_matches", values, partition, compression, b"key", headers)


def read_all(servers: str, topic: str, ranges: OffsetRanges, max_messages: int) -> list[list[Message]]:
    """The chunks of messages, all of which are readable."""
    return list(read(KafkaClientSettings(servers), topic, ranges, max_messages, lambda found: pytest.fail(str(found))))


def test_time_range_becomes_offset_ranges() -> None:
    retained = {0: RetainedRange(0, 900, 2_500), 1: RetainedRange(3, 1_000, 2_500)}
    assert ranges({0: 4, 1: 7}, {0: 6, 1: 7}, retained) == {0: OffsetRange(4, 6)}


def test_warns_of_messages_that_are_no_longer_retained(caplog: pytest.LogCaptureFixture) -> None:
    retained = {0: RetainedRange(3, 1_500, 2_500), 1: RetainedRange(0, 1_500, 2_500)}  # of 1, nothing was deleted
    assert ranges({0: 3, 1: 0}, {0: 6, 1: 2}, retained) == {0: OffsetRange(3, 6), 1: OffsetRange(0, 2)}
    assert [record.message for record in caplog.records] == [
        "Topic lol_matches no longer retains the whole range: partition 0 begins with a message that arrived at "
        "1970-01-01T00:00:01.500Z"
    ]


@pytest.mark.parametrize(
    ("retained", "available"),
    [
        (
            {1: RetainedRange(9, 3_000, 4_000)},
            "its messages arrived from 1970-01-01T00:00:03.000Z to 1970-01-01T00:00:04.000Z",
        ),
        (
            {0: RetainedRange(5, 3_500, 4_000), 1: RetainedRange(9, 3_000, None)},
            "its messages arrived from 1970-01-01T00:00:03.000Z on",
        ),
        ({}, "the topic is empty"),
    ],
)
def test_range_without_messages_is_an_error(retained: dict[int, RetainedRange], available: str) -> None:
    with pytest.raises(JobError, match=rf"^Topic lol_matches has no message that arrived from .*; {available}$"):
        ranges({0: 5, 1: 9}, {0: 5, 1: 9}, retained)


def test_each_message_of_the_ranges_is_read_once(mock_kafka: str) -> None:
    send(mock_kafka, *[str(number).encode() for number in range(6)])
    send(mock_kafka, b"a", None, partition=1)
    chunks = read_all(mock_kafka, "lol_matches", {0: OffsetRange(1, 5), 1: OffsetRange(0, 2)}, max_messages=2)
    assert {len(chunk) for chunk in chunks} <= {1, 2}
    messages = [message for chunk in chunks for message in chunk]
    assert [message.value for message in messages if message.partition == 0] == [b"1", b"2", b"3", b"4"]
    assert [(message.offset, message.value) for message in messages if message.partition == 1] == [(0, b"a"), (1, None)]
    assert (messages[0].topic, messages[0].key, messages[0].headers) == ("lol_matches", b"key", [("h", b"1")])
    assert abs(messages[0].arrived_at / 1000 - time.time()) < 60


def test_chunks_are_limited_by_bytes(mock_kafka: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backfill, "_CHUNK_BYTES", 100_000)
    send(mock_kafka, *[b"x" * 11_000] * 20)
    chunks = read_all(mock_kafka, "lol_matches", {0: OffsetRange(0, 20)}, max_messages=500)
    assert max(len(chunk) for chunk in chunks) == 10
    assert sum(len(chunk) for chunk in chunks) == 20


def test_kafka_that_sends_no_message_is_a_timeout(mock_kafka: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backfill, "TIMEOUT_SECONDS", 0.1)
    monkeypatch.setattr(backfill, "_POLL_SECONDS", 0.2)
    send(mock_kafka, b"1")
    with pytest.raises(JobError, match=r"^kafka.bootstrap_servers: .* sent no message for 0.1 s$"):
        read_all(mock_kafka, "lol_matches", {0: OffsetRange(0, 2)}, max_messages=1)


class FakeConsumer:
    """A fake consumer that returns messages (offset and value) and ends of the partition (offset alone) in order."""

    def __init__(self, *polled: tuple[int, bytes | None]) -> None:
        self._polled = list(polled)
        self.paused: list[int] = []

    def assign(self, _partitions: Any) -> None:
        pass

    def poll(self, _seconds: float) -> FakeMessage:
        offset, content = self._polled.pop(0)
        return FakeMessage(offset, content, error=KafkaError._PARTITION_EOF if content is None else None)

    def pause(self, partitions: list[Any]) -> None:
        self.paused += [each.partition for each in partitions]

    def close(self) -> None:
        pass


@pytest.mark.parametrize(
    ("polled", "read_offsets"),
    [
        ([(0, b"a"), (1, b"b"), (2, b"c"), (3, b"after")], [0, 1, 2]),
        ([(0, b"a"), (3, b"after a gap")], [0]),
        ([(0, b"a"), (2, None), (2, b"c")], [0, 2]),
        ([(0, b"a"), (3, None)], [0]),
    ],
    ids=["whole", "gap at the end", "end of the partition before the end of the range", "marker at the end"],
)
def test_gaps_of_compaction_and_transactions_do_not_extend_the_range(
    monkeypatch: pytest.MonkeyPatch, polled: list[tuple[int, bytes | None]], read_offsets: list[int]
) -> None:
    consumer = FakeConsumer(*polled)
    monkeypatch.setattr(backfill, "Consumer", lambda _: consumer)
    chunks = read_all("kafka:9092", "lol_matches", {0: OffsetRange(0, 3)}, max_messages=500)
    assert [message.offset for chunk in chunks for message in chunk] == read_offsets
    assert consumer.paused == [0]


def test_messages_deleted_in_the_meantime_are_an_error(mock_kafka: str) -> None:
    send(mock_kafka, b"1")
    with pytest.raises(JobError, match=r"^Topic lol_matches cannot be read further, partition 0: "):
        read_all(mock_kafka, "lol_matches", {0: OffsetRange(7, 9)}, max_messages=1)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeElasticsearch]:
    now = now_ms()
    monkeypatch.setattr(startup_checks, "now_ms", lambda: now)
    with fake_elasticsearch() as fake:
        month = monthly_index("", now)
        fake.pages["GET", "/"] = (200, {"cluster_name": "trial", "version": {"number": "8.19.21"}})
        for name in ("lol_matches_stream", "lol_teams_stream", "lol_champion_stats", "lol_position_stats"):
            fake.pages["HEAD", f"/_index_template/{name}"] = (200, {})
            fake.pages["PUT", f"/{name}{month}"] = (200, {"acknowledged": True})
        yield fake


@pytest.fixture
def run(
    mock_kafka: str, server: FakeElasticsearch, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Callable[..., int]:
    """Runs `python -m job.backfill` over the first `end` messages of partition 0, and `end_of_1` of partition 1."""

    def run(
        end: int,
        *more: str,
        end_of_1: int = 0,
        elasticsearch: str = server.url,
        topic: FakeTopic | None = None,
    ) -> int:
        file = tmp_path / "job.yaml"
        file.write_text(
            f"{{kafka: {{bootstrap_servers: '{mock_kafka}'}}, elasticsearch: {{hosts: ['{elasticsearch}']}}}}"
        )
        retained = {0: RetainedRange(0, BEGIN, END - 1), 1: RetainedRange(0, BEGIN, END - 1)}
        ends = {0: end, 1: end_of_1}
        fake = topic or FakeTopic({BEGIN: {0: 0, 1: 0}, END: ends, "latest": ends}, retained)
        monkeypatch.setattr(backfill, "TopicInspector", lambda _: fake)
        monkeypatch.setattr(logs, "configure", lambda _: None)
        monkeypatch.setattr(signal, "signal", lambda *_: None)
        times = ["--from", "1970-01-01T00:00:01Z", "--to", "1970-01-01T00:00:02Z"]
        monkeypatch.setattr(sys, "argv", ["backfill", "--config", str(file), *times, *more])
        return backfill.main()

    return run


def fresh(match_id: str, **changes: Any) -> bytes:
    """A match that ended just now, which is plausible for a message that arrives now."""
    now = int(time.time() * 1000)
    return value(match(match_id=match_id, gameCreation=now, gameStartTimestamp=now - 1_900_000, **changes))


def test_documents_are_indexed_and_dead_letters_are_counted(
    run: Callable[..., int], mock_kafka: str, server: FakeElasticsearch, caplog: pytest.LogCaptureFixture
) -> None:
    with_teams = fresh("EUW1_3", teams=TWO_TEAMS)
    send(mock_kafka, fresh("EUW1_1"), b"{", fresh("EUW1_2"), None, fresh("EUW1_1"), with_teams, fresh("after"))
    with caplog.at_level(logging.INFO):
        assert run(6) == 0
    assert {key[1].rpartition("_")[0] for key in server.documents} == {"EUW1_1", "EUW1_2", "EUW1_3"}
    assert Counter(key[0].partition("-")[0] for key in server.documents) == {
        "lol_matches_stream": 30,
        "lol_teams_stream": 2,
    }
    assert caplog.records[-2].message == (
        "✓ Backfill done: 6 messages, 42 documents, 2 dead letters (not_json 1, null_value 1)"
    )
    assert "not sent to lol_matches_dlq again; the statistics are unchanged" in caplog.text


def test_backfill_with_rejected_documents_fails(
    run: Callable[..., int], mock_kafka: str, server: FakeElasticsearch, caplog: pytest.LogCaptureFixture
) -> None:
    send(mock_kafka, fresh("EUW1_1"), fresh("EUW1_2"))
    server.answers = [lambda lines: server.store(lines, {"EUW1_2_1": 400})]
    with caplog.at_level(logging.INFO):
        assert run(2) == 1
    assert len(server.documents) == 19
    assert caplog.records[-1].message.startswith(
        "Elasticsearch rejected documents: 2 messages, 19 documents, 1 dead letters (rejected_by_elasticsearch 1); "
        "the first: document EUW1_2_1: 400 as the test"
    )
    assert "Backfill done" not in caplog.text


def test_backfill_waits_for_an_index_that_is_not_available(
    run: Callable[..., int], mock_kafka: str, server: FakeElasticsearch, caplog: pytest.LogCaptureFixture
) -> None:
    send(mock_kafka, fresh("EUW1_1"))
    closed = {"index": {"status": 400, "error": {"type": "index_closed_exception", "reason": "closed"}}}
    server.answers = [lambda lines: (200, {"errors": True, "items": [closed] * (len(lines) // 2)})]
    assert run(1) == 0
    assert len(server.documents) == 10
    assert "for Elasticsearch: it answers 400 for a document of lol_matches_stream-" in caplog.text
    assert "(index_closed_exception: closed)" in caplog.text


def test_backfill_of_a_replay_keeps_the_newer_version(
    run: Callable[..., int], mock_kafka: str, server: FakeElasticsearch
) -> None:
    """The range has the newer version of the match, and behind it the replay of the older one."""
    older, newer = (fresh("EUW1_1", participants=[participant(1, kills=kills)]) for kills in (1, 2))
    send(mock_kafka, newer)
    original = Original(now_ms() - 60_000, 0, 5)
    send(mock_kafka, older, headers=original.headers())
    assert run(2) == 0
    assert [document["kills"] for document in server.documents.values()] == [2]
    server.documents.clear()
    server.versions.clear()
    send(mock_kafka, older, partition=1, headers=original.headers())
    assert run(0, end_of_1=1) == 0
    assert [(document["kills"], document["ingested_at"]) for document in server.documents.values()] == [
        (1, iso(original.arrived_at))
    ]


def test_unreadable_batch_is_logged_counted_and_passed(
    run: Callable[..., int],
    mock_kafka: str,
    server: FakeElasticsearch,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Also a batch at the end of the range, which goes on behind it. The limit of a batch's size is small here."""
    monkeypatch.setattr("job.consumer.MAX_BATCH_BYTES", 100_000)
    for values in ([fresh("EUW1_1")], [b" " * 900_000] * 3, [fresh("EUW1_2")], [b" " * 900_000] * 4):
        send(mock_kafka, *values, compression="zstd")
    assert run(7) == 0
    assert len(server.documents) == 20
    errors = [record.getMessage() for record in caplog.records if record.levelno == logging.ERROR]
    assert [line.partition(" cannot be read: Decompression ")[0] for line in errors] == [
        "Skipped: topic lol_matches, partition 0, offsets 1 to 3",
        "Skipped: topic lol_matches, partition 0, offsets 5 to 8",
    ]
    with caplog.at_level(logging.INFO):
        assert run(7) == 0
    assert "✓ Backfill done: 2 messages, 20 documents, 0 dead letters, 7 unreadable" in caplog.text


def test_match_with_a_header_name_that_is_not_utf_8_is_indexed(
    run: Callable[..., int], mock_kafka: str, server: FakeElasticsearch
) -> None:
    send_with_header({"bootstrap.servers": mock_kafka}, "lol_matches", fresh("EUW1_1"), b"tr\xe4ce", b"1", partition=0)
    assert run(1) == 0
    assert len(server.documents) == 10


def test_interrupted_backfill_logs_where_to_resume(
    run: Callable[..., int],
    mock_kafka: str,
    server: FakeElasticsearch,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    send(mock_kafka, fresh("EUW1_1"), fresh("EUW1_2"))

    def interrupted(_: Any) -> Any:
        raise KeyboardInterrupt

    taken = len(server.requests)
    monkeypatch.setattr(RateLimiter, "acquire", lambda *_: interrupted(None) if len(server.requests) > taken else None)
    assert run(2, "--rate", "1") == 1
    (line,) = [record.message for record in caplog.records if record.message.startswith("Done so far")]
    done, _, resume_at = line.partition("; resume with FROM=")
    assert done == "Done so far: 1 messages, 10 documents, 0 dead letters"
    assert abs(datetime.fromisoformat(resume_at).timestamp() - time.time()) < 60
    assert caplog.records[-1].message == "Stopped before the end"


@pytest.mark.parametrize(
    ("arrivals", "resume_at"),
    [
        ([(0, 0, 1_200), (1, 0, 1_700)], 1_200),
        ([(1, 0, 1_700), (0, 0, 1_200), (0, 1, 1_300)], 1_300),
        ([(1, 0, 1_100), (1, 1, 1_150), (0, 0, 1_300)], 1_300),
        ([(0, 0, 1_200)], BEGIN),
    ],
)
def test_failed_backfill_resumes_at_the_earliest_unfinished_partition(
    run: Callable[..., int],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    arrivals: list[tuple[int, int, int]],
    resume_at: int,
) -> None:
    """Arrivals: partition, offset and arrival time. Partition 0 has three messages to read, partition 1 two."""

    def fail_after_arrivals(*_: Any) -> Iterator[list[Message]]:
        for partition, offset, arrived_at in arrivals:
            yield [Message("lol_matches", partition, offset, arrived_at, None, b"{", [])]
        raise JobError("Kafka is down")

    monkeypatch.setattr(backfill, "read", fail_after_arrivals)
    assert run(3, end_of_1=2) == 1
    assert f"; resume with FROM={iso(resume_at)}" in caplog.text
    assert caplog.records[-1].message == "Kafka is down"


class Stamps(FakeTopic):
    """A fake topic with messages in one partition, by their arrival times, and a transaction's markers behind them, or
    one that is still open. Finds offsets by time as Kafka does."""

    def __init__(self, *stamps: int, markers: int = 0, transaction_is_open: bool = False) -> None:
        super().__init__({}, {0: RetainedRange(0, stamps[0], None if transaction_is_open else max(stamps))})
        self.stamps = stamps
        self.markers = markers

    def offsets(self, _: Incarnation, position: datetime | str) -> dict[int, int]:
        end = len(self.stamps)
        if isinstance(position, str):
            return {0: end + self.markers, 1: 0}
        return {0: next((offset for offset in range(end) if self.stamps[offset] >= to_ms(position)), end), 1: 0}

    def read(self, _: Any, __: str, ranges: OffsetRanges, *___: Any) -> Iterator[list[Message]]:
        for offset in range(ranges[0].begin, min(ranges[0].end, len(self.stamps))):
            yield [Message("lol_matches", 0, offset, self.stamps[offset], None, b"{", [])]


@pytest.mark.parametrize("markers", [0, 1, 200])
@pytest.mark.parametrize(
    ("stamps", "indexed"),
    [
        ([1_100, 1_200, 9_000, 9_100, 1_300, 1_400], 4),
        ([9_000, 9_100, 1_300, 1_400], 2),
        ([900, 1_100, 9_000, 950, 1_300, 2_000, 2_100], 2),
    ],
    ids=["in the middle", "no message before the jump", "messages outside the range"],
)
def test_messages_behind_one_stamped_ahead_are_not_skipped(
    run: Callable[..., int],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    stamps: list[int],
    indexed: int,
    markers: int,
) -> None:
    """The broker's clock was ahead for a while. Kafka finds the first message that arrived at a time or later."""
    topic = Stamps(*stamps, markers=markers)
    monkeypatch.setattr(backfill, "read", topic.read)
    with caplog.at_level(logging.INFO):
        assert run(0, topic=topic) == 0
    assert f"✓ Backfill done: {indexed} messages, " in caplog.text
    # Behind so many markers, no last message is looked for.
    assert ("The broker's clock went back: partition 0 of topic lol_matches" in caplog.text) == (markers < 100)


def test_messages_behind_one_stamped_ahead_are_not_skipped_while_a_transaction_is_open(
    run: Callable[..., int], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Kafka does not return the latest arrival time then, so whether the broker's clock went back is unknown."""
    topic = Stamps(1_100, 9_000, 1_300, 1_400, transaction_is_open=True)
    monkeypatch.setattr(backfill, "read", topic.read)
    with caplog.at_level(logging.INFO):
        assert run(0, topic=topic) == 0
    assert "✓ Backfill done: 3 messages, " in caplog.text
    assert [record for record in caplog.records if record.levelno == logging.WARNING] == []


def test_partition_whose_stamps_increase_is_read_up_to_the_time_only(
    run: Callable[..., int], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Messages of one batch have the same arrival time."""
    topic = Stamps(1_100, 1_200, 2_500, 2_600, 2_600)
    monkeypatch.setattr(backfill, "read", topic.read)
    with caplog.at_level(logging.INFO):
        assert run(0, topic=topic) == 0
    assert "to 1970-01-01T00:00:02.000Z: 2 messages" in caplog.text
    assert [record for record in caplog.records if record.levelno == logging.WARNING] == []


def test_failed_backfill_resumes_an_unordered_partition_from_the_beginning(
    run: Callable[..., int], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    topic = Stamps(1_100, 9_000, 1_050, 1_200)
    reads = iter(["of its end", "of the range"])

    def read_or_fail(_: Any, __: str, ranges: OffsetRanges, *___: Any) -> Iterator[list[Message]]:
        read = next(reads)
        for chunk in topic.read(_, __, ranges):
            if read == "of the range" and chunk[0].offset == 2:
                raise JobError("Kafka is down")
            yield chunk

    monkeypatch.setattr(backfill, "read", read_or_fail)
    assert run(0, topic=topic) == 1
    assert f"; resume with FROM={iso(BEGIN)}" in caplog.text


def test_from_in_the_future_is_not_before_now(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["backfill", "--from", "9999-12-31T18:30"])
    with pytest.raises(SystemExit):
        backfill.main()
    error = capsys.readouterr().err.splitlines()[-1]
    assert error.startswith("backfill: error: --from 9999-12-31T18:30:00.000Z is not before now, ")
    assert error.endswith("; a time without a zone is UTC")


def test_unavailable_elasticsearch_ends_the_backfill_after_a_timeout(
    run: Callable[..., int], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("job.retry.TIMEOUT_SECONDS", 0.1)
    assert run(1, elasticsearch="http://localhost:1") == 1
    assert caplog.records[-1].message.startswith("elasticsearch.hosts: http://localhost:1 is not available (")


@pytest.mark.parametrize(
    ("more", "line"),
    [
        (
            ["--from", "2026-11-25"],
            "--from 2026-11-25T00:00:00.000Z is not before --to 1970-01-01T00:00:02.000Z; a time without a zone is UTC",
        ),
        (["--to", "soon"], "argument --to: must be a time such as 2026-11-24T06:00:00Z, not 'soon'"),
        (["--rate", "0"], "argument --rate: must be a whole number from 1, not '0'"),
    ],
)
def test_invalid_arguments(
    run: Callable[..., int], server: FakeElasticsearch, capsys: pytest.CaptureFixture[str], more: list[str], line: str
) -> None:
    with pytest.raises(SystemExit) as end:
        run(1, *more)
    assert end.value.code == 2
    assert capsys.readouterr().err.splitlines()[-1] == f"backfill: error: {line}"
    assert server.requests == []


def test_invalid_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "job.yaml"
    file.write_text("parallelism: 0")
    monkeypatch.setattr(sys, "argv", ["backfill", "--config", str(file), "--from", "2026-11-24"])
    with pytest.raises(SystemExit) as end:
        backfill.main()
    assert end.value.code == 2
    assert capsys.readouterr().err.startswith("Settings: parallelism: 0 is invalid")
