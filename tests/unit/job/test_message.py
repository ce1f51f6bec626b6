"""A replayed message has the arrival time and position of its original; invalid headers of a producer are ignored."""

from contextlib import closing
from typing import Any

import pytest
from confluent_kafka import Consumer, TopicPartition
from hypothesis import given
from hypothesis import strategies as st

from job.message import MAX_HEADERS, REPLAY_HEADERS, Headers, Message, Original
from job.times import iso
from tests.support.raw_producer import send_with_header
from tests.support.sample_matches import ARRIVED_AT

ORIGINAL = Original(ARRIVED_AT - 60_000, partition=1, offset=9)
OWN = Original(ARRIVED_AT, partition=2, offset=41)


def message(headers: Headers) -> Message:
    return Message("lol_matches", 2, 41, ARRIVED_AT, b"EUW1_7", b"{}", headers)


def with_header(name: str, value: str | bytes | None) -> Headers:
    """Valid headers of a replay, except for one."""
    return [*(header for header in ORIGINAL.headers() if header[0] != f"replay.{name}"), (f"replay.{name}", value)]


def test_message_without_replay_headers_is_its_own_original() -> None:
    assert message([]).original == OWN
    assert message([("trace", b"\x00\xff"), ("replay", b"1")]).original == OWN


def test_replay_has_the_arrival_time_and_position_of_its_original() -> None:
    headers: Headers = [("trace", b"\x00\xff"), *ORIGINAL.headers()]
    assert dict(headers[1:]) == {
        "replay.timestamp": b"2026-02-02T02:39:00.000Z",
        "replay.partition": b"1",
        "replay.offset": b"9",
    }
    assert message(headers).original == ORIGINAL


def test_last_of_repeated_headers_counts() -> None:
    earlier = Original(ARRIVED_AT - 90_000, partition=0, offset=3)
    assert message([*earlier.headers(), *ORIGINAL.headers()]).original == ORIGINAL


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("timestamp", None),
        ("timestamp", b""),
        ("timestamp", b"\xff\x00"),
        ("timestamp", "2026-02-02T02:39:00.000Z".encode("utf-16")),
        ("timestamp", b"1769999940000"),
        ("timestamp", b"2026-02-02T02:39:00.000"),
        ("timestamp", b"1969-12-31T23:59:59.999Z"),
        ("timestamp", b"0001-01-01T00:00:00+14:00"),
        ("timestamp", b"9999-12-31T23:59:59.999-14:00"),
        ("partition", b"-1"),
        ("partition", b"2147483648"),
        ("partition", b"1.0"),
        ("offset", b""),
        ("offset", None),
        ("offset", b"-1"),
        ("offset", b" 9"),
        ("offset", b"9\n"),
        ("offset", "\u00b2".encode()),
        ("offset", "\u0663".encode()),
        ("offset", "\u00b2"),
        ("offset", b"9223372036854775808"),
        ("offset", b"9" * 10_000),
    ],
)
def test_invalid_replay_header_is_ignored(name: str, value: str | bytes | None) -> None:
    assert message(with_header(name, value)).original == OWN


@pytest.mark.parametrize("others", [MAX_HEADERS - 3, MAX_HEADERS - 2])
def test_replay_headers_among_too_many_headers_are_ignored(others: int) -> None:
    """Of more than 100,000, confluent_kafka returns none and Spark returns all."""
    headers: Headers = [("a", None)] * others + ORIGINAL.headers()
    assert message(headers).original == (ORIGINAL if others + 3 <= MAX_HEADERS else OWN)


def test_replay_headers_beside_a_name_that_is_not_utf_8_are_ignored() -> None:
    """confluent_kafka returns none for the message, and Spark returns all, with U+FFFD in that name."""
    assert message([("tr\ufffdce", b"1"), *ORIGINAL.headers()]).original == OWN
    assert message([("träce", b"1"), *ORIGINAL.headers()]).original == ORIGINAL


def test_name_of_a_replay_header_ends_at_nul() -> None:
    """As for confluent_kafka: archive and job must have the same original of a message."""
    assert message([(f"{name}\0a", value) for name, value in ORIGINAL.headers()]).original == ORIGINAL


@pytest.mark.parametrize("missing", REPLAY_HEADERS)
def test_missing_replay_header_is_ignored(missing: str) -> None:
    assert message([header for header in ORIGINAL.headers() if header[0] != missing]).original == OWN


def test_original_later_than_the_message_is_ignored() -> None:
    """No producer can give its message a version in the future, which would keep all later ones out."""
    for arrived_at, offset in ((1, 0), (0, 42), (0, 2**63 - 1), (-1, 2**63 - 1), (-60_000, 2**62)):
        later = Original(ARRIVED_AT + arrived_at, 2, offset)
        original = message(later.headers()).original
        assert (original.arrived_at, original.version) <= (OWN.arrived_at, OWN.version)
    for offset in (40, 41):
        assert message(Original(ARRIVED_AT, 2, offset).headers()).original == Original(ARRIVED_AT, 2, offset)


HEADER_VALUES = st.none() | st.binary(max_size=30) | st.text(max_size=30) | st.datetimes().map(str)


@given(
    st.lists(st.tuples(st.sampled_from([*REPLAY_HEADERS, "trace"]), HEADER_VALUES), max_size=8),
    st.integers(0, 2 * ARRIVED_AT),
    st.integers(0, 2**63 - 1),
)
def test_any_headers_give_a_version_up_to_the_messages_own(headers: Headers, arrived_at: int, offset: int) -> None:
    forged = [("replay.timestamp", iso(arrived_at)), ("replay.partition", "0"), ("replay.offset", str(offset))]
    for each in (headers, [*forged, *headers], [*headers, *forged]):
        original = message(each).original
        assert original.arrived_at <= OWN.arrived_at
        assert 0 <= original.version <= OWN.version
        assert 0 <= original.write_time <= OWN.write_time


def test_headers_with_a_name_that_is_not_utf_8_are_left_out(mock_kafka: str) -> None:
    """Often, because Python calls a method in another way once it has been called a few times."""
    names = [b"trace", b"tr\xe4ce"] * 20
    client = {"bootstrap.servers": mock_kafka}
    for number, name in enumerate(names):
        send_with_header(
            {"bootstrap.servers": mock_kafka}, "lol_matches", str(number).encode(), name, b"\x00\xff", partition=0
        )
    found: list[Message] = []
    with closing(Consumer({**client, "group.id": "test", "log_level": 0})) as consumer:
        consumer.assign([TopicPartition("lol_matches", 0, 0)])
        for _ in names:
            polled: Any = consumer.poll(10)
            assert polled is not None, f"the mock broker sent only {len(found)} of {len(names)} messages"
            found.append(Message.from_kafka(polled))
    assert [message.value for message in found] == [str(number).encode() for number in range(len(names))]
    assert [message.headers for message in found] == [[("trace", b"\x00\xff")], []] * 20
