"""The resource of Cassandra's roles while the node does not answer, or refuses a login."""

from __future__ import annotations

import re
from ast import literal_eval
from types import SimpleNamespace
from typing import Any

import pytest
from cassandra import AuthenticationFailed, InvalidRequest
from cassandra.auth import PlainTextAuthProvider
from cassandra.cluster import NoHostAvailable

from infra.clients import cassandra
from infra.clients.cassandra import (
    ADMIN,
    COLUMNS,
    ArchiveNode,
    CassandraError,
    CassandraUnavailableError,
    LoginRefusedError,
)
from infra.logins import CASSANDRA_ADMIN
from infra.provisioning import cassandra_roles, credentials
from tests.support.pulumi_program import dynamic_provider

PROVIDER = dynamic_provider(cassandra_roles)
CREDENTIALS = dynamic_provider(credentials)
PROPS: dict[str, Any] = {
    **{"host": "h", "port": 9042, "container": "lolstack-unit-cassandra"},
    **{"keyspace": "lol", "table": "matches", "passwords": {ADMIN: "new"}},
    **{"former": [], "drift": []},
}
ARCHIVE_NODE = ArchiveNode("h", 9042, "lol", "matches", {ADMIN: "new"})
REFUSED = 'code=0100 [Bad credentials] message="Provided username x and/or password are incorrect"'


def answer_logins(monkeypatch: pytest.MonkeyPatch, error: str) -> None:
    """Cassandra answers each login with this error."""

    class FakeCluster:
        def __init__(self, *_: Any, **__: Any) -> None:
            pass

        def connect(self) -> None:
            failed = AuthenticationFailed(f"Failed to authenticate to h:9042: Error from server: {error}")
            raise NoHostAvailable("Unable to connect to any servers", {"h:9042": failed})

        def shutdown(self) -> None:
            pass

    monkeypatch.setattr(cassandra, "Cluster", FakeCluster)


@pytest.mark.parametrize(
    "error",
    [
        'code=0100 [Bad credentials] message="Unable to perform authentication: Operation timed out"',
        'code=1001 [Coordinator node overloaded] message="Query timed out before it could start"',
    ],
)
def test_login_that_an_overloaded_cassandra_could_not_check_is_no_refusal(
    monkeypatch: pytest.MonkeyPatch, error: str
) -> None:
    """A deployment tries again without an answer, and ends with the advice to delete the data after a refusal."""
    answer_logins(monkeypatch, error)
    with pytest.raises(CassandraUnavailableError, match="does not answer"):
        ARCHIVE_NODE.differences()


def test_refused_login_is_drift(monkeypatch: pytest.MonkeyPatch) -> None:
    answer_logins(monkeypatch, REFUSED)
    (line,) = ARCHIVE_NODE.differences()
    assert "refuses the role" in line


class Node:
    """A node that accepts the administrator with `password` only, and on which every statement after the change of
    that password fails."""

    def __init__(self, password: str) -> None:
        self.password = password
        self.answers = True

    def cluster(self, *_: Any, auth_provider: PlainTextAuthProvider, **__: Any) -> Any:
        login = (auth_provider.username, auth_provider.password)
        return SimpleNamespace(connect=lambda: self._connect(login), shutdown=lambda: None)

    def _connect(self, login: tuple[str, str]) -> Any:
        if not self.answers:
            raise NoHostAvailable("Unable to connect to any servers", {"h:9042": ConnectionRefusedError()})
        if login != (ADMIN, self.password):
            failed = AuthenticationFailed(f"Failed to authenticate to h:9042: Error from server: {REFUSED}")
            raise NoHostAvailable("Unable to connect to any servers", {"h:9042": failed})
        return SimpleNamespace(execute=self._execute)

    def _execute(self, statement: str, *_: Any) -> Any:
        if statement == "LIST ROLES":
            return [SimpleNamespace(role=ADMIN, super=True)]
        if altered := re.fullmatch(f"ALTER ROLE \"{ADMIN}\" WITH PASSWORD = '(.*)' AND LOGIN = true", statement):
            self.password = altered[1]
            return []
        raise InvalidRequest("the node is stopped")


@pytest.fixture
def node(monkeypatch: pytest.MonkeyPatch) -> Node:
    node = Node("gen1")
    monkeypatch.setattr(cassandra, "Cluster", node.cluster)
    monkeypatch.setattr(cassandra, "START_SECONDS", 0)
    return node


@pytest.mark.usefixtures("published_ports")
def test_former_password_survives_a_refresh_while_cassandra_does_not_answer(node: Node) -> None:
    """Otherwise a rotation could not log in any more."""
    state = PROPS | {"passwords": {ADMIN: "gen1"}}
    node.answers = False
    found = dict(PROVIDER.read("roles", state).outs or {})
    unchanged = dict(PROVIDER.read("roles", PROPS).outs or {})
    assert PROVIDER.diff("roles", unchanged, PROPS).changes, "its container may be new and have no roles"
    assert PROVIDER.diff("roles", found, PROPS).changes
    node.answers = True
    with pytest.raises(CassandraError, match="the node is stopped"):
        PROVIDER.update("roles", found, PROPS)
    assert node.password == "new"


def rotated(state: dict[str, Any], generation: int) -> dict[str, Any]:
    """The state of the stack's credentials after another generation."""
    inputs = {"logins": [CASSANDRA_ADMIN], "generation": generation, "passwords": None, "former": None}
    return CREDENTIALS.update("generated", state, inputs).outs or {}


def declared(credentials: dict[str, Any]) -> dict[str, Any]:
    return PROPS | {
        "passwords": {ADMIN: credentials["passwords"][CASSANDRA_ADMIN]},
        "former": [passwords[CASSANDRA_ADMIN] for passwords in credentials["former"]],
    }


@pytest.mark.usefixtures("published_ports")
@pytest.mark.parametrize("role_resource_exists", [True, False])
def test_administrator_logs_in_after_rotations_that_did_not_end(node: Node, role_resource_exists: bool) -> None:
    """Back, on to another number, or the same one again: the node has a password that the last state never had."""
    # The first state is from before the former passwords were kept.
    credentials: dict[str, Any] = {"logins": [CASSANDRA_ADMIN], "generation": 1}
    credentials["passwords"] = {CASSANDRA_ADMIN: "gen1"}
    state = {key: value for key, value in PROPS.items() if key != "former"} | {"passwords": {ADMIN: "gen1"}}
    for generation in (2, 1, 3, 3):
        credentials = rotated(credentials, generation)
        props = declared(credentials)
        with pytest.raises(CassandraError, match="the node is stopped"):
            PROVIDER.update("roles", state, props) if role_resource_exists else PROVIDER.create(props)
        assert node.password == credentials["passwords"][CASSANDRA_ADMIN]


@pytest.mark.usefixtures("published_ports")
def test_refused_administrator_is_an_error_that_names_a_way_without_a_reset(node: Node) -> None:
    node.password = "of another deployment"
    with pytest.raises(LoginRefusedError, match="restore Pulumi's state that belongs to the data, or reset"):
        PROVIDER.update("roles", PROPS, PROPS)


def test_former_passwords_alone_are_no_change() -> None:
    assert not PROVIDER.diff("roles", PROPS, PROPS | {"former": ["old"]}).changes


def test_role_resource_of_a_state_without_the_container_is_updated_not_replaced() -> None:
    state = {key: value for key, value in PROPS.items() if key != "container"}
    change = PROVIDER.diff("roles", state, PROPS)
    assert change.changes
    assert not change.replaces
    assert not PROVIDER.diff("roles", state, state).changes, "a refresh compares with the former inputs"


class NodeWithTable(Node):
    """A node whose roles are right, with the archive's table."""

    def __init__(self, password: str, options: dict[str, Any]) -> None:
        super().__init__(password)
        self.options = options

    def _execute(self, statement: str, *_: Any) -> Any:
        selected = re.search(r"FROM (?:system|system_schema|system_auth)\.(\w+)", statement)
        if altered := re.fullmatch(r"ALTER TABLE lol\.matches WITH (.*)", statement):
            for option in altered[1].split(" AND "):
                name, value = option.split(" = ")
                self.options |= {name: literal_eval(value)}
        elif statement.startswith("ALTER"):
            raise InvalidRequest(statement)
        replication = {"class": "org.apache.cassandra.locator.NetworkTopologyStrategy", "datacenter1": "1"}
        found: dict[str, list[dict[str, Any]]] = {
            "local": [{"data_center": "datacenter1"}],
            "keyspaces": [{"durable_writes": True, "replication": replication}],
            "columns": [{"column_name": name, "type": of[0], "kind": of[1]} for name, of in COLUMNS.items()],
            "tables": [self.options],
        }
        rows = found.get(selected[1], []) if selected else []
        if statement == "LIST ROLES":
            rows = [{"role": ADMIN, "super": True}]
        return Rows(SimpleNamespace(**row) for row in rows)


class Rows(list[SimpleNamespace]):
    """The rows of an answer."""

    def one(self) -> SimpleNamespace:
        return self[0]


DECLARED: dict[str, Any] = {
    "default_time_to_live": 0,
    "compaction": {
        "class": "org.apache.cassandra.db.compaction.SizeTieredCompactionStrategy",
        "max_threshold": "32",
        "min_threshold": "16",
        "unchecked_tombstone_compaction": "true",
    },
    "compression": {"class": "org.apache.cassandra.io.compress.ZstdCompressor", "chunk_length_in_kb": "256"},
}
FORMER_COMPACTION = {
    key: value for key, value in DECLARED["compaction"].items() if key != "unchecked_tombstone_compaction"
}


@pytest.mark.parametrize(
    ("found", "line"),
    [
        ({}, None),
        ({"default_time_to_live": 60}, "the table lol.matches deletes its rows after a time"),
        ({"compaction": FORMER_COMPACTION}, "the table lol.matches has another compaction"),
        (
            {"compression": {"class": "org.apache.cassandra.io.compress.ZstdCompressor", "chunk_length_in_kb": "64"}},
            "the table lol.matches has another compression",
        ),
        ({"compression": {"enabled": "false"}}, "the table lol.matches has another compression"),
    ],
)
def test_other_options_of_the_archives_table_are_drift_and_corrected(
    monkeypatch: pytest.MonkeyPatch, found: dict[str, Any], line: str | None
) -> None:
    """Among them those of earlier versions: expired rows kept their space, and the archive took far more memory."""
    node = NodeWithTable("new", DECLARED | found)
    monkeypatch.setattr(cassandra, "Cluster", node.cluster)
    assert ARCHIVE_NODE.differences() == ([line] if line else [])
    ARCHIVE_NODE.provision()
    assert node.options == DECLARED
    assert ARCHIVE_NODE.differences() == []


class NodeWithRoles(NodeWithTable):
    """A node whose table is right, with superusers: each with the roles that were granted to it."""

    def __init__(self, roles: dict[str, list[str]]) -> None:
        super().__init__("new", dict(DECLARED))
        self.roles = roles

    def _execute(self, statement: str, *parameters: Any) -> Any:
        if dropped := re.fullmatch('DROP ROLE IF EXISTS "(.*)"', statement):
            del self.roles[dropped[1]]
        elif revoked := re.fullmatch('REVOKE "(.*)" FROM "(.*)"', statement):
            self.roles[revoked[2]].remove(revoked[1])
        elif statement == "LIST ROLES":
            return [SimpleNamespace(role=name, super=True) for name in self.roles]
        elif statement.endswith("FROM system_auth.roles"):
            return [SimpleNamespace(role=name, member_of=granted) for name, granted in self.roles.items()]
        return super()._execute(statement, *parameters)


@pytest.mark.parametrize("meanwhile", [None, "late"])
@pytest.mark.parametrize("roles", [{ADMIN: [], "intruder": []}, {ADMIN: ["operator"]}], ids=["role", "membership"])
def test_node_is_checked_again_once_no_cache_has_a_role_that_was_removed(
    monkeypatch: pytest.MonkeyPatch, roles: dict[str, list[str]], meanwhile: str | None
) -> None:
    """With its rights somebody could create another one until then."""
    node = NodeWithRoles({name: [*granted] for name, granted in roles.items()})
    waited: list[float] = []

    def sleep(seconds: float) -> None:
        waited.append(seconds)
        node.roles |= {meanwhile: []} if meanwhile else {}

    monkeypatch.setattr(cassandra, "Cluster", node.cluster)
    monkeypatch.setattr("time.sleep", sleep)
    if meanwhile:
        with pytest.raises(CassandraError, match="was changed meanwhile: the role late is not declared; deploy the"):
            ARCHIVE_NODE.provision()
    else:
        ARCHIVE_NODE.provision()
        assert node.roles == {ADMIN: []}
    assert waited == [cassandra.CACHE_SECONDS]
    node.roles = {ADMIN: []}
    ARCHIVE_NODE.provision()
    assert waited == [cassandra.CACHE_SECONDS], "nothing was removed"
