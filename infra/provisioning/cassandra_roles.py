"""Cassandra's roles and the archive's table as one Pulumi resource, with drift correction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pulumi
from pulumi.dynamic import CreateResult, DiffResult, ReadResult, Resource, ResourceProvider, UpdateResult

import infra.provisioning.preload  # noqa: F401
from infra.clients.cassandra import ADMIN, ArchiveNode, CassandraUnavailableError
from infra.provisioning.published_port import PortNotPublishedError, require_published_port

DECLARED = ("host", "port", "container", "keyspace", "table", "passwords")


class _Provider(ResourceProvider):
    def create(self, props: dict[str, Any]) -> CreateResult:
        _node(props).provision(props["former"])
        return CreateResult("roles", props)

    def diff(self, id_: str, old: dict[str, Any], new: dict[str, Any]) -> DiffResult:
        return DiffResult(changes=bool(old["drift"]) or any(old.get(key) != new.get(key) for key in DECLARED))

    def read(self, id_: str, props: dict[str, Any]) -> ReadResult:
        try:
            drift = _node(props).differences()
        except (CassandraUnavailableError, PortNotPublishedError):
            # Its container may be gone: the `up` that recreates it must then provision it again, by an update, which
            # knows the former passwords.
            drift = ["Cassandra does not answer"]
        return ReadResult(id_, props | {"drift": drift})

    def update(self, id_: str, old: dict[str, Any], new: dict[str, Any]) -> UpdateResult:
        # This state's password too: a state from before `former` existed may be of a rotation that did not end.
        _node(new).provision([old["passwords"][ADMIN], *new["former"]])
        return UpdateResult(new)


class CassandraRoles(Resource, module="cassandra", name="Roles"):
    """The roles with these passwords and no others, their permissions, and the archive's table in `keyspace`.

    No role is a member of another one. The administrator logs in only while `container` publishes the port. The node
    may still have one of his `former` passwords, after a rotation that has not ended.
    """

    def __init__(
        self,
        host: str,
        port: int,
        container: str,
        keyspace: str,
        table: str,
        passwords: Mapping[str, pulumi.Input[str]],
        former: pulumi.Input[Sequence[str]],
        opts: pulumi.ResourceOptions,
    ) -> None:
        props = {
            "host": host,
            "port": port,
            "container": container,
            "keyspace": keyspace,
            "table": table,
            "passwords": passwords,
            "former": former,
            "drift": [],
        }
        secret = pulumi.ResourceOptions(additional_secret_outputs=["passwords", "former"])
        super().__init__(_Provider(), "cassandra-roles", props, pulumi.ResourceOptions.merge(opts, secret))


def _node(props: dict[str, Any]) -> ArchiveNode:
    """The declared node. Raises PortNotPublishedError."""
    host, port = props["host"], int(props["port"])
    require_published_port(props, f"//{host}:{port}")
    return ArchiveNode(host, port, props["keyspace"], props["table"], dict(props["passwords"]))
