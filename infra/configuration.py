"""The settings of a stack's configuration, and whether it is that of the last deployment.

Git ignores the stack's configuration file, Pulumi.<stack>.yaml, and the state is elsewhere. In a new clone Pulumi
creates the file with an encryption salt and without settings: a deployment would take every setting back to its
default, for example the retention of messages. So would one without the `--config-file` of the last.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from functools import cache
from typing import Any

import yaml

from infra.names import PROJECT, ROOT, pulumi_command
from infra.ownership import State, stack_output

CONFIGURATION_OUTPUT = "configuration"
"""The stack's output of `describe`. Stacks of earlier versions do not have it."""
PROJECT_FILE = ROOT / "Pulumi.yaml"


def describe(stack: str, config: Mapping[str, str] | None = None) -> dict[str, Any]:
    """The names of the settings that are not at their defaults in `config`, Pulumi's configuration in use, and an id
    that the stack's file keeps when it is edited: a hash of its encryption salt. Without `config`: of that file.

    The id is empty without a salt, and if `config` is not the file's (`--config-file`).
    """
    file = _read(stack)
    values = _settings(file)
    changed = _changed(values if config is None else _by_name(config))
    salt = file.get("encryptionsalt") or file.get("encryptedkey") or ""
    if changed != _changed(values):
        salt = ""
    return {"id": hashlib.sha256(salt.encode()).hexdigest()[:12] if salt else "", "settings": sorted(changed)}


def lost_settings(state: State, stack: str, config: Mapping[str, str] | None = None) -> str | None:
    """A problem if `config` (without it, the stack's file) is of another file than that of the last deployment, and
    lacks settings of that.

    A setting that was removed from the same file is no problem: somebody wants its default. So does whoever sets it to
    its default in the stack's file.
    """
    deployed = stack_output(state, CONFIGURATION_OUTPUT)
    if deployed is None:
        return None
    try:
        found = describe(stack, config)
        values = _settings(_read(stack))
    except yaml.YAMLError:  # Pulumi refuses the file and names the line
        return None
    if found["id"] and found["id"] == deployed["id"]:
        return None
    set_to_default = set(values) - _changed(values)
    lost = sorted(set(deployed["settings"]) - set(found["settings"]) - set_to_default)
    if not lost:
        return None
    name = f"Pulumi.{stack}.yaml"
    return (
        f"the stack {stack} was deployed with another configuration than this {name} or --config-file, which does not "
        f"set {', '.join(lost)}: the defaults would apply. Use the same --config-file as then, or copy {name} from the "
        f"checkout that deployed the stack, or restore it with `{pulumi_command('config refresh', stack)}`; or set "
        f"each of them in {name}, also to its default: `{pulumi_command('config set KEY VALUE', stack)}`"
    )


def _read(stack: str) -> dict[str, Any]:
    """The content of the stack's file; empty if there is none."""
    try:
        content = yaml.safe_load((ROOT / f"Pulumi.{stack}.yaml").read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    return content if isinstance(content, dict) else {}


def _settings(file: Mapping[str, Any]) -> dict[str, str]:
    """The settings that the file sets, with their values as text, as Pulumi passes them."""
    config = file.get("config") or {}
    return _by_name(
        {key: value if isinstance(value, str) else json.dumps(value, default=str) for key, value in config.items()}
    )


def _by_name(config: Mapping[str, str]) -> dict[str, str]:
    return {key.removeprefix(f"{PROJECT}:"): value for key, value in config.items()}


def _changed(values: Mapping[str, str]) -> set[str]:
    """The names of the settings whose value is not the default."""
    return {name for name, value in values.items() if not _is_default(name, value)}


def _is_default(name: str, value: str) -> bool:
    default = _defaults().get(name)
    if isinstance(default, str):
        return value == default
    try:
        return bool(json.loads(value) == default)
    except ValueError:
        return False


@cache
def _defaults() -> dict[str, Any]:
    """The defaults of Pulumi.yaml by the name of the setting."""
    declared = yaml.safe_load(PROJECT_FILE.read_text(encoding="utf-8"))["config"]
    return {name: setting["default"] for name, setting in declared.items()}
