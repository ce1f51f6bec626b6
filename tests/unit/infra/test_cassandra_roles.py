"""The resource of Cassandra's roles while the node does not answer."""

from __future__ import annotations

from typing import Any

import pytest

from infra.clients.cassandra import ADMIN, CassandraUnavailableError
from infra.provisioning import cassandra_roles
from tests.support.pulumi_program import dynamic_provider

PROVIDER = dynamic_provider(cassandra_roles)
PROPS: dict[str, Any] = {
    **{"host": "h", "port": 9042, "container": "lolstack-unit-cassandra"},
    **{"keyspace": "lol", "table": "matches", "passwords": {ADMIN: "new"}, "drift": []},
}


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
