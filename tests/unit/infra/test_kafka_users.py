"""The resource of Kafka's users and ACLs: drift, undeclared users, another login, and who has which ACL."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import pytest

from infra.clients.kafka import KafkaLoginError, KafkaRequestError, KafkaUnavailableError
from infra.clients.kafka_users import UsersState
from infra.kafka_acls import ACLS_BY_USER, acls
from infra.logins import LOGINS, OPERATOR, login_of
from infra.provisioning import kafka_users
from tests.support.pulumi_program import dynamic_provider

PROVIDER = dynamic_provider(kafka_users)
ACL = "ALLOW User:job * READ TOPIC LITERAL lol_matches"


class FakeUsers:
    """Stands in for UsersClient. `error` is what a read raises."""

    def __init__(self) -> None:
        self.passwords: dict[str, str] = {}
        self.acls: set[str] = set()
        self.error: KafkaRequestError | None = None

    def read(self, passwords: Mapping[str, str]) -> UsersState:
        if self.error:
            raise self.error
        wrong = {user for user in passwords if self.passwords.get(user) != passwords[user]}
        return UsersState(sorted(set(self.passwords) - wrong), sorted(self.acls))

    def apply(self, passwords: Mapping[str, str], acls: Iterable[str]) -> UsersState:
        self.passwords, self.acls = dict(passwords), set(acls)
        return self.read(passwords)


@pytest.fixture
def kafka(monkeypatch: pytest.MonkeyPatch) -> FakeUsers:
    fake = FakeUsers()
    monkeypatch.setattr(kafka_users, "UsersClient", lambda client: fake)
    monkeypatch.setattr(kafka_users, "require_published_port", lambda props, url: None)
    return fake


def inputs(**changes: Any) -> dict[str, Any]:
    return {
        "client": {"bootstrap.servers": "localhost:29092", "sasl.username": "admin", "sasl.password": "first"},
        "passwords": {"job": "a", "archive": "b"},
        "users": ["archive", "job"],
        "acls": [ACL],
    } | changes


@pytest.fixture
def state(kafka: FakeUsers) -> dict[str, Any]:
    """The state after the first `up`."""
    return dict(PROVIDER.create(inputs()).outs or {})


def refreshed(state: dict[str, Any]) -> dict[str, Any]:
    return dict(PROVIDER.read("users", state).outs or {})


def test_refresh_without_changes_reports_no_drift(state: dict[str, Any]) -> None:
    assert not PROVIDER.diff("users", refreshed(state), inputs()).changes


def test_undeclared_user_undeclared_acl_and_changed_password_are_drift(kafka: FakeUsers, state: dict[str, Any]) -> None:
    kafka.passwords["mallory"] = "x"
    assert PROVIDER.diff("users", refreshed(state), inputs()).changes
    del kafka.passwords["mallory"]
    kafka.acls.add("ALLOW User:job * ALTER TOPIC LITERAL lol_matches")
    assert PROVIDER.diff("users", refreshed(state), inputs()).changes
    kafka.acls.remove("ALLOW User:job * ALTER TOPIC LITERAL lol_matches")
    kafka.passwords["job"] = "somebody has changed it"
    assert PROVIDER.diff("users", refreshed(state), inputs()).changes
    updated = PROVIDER.update("users", refreshed(state), inputs()).outs or {}
    assert not PROVIDER.diff("users", updated, inputs()).changes


@pytest.mark.parametrize(
    "changes",
    [
        {"client": inputs()["client"] | {"sasl.password": "second"}},
        {"passwords": {"job": "a", "archive": "c"}},
        {"passwords": {"job": "a"}, "users": ["job"]},
        {"acls": []},
    ],
)
def test_change_of_login_passwords_users_or_rights_is_an_update_in_place(
    state: dict[str, Any], changes: dict[str, Any]
) -> None:
    diff = PROVIDER.diff("users", state, inputs(**changes))
    assert diff.changes
    assert not diff.replaces


@pytest.mark.parametrize("error", [KafkaUnavailableError("no answer"), KafkaLoginError("rejected")])
def test_users_of_an_unreachable_kafka_are_set_again(
    kafka: FakeUsers, state: dict[str, Any], error: KafkaRequestError
) -> None:
    """A rejected login too: a rotation was interrupted after Kafka had its new passwords."""
    kafka.error = error
    assert PROVIDER.read("users", state).id is None


def test_each_user_has_a_password_and_no_user_may_change_topics_or_users() -> None:
    assert {login_of("kafka", user) for user in ACLS_BY_USER} < set(LOGINS)
    permitted = {tuple(acl.split(" ")[3:5]) for acl in acls()}
    assert {operation for operation, _ in permitted} == {"READ", "WRITE", "DESCRIBE", "DESCRIBE_CONFIGS"}
    assert {resource for _, resource in permitted} == {"TOPIC", "GROUP", "TRANSACTIONAL_ID"}


@pytest.mark.parametrize("user", [OPERATOR, "dashboard"])
def test_user_who_looks_has_no_acl_to_write(user: str) -> None:
    assert {acl.split(" ")[0] for acl in ACLS_BY_USER[user]} <= {"READ", "DESCRIBE", "DESCRIBE_CONFIGS"}


def test_operators_own_consumers_have_a_group_and_see_the_settings_of_both_topics() -> None:
    assert {
        "READ GROUP LITERAL operator",
        "READ GROUP LITERAL operator-9",
        "DESCRIBE_CONFIGS TOPIC LITERAL lol_matches",
        "DESCRIBE_CONFIGS TOPIC LITERAL lol_matches_dlq",
    } <= set(ACLS_BY_USER[OPERATOR])


def test_prefix_of_a_users_consumer_groups_covers_no_other_users_group() -> None:
    groups = [(user, acl.split(" ")) for user, own in ACLS_BY_USER.items() for acl in own if " GROUP " in acl]
    prefixes = [(user, words[3]) for user, words in groups if words[2] == "PREFIXED"]
    assert prefixes
    for user, prefix in prefixes:
        assert not [words[3] for other, words in groups if other != user and words[3].startswith(prefix)], prefix
