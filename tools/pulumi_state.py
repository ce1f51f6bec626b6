"""Pulumi's state of a stack and its locks, in files of this machine or not."""

from __future__ import annotations

import json
import socket
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from infra.home import home_folder
from infra.names import PROJECT, ROOT, make_command, pulumi_command

WRONG_PASSPHRASE = "incorrect passphrase"
"""Part of Pulumi's error message."""
DAMAGED_STATE = "failed to load checkpoint"
"""Part of Pulumi's error message."""


class PulumiError(Exception):
    """Pulumi fails, or the stack is being deployed; the message names the reason and what to do."""


def run_pulumi(*words: str, environment: Mapping[str, str] | None = None) -> str:
    """Run Pulumi, by default with this process's environment; return its standard output. Raises PulumiError."""
    run = subprocess.run(["pulumi", *words], cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    if run.returncode:
        # `pulumi refresh` writes its errors to its standard output.
        raise PulumiError(f"pulumi {' '.join(words[:2])}: {run.stderr.strip() or run.stdout.strip()}")
    return run.stdout


def export_state(stack: str) -> dict[str, Any] | None:
    """The stack's state, the `deployment` of `pulumi stack export`; None if there is no such stack."""
    try:
        exported = run_pulumi("stack", "export", "--show-secrets", "--stack", stack)
    except PulumiError as error:
        if "no stack named" in str(error):
            return None
        if WRONG_PASSPHRASE in str(error):
            raise PulumiError(
                f"the secrets of the stack {stack} are encrypted with another passphrase than the one in use: "
                "PULUMI_CONFIG_PASSPHRASE or the file PULUMI_CONFIG_PASSPHRASE_FILE, which `source tools/env.sh` sets; "
                "see 'Secrets' in docs/operations.md"
            ) from error
        if DAMAGED_STATE in str(error) and (folder := state_folder()):
            raise PulumiError(_damaged_state(folder, stack, str(error))) from error
        raise
    state: dict[str, Any] = json.loads(exported)["deployment"]
    return state


def _damaged_state(folder: Path, stack: str, reason: str) -> str:
    file, backups = folder / "stacks" / PROJECT / f"{stack}.json", folder / "backups" / PROJECT / stack
    cause = f"for example by a full disk ({' '.join(reason.split())})"
    attributes = file.with_name(f"{file.name}.attrs")  # Pulumi writes it without a sync, and needs none
    if attributes.exists() and not _is_json(attributes):
        return f"{attributes}, of the state of the stack {stack}, is damaged, {cause}: delete it, then start again"
    return (
        f"the state of the stack {stack}, {file}, is damaged, {cause}: "
        f"restore the one before, `cp {file}.bak {file}`, or, if that is damaged too, the newest file of {backups}; "
        "then start again"
    )


def _is_json(file: Path) -> bool:
    try:
        json.loads(file.read_bytes())
    except ValueError:
        return False
    return True


def select_stack(stack: str) -> None:
    """Select the stack for plain `pulumi` commands; create it if there is none."""
    try:
        run_pulumi("stack", "select", "--create", stack)
    except PulumiError as error:
        if WRONG_PASSPHRASE not in str(error):
            raise
        raise PulumiError(
            f"the stack {stack} cannot be created: the line `encryptionsalt` of {ROOT / f'Pulumi.{stack}.yaml'} is of "
            "another passphrase than yours, because another user or machine, or you before ~/.pulumi was deleted, "
            f"deployed {stack} from this checkout. Choose another name (`{make_command('up', 'other')}`), use a "
            "checkout of your own, or delete that line and all values `secure:` of the file"
        ) from error


def state_folder() -> Path | None:
    """The folder of Pulumi's state; None if it is not in files of this machine."""
    url: str = json.loads(run_pulumi("whoami", "--json"))["url"]
    if not url.startswith("file://"):
        return None
    path = url.removeprefix("file://").partition("?")[0]
    if path.startswith("~"):  # Pulumi takes off two characters, whatever the second one is
        path = str(home_folder() / path[2:])
    return ROOT / path / ".pulumi"


def lock_folder(stack: str) -> Path | None:
    """The folder of the stack's locks; None if the state is not in files of this machine."""
    folder = state_folder()
    return folder / "locks" / "organization" / PROJECT / stack if folder else None


def check_locks(stack: str) -> list[int]:
    """Process ids of the stack's stale locks: held by processes of this machine that are gone.

    Raises PulumiError if another lock may be in use.
    """
    folder = lock_folder(stack)
    dead = []
    for file in folder.glob("*.json") if folder else ():
        try:
            lock = json.loads(file.read_text())
            pid, host = lock["pid"], lock["hostname"]
        except FileNotFoundError:  # released meanwhile
            continue
        except (OSError, ValueError, KeyError, TypeError) as error:  # of a full disk, for example
            raise PulumiError(
                f"the lock {file} of the stack {stack} cannot be read ({error}): if nobody deploys the stack "
                "(`pgrep -a pulumi`), delete that file"
            ) from error
        if host != socket.gethostname():
            raise PulumiError(
                f"the stack {stack} is locked by process {pid} on the machine {host}: wait for it; if it is gone, "
                f"release its lock with `{pulumi_command('cancel', stack)}`"
            )
        if _is_pulumi(pid):
            raise PulumiError(f"the stack {stack} is being deployed by process {pid}: wait for it or end it")
        dead.append(pid)
    return dead


def _is_pulumi(pid: int) -> bool:
    """Whether the process runs and is Pulumi, not another program that got the same id later."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return status.startswith("Name:\tpulumi\n") and "\nState:\tZ" not in status  # Z: it has ended (a zombie)
