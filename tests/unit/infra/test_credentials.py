"""The generated passwords: random, kept from one deployment to the next, and replaced by another generation."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pulumi
import pytest
from pulumi.runtime.stack import wait_for_rpcs

from infra.provisioning import credentials
from infra.provisioning.credentials import FORMER, Credentials
from tests.support.pulumi_program import Recorder, dynamic_provider

PROVIDER = dynamic_provider(credentials)


def wanted(*logins: str, generation: int = 1) -> dict[str, Any]:
    return {"logins": list(logins), "generation": generation, "passwords": None, "former": None}


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


def test_former_passwords_are_kept_newest_first_and_bounded() -> None:
    states = [created("operator")]
    assert states[0]["former"] == []
    for generation in range(2, 20):
        states.append(PROVIDER.update("x", states[-1], wanted("operator", generation=generation)).outs or {})
    assert states[-1]["former"] == [state["passwords"] for state in states[-2 : -2 - FORMER : -1]]
    new_login = PROVIDER.update("x", states[-1], wanted("kafka.job", "operator", generation=19)).outs or {}
    assert new_login["former"] == states[-1]["former"]


class RecorderOfAnOldState(Recorder):
    """The credentials of a state from before the former passwords were kept."""

    def new_resource(self, args: pulumi.runtime.MockResourceArgs) -> tuple[str, dict[str, Any]]:
        id_, outputs = super().new_resource(args)
        return id_, {key: value for key, value in outputs.items() if key != "former"}


@pytest.fixture
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    """The event loop of a Pulumi program with mocks."""
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    pulumi.runtime.set_mocks(RecorderOfAnOldState())
    yield loop
    loop.run_until_complete(wait_for_rpcs())
    loop.close()


@pytest.mark.usefixtures("loop")
def test_unknown_login_is_an_error() -> None:
    known = Credentials(["operator"], generation=1)
    known.password("operator")
    with pytest.raises(KeyError, match=r"no login kafka\.jobs"):
        known.password("kafka.jobs")
    with pytest.raises(KeyError, match=r"no login kafka\.jobs"):
        known.former_passwords("kafka.jobs")


def test_login_has_no_former_password_in_a_state_from_before_they_were_kept(loop: asyncio.AbstractEventLoop) -> None:
    former = Credentials(["operator"], generation=1).former_passwords("operator")
    assert loop.run_until_complete(former.future()) == []
    assert loop.run_until_complete(former.is_secret())
