"""Client for Cassandra's roles, their permissions, and the archive's table: create, compare, correct."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from cassandra import AuthenticationFailed, DriverException, OperationTimedOut, ProtocolVersion, Timeout, Unavailable
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
from job.errors import first_line

ADMIN = user_of(CASSANDRA_ADMIN)
DEFAULT_LOGIN = ("cassandra", "cassandra")
"""The superuser that Cassandra creates where it finds no role at all."""
TIMEOUT_SECONDS = 15
START_SECONDS = 10
"""After CQL is served, the default superuser can take a moment to exist."""
CACHE_SECONDS = 2.5
"""Longer than Cassandra caches roles and permissions: after that, a dropped role is no longer accepted."""


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
        if any(isinstance(cause, AuthenticationFailed) for cause in causes):
            raise LoginRefusedError(f"Cassandra at {host}:{port} refuses the role {user}: {reason}") from error
        raise CassandraUnavailableError(f"Cassandra does not answer at {host}:{port}: {reason}") from error
    except (OperationTimedOut, Timeout, Unavailable) as error:
        raise CassandraUnavailableError(f"Cassandra at {host}:{port} does not answer a statement: {error}") from error
    except DriverException as error:
        raise CassandraError(f"Cassandra at {host}:{port}: {first_line(error)}") from error
    finally:
        cluster.shutdown()


def provision(
    host: str, port: int, keyspace: str, table: str, passwords: Mapping[str, str], former_password: str = ""
) -> None:
    """Create the keyspace and the archive's table if they do not exist, and the declared roles and no other.

    The administrator logs in with the password of `passwords` or the former one. On a node without roles, of a new
    stack or of one from before it had logins, Cassandra's default superuser creates the administrator, who drops it.
    Raises CassandraError.
    """
    Retrying(
        retry=retry_if_exception_type(CassandraUnavailableError),
        stop=stop_after_delay(4 * TIMEOUT_SECONDS),
        wait=wait_fixed(1),
        reraise=True,
    )(_provision, host, port, keyspace, table, passwords, former_password)


def _provision(
    host: str, port: int, keyspace: str, table: str, passwords: Mapping[str, str], former_password: str
) -> None:
    logins = [(ADMIN, passwords[ADMIN])]
    if former_password:
        logins.append((ADMIN, former_password))
    logins.append(DEFAULT_LOGIN)
    user, password = _first_accepted(host, port, logins)
    if (user, password) != logins[0]:
        with connect(host, port, user, password) as session:
            _set_role(session, ADMIN, Role(passwords[ADMIN], superuser=True), _superusers_by_role(session).get(ADMIN))
    roles = declared_roles(passwords, keyspace, table)
    with connect(host, port, ADMIN, passwords[ADMIN]) as session:
        session.execute(
            f"CREATE KEYSPACE IF NOT EXISTS {keyspace} "
            "WITH replication = {'class': 'NetworkTopologyStrategy', 'replication_factor': 1}"
        )
        session.execute(
            f"CREATE TABLE IF NOT EXISTS {keyspace}.{table} (match_id text PRIMARY KEY, ended timestamp, "
            "arrived timestamp, partition int, offset bigint, message blob) "
            "WITH compression = {'class': 'ZstdCompressor', 'chunk_length_in_kb': 64}"
        )
        dropped = False
        for name in sorted(_superusers_by_role(session).keys() - roles.keys()):
            session.execute(f"DROP ROLE IF EXISTS {_quoted(name)}")
            dropped = True
        found = _superusers_by_role(session)
        for name, role in roles.items():
            if found.get(name) != role.superuser or not accepts(host, port, name, role.password):
                _set_role(session, name, role, found.get(name))
            granted = _permissions(session, name, role)
            for resource, permission in granted - role.permissions:
                session.execute(f"REVOKE {permission} ON {resource.strip('<>')} FROM {_quoted(name)}")
            for resource, permission in role.permissions - granted:
                session.execute(f"GRANT {permission} ON {resource.strip('<>')} TO {_quoted(name)}")
        if dropped:
            _wait_until_only(host, port, session, roles)


def differences(host: str, port: int, keyspace: str, table: str, passwords: Mapping[str, str]) -> list[str]:
    """Drift: how the node differs from what `provision` makes, a line each. Raises CassandraUnavailableError."""
    roles = declared_roles(passwords, keyspace, table)
    try:
        with connect(host, port, ADMIN, passwords[ADMIN]) as session:
            found = _superusers_by_role(session)
            lines = [f"the role {name} is not declared" for name in sorted(found.keys() - roles.keys())]
            for name, role in roles.items():
                if found.get(name) != role.superuser or _permissions(session, name, role) != role.permissions:
                    lines.append(f"the role {name} has other rights")
                elif name != ADMIN and not accepts(host, port, name, role.password):
                    lines.append(f"the role {name} has another password")
            tables = session.execute(
                "SELECT table_name FROM system_schema.tables WHERE keyspace_name = %s AND table_name = %s",
                (keyspace, table),
            )
            return lines if tables.one() else [*lines, f"there is no table {keyspace}.{table}"]
    except LoginRefusedError as error:
        return [str(error)]


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
            f"Cassandra at {host}:{port} refuses {ADMIN} with the stack's password: its data is from another "
            "deployment, or somebody has changed that role; `make reset` begins with an empty volume"
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


def _permissions(session: Any, name: str, role: Role) -> frozenset[tuple[str, str]]:
    """The granted permissions. A superuser needs none, but has those on what it has created: they do not count."""
    if role.superuser:
        return frozenset()
    return frozenset(
        (row.resource, row.permission)
        for row in session.execute(f"LIST ALL PERMISSIONS OF {_quoted(name)}")
        if row.role == name
    )


def _wait_until_only(host: str, port: int, session: Any, roles: Mapping[str, Role]) -> None:
    """Check again once no cache has a dropped role: until then it could log in, and have created others.

    Raises CassandraError if there are others.
    """
    time.sleep(CACHE_SECONDS)
    others = _superusers_by_role(session).keys() - roles.keys()
    if others or accepts(host, port, *DEFAULT_LOGIN):
        raise CassandraError(
            f"Cassandra at {host}:{port} has other roles again: {', '.join(sorted(others))}; run `make up`"
        )


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
