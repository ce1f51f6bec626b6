"""The password resource: random, and the same for the life of the stack."""

from __future__ import annotations

from infra.provisioning import password
from tests.support.pulumi_program import dynamic_provider

PROVIDER = dynamic_provider(password)


def test_password_is_random() -> None:
    first, second = (PROVIDER.create({"value": None}).outs or {} for _ in range(2))
    assert len(first["value"]) == 32
    assert first["value"] != second["value"]


def test_password_does_not_change_at_the_next_up() -> None:
    assert not PROVIDER.diff("generated", {"value": "secret"}, {"value": None}).changes
