"""`make dlq` over letters that the job's own code has written. Kafka is librdkafka's mock broker."""

import io
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from confluent_kafka import Consumer, KafkaError, Producer, TopicPartition
from rich.console import Console

from job.match import DeadLetter
from job.message import Message
from job.sinks.dead_letters import DeadLetterSink
from tests.support.sample_matches import ARRIVED_AT
from tools import dlq
from tools.dlq import DlqError, Letter, Place, Replay, chosen, counted, letters

NOT_JSON = DeadLetter("not_json", "Input data was truncated", "", "DecodeError")
INVALID = DeadLetter("invalid_field", "Expected `int`, got `str`", "info.participants[3].kills", "ValidationError")


@pytest.fixture
def job(mock_kafka: str) -> DeadLetterSink:
    """The job's end of the dead-letter topic."""
    producer = Producer({"bootstrap.servers": mock_kafka, "log_level": 0})
    return DeadLetterSink(producer, dlq.DEAD_LETTER_TOPIC, lambda *_: None)


def record(offset: int, value: bytes | None = b"{", **changes: Any) -> Message:
    key = f"EUW1_{offset}".encode()
    return Message("lol_matches", 2, offset, ARRIVED_AT, key, value, [("trace", b"\x00\xff")])._replace(**changes)


def write(job: DeadLetterSink, *failed: tuple[Message, DeadLetter]) -> None:
    for each in failed:
        job.add(*each)
        job.flush()


def arrived(servers: str, partitions: range = range(4)) -> list[Any]:
    """What has come to the topic of the matches."""
    consumer = Consumer({"bootstrap.servers": servers, "group.id": "test", "enable.partition.eof": True})
    found = []
    consumer.assign([TopicPartition(dlq.TOPIC, partition, 0) for partition in partitions])
    ends = 0
    while ends < len(partitions):
        message: Any = consumer.poll(10)
        assert message is not None, "the mock broker is silent"
        if message.error():
            assert message.error().code() == KafkaError._PARTITION_EOF, message.error()
            ends += 1
        else:
            found.append(message)
    consumer.close()
    return found


def run(monkeypatch: pytest.MonkeyPatch, servers: str, *arguments: str) -> int:
    monkeypatch.setattr(dlq, "outputs_of", lambda _: {"bootstrapServers": servers})
    monkeypatch.setattr(sys, "argv", ["dlq", "--stack", "here", *arguments])
    return dlq.main()


def test_letters_are_counted_by_reason_and_those_of_one_message_once(job: DeadLetterSink, mock_kafka: str) -> None:
    """A batch that was done again after a crash, and a message at the same place of a topic that was made anew."""
    anew = record(1, arrived_at=ARRIVED_AT + 1)
    write(job, (record(1), NOT_JSON), (record(2), INVALID), (record(3), NOT_JSON))
    now = time.time_ns() // 1_000_000
    while time.time_ns() // 1_000_000 <= now:  # the letters' times are whole milliseconds
        pass
    write(job, (record(1), NOT_JSON), (record(2), INVALID), (anew, NOT_JSON))
    counts, repeats = counted(letters(mock_kafka))
    assert {reason: count.messages for reason, count in counts.items()} == {"not_json": 3, "invalid_field": 1}
    assert repeats == 2
    assert counts["not_json"].latest.origin == Place("lol_matches", 2, 1)
    assert counts["not_json"].latest.why("timestamp").endswith(".001Z")


def test_the_listing(job: DeadLetterSink, mock_kafka: str, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    write(job, (record(1), INVALID), (record(2), NOT_JSON), (record(3), NOT_JSON), (record(3), NOT_JSON))
    producer = Producer({"bootstrap.servers": mock_kafka, "log_level": 0})
    producer.produce(dlq.DEAD_LETTER_TOPIC, b"hello")
    producer.flush(10)
    assert run(monkeypatch, mock_kafka) == 0
    lines = capsys.readouterr().out.splitlines()
    rows = [[cell.strip() for cell in line.strip("│").split("│")][:2] for line in lines if line.startswith("│")]
    assert rows == [["not_json", "2"], ["(not from the job)", "1"], ["invalid_field", "1"]]
    assert lines[-1] == "Messages: 4; letters that repeat one of these: 1"


def test_no_letters(mock_kafka: str, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    assert run(monkeypatch, mock_kafka) == 0
    assert capsys.readouterr().out == "There are no dead letters.\n"


@pytest.mark.parametrize("place", ["here", "origin"])
def test_one_letter_is_shown(
    job: DeadLetterSink, mock_kafka: str, monkeypatch: pytest.MonkeyPatch, capsys: Any, place: str
) -> None:
    text = b"\x1b[2J" + b"x" * 3000
    write(job, (record(1), NOT_JSON), (record(41, text), INVALID))
    (letter,) = chosen(mock_kafka, "lol_matches:2:41")
    here = str(letter.place)
    assert run(monkeypatch, mock_kafka, "--show", here if place == "here" else "lol_matches:2:41") == 0
    shown = capsys.readouterr().out
    for part in ("invalid_field", "info.participants[3].kills", "Expected `int`", "EUW1_41", "header trace", "3,004 B"):
        assert part in shown
    assert "x" * 1996 in shown
    assert "x" * 1997 not in shown
    assert f"kcat -C -b {mock_kafka} -t lol_matches_dlq -p {letter.place.partition} -o {letter.place.offset}" in shown
    assert f"make dlq REPLAY={here}" in shown
    assert "\x1b" not in shown  # a producer does not move our cursor


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["--show", "0:99"], "there is no dead letter at 0:99; `make dlq` shows what there is"),
        (["--show", "lol_matches:0:1"], "there is no dead letter of the message at lol_matches:0:1; `make dlq` shows"),
        (["--show", "invalid_field"], "SHOW=invalid_field is no place: write 0:17, or lol_matches:2:41"),
        (
            ["--replay", "nonsense"],
            "there is no dead letter with the reason 'nonsense'; `make dlq` shows what there is",
        ),
        (["--replay", "all"], "there is no dead letter at all; "),
        (["--replay", "[/red]"], "there is no dead letter with the reason '[/red]'; "),
    ],
)
def test_what_is_not_there_is_said(
    mock_kafka: str, monkeypatch: pytest.MonkeyPatch, capsys: Any, arguments: list[str], line: str
) -> None:
    assert run(monkeypatch, mock_kafka, *arguments) == 1
    (said,) = capsys.readouterr().out.splitlines()
    assert said.startswith(line)


def test_kafka_that_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dlq, "TIMEOUT_SECONDS", 0.5)
    with pytest.raises(DlqError, match=r"^Kafka at localhost:1 cannot serve \(.*\); `make status` says more$"):
        list(letters("localhost:1"))


@pytest.mark.parametrize(
    ("which", "keys"),
    [
        ("invalid_field", {b"EUW1_2", None}),
        ("lol_matches:2:1", {b"EUW1_1"}),
        ("all", {b"EUW1_1", b"EUW1_2", None}),
    ],
)
def test_chosen_letters_are_sent_again_as_the_original_was(
    job: DeadLetterSink, mock_kafka: str, monkeypatch: pytest.MonkeyPatch, which: str, keys: set[bytes | None]
) -> None:
    write(job, (record(1), NOT_JSON), (record(2, b"[]"), INVALID), (record(3, None, key=None, headers=[]), INVALID))
    assert run(monkeypatch, mock_kafka, "--replay", which) == 0
    found = {message.key(): message for message in arrived(mock_kafka)}
    assert set(found) == keys
    if b"EUW1_2" in keys:
        assert (found[b"EUW1_2"].value(), found[b"EUW1_2"].headers()) == (b"[]", [("trace", b"\x00\xff")])
        assert (found[None].value(), found[None].headers()) == (None, None)


def test_the_same_message_is_sent_once(
    job: DeadLetterSink, mock_kafka: str, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    """A batch that was done again, and a message that was sent again and failed again: else each time doubled them."""
    write(job, (record(1), NOT_JSON), (record(1), NOT_JSON), (record(9, key=b"EUW1_1"), NOT_JSON))
    write(job, (record(1, b"", key=b"EUW1_1"), NOT_JSON), (record(1, None, key=b"EUW1_1"), NOT_JSON))
    assert run(monkeypatch, mock_kafka, "--replay", "not_json") == 0
    assert capsys.readouterr().out == ("Sent to lol_matches again: 3; with the same key and value as one of these: 2\n")
    assert sorted((message.value() is None, message.value()) for message in arrived(mock_kafka)) == [
        (False, b""),
        (False, b"{"),
        (True, None),
    ]


def test_what_is_not_whole_or_not_the_jobs_is_not_sent(
    mock_kafka: str, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    producer = Producer({"bootstrap.servers": mock_kafka, "log_level": 0})
    ours: Any = [
        ("dlq.topic", b"lol_matches"),
        ("dlq.partition", b"0"),
        ("dlq.offset", b"5"),
        ("dlq.reason", b"not_json"),
    ]
    cut = [*ours, ("dlq.original_size", b"12000000")]
    producer.produce(dlq.DEAD_LETTER_TOPIC, b"x" * 2000, b"cut", headers=cut, partition=0)
    producer.produce(dlq.DEAD_LETTER_TOPIC, b"hello", b"not the job's", partition=0)
    producer.produce(dlq.DEAD_LETTER_TOPIC, b"{", b"whole", headers=ours, partition=0)
    producer.flush(10)
    assert run(monkeypatch, mock_kafka, "--replay", "all") == 1
    assert capsys.readouterr().out.splitlines() == [
        "0:0 cannot be sent again: it has only the first 2,000 B of 12000000 B: send the original from where it came",
        "0:1 cannot be sent again: it is not from the job",
        "Sent to lol_matches again: 1; not possible: 2",
    ]
    assert [message.key() for message in arrived(mock_kafka)] == [b"whole"]


def test_letters_that_come_during_a_replay_are_not_sent(job: DeadLetterSink, mock_kafka: str) -> None:
    """A message that fails again at once would go round for ever."""
    write(job, (record(1), NOT_JSON), (record(2), NOT_JSON))
    found = []
    for letter in chosen(mock_kafka, "not_json"):
        found.append(letter.key)
        write(job, *[(record(offset), NOT_JSON) for offset in range(100, 120)])  # into every partition
    assert (len(found), set(found)) == (2, {b"EUW1_1", b"EUW1_2"})


def test_what_kafka_does_not_take_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """A producer that fails, since the mock broker takes everything."""

    class Failing:
        def produce(self, _topic: str, **message: Any) -> None:
            message["on_delivery"](KafkaError(KafkaError._MSG_TIMED_OUT), None)

        def poll(self, _seconds: float) -> None: ...

        def flush(self) -> None: ...

    failing: Any = Failing()
    replay = Replay(failing, lambda _: None)
    monkeypatch.setattr(dlq, "producer", lambda _: failing)
    monkeypatch.setattr(dlq, "chosen", lambda *_: iter([letter()]))
    replay.run([letter()])
    assert (replay.sent, len(replay.failed)) == (0, 1)
    with pytest.raises(DlqError, match=r"not taken by Kafka: 1 .*; do it again"):
        dlq._replay(Console(file=io.StringIO()), "", "all")


def test_an_interrupted_replay_says_how_many_were_sent(monkeypatch: pytest.MonkeyPatch, mock_kafka: str) -> None:
    def interrupted(*_: object) -> Iterator[Letter]:
        yield letter()
        raise KeyboardInterrupt

    monkeypatch.setattr(dlq, "chosen", interrupted)
    with pytest.raises(
        DlqError, match=r"^interrupted when 1 were sent; do it again: what is sent twice is there once$"
    ):
        dlq._replay(Console(file=io.StringIO()), mock_kafka, "all")


def letter() -> Letter:
    headers: Any = [("dlq.topic", b"lol_matches"), ("dlq.partition", b"0"), ("dlq.offset", b"5")]
    return Letter(Place(dlq.DEAD_LETTER_TOPIC, 0, 0), datetime.now(UTC), b"k", b"v", headers)
