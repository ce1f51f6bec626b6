"""Client for Cassandra's roles with their rights, and for the archive's table: create, compare, correct."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from cassandra import DriverException, OperationTimedOut, ProtocolVersion, Timeout, Unavailable
from cassandra.auth import PlainTextAuthProvider
from cassandra.cluster import EXEC_PROFILE_DEFAULT, Cluster, ExecutionProfile, NoHostAvailable
from cassandra.connection import ConnectionException
from cassandra.policies import RoundRobinPolicy
from tenacity import (
    RetryError,
    Retrying,
    retry_if_exception_type,
    retry_if_result,
    stop_after_delay,
    wait_fixed,
)

from infra.logins import CASSANDRA_ADMIN, CASSANDRA_ARCHIVE, OPERATOR, user_of
from job.cassandra_login import is_refused_login
from job.errors import first_line

ADMIN = user_of(CASSANDRA_ADMIN)
DEFAULT_LOGIN = ("cassandra", "cassandra")
"""The superuser that Cassandra creates where it finds no role at all."""
TIMEOUT_SECONDS = 15
START_SECONDS = 60
"""After CQL is served, the default superuser can take a moment to exist, on a busy machine a long one."""
CACHE_SECONDS = 2.5
"""Longer than Cassandra caches roles and permissions: after that, a dropped role is no longer accepted."""


COLUMNS = {
    "match_id": ("text", "partition_key"),
    "ended": ("timestamp", "regular"),
    "arrived": ("timestamp", "regular"),
    "partition": ("int", "regular"),
    "offset": ("bigint", "regular"),
    "message": ("blob", "regular"),
}
"""The archive's table: type and kind of each column, as Cassandra's own schema tables name them."""
COMPACTION = {
    "class": "org.apache.cassandra.db.compaction.SizeTieredCompactionStrategy",
    "max_threshold": "32",
    "min_threshold": "16",
    # Rewrite an SSTable alone once a fifth of it has expired, also if it overlaps others, as here all do. It may be the
    # largest, which is in no merge for months. A row that another SSTable could have too keeps its tombstone.
    "unchecked_tombstone_compaction": "true",
}
"""The table's compaction. A row is written once and seldom read, so few compactions of many SSTables cost least: with
Cassandra's default of 4 SSTables, compaction takes half of the node's processor time while a backlog is archived."""
COMPRESSION = {"class": "org.apache.cassandra.io.compress.ZstdCompressor", "chunk_length_in_kb": "256"}
"""The table's compression. Each chunk takes 8 bytes of native memory, of all SSTables together, and a read decompresses
one or two chunks: a few full-size matches."""
OPTIONS = {"default_time_to_live": 0, "compaction": COMPACTION, "compression": COMPRESSION}
"""The table's options; other values are drift."""


class CassandraError(Exception):
    """Cassandra refuses a login or a statement. One line: what, and what to do."""


class CassandraUnavailableError(CassandraError):
    """Cassandra does not answer."""


class LoginRefusedError(CassandraError):
    """Cassandra does not accept this user with this password."""


@dataclass(frozen=True)
class Role:
    """A role that can log in. `permissions` has resources, as CQL names them, with one permission each."""

    password: str
    permissions: frozenset[tuple[str, str]] = frozenset()
    superuser: bool = False


def declared_roles(passwords: Mapping[str, str], keyspace: str, table: str) -> dict[str, Role]:
    """The roles of the stack, each with the least that it needs: administration, the archive, a person who reads."""
    permissions = {
        user_of(CASSANDRA_ARCHIVE): frozenset({(f"<table {keyspace}.{table}>", "MODIFY")}),
        OPERATOR: frozenset({(f"<keyspace {keyspace}>", "SELECT")}),
    }
    return {
        name: Role(password, permissions.get(name, frozenset()), superuser=name == ADMIN)
        for name, password in passwords.items()
    }


@contextmanager
def connect(host: str, port: int, user: str, password: str) -> Iterator[Any]:
    """A session. Raises LoginRefusedError, or CassandraUnavailableError without an answer."""
    logging.getLogger("cassandra").setLevel(logging.CRITICAL)  # what it logs as an error is raised as well
    cluster = Cluster(
        [host],
        port=port,
        auth_provider=PlainTextAuthProvider(user, password),
        protocol_version=ProtocolVersion.V5,
        connect_timeout=TIMEOUT_SECONDS,
        control_connection_timeout=TIMEOUT_SECONDS,  # by default two seconds, too few on a busy machine
        execution_profiles={
            EXEC_PROFILE_DEFAULT: ExecutionProfile(RoundRobinPolicy(), request_timeout=TIMEOUT_SECONDS)
        },
        # Roles only: nothing here needs the schema, whose reading takes half of the time.
        schema_metadata_enabled=False,
        token_metadata_enabled=False,
    )
    try:
        yield cluster.connect()
    except (NoHostAvailable, ConnectionException) as error:
        causes = list(error.errors.values()) if isinstance(error, NoHostAvailable) else [error]
        reason = first_line(causes[0] if causes else error)
        if any(is_refused_login(cause) for cause in causes):
            raise LoginRefusedError(f"Cassandra at {host}:{port} refuses the role {user}: {reason}") from error
        raise CassandraUnavailableError(f"Cassandra does not answer at {host}:{port}: {reason}") from error
    except (OperationTimedOut, Timeout, Unavailable) as error:
        raise CassandraUnavailableError(f"Cassandra at {host}:{port} does not answer a statement: {error}") from error
    except DriverException as error:
        raise CassandraError(f"Cassandra at {host}:{port}: {first_line(error)}") from error
    finally:
        cluster.shutdown()


def provision(
    host: str,
    port: int,
    keyspace: str,
    table: str,
    passwords: Mapping[str, str],
    former_passwords: Sequence[str] = (),
) -> None:
    """Create or correct the keyspace and the archive's table, and the declared roles, with no other role.

    The administrator logs in with the password of `passwords` or a former one. On a node without roles, of a new
    stack or of one from before it had logins, Cassandra's default superuser creates the administrator, who drops it.
    Raises CassandraError, also if the table has other columns and rows: an empty one is replaced.
    """
    Retrying(
        retry=retry_if_exception_type(CassandraUnavailableError),
        stop=stop_after_delay(4 * TIMEOUT_SECONDS),
        wait=wait_fixed(1),
        reraise=True,
    )(_provision, host, port, keyspace, table, passwords, former_passwords)


def _provision(
    host: str, port: int, keyspace: str, table: str, passwords: Mapping[str, str], former_passwords: Sequence[str]
) -> None:
    logins = [*((ADMIN, password) for password in (passwords[ADMIN], *former_passwords)), DEFAULT_LOGIN]
    user, password = _first_accepted(host, port, logins)
    if (user, password) != logins[0]:
        with connect(host, port, user, password) as session:
            _set_role(session, ADMIN, Role(passwords[ADMIN], superuser=True), _superusers_by_role(session).get(ADMIN))
    roles = declared_roles(passwords, keyspace, table)
    with connect(host, port, ADMIN, passwords[ADMIN]) as session:
        _provision_table(session, keyspace, table)
        had_rights = False
        for name in sorted(_superusers_by_role(session).keys() - roles.keys()):
            session.execute(f"DROP ROLE IF EXISTS {_quoted(name)}")
            had_rights = True
        for name, granted_roles in _memberships(session).items():
            for granted_role in granted_roles:
                session.execute(f"REVOKE {_quoted(granted_role)} FROM {_quoted(name)}")
                had_rights = True
        found = _superusers_by_role(session)
        for name, role in roles.items():
            if found.get(name) != role.superuser or not accepts(host, port, name, role.password):
                _set_role(session, name, role, found.get(name))
            granted = _permissions(session, name, role)
            for resource, permission in granted - role.permissions:
                session.execute(f"REVOKE {permission} ON {resource.strip('<>')} FROM {_quoted(name)}")
            for resource, permission in role.permissions - granted:
                session.execute(f"GRANT {permission} ON {resource.strip('<>')} TO {_quoted(name)}")
        if had_rights:
            _check_after_caches(host, port, session, roles, keyspace, table)


def differences(host: str, port: int, keyspace: str, table: str, passwords: Mapping[str, str]) -> list[str]:
    """Drift: how the node differs from what `provision` makes, a line each. Raises CassandraUnavailableError."""
    roles = declared_roles(passwords, keyspace, table)
    try:
        with connect(host, port, ADMIN, passwords[ADMIN]) as session:
            lines = _differences(session, roles, keyspace, table)
            others = [name for name in roles if name != ADMIN and not accepts(host, port, name, roles[name].password)]
            return [*lines, *(f"the role {name} has another password" for name in others)]
    except LoginRefusedError as error:
        return [str(error)]


def _differences(session: Any, roles: Mapping[str, Role], keyspace: str, table: str) -> list[str]:
    """The differences of roles, rights, keyspace and table, without those of passwords."""
    found, memberships = _superusers_by_role(session), _memberships(session)
    lines = [f"the role {name} is not declared" for name in sorted(found.keys() - roles.keys())]
    for name, role in roles.items():
        rights = name not in found or _permissions(session, name, role) == role.permissions
        if found.get(name) != role.superuser or memberships.get(name) or not rights:
            lines.append(f"the role {name} has other rights")
    return [*lines, *_table_differences(session, keyspace, table)]


def _provision_table(session: Any, keyspace: str, table: str) -> None:
    """Create the keyspace and the table, or correct them. Raises CassandraError if it would delete rows."""
    name = f"{keyspace}.{table}"
    # By name: `replication_factor` changes nothing for a data center that the keyspace has already.
    replication = f"{{'class': 'NetworkTopologyStrategy', '{_data_center(session)}': 1}}"
    keyspace_options = f"replication = {replication} AND durable_writes = true"
    session.execute(f"CREATE KEYSPACE IF NOT EXISTS {keyspace} WITH {keyspace_options}")
    if not _keyspace_is_right(session, keyspace):
        session.execute(f"ALTER KEYSPACE {keyspace} WITH {keyspace_options}")
    if _columns(session, keyspace, table) not in ({}, COLUMNS):
        if session.execute(f"SELECT * FROM {name} LIMIT 1").one():
            raise CassandraError(
                f"Cassandra's table {name} has other columns than the archive's, and has rows: drop the table as "
                f"{ADMIN} if nobody needs them, then deploy the stack again; or reset the stack, which deletes all data"
            )
        session.execute(f"DROP TABLE {name}")
    columns = ", ".join(
        f"{column} {type_}{' PRIMARY KEY' if kind == 'partition_key' else ''}"
        for column, (type_, kind) in COLUMNS.items()
    )
    # gc_grace_seconds (ten days) is Cassandra's default: an expired row becomes a tombstone, and its space is free at a
    # compaction after that.
    options = " AND ".join(f"{option} = {value}" for option, value in OPTIONS.items())
    session.execute(f"CREATE TABLE IF NOT EXISTS {name} ({columns}) WITH {options}")
    if _options(session, keyspace, table) != OPTIONS:
        session.execute(f"ALTER TABLE {name} WITH {options}")  # another compression is that of new SSTables
    for index in _indexes(session, keyspace, table):
        session.execute(f"DROP INDEX {keyspace}.{_quoted(index)}")


def _table_differences(session: Any, keyspace: str, table: str) -> list[str]:
    name = f"{keyspace}.{table}"
    if not (columns := _columns(session, keyspace, table)):
        return [f"there is no table {name}"]
    is_right = _keyspace_is_right(session, keyspace)
    options = _options(session, keyspace, table)
    found = {
        f"the keyspace {keyspace} has another replication, or writes are not durable": not is_right,
        f"the table {name} has other columns": columns != COLUMNS,
        f"the table {name} deletes its rows after a time": options["default_time_to_live"] != 0,
        f"the table {name} has another compaction": options["compaction"] != COMPACTION,
        f"the table {name} has another compression": options["compression"] != COMPRESSION,
        f"the table {name} has an index": bool(_indexes(session, keyspace, table)),
    }
    return [line for line, differs in found.items() if differs]


def _keyspace_is_right(session: Any, keyspace: str) -> bool:
    """Whether the keyspace has one replica on this node, and its writes are in the commit log."""
    found = session.execute(
        "SELECT durable_writes, replication FROM system_schema.keyspaces WHERE keyspace_name = %s", [keyspace]
    ).one()
    replication = {"class": "org.apache.cassandra.locator.NetworkTopologyStrategy", _data_center(session): "1"}
    return bool(found.durable_writes) and dict(found.replication) == replication


def _data_center(session: Any) -> str:
    return str(session.execute("SELECT data_center FROM system.local").one().data_center)


def _columns(session: Any, keyspace: str, table: str) -> dict[str, tuple[str, str]]:
    return {
        row.column_name: (row.type, row.kind)
        for row in _schema_rows(session, "columns", "column_name, type, kind", keyspace, table)
    }


def _options(session: Any, keyspace: str, table: str) -> dict[str, int | dict[str, str]]:
    """The table's values of OPTIONS."""
    (row,) = _schema_rows(session, "tables", ", ".join(OPTIONS), keyspace, table)
    return {
        "default_time_to_live": row.default_time_to_live,  # seconds; 0: rows stay
        "compaction": dict(row.compaction),
        "compression": dict(row.compression),
    }


def _indexes(session: Any, keyspace: str, table: str) -> list[str]:
    return [row.index_name for row in _schema_rows(session, "indexes", "index_name", keyspace, table)]


def _schema_rows(session: Any, what: str, columns: str, keyspace: str, table: str) -> list[Any]:
    select = f"SELECT {columns} FROM system_schema.{what} WHERE keyspace_name = %s AND table_name = %s"
    return list(session.execute(select, (keyspace, table)))


def accepts(host: str, port: int, user: str, password: str) -> bool:
    """Whether Cassandra accepts the login. Raises CassandraUnavailableError."""
    try:
        with connect(host, port, user, password):
            return True
    except LoginRefusedError:
        return False


def _first_accepted(host: str, port: int, logins: Sequence[tuple[str, str]]) -> tuple[str, str]:
    def attempt() -> tuple[str, str] | None:
        return next((login for login in logins if accepts(host, port, *login)), None)

    try:
        accepted = Retrying(
            retry=retry_if_result(lambda login: login is None),
            stop=stop_after_delay(START_SECONDS),
            wait=wait_fixed(0.2),
        )(attempt)
    except RetryError:
        raise LoginRefusedError(
            f"Cassandra at {host}:{port} refuses {ADMIN} with the stack's password and its former ones: its data "
            "is from another deployment, or somebody has changed that role; restore Pulumi's state that belongs to the "
            "data, or reset the stack, which deletes all data"
        ) from None
    assert accepted is not None
    return accepted


def _set_role(session: Any, name: str, role: Role, superuser: bool | None) -> None:
    """Create the role, or change it: `superuser` is whether it is one already, None if it does not exist."""
    # Passwords are hexadecimal digits: nothing in them needs quoting.
    options = f"WITH PASSWORD = '{role.password}' AND LOGIN = true"
    if superuser != role.superuser:  # a role may not change this option of itself
        options += f" AND SUPERUSER = {str(role.superuser).lower()}"
    # Retry: for some seconds after a change of a password, Cassandra refuses another one as if it were overloaded.
    Retrying(
        retry=retry_if_exception_type((DriverException, NoHostAvailable)),
        stop=stop_after_delay(TIMEOUT_SECONDS),
        wait=wait_fixed(1),
        reraise=True,
    )(session.execute, f"{'CREATE' if superuser is None else 'ALTER'} ROLE {_quoted(name)} {options}")


def _superusers_by_role(session: Any) -> dict[str, bool]:
    return {row.role: row.super for row in session.execute("LIST ROLES")}


def _memberships(session: Any) -> dict[str, list[str]]:
    """By role: the roles that were granted to it, whose rights it has too. None of the stack's has any."""
    rows = session.execute("SELECT role, member_of FROM system_auth.roles")
    return {row.role: sorted(row.member_of) for row in rows if row.member_of}


def _permissions(session: Any, name: str, role: Role) -> frozenset[tuple[str, str]]:
    """The granted permissions. A superuser needs none, but has those on what it has created: they do not count."""
    if role.superuser:
        return frozenset()
    return frozenset(
        (row.resource, row.permission)
        for row in session.execute(f"LIST ALL PERMISSIONS OF {_quoted(name)}")
        if row.role == name
    )


def _check_after_caches(
    host: str, port: int, session: Any, roles: Mapping[str, Role], keyspace: str, table: str
) -> None:
    """Check again once no cache has a dropped role or a revoked membership: its rights could be used until then.

    Raises CassandraError if something was changed meanwhile.
    """
    time.sleep(CACHE_SECONDS)
    lines = _differences(session, roles, keyspace, table)
    if accepts(host, port, *DEFAULT_LOGIN):
        lines.append("the default superuser can log in")
    if lines:
        raise CassandraError(
            f"Cassandra at {host}:{port} was changed meanwhile: {'; '.join(lines)}; deploy the stack again"
        )


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
