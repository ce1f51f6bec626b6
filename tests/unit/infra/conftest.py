"""What the unit tests of the Pulumi program share."""

from __future__ import annotations

from typing import Any

from infra.settings import Settings
from tests.unit.infra.test_settings import raw


def settings(stack: str = "dev", **changes: Any) -> Settings:
    """The default settings with `changes` (camelCase keys)."""
    return Settings.load(raw(**changes), stack)
