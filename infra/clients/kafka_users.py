"""Client for Kafka's users (SCRAM credentials) and access control lists (ACLs)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from confluent_kafka import KafkaException
from confluent_kafka.admin import (
    AclBinding,
    AclBindingFilter,
    AclOperation,
    AclPermissionType,
    AdminClient,
    ResourcePatternType,
    ResourceType,
    ScramCredentialInfo,
    ScramMechanism,
    UserScramCredentialAlteration,
    UserScramCredentialDeletion,
    UserScramCredentialUpsertion,
)
from tenacity import RetryError, Retrying, retry_if_result, stop_after_delay, wait_fixed

from infra.clients.kafka import TIMEOUT_SECONDS, KafkaRequestError, explain
from infra.logins import KAFKA_ITERATIONS
from job.kafka_client import ConnectionErrors, is_login_error


@dataclass(frozen=True)
class UsersState:
    """All SCRAM users except the client's own, and all ACLs, both sorted. Users whose password differs are left out."""

    users: list[str]
    acls: list[str]


class UsersClient:
    """Reads and sets all users and ACLs of a cluster, with the login of a super user.

    `client` has librdkafka's settings. Methods raise KafkaRequestError, KafkaUnavailableError, KafkaLoginError.
    """

    def __init__(self, client: Mapping[str, Any]) -> None:
        self._settings = dict(client)
        self._errors = ConnectionErrors()
        settings: dict[str, Any] = {**client, "log_level": 2, "error_cb": self._errors}
        self._admin = AdminClient(settings)

    def read(self, passwords: Mapping[str, str]) -> UsersState:
        """The present users and ACLs. `passwords`: those that the users should have."""
        try:
            found = self._mechanisms()
            acls = sorted(_text(binding) for binding in self._acls())
        except KafkaException as error:
            raise explain(self._settings, "list its users and ACLs", error) from error
        expected = sorted(set(found) & set(passwords))
        with ThreadPoolExecutor(max(len(expected), 1)) as pool:
            accepted = list(pool.map(lambda user: self._accepts(user, passwords[user]), expected))
        wrong = {user for user, is_accepted in zip(expected, accepted, strict=True) if not is_accepted}
        return UsersState(sorted(set(found) - wrong), acls)

    def apply(self, passwords: Mapping[str, str], acls: Iterable[str]) -> UsersState:
        """Set exactly these users and ACLs, and wait until each user can log in. Removes all others."""
        wanted = {_binding(text) for text in acls}
        try:
            self._alter([_upsertion(user, password) for user, password in passwords.items()])
            present = self._acls()
            if missing := list(wanted - present):
                self._wait_for_all(self._admin.create_acls(missing, request_timeout=TIMEOUT_SECONDS))
            if undeclared := [_filter(binding) for binding in present - wanted]:
                self._wait_for_all(self._admin.delete_acls(undeclared, request_timeout=TIMEOUT_SECONDS))
            self._alter(
                [
                    UserScramCredentialDeletion(user, mechanism)
                    for user, mechanisms in self._mechanisms().items()
                    if user not in passwords
                    for mechanism in mechanisms
                ]
            )
        except KafkaException as error:
            raise explain(self._settings, "set its users and ACLs", error) from error
        # The broker acknowledges a user before it accepts the login.
        try:
            return Retrying(
                retry=retry_if_result(lambda state: state != UsersState(sorted(passwords), sorted(map(_text, wanted)))),
                stop=stop_after_delay(TIMEOUT_SECONDS),
                wait=wait_fixed(0.2),
            )(self.read, passwords)
        except RetryError as error:
            raise KafkaRequestError(
                f"Kafka at {self._settings['bootstrap.servers']} does not show its new users and ACLs after "
                f"{TIMEOUT_SECONDS} s: it has {error.last_attempt.result()}"
            ) from None

    def _mechanisms(self) -> dict[str, list[ScramMechanism]]:
        """SCRAM mechanisms of each user except the client's own."""
        # First a request that a rejected login cannot crash: without an ACL, librdkafka's answer to the next aborts.
        self._errors.wait(self._admin, self._admin.describe_cluster(request_timeout=TIMEOUT_SECONDS))
        request: Any = self._admin.describe_user_scram_credentials(request_timeout=TIMEOUT_SECONDS)
        return {
            user: [info.mechanism for info in description.scram_credential_infos]
            for user, description in self._errors.wait(self._admin, request).items()
            if user != self._settings["sasl.username"]
        }

    def _alter(self, alterations: list[UserScramCredentialAlteration]) -> None:
        if alterations:
            self._wait_for_all(self._admin.alter_user_scram_credentials(alterations, request_timeout=TIMEOUT_SECONDS))

    def _wait_for_all(self, futures: Mapping[Any, Future[Any]]) -> None:
        for future in futures.values():
            self._errors.wait(self._admin, future)

    def _acls(self) -> set[AclBinding]:
        anything: Any = None
        every_acl = AclBindingFilter(
            *(ResourceType.ANY, anything, ResourcePatternType.ANY, anything, anything),
            *(AclOperation.ANY, AclPermissionType.ANY),
        )
        request = self._admin.describe_acls(every_acl, request_timeout=TIMEOUT_SECONDS)
        return set(self._errors.wait(self._admin, request))

    def _accepts(self, user: str, password: str) -> bool:
        """Whether Kafka accepts this login."""
        errors = ConnectionErrors()
        login: dict[str, Any] = {"sasl.username": user, "sasl.password": password, "log_level": 2, "error_cb": errors}
        client = AdminClient({**self._settings, **login})
        try:
            errors.wait(client, client.describe_cluster(request_timeout=TIMEOUT_SECONDS))
        except KafkaException as error:
            if is_login_error(error.args[0]):
                return False
            raise explain(self._settings, f"answer the user {user}", error) from error
        return True


def _upsertion(user: str, password: str) -> UserScramCredentialUpsertion:
    info = ScramCredentialInfo(ScramMechanism.SCRAM_SHA_512, KAFKA_ITERATIONS)
    return UserScramCredentialUpsertion(user, info, password.encode())


def _text(binding: Any) -> str:
    return (
        f"{binding.permission_type.name} {binding.principal} {binding.host} {binding.operation.name} "
        f"{binding.restype.name} {binding.resource_pattern_type.name} {binding.name}"
    )


def _binding(text: str) -> AclBinding:
    permission, principal, host, operation, resource, pattern, name = text.split(" ", 6)
    return AclBinding(
        ResourceType[resource],
        name,
        ResourcePatternType[pattern],
        principal,
        host,
        AclOperation[operation],
        AclPermissionType[permission],
    )


def _filter(binding: AclBinding) -> AclBindingFilter:
    """A filter that matches this ACL only."""
    return AclBindingFilter(
        binding.restype,
        binding.name,
        binding.resource_pattern_type,
        binding.principal,
        binding.host,
        binding.operation,
        binding.permission_type,
    )
