"""`make dlq` against real servers: list, show and replay dead letters. Details are tested in tests/unit/tools."""

from __future__ import annotations

import time
from typing import Any

import pytest
from confluent_kafka import Producer

from analytics.key_figures import counted
from generator.match_factory import MatchFactory
from harness.stack import Stack
from harness.waiting import eventually
from job.times import iso, now_ms
from tests.stack.test_archive import read_archive
from tests.support.sample_matches import TWO_TEAMS
from tools.dlq.dead_letters import DeadLetterMessage, MessagePosition, read_dead_letters

pytestmark = pytest.mark.disruptive


def send(stack: Stack, topic: str, **message: Any) -> MessagePosition:
    """Send one message. Returns its topic, partition and offset."""
    positions = []

    def acknowledged(error: Any, sent: Any) -> None:
        assert error is None, error
        positions.append(MessagePosition(topic, sent.partition(), sent.offset()))

    producer = Producer({**stack.kafka_settings(), "acks": "all"})
    producer.produce(topic, on_delivery=acknowledged, **message)
    assert producer.flush(30) == 0
    return positions[0]


def with_key(stack: Stack, key: str) -> list[DeadLetterMessage]:
    """The dead letters whose original message has this key."""
    return [letter for letter in read_dead_letters(stack.kafka_settings()) if letter.key == key.encode()]


def test_dead_letter_is_listed_shown_and_replayed_unchanged(stack: Stack) -> None:
    key = f"SELFTEST_{time.time_ns()}"
    original_position = send(
        stack, "lol_matches", key=key, value=b"{", headers=[("trace", b"\x00\xff"), ("empty", None)]
    )

    def found_letters(count: int) -> list[DeadLetterMessage]:
        found = with_key(stack, key)
        assert len({letter.identity for letter in found}) == count
        return found

    first = eventually(lambda: found_letters(1))[0]
    assert (first.original_position, first.reason) == (original_position, "not_json")
    listed = stack.make("dlq")
    assert listed.rc == 0, listed.stdout
    assert "not_json" in listed.stdout
    shown = stack.make("dlq", f"SHOW={original_position}")
    assert key in shown.stdout
    assert f"REPLAY={first.position}" in shown.stdout
    sent = stack.make("dlq", f"REPLAY={first.position}")
    assert (sent.rc, sent.stdout) == (0, "Replayed to lol_matches: 1\n")

    second = eventually(lambda: found_letters(2))[-1]
    assert second.original_position != original_position
    assert (second.value, second.original_headers) == (b"{", [("trace", b"\x00\xff"), ("empty", None)])
    assert second.content == first.content


def test_replayed_match_is_indexed_once_however_often_it_is_replayed(stack: Stack) -> None:
    """A dead letter with a valid match stands for one whose cause has been fixed."""
    seed = time.time_ns() // 1_000_000
    match = MatchFactory(seed=seed, size="compact", start_ms=seed, now=lambda: seed).next()
    match.data["info"]["teams"] = TWO_TEAMS
    context: Any = {"topic": "lol_matches", "partition": "999", "offset": str(seed), "reason": "fixed"}
    headers = [(f"dlq.{name}", text.encode()) for name, text in context.items()]
    place = send(stack, "lol_matches_dlq", key=match.id, value=match.encode(), headers=headers)
    client = stack.elasticsearch()

    def documents() -> None:
        for index, expected in (("lol_matches_stream", 10), ("lol_teams_stream", 2)):
            found = client.count(index=index, query={"term": {"match_id": match.id}})["count"]
            assert found == expected, f"{found} documents of {match.id} in {index}"

    for which in (place, "fixed"):
        assert stack.make("dlq", f"REPLAY={which}").rc == 0
        eventually(documents)
    assert with_key(stack, match.id)[-1].reason == "fixed", "it has become a dead letter again"


@pytest.mark.usefixtures("stream")
def test_replay_does_not_replace_a_newer_version_and_a_late_match_counts_once(stack: Stack) -> None:
    """Version 1 of a match became a dead letter, version 2 was indexed and archived, then version 1 is replayed.

    The match ended hours ago, so both versions are too late for the windows: that is one late match. Version 1 has an
    eleventh participant, whose document shows that the replay was indexed.
    """
    now = now_ms()
    factory = MatchFactory(seed=now, size="compact", start_ms=now, now=lambda: now - 6 * 3_600_000)
    match = factory.next()
    match.data["info"]["teams"] = TWO_TEAMS
    newer = match.encode()
    for participant in match.data["info"]["participants"]:
        participant["kills"] = 99
    match.data["info"]["participants"].append(participant | {"participantId": 11})
    after = MatchFactory(seed=now + 1, size="compact", start_ms=now, now=lambda: now).next()
    client = stack.elasticsearch()

    def late_matches() -> float:
        assert stack.job_metric("lol_job_watermark_delay_seconds") > 0, "there is no watermark yet"
        return stack.job_metric("lol_job_late_matches_total")

    def kills(match_id: str, participants: int) -> list[int]:
        """The kills of all participants, once they are searchable, in the order of their ids."""
        query = {"term": {"match_id": match_id}}
        hits = client.search(index="lol_matches_stream", query=query, size=20)["hits"]["hits"]
        assert len(hits) == participants, f"{len(hits)} documents of {match_id}"
        documents = sorted((hit["_source"] for hit in hits), key=lambda each: int(each["participant_id"]))
        return [document["kills"] for document in documents]

    def kills_of_teams() -> list[int]:
        """The kills of both teams of the match, in the order of their ids."""
        client.indices.refresh(index="lol_teams_stream")
        query = {"term": {"match_id": match.id}}
        hits = client.search(index="lol_teams_stream", query=query, sort="team_id")["hits"]["hits"]
        assert len(hits) == 2, f"{len(hits)} documents of the teams of {match.id}"
        return [hit["_source"]["kills"] for hit in hits]

    late_before = eventually(late_matches)
    send(stack, "lol_matches", key=match.id, value=newer)
    kills_of_newer = eventually(lambda: kills(match.id, 10))
    assert 99 not in kills_of_newer
    teams_of_newer = eventually(kills_of_teams)
    assert sum(teams_of_newer) == sum(kills_of_newer)
    failed: Any = {"topic": "lol_matches", "partition": 0, "offset": 0, "timestamp": iso(now), "reason": "fixed"}
    headers = [(f"dlq.{name}", str(text).encode()) for name, text in failed.items()]
    place = send(stack, "lol_matches_dlq", key=match.id, value=match.encode(), headers=headers)
    assert stack.make("dlq", f"REPLAY={place}").rc == 0
    assert eventually(lambda: kills(match.id, 11)) == [*kills_of_newer, 99]
    send(stack, "lol_matches", key=match.id, value=after.encode())  # in the same partition as the replay

    def archived() -> dict[str, bytes]:
        found = read_archive(stack, [match.id, after.id])
        assert set(found) == {match.id, after.id}
        return found

    # The archive, with its rate limit, may still have the backlog of an earlier test before it.
    assert eventually(archived, timeout_seconds=240, poll_seconds=2)[match.id] == newer
    eventually(lambda: kills(after.id, 10))
    assert kills_of_teams() == teams_of_newer
    batch = stack.job_metric("lol_job_last_batch_id", query="statistics")

    def statistics_include_all() -> None:
        """The batch after the present one reads everything that is indexed by now."""
        assert stack.job_metric("lol_job_last_batch_id", query="statistics") >= batch + 2

    eventually(statistics_include_all)
    assert late_matches() == late_before + 1
    status = " ".join(stack.make("status").stdout.replace("│", " ").split())
    assert f", {counted(late_before + 1, 'match')} too late for the windows" in status


def test_replay_of_an_unknown_reason_is_an_error(stack: Stack) -> None:
    result = stack.make("dlq", "REPLAY=no_such_reason")
    assert result.rc != 0
    assert "there is no dead letter with the reason 'no_such_reason'" in result.stdout
