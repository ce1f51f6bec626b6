"""`make dlq` against real servers: list, show and replay dead letters. Details are tested in tests/unit/tools."""

from __future__ import annotations

import time
from typing import Any

import pytest
from confluent_kafka import Producer

from generator.match_factory import MatchFactory
from harness.stack import Stack
from harness.waiting import eventually
from tools.dlq.dead_letters import DeadLetterMessage, MessagePosition, read_dead_letters

pytestmark = pytest.mark.disruptive


def send(stack: Stack, topic: str, **message: Any) -> MessagePosition:
    """Send one message. Returns its topic, partition and offset."""
    positions = []

    def acknowledged(error: Any, sent: Any) -> None:
        assert error is None, error
        positions.append(MessagePosition(topic, sent.partition(), sent.offset()))

    producer = Producer({"bootstrap.servers": stack.outputs["bootstrapServers"], "acks": "all"})
    producer.produce(topic, on_delivery=acknowledged, **message)
    assert producer.flush(30) == 0
    return positions[0]


def with_key(stack: Stack, key: str) -> list[DeadLetterMessage]:
    """The dead letters whose original message has this key."""
    return [letter for letter in read_dead_letters(stack.outputs["bootstrapServers"]) if letter.key == key.encode()]


def test_dead_letter_is_listed_shown_and_replayed_unchanged(stack: Stack) -> None:
    key = f"SELFTEST_{time.time_ns()}"
    origin = send(stack, "lol_matches", key=key, value=b"{", headers=[("trace", b"\x00\xff"), ("empty", None)])

    def found_letters(count: int) -> list[DeadLetterMessage]:
        found = with_key(stack, key)
        assert len({letter.identity for letter in found}) == count
        return found

    first = eventually(lambda: found_letters(1), timeout_seconds=60)[0]
    assert (first.origin, first.reason) == (origin, "not_json")
    listed = stack.make("dlq")
    assert listed.rc == 0, listed.stdout
    assert "not_json" in listed.stdout
    shown = stack.make("dlq", f"SHOW={origin}")
    assert key in shown.stdout
    assert f"REPLAY={first.position}" in shown.stdout
    sent = stack.make("dlq", f"REPLAY={first.position}")
    assert (sent.rc, sent.stdout) == (0, "Replayed to lol_matches: 1\n")

    second = eventually(lambda: found_letters(2), timeout_seconds=60)[-1]
    assert second.origin != origin
    assert (second.value, second.original_headers) == (b"{", [("trace", b"\x00\xff"), ("empty", None)])
    assert second.content == first.content


def test_replayed_match_is_indexed_once_however_often_it_is_replayed(stack: Stack) -> None:
    """A dead letter with a valid match stands for one whose cause has been fixed."""
    seed = time.time_ns() // 1_000_000
    match = MatchFactory(seed=seed, size="compact", start_ms=seed, now=lambda: seed).next()
    context: Any = {"topic": "lol_matches", "partition": "999", "offset": str(seed), "reason": "fixed"}
    headers = [(f"dlq.{name}", text.encode()) for name, text in context.items()]
    place = send(stack, "lol_matches_dlq", key=match.id, value=match.encode(), headers=headers)
    client = stack.elasticsearch()

    def documents() -> None:
        found = client.count(index="lol_matches_stream", query={"term": {"match_id": match.id}})["count"]
        assert found == 10, f"{found} documents of {match.id}"

    for which in (place, "fixed"):
        assert stack.make("dlq", f"REPLAY={which}").rc == 0
        eventually(documents, timeout_seconds=120)
    assert with_key(stack, match.id)[-1].reason == "fixed", "it has become a dead letter again"


def test_replay_of_an_unknown_reason_is_an_error(stack: Stack) -> None:
    result = stack.make("dlq", "REPLAY=no_such_reason")
    assert result.rc != 0
    assert "there is no dead letter with the reason 'no_such_reason'" in result.stdout
