"""The archive stores each match as it arrived, also across an outage of Cassandra and a crash of the archive."""

from __future__ import annotations

import time

import pytest
from cassandra import OperationTimedOut, ProtocolVersion, RequestExecutionException
from cassandra.cluster import EXEC_PROFILE_DEFAULT, Cluster, ExecutionProfile, NoHostAvailable
from cassandra.policies import RoundRobinPolicy
from confluent_kafka import Producer

from harness.stack import Stack
from harness.waiting import eventually
from infra.clients.prometheus import PrometheusClient
from job.times import now_ms
from tests.support.known_messages import KnownMessages
from tests.support.sample_matches import ARRIVED_AT, match, participant, value

pytestmark = pytest.mark.disruptive


def read_archive(stack: Stack, match_ids: list[str]) -> dict[str, bytes]:
    """The archived messages of these matches, by match id. Raises AssertionError if Cassandra does not answer."""
    host, port = stack.outputs["services"]["cassandra"]["9042"].split(":")
    profile = ExecutionProfile(RoundRobinPolicy(), request_timeout=30)
    cluster = Cluster(
        [host],
        port=int(port),
        protocol_version=ProtocolVersion.V5,
        execution_profiles={EXEC_PROFILE_DEFAULT: profile},
    )
    try:
        session = cluster.connect("lol")
        select = session.prepare("SELECT match_id, message FROM matches WHERE match_id = ?")
        rows = [session.execute(select, [match_id]).one() for match_id in match_ids]
    except (NoHostAvailable, OperationTimedOut, RequestExecutionException) as error:
        raise AssertionError(f"Cassandra does not answer: {error}") from error
    finally:
        cluster.shutdown()
    return {row.match_id: row.message for row in rows if row}


def assert_archived(stack: Stack, known: KnownMessages) -> None:
    """Wait until each match is archived byte for byte; of duplicates, the later message."""
    expected = known.matches()
    assert expected

    def all_archived() -> None:
        found = read_archive(stack, list(expected))
        assert len(found) == len(expected), f"{len(expected) - len(found)} of {len(expected)} matches are missing"
        different = [match_id for match_id, message in expected.items() if found[match_id] != message]
        assert not different, f"{len(different)} of {len(expected)} matches differ, the first: {different[0]}"

    eventually(all_archived, timeout_seconds=240, poll_seconds=2)


def test_each_match_is_archived_unchanged(stack: Stack) -> None:
    known = KnownMessages(stack, count=300)
    known.send()
    assert_archived(stack, known)


def test_last_of_many_versions_of_a_match_in_one_millisecond_wins_in_both_stores(stack: Stack) -> None:
    """A producer's batch has one arrival time. It has more messages than a millisecond has microseconds."""
    delay = now_ms() - ARRIVED_AT
    times = {
        field: match()["info"][field] + delay for field in ("gameCreation", "gameStartTimestamp", "gameEndTimestamp")
    }
    match_id = f"EUW1_{time.time_ns()}"
    versions = [
        value(match(participant(1, kills=kills, challenges=...), match_id=match_id, **times)) for kills in range(1_200)
    ]
    arrivals: list[int] = []
    producer = Producer({"bootstrap.servers": stack.outputs["bootstrapServers"], "linger.ms": 1_000})
    for version in versions:
        producer.produce(
            "lol_matches", version, match_id, on_delivery=lambda _, sent: arrivals.append(sent.timestamp()[1])
        )
    assert producer.flush(60) == 0
    assert arrivals.count(arrivals[-1]) > 1_000, "the messages were not sent in one batch"

    def indexed() -> None:
        hits = stack.elasticsearch().search(index="lol_matches_stream", q=f"match_id:{match_id}")["hits"]["hits"]
        assert [hit["_source"]["kills"] for hit in hits] == [1_199]

    def archived() -> None:
        assert read_archive(stack, [match_id]) == {match_id: versions[-1]}

    eventually(indexed, timeout_seconds=60)
    eventually(archived, timeout_seconds=120)


def test_archive_retries_through_cassandra_outage_and_resumes_after_crash(stack: Stack) -> None:
    generator, cassandra = stack.container("generator"), stack.container("cassandra")

    def retries() -> int:
        """How often the archive has logged that it waits for Cassandra with unwritten matches."""
        return stack.log("archive").count(" s for Cassandra")

    generator.stop()  # the unwritten matches are the known ones
    retries_before = retries()
    cassandra.stop()
    try:
        known = KnownMessages(stack, count=300)
        known.send()

        def retried() -> None:
            assert retries() > retries_before, "the archive does not log that it waits for Cassandra"

        def reports_lag() -> None:
            lag = PrometheusClient(stack.url("prometheus", 9090, "")).value("sum(lol_archive_lag_messages)")
            assert lag, "the archive reports no lag"

        eventually(retried, timeout_seconds=60)
        eventually(reports_lag, timeout_seconds=60)
        stack.container("archive").restart(timeout=0)
    finally:
        cassandra.start()
        generator.start()
    assert_archived(stack, known)
