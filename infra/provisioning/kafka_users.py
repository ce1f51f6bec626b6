"""Kafka's users and their ACLs as one Pulumi resource. Undeclared ones are drift: `pulumi up` removes them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pulumi
from pulumi.dynamic import CreateResult, DiffResult, ReadResult, Resource, ResourceProvider, UpdateResult

import infra.provisioning.preload  # noqa: F401
from infra.clients.kafka import KafkaLoginError, KafkaUnavailableError
from infra.clients.kafka_users import UsersClient, UsersState
from infra.provisioning.published_port import PortNotPublishedError, require_published_port


class _Provider(ResourceProvider):
    def diff(self, id_: str, old: dict[str, Any], new: dict[str, Any]) -> DiffResult:
        return DiffResult(changes=any(old.get(key) != new.get(key) for key in ("client", "passwords", "users", "acls")))

    def create(self, props: dict[str, Any]) -> CreateResult:
        return CreateResult("users", props | _observed(_apply(props)))

    def read(self, id_: str, props: dict[str, Any]) -> ReadResult:
        try:
            require_published_port(props, f"//{props['client']['bootstrap.servers']}")
            state = UsersClient(props["client"]).read(props["passwords"])
        except (KafkaUnavailableError, KafkaLoginError, PortNotPublishedError):
            # Its container may be gone, or have another login already: the next `up` sets the users again.
            return ReadResult(None, {})
        return ReadResult(id_, props | _observed(state))

    def update(self, id_: str, old: dict[str, Any], new: dict[str, Any]) -> UpdateResult:
        return UpdateResult(new | _observed(_apply(new)))


class KafkaUsers(Resource, module="kafka", name="Users"):
    """Exactly the users with these passwords, and exactly these ACLs (infra/kafka_acls.py).

    `client` has librdkafka's settings with the login of a super user, who is not one of the users.
    """

    def __init__(
        self,
        client: pulumi.Input[Mapping[str, Any]],
        passwords: Mapping[str, pulumi.Input[str]],
        acls: Sequence[str],
        opts: pulumi.ResourceOptions,
    ) -> None:
        props = {
            "client": pulumi.Output.secret(client),
            "passwords": pulumi.Output.secret(passwords),
            "users": sorted(passwords),
            "acls": sorted(acls),
        }
        secret = pulumi.ResourceOptions(additional_secret_outputs=["client", "passwords"])
        super().__init__(_Provider(), "kafka-users", props, pulumi.ResourceOptions.merge(opts, secret))


def _apply(props: dict[str, Any]) -> UsersState:
    return UsersClient(props["client"]).apply(props["passwords"], props["acls"])


def _observed(state: UsersState) -> dict[str, Any]:
    return {"users": state.users, "acls": state.acls}
