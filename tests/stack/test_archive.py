"""The archive has each match as it came, whatever is down meanwhile."""

from __future__ import annotations

import pytest
from cassandra import OperationTimedOut, ProtocolVersion, RequestExecutionException
from cassandra.cluster import EXEC_PROFILE_DEFAULT, Cluster, ExecutionProfile, NoHostAvailable
from cassandra.policies import RoundRobinPolicy

from harness.stack import Stack
from harness.waiting import eventually
from infra.clients.prometheus import PrometheusClient
from tests.support.known_messages import KnownMessages

pytestmark = pytest.mark.disruptive


def archived(stack: Stack, match_ids: list[str]) -> dict[str, bytes]:
    """What the stack's Cassandra has of the matches."""
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
    """Each match is there, byte for byte; of one that was sent again, the later."""
    wanted = known.matches()
    assert wanted

    def all_there() -> None:
        found = archived(stack, list(wanted))
        assert len(found) == len(wanted), f"{len(wanted) - len(found)} of {len(wanted)} matches are missing"
        other = [match_id for match_id, message in wanted.items() if found[match_id] != message]
        assert not other, f"{len(other)} of {len(wanted)} matches are not as they came, the first: {other[0]}"

    eventually(all_there, limit_seconds=240, every_seconds=2)


def test_each_match_is_archived_as_it_came(stack: Stack) -> None:
    known = KnownMessages(stack, count=300)
    known.send()
    assert_archived(stack, known)


def test_nothing_is_missing_after_cassandra_was_away_and_the_archive_was_killed(stack: Stack) -> None:
    generator, cassandra = stack.container("generator"), stack.container("cassandra")

    def waits() -> int:
        """How often the archive has said that it waits with matches in hand."""
        return stack.log("archive").count(" s for Cassandra")

    generator.stop()  # it is known messages that are in hand
    waited = waits()
    cassandra.stop()
    try:
        known = KnownMessages(stack, count=300)
        known.send()

        def behind() -> None:
            lag = PrometheusClient(stack.url("prometheus", 9090, "")).value("sum(lol_archive_lag_messages)")
            assert lag, "the archive does not say that it is behind"

        def waits_again() -> None:
            assert waits() > waited, "the archive does not say that it waits"

        eventually(waits_again, limit_seconds=60)
        eventually(behind, limit_seconds=60)
        stack.container("archive").restart(timeout=0)
    finally:
        cassandra.start()
        generator.start()
    assert_archived(stack, known)
