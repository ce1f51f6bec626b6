"""The settings in a stack's configuration file, Pulumi.<stack>.yaml, and whether it is that of the last deployment.

Git ignores the file, and the state is elsewhere. In a new clone Pulumi creates the file with an encryption salt and
without settings: a deployment would take every setting back to its default, for example the retention of messages.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import yaml

from infra.names import PROJECT, pulumi_command
from infra.ownership import ROOT, State, stack_output

CONFIGURATION_OUTPUT = "configuration"
"""The stack's output of `describe`. Stacks of earlier versions do not have it."""


def describe(stack: str) -> dict[str, Any]:
    """The names of the settings that the stack's file sets, without their values, and an id that the file keeps when
    it is edited: a hash of its encryption salt. Empty if there is no file."""
    try:
        content = yaml.safe_load(_file(stack).read_text(encoding="utf-8"))
    except FileNotFoundError:
        content = None
    content = content if isinstance(content, dict) else {}
    salt = content.get("encryptionsalt") or content.get("encryptedkey") or ""
    return {
        "id": hashlib.sha256(salt.encode()).hexdigest()[:12] if salt else "",
        "settings": sorted(key.removeprefix(f"{PROJECT}:") for key in content.get("config") or ()),
    }


def lost_settings(state: State, stack: str) -> str | None:
    """A problem if this checkout's file is another one than that of the last deployment, and lacks settings of that.

    A setting that was removed from the same file is no problem: somebody wants its default.
    """
    deployed = stack_output(state, CONFIGURATION_OUTPUT)
    if deployed is None:
        return None
    try:
        found = describe(stack)
    except yaml.YAMLError:  # Pulumi refuses the file and names the line
        return None
    if found["id"] == deployed["id"] and _file(stack).exists():
        return None
    lost = sorted(set(deployed["settings"]) - set(found["settings"]))
    if not lost:
        return None
    name = _file(stack).name
    return (
        f"the stack {stack} was deployed with another {name} than this checkout's, which does not set "
        f"{', '.join(lost)}: the defaults would apply. Copy {name} from the checkout that deployed the stack, or "
        f"restore it with `{pulumi_command('config refresh', stack)}`; or set each of them, also to its default: "
        f"`{pulumi_command('config set KEY VALUE', stack)}`"
    )


def _file(stack: str) -> Path:
    return ROOT / f"Pulumi.{stack}.yaml"
