"""Cassandra's roles: each may do what it needs and nothing else, no other exists, and `up` corrects drift."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from cassandra import Unauthorized

from harness.stack import Stack
from harness.waiting import eventually, pause
from infra.clients.cassandra import (
    ADMIN,
    DEFAULT_LOGIN,
    ArchiveNode,
    CassandraError,
    CassandraUnavailableError,
    accepts,
    connect,
)
from infra.logins import CASSANDRA_ADMIN, CASSANDRA_ARCHIVE, CASSANDRA_LOGINS, OPERATOR, user_of
from infra.names import ARCHIVE_TABLE


def forbidden(login: str, keyspace: str) -> tuple[str, ...]:
    """Statements that the login may not execute."""
    table = f"{keyspace}.{ARCHIVE_TABLE}"
    own = {
        OPERATOR: (f"TRUNCATE {table}", f"INSERT INTO {table} (match_id) VALUES ('x')"),
        CASSANDRA_ARCHIVE: (f"SELECT * FROM {table}",),
    }
    replication = "{'class': 'SimpleStrategy', 'replication_factor': 1}"
    return (
        f"DROP TABLE {table}",
        f"ALTER TABLE {table} DROP message",
        "SELECT * FROM system_auth.roles",
        "CREATE ROLE intruder WITH LOGIN = true",
        f"ALTER ROLE {ADMIN} WITH PASSWORD = 'known'",
        f"GRANT ALL PERMISSIONS ON KEYSPACE {keyspace} TO {user_of(CASSANDRA_ARCHIVE)}",
        f"CREATE KEYSPACE IF NOT EXISTS {keyspace} WITH replication = {replication}",
        *own[login],
    )


def address(stack: Stack) -> tuple[str, int]:
    host, port = stack.outputs["services"]["cassandra"]["9042"].split(":")
    return host, int(port)


def bridge_address(stack: Stack) -> tuple[str, int]:
    return stack.address("cassandra"), 9042


def passwords(stack: Stack) -> dict[str, str]:
    return {user_of(login): stack.outputs["credentials"][login] for login in (*CASSANDRA_LOGINS, OPERATOR)}


def archive_node(stack: Stack, table: str = ARCHIVE_TABLE) -> ArchiveNode:
    return ArchiveNode(*address(stack), stack.job_settings().archive.keyspace, table, passwords(stack))


@pytest.mark.parametrize("reach", [address, bridge_address], ids=["loopback", "bridge"])
@pytest.mark.parametrize(
    "login", [DEFAULT_LOGIN, (ADMIN, "wrong"), ("nobody", "x")], ids=["default superuser", "wrong password", "unknown"]
)
def test_login_is_refused(stack: Stack, reach: Callable[[Stack], tuple[str, int]], login: tuple[str, str]) -> None:
    assert not accepts(*reach(stack), *login)
    assert accepts(*reach(stack), ADMIN, passwords(stack)[ADMIN])


def test_only_the_declared_roles_exist_with_their_rights(stack: Stack) -> None:
    assert archive_node(stack).differences() == []


@pytest.mark.parametrize("login", [OPERATOR, CASSANDRA_ARCHIVE])
def test_role_may_not_do_more_than_it_needs(stack: Stack, login: str) -> None:
    keyspace = stack.job_settings().archive.keyspace
    with stack.cassandra(login) as session:
        for statement in forbidden(login, keyspace):
            with pytest.raises(Unauthorized):
                session.execute(statement)


@pytest.mark.usefixtures("has_documents")
def test_operator_reads_the_archive(stack: Stack) -> None:
    table = f"{stack.job_settings().archive.keyspace}.{ARCHIVE_TABLE}"

    def has_rows() -> None:
        with stack.cassandra() as session:
            assert session.execute(f"SELECT match_id FROM {table} LIMIT 1").one()

    eventually(has_rows)


def test_trace_is_kept_for_a_minute(stack: Stack) -> None:
    """Whoever may only read can store any text by it, and so could fill the disk."""
    with stack.cassandra() as session:
        trace = session.execute("SELECT key FROM system.local", trace=True).get_query_trace()
    with stack.cassandra(CASSANDRA_ADMIN) as session:
        statement = "SELECT ttl(request) AS seconds FROM system_traces.sessions WHERE session_id = %s"
        assert 0 < session.execute(statement, (trace.trace_id,)).one().seconds <= 60


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
            pause(cassandra)
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
        session.execute(f"GRANT {ADMIN} TO operator")  # its rights are then the administrator's
        replication = "{'class': 'NetworkTopologyStrategy', 'datacenter1': 3}"
        session.execute(f"ALTER KEYSPACE lol WITH replication = {replication} AND durable_writes = false")
        compaction = "{'class': 'LeveledCompactionStrategy'}"
        compression = "{'class': 'ZstdCompressor', 'chunk_length_in_kb': 64}"
        options = f"default_time_to_live = 60000000 AND compaction = {compaction} AND compression = {compression}"
        session.execute(f"ALTER TABLE lol.matches WITH {options}")
        session.execute("CREATE INDEX intruder ON lol.matches (offset)")
    yield "intruder"
    with stack.cassandra(CASSANDRA_ADMIN) as session:
        session.execute("DROP ROLE IF EXISTS intruder")


@pytest.mark.disruptive
def test_drift_of_roles_is_corrected(stack: Stack, intruder: str) -> None:
    """Also by `up`: tests/stack/test_lifecycle.py."""
    node = archive_node(stack)
    assert node.differences() == [
        "the role intruder is not declared",
        "the role lol_archive has other rights",
        "the role operator has other rights",
        "the keyspace lol has another replication, or writes are not durable",
        "the table lol.matches deletes its rows after a time",
        "the table lol.matches has another compaction",
        "the table lol.matches has another compression",
        "the table lol.matches has an index",
    ]
    node.provision()
    assert node.differences() == []
    with pytest.raises(CassandraError, match="refuses the role intruder"), connect(*address(stack), intruder, "x"):
        pass


@pytest.mark.disruptive
@pytest.mark.parametrize("superuser", ["intruder", ADMIN])
def test_membership_alone_is_drift_and_is_revoked(stack: Stack, superuser: str) -> None:
    """LIST ROLES shows no superuser, and LIST PERMISSIONS shows the granted role's as that role's."""
    node = archive_node(stack)
    with stack.cassandra(CASSANDRA_ADMIN) as session:
        if superuser != ADMIN:
            session.execute(f"CREATE ROLE {superuser} WITH SUPERUSER = true")
        session.execute(f"GRANT {superuser} TO operator")
    assert "the role operator has other rights" in node.differences()
    node.provision()
    assert node.differences() == []
    with stack.cassandra() as session, pytest.raises(Unauthorized):
        session.execute("SELECT * FROM system_auth.roles")


@pytest.fixture
def foreign_table(stack: Stack) -> Iterator[str]:
    """A table of a name that the archive could have, with other columns."""
    with stack.cassandra(CASSANDRA_ADMIN) as session:
        session.execute("CREATE TABLE lol.foreign_matches (match_id blob, n int, PRIMARY KEY (match_id, n))")
        yield "foreign_matches"
        session.execute("DROP TABLE IF EXISTS lol.foreign_matches")


@pytest.mark.disruptive
def test_empty_table_with_other_columns_is_replaced_and_one_with_rows_is_an_error(
    stack: Stack, foreign_table: str
) -> None:
    """Whoever logs in as the default superuser before the stack could create the archive's table first."""
    table, archive = archive_node(stack, foreign_table), archive_node(stack)
    assert f"the table lol.{foreign_table} has other columns" in table.differences()
    with stack.cassandra(CASSANDRA_ADMIN) as session:
        session.execute(f"INSERT INTO lol.{foreign_table} (match_id, n) VALUES (0x00, 1)")
        with pytest.raises(CassandraError, match=f"lol.{foreign_table} has other columns than the archive's, and has"):
            table.provision()
        assert session.execute(f"SELECT * FROM lol.{foreign_table}").one(), "no row is deleted"
        session.execute(f"TRUNCATE lol.{foreign_table}")
    pause(stack.container("archive"))  # its role may write this other table only, meanwhile
    try:
        table.provision()
        assert table.differences() == []
    finally:
        archive.provision()
        stack.container("archive").unpause()
    assert archive.differences() == []
