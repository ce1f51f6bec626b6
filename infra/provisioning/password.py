"""A generated password that lives as long as its stack."""

from __future__ import annotations

import secrets
from typing import Any

import pulumi
from pulumi.dynamic import CreateResult, DiffResult, Resource, ResourceProvider

import infra.provisioning.preload  # noqa: F401


class _Provider(ResourceProvider):
    def create(self, props: dict[str, Any]) -> CreateResult:
        return CreateResult("generated", {"value": secrets.token_urlsafe(24)})

    def diff(self, id_: str, old: dict[str, Any], new: dict[str, Any]) -> DiffResult:
        return DiffResult(changes=False)


class Password(Resource, module="secret", name="Password"):
    """32 random characters, encrypted in the state and in outputs."""

    value: pulumi.Output[str]

    def __init__(self, name: str, opts: pulumi.ResourceOptions | None = None) -> None:
        secret = pulumi.ResourceOptions(additional_secret_outputs=["value"])
        super().__init__(_Provider(), name, {"value": None}, pulumi.ResourceOptions.merge(opts, secret))
