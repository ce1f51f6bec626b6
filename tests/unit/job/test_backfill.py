"""A range of the topic is read whole and once, at the rate that was asked for, into the job's own documents.

Kafka is librdkafka's mock broker, which knows no times: where a range begins and ends is told by a stand-in.
"""

import logging
import signal
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from confluent_kafka import Producer

from job import backfill, logs
from job.backfill import Span, Spans, read, spans_of
from job.documents import monthly_index
from job.errors import JobError
from job.rate_limit import RateLimiter
from job.topic import Incarnation, RetainedRange
from tests.support.job_fakes import FakeElasticsearch, fake_elasticsearch
from tests.support.sample_matches import match, value

HERE = Incarnation("lol_matches", "cluster", "id", (0, 1))
BEGIN, END = 1_000, 2_000


class Kafka:
    """Stands in for the topic: where a time is, by its milliseconds; what it holds."""

    def __init__(self, offsets: dict[int, dict[int, int]], held: dict[int, RetainedRange]) -> None:
        self._offsets = offsets
        self._held = held

    def connect(self) -> Incarnation:
        return HERE

    def offsets(self, _: Incarnation, moment: datetime) -> dict[int, int]:
        return self._offsets[round(moment.timestamp() * 1000)]

    def retained_ranges(self, _: Incarnation) -> dict[int, RetainedRange]:
        return self._held


def spans(begin: dict[int, int], end: dict[int, int], held: dict[int, RetainedRange]) -> Spans:
    kafka: Any = Kafka({BEGIN: begin, END: end}, held)
    return spans_of(kafka, HERE, BEGIN, END)


def send(servers: str, *values: bytes | None, partition: int = 0) -> None:
    producer = Producer({"bootstrap.servers": servers, "log_level": 0})
    for each in values:
        producer.produce("lol_matches", each, b"key", partition=partition, headers=[("h", b"1")])
    assert producer.flush(10) == 0


def test_a_range_is_the_offsets_between_two_times() -> None:
    held = {0: RetainedRange(0, 900, 2_500), 1: RetainedRange(3, 1_000, 2_500)}
    assert spans({0: 4, 1: 7}, {0: 6, 1: 7}, held) == {0: Span(4, 6)}


def test_what_the_topic_no_longer_holds_is_said(caplog: pytest.LogCaptureFixture) -> None:
    held = {
        0: RetainedRange(3, 1_500, 2_500),
        1: RetainedRange(0, 1_500, 2_500),
    }  # of partition 1 nothing was ever deleted
    assert spans({0: 3, 1: 0}, {0: 6, 1: 2}, held) == {0: Span(3, 6), 1: Span(0, 2)}
    assert [record.message for record in caplog.records] == [
        "Topic lol_matches no longer holds all of it: partition 0 begins with what came at 1970-01-01T00:00:01.500Z"
    ]


@pytest.mark.parametrize(
    ("held", "holds"),
    [
        (
            {1: RetainedRange(9, 3_000, 4_000)},
            "what it holds came from 1970-01-01T00:00:03.000Z to 1970-01-01T00:00:04.000Z",
        ),
        ({}, "it holds nothing"),
    ],
)
def test_a_range_of_which_the_topic_holds_nothing_is_refused(held: dict[int, RetainedRange], holds: str) -> None:
    with pytest.raises(JobError, match=rf"^Topic lol_matches has no message that came from .*; {holds}$"):
        spans({0: 5, 1: 9}, {0: 5, 1: 9}, held)


def test_each_message_of_the_spans_is_read_once(mock_kafka: str) -> None:
    send(mock_kafka, *[str(number).encode() for number in range(6)])
    send(mock_kafka, b"a", None, partition=1)
    chunks = list(read(mock_kafka, "lol_matches", {0: Span(1, 5), 1: Span(0, 2)}, most=2))
    assert {len(chunk) for chunk in chunks} <= {1, 2}
    records = [record for chunk in chunks for record in chunk]
    assert [record.value for record in records if record.partition == 0] == [b"1", b"2", b"3", b"4"]
    assert [(record.offset, record.value) for record in records if record.partition == 1] == [(0, b"a"), (1, None)]
    assert (records[0].topic, records[0].key, records[0].headers) == ("lol_matches", b"key", [("h", b"1")])
    assert abs(records[0].arrived / 1000 - time.time()) < 60


def test_large_messages_make_small_chunks(mock_kafka: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backfill, "_CHUNK_BYTES", 100_000)
    send(mock_kafka, *[b"x" * 11_000] * 20)
    chunks = list(read(mock_kafka, "lol_matches", {0: Span(0, 20)}, most=500))
    assert max(len(chunk) for chunk in chunks) == 10
    assert sum(len(chunk) for chunk in chunks) == 20


def test_messages_that_do_not_come_are_said(mock_kafka: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backfill, "LIMIT_SECONDS", 0.1)
    monkeypatch.setattr(backfill, "_POLL_SECONDS", 0.2)
    send(mock_kafka, b"1")
    with pytest.raises(JobError, match=r"^kafka.bootstrap_servers: .* gave no message for 0.1 s$"):
        list(read(mock_kafka, "lol_matches", {0: Span(0, 2)}, most=1))


def test_messages_that_were_deleted_meanwhile_are_said(mock_kafka: str) -> None:
    send(mock_kafka, b"1")
    with pytest.raises(JobError, match=r"^Topic lol_matches cannot be read on, partition 0: "):
        list(read(mock_kafka, "lol_matches", {0: Span(7, 9)}, most=1))


def test_no_more_messages_than_the_rate_and_no_catching_up(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    monkeypatch.setattr(time, "sleep", lambda seconds: now.__setitem__(0, now[0] + seconds))
    pace = RateLimiter(rate=50)
    for _ in range(3):
        pace.wait(50)
    assert now[0] == 102.0
    now[0] = 110.0  # Elasticsearch was away
    pace.wait(50)
    pace.wait(50)
    assert now[0] == 111.0


@pytest.fixture
def server() -> Iterator[FakeElasticsearch]:
    with fake_elasticsearch() as fake:
        month = monthly_index("", int(time.time() * 1000))
        fake.pages["GET", "/"] = (200, {"cluster_name": "trial", "version": {"number": "8.19.21"}})
        for name in ("lol_matches_stream", "lol_champion_stats", "lol_position_stats"):
            fake.pages["HEAD", f"/_index_template/{name}"] = (200, {})
            fake.pages["PUT", f"/{name}{month}"] = (200, {"acknowledged": True})
        yield fake


def run(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, servers: str, server: FakeElasticsearch, end: int, *more: str
) -> int:
    """`python -m job.backfill` over the first `end` messages of partition 0."""
    file = tmp_path / "job.yaml"
    file.write_text(f"{{kafka: {{bootstrap_servers: '{servers}'}}, elasticsearch: {{hosts: ['{server.url}']}}}}")
    held = {0: RetainedRange(0, BEGIN, END)}
    stand_in = Kafka({BEGIN: {0: 0, 1: 0}, END: {0: end, 1: 0}}, held)
    monkeypatch.setattr(backfill, "TopicInspector", lambda _: stand_in)
    monkeypatch.setattr(logs, "configure", lambda _: None)
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    arguments = ["backfill", "--config", str(file), "--from", "1970-01-01T00:00:01Z", "--to", "1970-01-01T00:00:02Z"]
    monkeypatch.setattr(sys, "argv", [*arguments, *more])
    return backfill.main()


def fresh(match_id: str, **changes: Any) -> bytes:
    """A match that ended just now, as the bounds of a message that comes now want it."""
    now = int(time.time() * 1000)
    return value(match(match_id=match_id, gameCreation=now, gameStartTimestamp=now - 1_900_000, **changes))


def test_documents_are_the_jobs_and_dead_letters_are_counted(
    mock_kafka: str,
    server: FakeElasticsearch,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    send(mock_kafka, fresh("EUW1_1"), b"{", fresh("EUW1_2"), None, fresh("EUW1_1"), fresh("EUW1_3"), fresh("after"))
    server.answers = [lambda lines: server.store(lines, {"EUW1_3_1": 400})]
    with caplog.at_level(logging.INFO):
        assert run(monkeypatch, tmp_path, mock_kafka, server, 6) == 0
    assert {key[1].rpartition("_")[0] for key in server.documents} == {"EUW1_1", "EUW1_2", "EUW1_3"}
    assert len(server.documents) == 29
    assert caplog.records[-2].message == (
        "✓ Backfill done: 6 messages, 39 documents, 3 dead letters "
        "(not_json 1, null_value 1, rejected_by_elasticsearch 1)"
    )
    assert "not sent to lol_matches_dlq again; statistics were not touched" in caplog.text


def test_a_backfill_that_is_stopped_says_how_far_it_came(
    mock_kafka: str,
    server: FakeElasticsearch,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    send(mock_kafka, fresh("EUW1_1"), fresh("EUW1_2"))

    def interrupted(_: Any) -> Any:
        raise KeyboardInterrupt

    taken = len(server.requests)
    monkeypatch.setattr(RateLimiter, "wait", lambda *_: interrupted(None) if len(server.requests) > taken else None)
    assert run(monkeypatch, tmp_path, mock_kafka, server, 2, "--rate", "1") == 1
    (line,) = [record.message for record in caplog.records if record.message.startswith("Done so far")]
    day = datetime.now(UTC).date().isoformat()
    assert line.startswith(f"Done so far: 1 messages, 10 documents, 0 dead letters; go on with FROM={day}T")
    assert caplog.records[-1].message == "Stopped before the end"


def test_an_elasticsearch_that_is_not_there_ends_it(
    mock_kafka: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("job.retry.LIMIT_SECONDS", 0.1)
    nobody: Any = SimpleNamespace(url="http://localhost:1")
    assert run(monkeypatch, tmp_path, mock_kafka, nobody, 1) == 1
    assert caplog.records[-1].message.startswith("elasticsearch.hosts: http://localhost:1 is not available (")


@pytest.mark.parametrize(
    ("more", "line"),
    [
        (["--from", "2026-11-25"], "--from 2026-11-25T00:00:00.000Z is not before --to 1970-01-01T00:00:02.000Z"),
        (["--to", "soon"], "argument --to: must be a time such as 2026-11-24T06:00:00Z, not 'soon'"),
        (["--rate", "0"], "argument --rate: must be a whole number from 1, not '0'"),
    ],
)
def test_arguments_that_cannot_be_used(
    server: FakeElasticsearch,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    more: list[str],
    line: str,
) -> None:
    with pytest.raises(SystemExit) as end:
        run(monkeypatch, tmp_path, "localhost:1", server, 1, *more)
    assert end.value.code == 2
    assert capsys.readouterr().err.splitlines()[-1] == f"backfill: error: {line}"
    assert server.requests == []


def test_settings_that_cannot_be_used(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "job.yaml"
    file.write_text("parallelism: 0")
    monkeypatch.setattr(sys, "argv", ["backfill", "--config", str(file), "--from", "2026-11-24"])
    assert backfill.main() == 2
    assert capsys.readouterr().err.startswith("Settings: parallelism: 0 is not possible")
