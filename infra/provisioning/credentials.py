"""The stack's generated passwords as one Pulumi resource, which also keeps former ones (unlike `RandomPassword` of
pulumi-random)."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from typing import Any

import pulumi
from pulumi.dynamic import CreateResult, DiffResult, Resource, ResourceProvider, UpdateResult

import infra.provisioning.preload  # noqa: F401

BYTES = 20
"""160 random bits: brute force is hopeless, also without a lockout."""


FORMER = 5
"""How many replaced generations are kept: a service that a deployment could not finish may still have one of them."""


class _Provider(ResourceProvider):
    def create(self, props: dict[str, Any]) -> CreateResult:
        return CreateResult("generated", props | {"passwords": _generate(props["logins"], {}), "former": []})

    def diff(self, id_: str, old: dict[str, Any], new: dict[str, Any]) -> DiffResult:
        return DiffResult(changes=any(old[key] != new[key] for key in ("logins", "generation")))

    def update(self, id_: str, old: dict[str, Any], new: dict[str, Any]) -> UpdateResult:
        kept, former = old["passwords"], old.get("former") or []  # missing in a state from before it existed
        if old["generation"] != new["generation"]:
            kept, former = {}, [old["passwords"], *former][:FORMER]
        return UpdateResult(new | {"passwords": _generate(new["logins"], kept), "former": former})


def _generate(logins: Sequence[str], kept: dict[str, str]) -> dict[str, str]:
    # Letters and digits only: the passwords stand in files of many formats, unquoted in some.
    return {login: kept.get(login) or secrets.token_hex(BYTES) for login in logins}


class Credentials(Resource, module="secret", name="Credentials"):
    """A password for each of `logins`, 160 random bits as 40 hexadecimal digits, encrypted in the state.

    Rotation: another `generation` replaces all of them; a new login gets one without a change of the others.
    """

    passwords: pulumi.Output[dict[str, str]]
    former: pulumi.Output[list[dict[str, str]] | None]
    """The passwords of the last generations, the newest first."""

    def __init__(self, logins: Sequence[str], generation: int) -> None:
        self._logins = frozenset(logins)
        props = {"logins": sorted(self._logins), "generation": generation, "passwords": None, "former": None}
        secret = pulumi.ResourceOptions(additional_secret_outputs=["passwords", "former"])
        super().__init__(_Provider(), "credentials", props, secret)

    def password(self, login: str) -> pulumi.Output[str]:
        """The password of a login, a secret. Raises KeyError for an unknown one."""
        self._check(login)
        return pulumi.Output.secret(self.passwords.apply(lambda passwords: str(passwords[login])))

    def former_passwords(self, login: str) -> pulumi.Output[list[str]]:
        """The passwords that the login had before, the newest first, a secret. Raises KeyError for an unknown one."""
        self._check(login)
        return pulumi.Output.secret(
            self.former.apply(lambda former: [passwords[login] for passwords in former or [] if login in passwords])
        )

    def _check(self, login: str) -> None:
        if login not in self._logins:
            raise KeyError(f"no login {login}: infra/logins.py lists them")
