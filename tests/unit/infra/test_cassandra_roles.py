"""The resource of Cassandra's roles while the node does not answer, or refuses a login."""

from __future__ import annotations

from typing import Any

import pytest
from cassandra import AuthenticationFailed
from cassandra.cluster import NoHostAvailable

from infra.clients import cassandra
from infra.clients.cassandra import ADMIN, CassandraUnavailableError, differences
from infra.provisioning import cassandra_roles
from tests.support.pulumi_program import dynamic_provider

PROVIDER = dynamic_provider(cassandra_roles)
PROPS: dict[str, Any] = {
    **{"host": "h", "port": 9042, "container": "lolstack-unit-cassandra"},
    **{"keyspace": "lol", "table": "matches", "passwords": {ADMIN: "new"}, "drift": []},
}


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
        differences("h", 9042, "lol", "matches", {ADMIN: "new"})


def test_refused_login_is_drift(monkeypatch: pytest.MonkeyPatch) -> None:
    answer_logins(
        monkeypatch, 'code=0100 [Bad credentials] message="Provided username x and/or password are incorrect"'
    )
    (line,) = differences("h", 9042, "lol", "matches", {ADMIN: "new"})
    assert "refuses the role" in line


@pytest.mark.usefixtures("published_ports")
def test_former_password_survives_a_refresh_while_cassandra_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    """Otherwise a rotation could not log in any more."""

    def unavailable(*_: Any) -> list[str]:
        raise CassandraUnavailableError("Cassandra does not answer")

    former_passwords: list[str] = []
    monkeypatch.setattr(cassandra_roles, "differences", unavailable)
    monkeypatch.setattr(
        cassandra_roles, "provision", lambda *_, former_password: former_passwords.append(former_password)
    )
    state = PROPS | {"passwords": {ADMIN: "old"}}
    found = dict(PROVIDER.read("roles", state).outs or {})
    assert PROVIDER.diff("roles", found, PROPS).changes
    PROVIDER.update("roles", found, PROPS)
    assert former_passwords == ["old"]
    unchanged = dict(PROVIDER.read("roles", PROPS).outs or {})
    assert PROVIDER.diff("roles", unchanged, PROPS).changes, "its container may be new and have no roles"


def test_role_resource_of_a_state_without_the_container_is_updated_not_replaced() -> None:
    state = {key: value for key, value in PROPS.items() if key != "container"}
    change = PROVIDER.diff("roles", state, PROPS)
    assert change.changes
    assert not change.replaces
    assert not PROVIDER.diff("roles", state, state).changes, "a refresh compares with the former inputs"
