"""Client for Cassandra's roles with their rights, and for the archive's table: create, compare, correct."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
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
"""The archive's table: type and kind of each column, as Cassandra's own schema tables name them. The match id alone is
the partition key: a partition is one row, so that it needs neither a time bucket nor a clustering column."""
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
"""The table's options; other values are drift. The table has no TTL: the archive gives each row its own
(`retention_days`, job/archive_table.py)."""


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


def accepts(host: str, port: int, user: str, password: str) -> bool:
    """Whether Cassandra accepts the login. Raises CassandraUnavailableError."""
    try:
        with connect(host, port, user, password):
            return True
    except LoginRefusedError:
        return False


@dataclass(frozen=True)
class ArchiveNode:
    """The Cassandra node of a stack as it is declared: its address, the archive's table, and the roles' passwords."""

    host: str
    port: int
    keyspace: str
    table: str
    passwords: Mapping[str, str] = field(repr=False)
    """By role."""

    def provision(self, former_passwords: Sequence[str] = ()) -> None:
        """Create or correct the keyspace and the archive's table, and the declared roles, with no other role.

        The administrator logs in with the declared password or a former one. On a node without roles, of a new stack or
        of one from before it had logins, Cassandra's default superuser creates the administrator, who drops it.
        Raises CassandraError, also if the table has other columns and rows: an empty one is replaced.
        """
        Retrying(
            retry=retry_if_exception_type(CassandraUnavailableError),
            stop=stop_after_delay(4 * TIMEOUT_SECONDS),
            wait=wait_fixed(1),
            reraise=True,
        )(self._provision, former_passwords)

    def differences(self) -> list[str]:
        """Drift: how the node differs from what `provision` makes, a line each. Raises CassandraUnavailableError."""
        try:
            with self._session() as session:
                lines = self._differences(session)
                others = [
                    name
                    for name, role in self._roles.items()
                    if name != ADMIN and not self._accepts(name, role.password)
                ]
                return [*lines, *(f"the role {name} has another password" for name in others)]
        except LoginRefusedError as error:
            return [str(error)]

    @property
    def _roles(self) -> dict[str, Role]:
        """The declared roles, each with the least that it needs: administration, the archive, a person who reads."""
        permissions = {
            user_of(CASSANDRA_ARCHIVE): frozenset({(f"<table {self.keyspace}.{self.table}>", "MODIFY")}),
            OPERATOR: frozenset({(f"<keyspace {self.keyspace}>", "SELECT")}),
        }
        return {
            name: Role(password, permissions.get(name, frozenset()), superuser=name == ADMIN)
            for name, password in self.passwords.items()
        }

    def _session(self) -> AbstractContextManager[Any]:
        """A session of the administrator."""
        return connect(self.host, self.port, ADMIN, self.passwords[ADMIN])

    def _accepts(self, user: str, password: str) -> bool:
        return accepts(self.host, self.port, user, password)

    def _provision(self, former_passwords: Sequence[str]) -> None:
        self._take_over(former_passwords)
        with self._session() as session:
            _Table(session, self.keyspace, self.table).provision()  # before the roles, which get rights on it
            had_rights = self._drop_undeclared(session)
            self._correct_roles(session)
            if had_rights:
                self._check_after_caches(session)  # last: until then, a dropped role could undo what is above

    def _take_over(self, former_passwords: Sequence[str]) -> None:
        """Have the administrator, with the declared password, by means of the first login that the node accepts."""
        logins = [*((ADMIN, password) for password in (self.passwords[ADMIN], *former_passwords)), DEFAULT_LOGIN]
        user, password = self._first_accepted(logins)
        if (user, password) != logins[0]:
            with connect(self.host, self.port, user, password) as session:
                _set_role(session, ADMIN, self._roles[ADMIN], _superusers_by_role(session).get(ADMIN))

    def _first_accepted(self, logins: Sequence[tuple[str, str]]) -> tuple[str, str]:
        def attempt() -> tuple[str, str] | None:
            return next((login for login in logins if self._accepts(*login)), None)

        try:
            accepted = Retrying(
                retry=retry_if_result(lambda login: login is None),
                stop=stop_after_delay(START_SECONDS),
                wait=wait_fixed(0.2),
            )(attempt)
        except RetryError:
            raise LoginRefusedError(
                f"Cassandra at {self.host}:{self.port} refuses {ADMIN} with the stack's password and its former ones: "
                "its data is from another deployment, or somebody has changed that role; restore Pulumi's state that "
                "belongs to the data, or reset the stack, which deletes all data"
            ) from None
        assert accepted is not None
        return accepted

    def _drop_undeclared(self, session: Any) -> bool:
        """Drop the roles that are not declared, and end all memberships. Returns whether there was any."""
        roles = sorted(_superusers_by_role(session).keys() - self._roles.keys())
        for name in roles:
            session.execute(f"DROP ROLE IF EXISTS {_quoted(name)}")
        memberships = _memberships(session)  # after the drops, which end those in the dropped roles
        for name, granted_roles in memberships.items():
            for granted_role in granted_roles:
                session.execute(f"REVOKE {_quoted(granted_role)} FROM {_quoted(name)}")
        return bool(roles or memberships)

    def _correct_roles(self, session: Any) -> None:
        """Create or change the declared roles, and grant and revoke permissions."""
        found = _superusers_by_role(session)
        for name, role in self._roles.items():
            if found.get(name) != role.superuser or not self._accepts(name, role.password):
                _set_role(session, name, role, found.get(name))
            granted = _permissions(session, name, role)
            for resource, permission in granted - role.permissions:
                session.execute(f"REVOKE {permission} ON {resource.strip('<>')} FROM {_quoted(name)}")
            for resource, permission in role.permissions - granted:
                session.execute(f"GRANT {permission} ON {resource.strip('<>')} TO {_quoted(name)}")

    def _check_after_caches(self, session: Any) -> None:
        """Check again once no cache has a dropped role or a revoked membership: its rights could be used until then.

        Raises CassandraError if something was changed meanwhile.
        """
        time.sleep(CACHE_SECONDS)
        lines = self._differences(session)
        if self._accepts(*DEFAULT_LOGIN):
            lines.append("the default superuser can log in")
        if lines:
            raise CassandraError(
                f"Cassandra at {self.host}:{self.port} was changed meanwhile: {'; '.join(lines)}; "
                "deploy the stack again"
            )

    def _differences(self, session: Any) -> list[str]:
        """The differences of roles, rights, keyspace and table, without those of passwords."""
        found, memberships = _superusers_by_role(session), _memberships(session)
        lines = [f"the role {name} is not declared" for name in sorted(found.keys() - self._roles.keys())]
        for name, role in self._roles.items():
            rights = name not in found or _permissions(session, name, role) == role.permissions
            if found.get(name) != role.superuser or memberships.get(name) or not rights:
                lines.append(f"the role {name} has other rights")
        return [*lines, *_Table(session, self.keyspace, self.table).differences()]


@dataclass(frozen=True)
class _Table:
    """The archive's keyspace and table, as the session's administrator finds them."""

    session: Any
    keyspace: str
    table: str

    @property
    def name(self) -> str:
        return f"{self.keyspace}.{self.table}"

    def provision(self) -> None:
        """Create the keyspace and the table, or correct them. Raises CassandraError if it would delete rows."""
        # By name: `replication_factor` changes nothing for a data center that the keyspace has already.
        replication = f"{{'class': 'NetworkTopologyStrategy', '{self._data_center()}': 1}}"
        keyspace_options = f"replication = {replication} AND durable_writes = true"
        self.session.execute(f"CREATE KEYSPACE IF NOT EXISTS {self.keyspace} WITH {keyspace_options}")
        if not self._keyspace_is_right():
            self.session.execute(f"ALTER KEYSPACE {self.keyspace} WITH {keyspace_options}")
        if self._columns() not in ({}, COLUMNS):
            if self.session.execute(f"SELECT * FROM {self.name} LIMIT 1").one():
                raise CassandraError(
                    f"Cassandra's table {self.name} has other columns than the archive's, and has rows: drop the table "
                    f"as {ADMIN} if nobody needs them, then deploy the stack again; or reset the stack, which deletes "
                    "all data"
                )
            self.session.execute(f"DROP TABLE {self.name}")
        columns = ", ".join(
            f"{column} {type_}{' PRIMARY KEY' if kind == 'partition_key' else ''}"
            for column, (type_, kind) in COLUMNS.items()
        )
        # gc_grace_seconds (ten days) is Cassandra's default: an expired row becomes a tombstone, and its space is free
        # at a compaction after that.
        options = " AND ".join(f"{option} = {value}" for option, value in OPTIONS.items())
        self.session.execute(f"CREATE TABLE IF NOT EXISTS {self.name} ({columns}) WITH {options}")
        if self._options() != OPTIONS:
            # Another compression is that of new SSTables.
            self.session.execute(f"ALTER TABLE {self.name} WITH {options}")
        for index in self._indexes():
            self.session.execute(f"DROP INDEX {self.keyspace}.{_quoted(index)}")

    def differences(self) -> list[str]:
        """Drift, a line each."""
        if not (columns := self._columns()):
            return [f"there is no table {self.name}"]
        is_right = self._keyspace_is_right()
        options = self._options()
        found = {
            f"the keyspace {self.keyspace} has another replication, or writes are not durable": not is_right,
            f"the table {self.name} has other columns": columns != COLUMNS,
            f"the table {self.name} deletes its rows after a time": options["default_time_to_live"] != 0,
            f"the table {self.name} has another compaction": options["compaction"] != COMPACTION,
            f"the table {self.name} has another compression": options["compression"] != COMPRESSION,
            f"the table {self.name} has an index": bool(self._indexes()),
        }
        return [line for line, differs in found.items() if differs]

    def _keyspace_is_right(self) -> bool:
        """Whether the keyspace has replication factor 1 in this data center, and its writes are in the commit log."""
        found = self.session.execute(
            "SELECT durable_writes, replication FROM system_schema.keyspaces WHERE keyspace_name = %s", [self.keyspace]
        ).one()
        replication = {"class": "org.apache.cassandra.locator.NetworkTopologyStrategy", self._data_center(): "1"}
        return bool(found.durable_writes) and dict(found.replication) == replication

    def _data_center(self) -> str:
        return str(self.session.execute("SELECT data_center FROM system.local").one().data_center)

    def _columns(self) -> dict[str, tuple[str, str]]:
        return {
            row.column_name: (row.type, row.kind) for row in self._schema_rows("columns", "column_name, type, kind")
        }

    def _options(self) -> dict[str, int | dict[str, str]]:
        """The table's values of OPTIONS."""
        (row,) = self._schema_rows("tables", ", ".join(OPTIONS))
        return {
            "default_time_to_live": row.default_time_to_live,  # seconds; 0: rows stay
            "compaction": dict(row.compaction),
            "compression": dict(row.compression),
        }

    def _indexes(self) -> list[str]:
        return [row.index_name for row in self._schema_rows("indexes", "index_name")]

    def _schema_rows(self, what: str, columns: str) -> list[Any]:
        select = f"SELECT {columns} FROM system_schema.{what} WHERE keyspace_name = %s AND table_name = %s"
        return list(self.session.execute(select, (self.keyspace, self.table)))


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


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
