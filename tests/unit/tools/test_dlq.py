"""Dead letter replay, count and display (`make dlq`), of dead letters that the job's own code writes.

Kafka is librdkafka's mock broker.
"""

import io
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any, TextIO
from unittest.mock import MagicMock

import pytest
from confluent_kafka import Consumer, KafkaError, Producer, TopicPartition
from rich.console import Console

from infra.names import DEAD_LETTER_TOPIC, MATCHES_TOPIC
from job.archive import archived_matches
from job.dead_letter import DeadLetter
from job.kafka_client import ConnectionErrors, KafkaClientSettings
from job.message import MAX_HEADERS, Headers, Message, Original
from job.sinks.dead_letters import DeadLetterSink
from job.sinks.elasticsearch import BulkSink, Connection, client
from job.tasks.index_matches import index
from job.times import iso, to_ms
from tests.support.fakes import FakeProducer, fake_elasticsearch
from tests.support.kafka_batch import send_batch
from tests.support.raw_producer import send_with_header
from tests.support.sample_matches import ALIASES, ARRIVED_AT, PLAUSIBLE_TIMES, match, participant, value
from tools.dlq import __main__ as dlq
from tools.dlq import dead_letters
from tools.dlq.dead_letters import (
    DeadLetterMessage,
    DlqError,
    MessagePosition,
    count_by_reason,
    read_dead_letters,
    select_dead_letters,
)

NOT_JSON = DeadLetter("not_json", "Input data was truncated", "", "DecodeError")
INVALID = DeadLetter("invalid_field", "Expected `int`, got `str`", "info.participants[3].kills", "ValidationError")


@pytest.fixture
def job_sink(mock_kafka: str) -> DeadLetterSink:
    """The job's sink of dead letters."""
    producer = Producer({"bootstrap.servers": mock_kafka, "log_level": 0})
    kafka = KafkaClientSettings(mock_kafka)
    return DeadLetterSink(producer, DEAD_LETTER_TOPIC, lambda *_: None, ConnectionErrors(), kafka)


def message_at(offset: int, value: bytes | None = b"{", **changes: Any) -> Message:
    key = f"EUW1_{offset}".encode()
    return Message("lol_matches", 2, offset, ARRIVED_AT, key, value, [("trace", b"\x00\xff")])._replace(**changes)


def write(job_sink: DeadLetterSink, *failed: tuple[Message, DeadLetter]) -> None:
    for each in failed:
        job_sink.add(*each)
        job_sink.flush()


def replayed(servers: str, partitions: range = range(4)) -> list[Any]:
    """All messages of `lol_matches`."""
    settings = {"bootstrap.servers": servers, "group.id": "test", "enable.partition.eof": True, "fetch.wait.max.ms": 10}
    consumer = Consumer(settings)
    found = []
    consumer.assign([TopicPartition(MATCHES_TOPIC, partition, 0) for partition in partitions])
    ends = 0
    while ends < len(partitions):
        message: Any = consumer.poll(10)
        assert message is not None, "the mock broker does not answer"
        if message.error():
            assert message.error().code() == KafkaError._PARTITION_EOF, message.error()
            ends += 1
        else:
            found.append(message)
    consumer.close()
    return found


def run(monkeypatch: pytest.MonkeyPatch, servers: str, *arguments: str) -> int:
    monkeypatch.setattr(dlq, "read_stack_outputs", lambda _: {"bootstrapServers": servers})
    monkeypatch.setattr(sys, "argv", ["dlq", "--stack", "sample", *arguments])
    return dlq.main()


def test_count_by_reason_skips_duplicates(job_sink: DeadLetterSink, mock_kafka: str) -> None:
    """Duplicates come from a retried batch. A message at the same offset of a recreated topic is not a duplicate."""
    recreated = message_at(1, arrived_at=ARRIVED_AT + 1)
    write(job_sink, (message_at(1), NOT_JSON), (message_at(2), INVALID), (message_at(3), NOT_JSON))
    now = time.time_ns() // 1_000_000
    while time.time_ns() // 1_000_000 <= now:  # arrival times are whole milliseconds
        pass
    write(job_sink, (message_at(1), NOT_JSON), (message_at(2), INVALID), (recreated, NOT_JSON))
    counts, duplicates = count_by_reason(read_dead_letters({"bootstrap.servers": mock_kafka}))
    assert {reason: count.messages for reason, count in counts.items()} == {"not_json": 3, "invalid_field": 1}
    assert duplicates == 2
    assert counts["not_json"].latest.original_position == MessagePosition("lol_matches", 2, 1)
    assert counts["not_json"].latest.job_header("timestamp").endswith(".001Z")


def test_list_prints_messages_by_reason(
    job_sink: DeadLetterSink, mock_kafka: str, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    write(
        job_sink,
        (message_at(1), INVALID),
        (message_at(2), NOT_JSON),
        (message_at(3), NOT_JSON),
        (message_at(3), NOT_JSON),
    )
    producer = Producer({"bootstrap.servers": mock_kafka, "log_level": 0})
    producer.produce(DEAD_LETTER_TOPIC, b"hello")
    producer.flush(10)
    assert run(monkeypatch, mock_kafka) == 0
    lines = capsys.readouterr().out.splitlines()
    rows = [[cell.strip() for cell in line.strip("│").split("│")][:2] for line in lines if line.startswith("│")]
    assert rows == [["not_json", "2"], ["(not from the job)", "1"], ["invalid_field", "1"]]
    assert lines[-1] == "Messages: 4; duplicate dead letters: 1"


def test_list_of_an_empty_topic(mock_kafka: str, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    assert run(monkeypatch, mock_kafka) == 0
    assert capsys.readouterr().out == "There are no dead letters.\n"


@pytest.mark.parametrize("position", ["dead letter", "original"])
def test_show_prints_one_dead_letter_without_control_characters(
    job_sink: DeadLetterSink, mock_kafka: str, monkeypatch: pytest.MonkeyPatch, capsys: Any, position: str
) -> None:
    text = b"\x1b[2J" + b"x" * 3000
    write(job_sink, (message_at(1), NOT_JSON), (message_at(41, text), INVALID))
    (found,) = select_dead_letters({"bootstrap.servers": mock_kafka}, "lol_matches:2:41")
    own = str(found.position)
    assert run(monkeypatch, mock_kafka, "--show", own if position == "dead letter" else "lol_matches:2:41") == 0
    shown = capsys.readouterr().out
    for part in ("invalid_field", "info.participants[3].kills", "Expected `int`", "EUW1_41", "header trace", "3,004 B"):
        assert part in shown
    assert "x" * 1996 in shown
    assert "x" * 1997 not in shown
    assert f"-C -t lol_matches_dlq -p {found.position.partition} -o {found.position.offset}" in shown
    assert "kcat -F <(pulumi stack output kafkaOperator --show-secrets --stack sample) -C" in shown
    assert f"make dlq REPLAY={own} STACK=sample" in shown
    assert "\x1b" not in shown


def test_show_prints_the_beginning_of_large_keys_and_headers(
    mock_kafka: str, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    """A table takes minutes to lay out megabytes."""
    headers: Any = [("n" * 1500, b"v" * 1500), *((f"h{number}", b"small") for number in range(60))]
    producer = Producer({"bootstrap.servers": mock_kafka, "log_level": 0})
    producer.produce(DEAD_LETTER_TOPIC, b"x", b"k" * 1500, headers=headers, partition=0)
    producer.flush(10)
    assert run(monkeypatch, mock_kafka, "--show", "0:0") == 0
    shown = "".join(capsys.readouterr().out.split())
    for character, size in (("k", "1,500"), ("v", "1,500"), ("n", "1,507")):  # the name after "header "
        assert f"…({size}B)" in shown
        assert 900 < shown.count(character) < 1200
    assert "h48" in shown
    assert "h49" not in shown
    assert "11moreheaders" in shown


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (["--show", f"0:{10**20}"], f"SHOW=0:{10**20} is not a position: write 0:17"),
        (["--show", "0:99"], "there is no dead letter at 0:99: list them, without SHOW and REPLAY"),
        (["--show", "lol_matches:0:1"], "there is no dead letter of the message at lol_matches:0:1: list them"),
        (["--show", "invalid_field"], "SHOW=invalid_field is not a position: write 0:17, or lol_matches:2:41"),
        (["--replay", "nonsense"], "there is no dead letter with the reason 'nonsense': list them, without"),
        (["--replay", "all"], "there is no dead letter: "),
        (["--replay", "[/red]"], "there is no dead letter with the reason '[/red]': "),
    ],
)
def test_selection_without_dead_letters_is_an_error(
    mock_kafka: str, monkeypatch: pytest.MonkeyPatch, capsys: Any, arguments: list[str], error: str
) -> None:
    assert run(monkeypatch, mock_kafka, *arguments) == 1
    (line,) = capsys.readouterr().out.splitlines()
    assert line.startswith(error)


def test_unreachable_kafka_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dead_letters, "METADATA_TIMEOUT_SECONDS", 0.5)
    with pytest.raises(DlqError, match=r"^Kafka at localhost:1 cannot be read \(.*\): see the status of the stack$"):
        list(read_dead_letters({"bootstrap.servers": "localhost:1"}))


@pytest.mark.parametrize(
    ("selection", "keys"),
    [
        ("invalid_field", {b"EUW1_2", None}),
        ("lol_matches:2:1", {b"EUW1_1"}),
        ("all", {b"EUW1_1", b"EUW1_2", None}),
    ],
)
def test_replay_sends_the_original_key_value_and_headers(
    job_sink: DeadLetterSink, mock_kafka: str, monkeypatch: pytest.MonkeyPatch, selection: str, keys: set[bytes | None]
) -> None:
    write(
        job_sink,
        (message_at(1), NOT_JSON),
        (message_at(2, b"[]"), INVALID),
        (message_at(3, None, key=None, headers=[]), INVALID),
    )
    assert run(monkeypatch, mock_kafka, "--replay", selection) == 0
    found = {message.key(): message for message in replayed(mock_kafka)}
    assert set(found) == keys
    if b"EUW1_2" in keys:
        headers = found[b"EUW1_2"].headers()
        assert (found[b"EUW1_2"].value(), headers[0]) == (b"[]", ("trace", b"\x00\xff"))
        arrival = {"replay.timestamp": b"2026-02-02T02:40:00.000Z", "replay.partition": b"2", "replay.offset": b"2"}
        assert dict(headers[1:]) == arrival
        assert (found[None].value(), dict(found[None].headers())) == (None, arrival | {"replay.offset": b"3"})


def test_dead_letter_of_a_message_with_too_many_headers_is_read_and_replayed(
    job_sink: DeadLetterSink, mock_kafka: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """librdkafka's consumers return none of more than 100,000 headers."""
    write(job_sink, (message_at(1, headers=[("a", None)] * 100_001), NOT_JSON))
    (found,) = read_dead_letters({"bootstrap.servers": mock_kafka})
    assert (found.reason, found.job_header("dropped_headers")) == ("not_json", "100001")
    assert run(monkeypatch, mock_kafka, "--replay", "all") == 0
    (message,) = replayed(mock_kafka)
    assert message.headers() == Original(ARRIVED_AT, 2, 1).headers()


@pytest.mark.parametrize("headers", [[("a", b"1")] * MAX_HEADERS, [("tr\ufffdce", b"1")], [("a\0b", b"1")]])
def test_job_finds_the_original_of_a_replay_whatever_headers_the_message_had(
    job_sink: DeadLetterSink, mock_kafka: str, monkeypatch: pytest.MonkeyPatch, headers: Headers
) -> None:
    """Also if the failed message was a replay with as many headers as a message may have."""
    write(job_sink, (message_at(1, headers=headers), NOT_JSON))
    assert run(monkeypatch, mock_kafka, "--replay", "all") == 0
    (first,) = map(Message.from_kafka, replayed(mock_kafka))
    assert first.original == Original(ARRIVED_AT, 2, 1)
    write(job_sink, (first, NOT_JSON))
    again = [each.original for each in read_dead_letters({"bootstrap.servers": mock_kafka})]
    assert again == [first.original] * 2


def test_replay_skips_duplicates_with_the_same_key_and_value(
    job_sink: DeadLetterSink, mock_kafka: str, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    """From a retried batch, or from a replayed message that failed again: each replay would double them."""
    write(job_sink, (message_at(1), NOT_JSON), (message_at(1), NOT_JSON), (message_at(9, key=b"EUW1_1"), NOT_JSON))
    write(job_sink, (message_at(1, b"", key=b"EUW1_1"), NOT_JSON), (message_at(1, None, key=b"EUW1_1"), NOT_JSON))
    assert run(monkeypatch, mock_kafka, "--replay", "not_json") == 0
    assert capsys.readouterr().out == (
        "Replayed to lol_matches: 3; skipped duplicates with the same key and value: 2\n"
    )
    found = {message.value(): dict(message.headers())["replay.offset"] for message in replayed(mock_kafka)}
    assert found == {b"": b"1", b"{": b"9", None: b"1"}, "of the duplicates, the last that arrived is replayed"


def test_replay_of_duplicates_sends_the_one_whose_original_arrived_last(
    job_sink: DeadLetterSink, mock_kafka: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whichever became a dead letter last: partitions are processed beside each other."""
    write(job_sink, (message_at(1), NOT_JSON), (message_at(9, key=b"EUW1_1"), NOT_JSON), (message_at(1), NOT_JSON))
    write(job_sink, (message_at(2, key=b"EUW1_1", arrived_at=ARRIVED_AT - 60_000), NOT_JSON))
    assert run(monkeypatch, mock_kafka, "--replay", "not_json") == 0
    (message,) = replayed(mock_kafka)
    assert dict(message.headers())["replay.offset"] == b"9"


def test_replay_that_failed_again_keeps_the_first_original(
    job_sink: DeadLetterSink, mock_kafka: str, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    """However often it is replayed. SHOW has the position of the message that failed last, and the original's."""
    write(job_sink, (message_at(1), NOT_JSON))
    expected = {
        "replay.timestamp": b"2026-02-02T02:40:00.000Z",
        "replay.partition": b"2",
        "replay.offset": b"1",
    }
    for number in range(2):
        (latest,) = [
            each
            for each in read_dead_letters({"bootstrap.servers": mock_kafka})
            if each.original_position == original_position_of(number)
        ]
        assert run(monkeypatch, mock_kafka, "--replay", str(latest.position)) == 0
        failed = Message.from_kafka(replayed(mock_kafka)[-1])._replace(partition=0, offset=100 + number)
        assert {name: value for name, value in failed.headers if name.startswith("replay.")} == expected
        assert ("trace", b"\x00\xff") in failed.headers
        write(job_sink, (failed, NOT_JSON))
    capsys.readouterr()
    assert run(monkeypatch, mock_kafka, "--show", "lol_matches:0:101") == 0
    shown = capsys.readouterr().out
    assert "lol_matches:2:1, which arrived at 2026-02-02T02:40:00.000Z" in shown
    assert run(monkeypatch, mock_kafka, "--replay", "all") == 0
    assert "Replayed to lol_matches: 1; skipped duplicates with the same key and value: 2" in capsys.readouterr().out


def original_position_of(number: int) -> MessagePosition:
    """The position of a message that has failed `number` times before."""
    return MessagePosition("lol_matches", 0, 99 + number) if number else MessagePosition("lol_matches", 2, 1)


@pytest.mark.parametrize(
    "forged",
    [
        [("replay.timestamp", b"\xff"), ("replay.partition", b"2"), ("replay.offset", b"1")],
        [("replay.timestamp", b"9999-01-01T00:00:00Z"), ("replay.partition", b"2"), ("replay.offset", b"1")],
        [("replay.timestamp", None)],
    ],
)
def test_invalid_replay_headers_of_a_producer_are_replaced(
    job_sink: DeadLetterSink, mock_kafka: str, monkeypatch: pytest.MonkeyPatch, forged: Any
) -> None:
    write(job_sink, (message_at(7, headers=forged), NOT_JSON))
    assert run(monkeypatch, mock_kafka, "--replay", "all") == 0
    (message,) = replayed(mock_kafka)
    assert message.headers() == Original(ARRIVED_AT, partition=2, offset=7).headers()


def test_dead_letter_without_an_arrival_time_is_replayed_with_its_own(
    mock_kafka: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The original arrived no later than the dead letter."""
    headers: Any = [("dlq.topic", b"lol_matches"), ("dlq.partition", b"0"), ("dlq.offset", b"5")]
    producer = Producer({"bootstrap.servers": mock_kafka, "log_level": 0})
    producer.produce(DEAD_LETTER_TOPIC, b"{", b"k", headers=headers)
    producer.produce(DEAD_LETTER_TOPIC, b"[", b"k", headers=[*headers, ("dlq.timestamp", b"9999-01-01T00:00:00Z")])
    producer.flush(10)
    written_at = {
        each.value: iso(to_ms(each.arrived_at)) for each in read_dead_letters({"bootstrap.servers": mock_kafka})
    }
    assert run(monkeypatch, mock_kafka, "--replay", "all") == 0
    found = {message.value(): dict(message.headers()) for message in replayed(mock_kafka)}
    assert {each: headers["replay.timestamp"].decode() for each, headers in found.items()} == written_at


@pytest.mark.parametrize("offset", ["\u00b2", "9" * 30, "-1", ""])
def test_dead_letter_with_an_invalid_position_is_not_from_the_job(
    mock_kafka: str, monkeypatch: pytest.MonkeyPatch, capsys: Any, offset: str
) -> None:
    headers: Any = [("dlq.topic", b"lol_matches"), ("dlq.partition", b"0"), ("dlq.offset", offset.encode())]
    producer = Producer({"bootstrap.servers": mock_kafka, "log_level": 0})
    producer.produce(DEAD_LETTER_TOPIC, b"{", b"k", headers=headers)
    producer.flush(10)
    assert run(monkeypatch, mock_kafka) == 0
    assert run(monkeypatch, mock_kafka, "--replay", "all") == 1
    assert "cannot be replayed: the job did not write it" in capsys.readouterr().out


def test_reader_that_ends_early_does_not_end_a_replay(
    job_sink: DeadLetterSink, mock_kafka: str, monkeypatch: pytest.MonkeyPatch, closed_pipe: TextIO
) -> None:
    """`make dlq REPLAY=all | head`. The first dead letter is named because it cannot be replayed."""
    producer = Producer({"bootstrap.servers": mock_kafka, "log_level": 0})
    producer.produce(DEAD_LETTER_TOPIC, b"{", b"other")
    producer.flush(10)
    write(job_sink, (message_at(1), NOT_JSON))
    monkeypatch.setattr(sys, "stdout", closed_pipe)
    assert run(monkeypatch, mock_kafka, "--replay", "all") == 1
    assert len(replayed(mock_kafka)) == 1


def test_last_version_wins_after_a_replay_of_all(
    job_sink: DeadLetterSink, mock_kafka: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Dead letters A, B and again A are versions of one match, and so is C, which was indexed between B and A."""
    a, b, c = (value(match(participant(1, kills=kills))) for kills in (1, 2, 3))
    for offset, content in enumerate((a, b, c, a)):
        if content != c:
            write(job_sink, (message_at(offset, content, key=b"k"), INVALID))
    assert run(monkeypatch, mock_kafka, "--replay", "all") == 0
    messages = [message_at(2, c, key=b"k"), *(Message.from_kafka(each) for each in replayed(mock_kafka))]
    assert sorted(each.original.offset for each in messages) == [1, 2, 3]
    for order in (messages, messages[::-1]):
        with fake_elasticsearch() as server:
            sink = BulkSink(client(Connection((server.url,), 5)), lambda *_: None)
            assert [outcome.indexed for outcome in index(order, PLAUSIBLE_TIMES, ALIASES, sink)] == [1, 1, 1]
            assert [document["kills"] for document in server.documents.values()] == [1]
        assert [row.message for row in archived_matches(order, PLAUSIBLE_TIMES)[0]] == [a]


def test_truncated_and_foreign_messages_are_not_replayed(
    mock_kafka: str, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    producer = Producer({"bootstrap.servers": mock_kafka, "log_level": 0})
    job_headers: Any = [
        ("dlq.topic", b"lol_matches"),
        ("dlq.partition", b"0"),
        ("dlq.offset", b"5"),
        ("dlq.reason", b"not_json"),
    ]
    truncated = [*job_headers, ("dlq.original_size", b"12000000")]
    producer.produce(DEAD_LETTER_TOPIC, b"x" * 2000, b"truncated", headers=truncated, partition=0)
    producer.produce(DEAD_LETTER_TOPIC, b"hello", b"foreign", partition=0)
    producer.produce(DEAD_LETTER_TOPIC, b"{", b"whole", headers=job_headers, partition=0)
    producer.flush(10)
    assert run(monkeypatch, mock_kafka, "--replay", "all") == 1
    assert capsys.readouterr().out.splitlines() == [
        "0:0 cannot be replayed: it holds only the first 2,000 B of 12000000 B: send the original once more",
        "0:1 cannot be replayed: the job did not write it",
        "Replayed to lol_matches: 1; not replayable: 2",
    ]
    assert [message.key() for message in replayed(mock_kafka)] == [b"whole"]


def test_headers_of_a_foreign_message_cannot_control_the_terminal(
    mock_kafka: str, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    """Nor end the command: a number that int() refuses is not an offset."""
    headers: Any = [
        ("dlq.topic", b"lol_matches"),
        ("dlq.partition", b"0"),
        ("dlq.offset", b"5"),
        ("dlq.original_size", b"\x1b[2J\n[red]9"),
        ("\x1b[31mname\u202e", b"\x9b2J"),
    ]
    producer = Producer({"bootstrap.servers": mock_kafka, "log_level": 0})
    producer.produce(DEAD_LETTER_TOPIC, b"x", headers=headers, partition=0)
    producer.produce(DEAD_LETTER_TOPIC, b"x", headers=[*headers, ("dlq.offset", "²".encode())], partition=0)
    producer.flush(10)
    assert run(monkeypatch, mock_kafka, "--replay", "all") == 1
    assert run(monkeypatch, mock_kafka, "--show", "0:0") == 0
    assert run(monkeypatch, mock_kafka, "--show", "0:1") == 0
    shown = capsys.readouterr().out
    assert "0:1 cannot be replayed: the job did not write it" in shown
    assert "[red]9 B" in shown
    assert all(character.isprintable() or character == "\n" for character in shown)


def test_message_with_a_header_name_that_is_not_utf_8_is_listed(
    job_sink: DeadLetterSink, mock_kafka: str, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    write(job_sink, (message_at(1), NOT_JSON))
    send_with_header({"bootstrap.servers": mock_kafka}, DEAD_LETTER_TOPIC, b"hello", b"tr\xe4ce", b"1", partition=0)
    assert run(monkeypatch, mock_kafka) == 0
    lines = capsys.readouterr().out.splitlines()
    rows = [[cell.strip() for cell in line.strip("│").split("│")][:2] for line in lines if line.startswith("│")]
    assert sorted(rows) == [["(not from the job)", "1"], ["not_json", "1"]]


def test_unreadable_batch_is_named_and_passed(
    job_sink: DeadLetterSink, mock_kafka: str, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    """The limit of a batch's size is small here, so that a small batch exceeds it."""
    monkeypatch.setattr("job.consumer.MAX_BATCH_BYTES", 100_000)
    send_batch({"bootstrap.servers": mock_kafka}, DEAD_LETTER_TOPIC, [b" " * 300_000] * 3, compression="zstd")
    write(job_sink, (message_at(1), NOT_JSON))
    assert run(monkeypatch, mock_kafka) == 0
    output = capsys.readouterr()
    assert output.out.splitlines()[-1] == "Messages: 1"
    assert output.err.startswith(
        "Skipped: topic lol_matches_dlq, partition 0, offsets 0 to 2 cannot be read: Decompression "
    )


def test_dead_letters_that_arrive_during_a_replay_are_not_replayed(job_sink: DeadLetterSink, mock_kafka: str) -> None:
    """Otherwise a message that fails again at once would be replayed in an endless loop."""
    write(job_sink, (message_at(1), NOT_JSON), (message_at(2), NOT_JSON))
    found = []
    for each in select_dead_letters({"bootstrap.servers": mock_kafka}, "not_json"):
        found.append(each.key)
        write(job_sink, *[(message_at(offset), NOT_JSON) for offset in range(100, 120)])  # into every partition
    assert (len(found), set(found)) == (2, {b"EUW1_1", b"EUW1_2"})


def test_messages_beyond_the_end_offset_are_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """Offset 1 is a transaction marker, which is no message. The consumer is a fake: the mock broker has no markers."""
    consumer = MagicMock()
    consumer.list_topics.return_value.topics = {DEAD_LETTER_TOPIC: SimpleNamespace(error=None, partitions=[0])}
    consumer.get_watermark_offsets.return_value = (0, 2)
    consumer.poll.side_effect = [
        MagicMock(**{"error.return_value": None, "offset.return_value": offset, "timestamp.return_value": (2, 0)})
        for offset in (0, 2)
    ]
    monkeypatch.setattr(dead_letters, "Consumer", lambda _: consumer)
    assert [each.position.offset for each in read_dead_letters({"bootstrap.servers": ""})] == [0]


def test_failed_delivery_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """The producer is a fake, because the mock broker accepts every message."""
    monkeypatch.setattr(dlq, "create_replay_producer", lambda _: FakeProducer(KafkaError._MSG_TIMED_OUT))
    letter = dead_letter()
    monkeypatch.setattr(dlq, "select_dead_letters", lambda *_: iter([letter]))
    output = io.StringIO()
    with pytest.raises(DlqError, match=r"^Kafka refused 1 message \(.*\); run it again: a replay is idempotent$"):
        dlq.replay(Console(file=output), {"bootstrapServers": ""}, "all")
    assert output.getvalue() == "Replayed to lol_matches: 0\n"


def test_interrupted_replay_reports_how_many_were_sent(monkeypatch: pytest.MonkeyPatch, mock_kafka: str) -> None:
    letter = dead_letter()
    reads = iter([[letter], interrupted_after(letter)])
    monkeypatch.setattr(dlq, "select_dead_letters", lambda *_: iter(next(reads)))
    with pytest.raises(DlqError, match=r"^interrupted after 1 replayed message; run it again: a replay is idempotent$"):
        dlq.replay(Console(file=io.StringIO()), {"bootstrapServers": mock_kafka}, "all")


def interrupted_after(letter: DeadLetterMessage) -> Iterator[DeadLetterMessage]:
    yield letter
    raise KeyboardInterrupt


def dead_letter() -> DeadLetterMessage:
    headers: Any = [("dlq.topic", b"lol_matches"), ("dlq.partition", b"0"), ("dlq.offset", b"5")]
    return DeadLetterMessage(MessagePosition(DEAD_LETTER_TOPIC, 0, 0), datetime.now(UTC), b"k", b"v", headers)
