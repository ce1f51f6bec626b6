"""A Kafka topic as a Pulumi resource: partitions are added in place, never removed. A new name replaces the topic."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pulumi
from pulumi.dynamic import (
    CheckFailure,
    CheckResult,
    CreateResult,
    DiffResult,
    ReadResult,
    Resource,
    ResourceProvider,
    UpdateResult,
)

import infra.provisioning.preload  # noqa: F401
from infra.clients.kafka import KafkaLoginError, KafkaUnavailableError, TopicClient, TopicState, shrink_refusal
from infra.provisioning.published_port import PortNotPublishedError, require_published_port

CHANGEABLE = ("partitions", "config")


class _Provider(ResourceProvider):
    def check(self, old: dict[str, Any], new: dict[str, Any]) -> CheckResult:
        failures = []
        if old.get("name") == new["name"] and int(old["partitions"]) > int(new["partitions"]):
            reason = shrink_refusal(new["name"], int(old["partitions"]), int(new["partitions"]))
            failures.append(CheckFailure("partitions", reason))
        return CheckResult(new, failures)

    def diff(self, id_: str, old: dict[str, Any], new: dict[str, Any]) -> DiffResult:
        changes = any(_as_declared(old.get(key)) != _as_declared(new[key]) for key in CHANGEABLE)
        # Otherwise the next refresh would use the old login.
        changes = changes or old.get("client") != new.get("client")
        replaces = ["name"] if old["name"] != new["name"] else []
        return DiffResult(changes=changes or bool(replaces), replaces=replaces)

    def create(self, props: dict[str, Any]) -> CreateResult:
        state = _client(props).create(props["name"], int(props["partitions"]), props["config"])
        return CreateResult(props["name"], props | _observed(state))

    def read(self, id_: str, props: dict[str, Any]) -> ReadResult:
        try:
            require_published_port(props, f"//{_settings(props)['bootstrap.servers']}")
            state = _client(props).read(props["name"])
        except (KafkaUnavailableError, KafkaLoginError, PortNotPublishedError):
            # Its container may be gone, or have another login already: the `up` that recreates it must then create the
            # topic, or adopt it.
            state = None
        return ReadResult(id_, props | _observed(state)) if state else ReadResult(None, {})

    def update(self, id_: str, old: dict[str, Any], new: dict[str, Any]) -> UpdateResult:
        state = _client(new).change(new["name"], int(new["partitions"]), new["config"])
        return UpdateResult(new | _observed(state))

    def delete(self, id_: str, props: dict[str, Any]) -> None:
        _client(props).delete(props["name"])


class Topic(Resource, module="kafka", name="Topic"):
    """The topic `name`. `client` has librdkafka's settings, with a login. `topic_id` identifies its incarnation."""

    name: pulumi.Output[str]
    topic_id: pulumi.Output[str]

    def __init__(
        self,
        name: str,
        client: pulumi.Input[Mapping[str, Any]],
        partitions: int,
        config: Mapping[str, str],
        opts: pulumi.ResourceOptions,
    ) -> None:
        props = {
            "client": pulumi.Output.secret(client),
            "name": name,
            "partitions": partitions,
            "config": dict(config),
            "topic_id": None,
        }
        own = pulumi.ResourceOptions(additional_secret_outputs=["client"], delete_before_replace=True)
        super().__init__(_Provider(), name, props, pulumi.ResourceOptions.merge(opts, own))


def _client(props: dict[str, Any]) -> TopicClient:
    return TopicClient(_settings(props))


def _settings(props: dict[str, Any]) -> dict[str, Any]:
    # A state from before there were logins has only the address.
    return props.get("client") or {"bootstrap.servers": props["bootstrap_servers"]}


def _observed(state: TopicState) -> dict[str, Any]:
    return {"partitions": state.partitions, "config": dict(state.config), "topic_id": state.id}


def _as_declared(value: Any) -> Any:
    """The value as declared: Pulumi's state returns numbers as floats."""
    return dict(value) if isinstance(value, Mapping) else int(value)
