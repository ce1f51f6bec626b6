"""What the resources of an object in a server have in common: an object's text, and its changes."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from pulumi.dynamic import DiffResult

import infra.provisioning.preload  # noqa: F401


def object_text(body: Mapping[str, Any]) -> str:
    """The object as canonical text: two texts differ only if the objects do."""
    return json.dumps(body, indent=1, sort_keys=True)


def object_diff(server: Sequence[str], old: Mapping[str, Any], new: Mapping[str, Any]) -> DiffResult:
    """The changes of `body`, and of the login and address: `server` has their properties."""
    replaces = ["name"] if old["name"] != new["name"] else []
    # Also the login: the next `read` and `delete` have only what is in the state.
    changes = any(old.get(key, "") != new.get(key, "") for key in (*server, "container", "body"))
    return DiffResult(changes=bool(replaces) or changes, replaces=replaces)
