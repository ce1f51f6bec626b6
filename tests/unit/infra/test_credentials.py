"""The generated passwords: random, kept from one deployment to the next, and replaced by another generation."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pulumi
import pytest
from pulumi.runtime.stack import wait_for_rpcs

from infra.provisioning import credentials
from infra.provisioning.credentials import Credentials
from tests.support.pulumi_program import Recorder, dynamic_provider

PROVIDER = dynamic_provider(credentials)


def wanted(*logins: str, generation: int = 1) -> dict[str, Any]:
    return {"logins": list(logins), "generation": generation, "passwords": None}


def created(*logins: str) -> dict[str, Any]:
    return PROVIDER.create(wanted(*logins)).outs or {}


def test_each_login_gets_a_password_of_its_own() -> None:
    passwords = created("kafka.job", "operator")["passwords"]
    assert {len(password) for password in passwords.values()} == {40}
    assert len({*passwords.values(), *created("operator")["passwords"].values()}) == 3


def test_passwords_do_not_change_at_the_next_up() -> None:
    assert not PROVIDER.diff("generated", created("operator"), wanted("operator")).changes


def test_new_login_gets_a_password_and_the_others_keep_theirs() -> None:
    old, new = created("operator"), wanted("kafka.job", "operator")
    assert PROVIDER.diff("generated", old, new).changes
    passwords = (PROVIDER.update("generated", old, new).outs or {})["passwords"]
    assert passwords["operator"] == old["passwords"]["operator"]
    assert passwords["kafka.job"]


def test_another_generation_replaces_every_password() -> None:
    old, new = created("kafka.job", "operator"), wanted("kafka.job", "operator", generation=2)
    assert PROVIDER.diff("generated", old, new).changes
    passwords = (PROVIDER.update("generated", old, new).outs or {})["passwords"]
    assert not set(passwords.values()) & set(old["passwords"].values())


@pytest.fixture
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    """The event loop of a Pulumi program with mocks."""
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    pulumi.runtime.set_mocks(Recorder())
    yield loop
    loop.run_until_complete(wait_for_rpcs())
    loop.close()


@pytest.mark.usefixtures("loop")
def test_unknown_login_is_an_error() -> None:
    known = Credentials(["operator"], generation=1)
    known.password("operator")
    with pytest.raises(KeyError, match=r"no login kafka\.jobs"):
        known.password("kafka.jobs")
