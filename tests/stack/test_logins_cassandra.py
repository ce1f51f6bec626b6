"""Cassandra's roles: each may do what it needs and nothing else, no other exists, and `up` corrects drift."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from cassandra import Unauthorized
from pulumi.automation import OpType

from harness.stack import Stack
from infra.clients.cassandra import (
    ADMIN,
    DEFAULT_LOGIN,
    CassandraError,
    CassandraUnavailableError,
    accepts,
    connect,
    differences,
)
from infra.logins import CASSANDRA_ADMIN, CASSANDRA_ARCHIVE, CASSANDRA_LOGINS, OPERATOR, user_of

KEYSPACE = "CREATE KEYSPACE IF NOT EXISTS lol WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 1}"
FORBIDDEN = (
    "DROP TABLE lol.matches",
    "ALTER TABLE lol.matches DROP message",
    "SELECT * FROM system_auth.roles",
    "CREATE ROLE intruder WITH LOGIN = true",
    f"ALTER ROLE {ADMIN} WITH PASSWORD = 'known'",
    f"GRANT ALL PERMISSIONS ON KEYSPACE lol TO {user_of(CASSANDRA_ARCHIVE)}",
    KEYSPACE,
)


def address(stack: Stack) -> tuple[str, int]:
    host, port = stack.outputs["services"]["cassandra"]["9042"].split(":")
    return host, int(port)


def bridge_address(stack: Stack) -> tuple[str, int]:
    return stack.address("cassandra"), 9042


def passwords(stack: Stack) -> dict[str, str]:
    return {user_of(login): stack.outputs["credentials"][login] for login in (*CASSANDRA_LOGINS, OPERATOR)}


@pytest.mark.parametrize("reach", [address, bridge_address], ids=["loopback", "bridge"])
@pytest.mark.parametrize(
    "login", [DEFAULT_LOGIN, (ADMIN, "wrong"), ("nobody", "x")], ids=["default superuser", "wrong password", "unknown"]
)
def test_login_is_refused(stack: Stack, reach: Callable[[Stack], tuple[str, int]], login: tuple[str, str]) -> None:
    assert not accepts(*reach(stack), *login)
    assert accepts(*reach(stack), ADMIN, passwords(stack)[ADMIN])


def test_only_the_declared_roles_exist_with_their_rights(stack: Stack) -> None:
    assert differences(*address(stack), "lol", "matches", passwords(stack)) == []


@pytest.mark.parametrize(
    ("login", "forbidden"),
    [
        (OPERATOR, (*FORBIDDEN, "TRUNCATE lol.matches", "INSERT INTO lol.matches (match_id) VALUES ('x')")),
        (CASSANDRA_ARCHIVE, (*FORBIDDEN, "SELECT * FROM lol.matches")),
    ],
)
def test_role_may_not_do_more_than_it_needs(stack: Stack, login: str, forbidden: tuple[str, ...]) -> None:
    with stack.cassandra(login) as session:
        for statement in forbidden:
            with pytest.raises(Unauthorized):
                session.execute(statement)


def test_operator_reads_the_archive(stack: Stack) -> None:
    with stack.cassandra() as session:
        assert session.execute("SELECT match_id FROM lol.matches LIMIT 1").one()


def test_archive_writes_with_its_own_login(stack: Stack) -> None:
    with stack.cassandra(CASSANDRA_ADMIN) as session:
        clients = {row.username for row in session.execute("SELECT username FROM system_views.clients")}
    assert user_of(CASSANDRA_ARCHIVE) in clients
    assert "anonymous" not in clients


@pytest.mark.disruptive
def test_statement_that_is_not_answered_in_time_is_no_error_of_the_roles(stack: Stack) -> None:
    """Otherwise a busy machine would end a deployment, which tries such a statement again."""
    cassandra = stack.container("cassandra")

    def execute_while_paused() -> None:
        with connect(*address(stack), ADMIN, passwords(stack)[ADMIN]) as session:
            cassandra.pause()
            try:
                session.execute("SELECT release_version FROM system.local", timeout=1)
            finally:
                cassandra.unpause()

    with pytest.raises(CassandraUnavailableError, match="does not answer a statement"):
        execute_while_paused()


@pytest.fixture
def intruder(stack: Stack) -> Iterator[str]:
    """The name of a superuser that somebody has created, beside further drift."""
    with stack.cassandra(CASSANDRA_ADMIN) as session:
        session.execute("CREATE ROLE intruder WITH PASSWORD = 'x' AND LOGIN = true AND SUPERUSER = true")
        session.execute("GRANT SELECT ON KEYSPACE lol TO lol_archive")
        session.execute("REVOKE SELECT ON KEYSPACE lol FROM operator")
    yield "intruder"
    with stack.cassandra(CASSANDRA_ADMIN) as session:
        session.execute("DROP ROLE IF EXISTS intruder")


@pytest.mark.disruptive
def test_drift_of_roles_is_corrected(stack: Stack, intruder: str) -> None:
    assert len(differences(*address(stack), "lol", "matches", passwords(stack))) == 3
    summary = stack.up().summary.resource_changes or {}
    assert summary.get(OpType.UPDATE) == 1
    assert differences(*address(stack), "lol", "matches", passwords(stack)) == []
    with pytest.raises(CassandraError, match="refuses the role intruder"), connect(*address(stack), intruder, "x"):
        pass
