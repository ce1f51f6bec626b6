"""A script in place of Pulumi."""

from __future__ import annotations

import json
import socket
from pathlib import Path
from typing import Any

from infra.names import PROJECT


class FakePulumi:
    """A `pulumi` in `folder` that logs its arguments. Its state is in files there, and is exported as it was given."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._scripts: dict[str, str] = {}
        self.use_backend(f"file://{folder}")
        self.give_state({})

    def answer(self, command: str, script: str) -> None:
        """Run this shell script at a command, for example `stack export`."""
        self._scripts[command] = script
        cases = "".join(f"  '{prefix}'*) {each} ;;\n" for prefix, each in self._scripts.items())
        (self.folder / "pulumi").write_text(
            f'#!/bin/sh\necho "$@" >> {self.folder}/calls\ncase "$*" in\n{cases}esac\n', encoding="utf-8"
        )
        (self.folder / "pulumi").chmod(0o755)

    def use_backend(self, url: str) -> None:
        """Have the state at this URL."""
        self.answer("whoami", f"echo '{json.dumps({'url': url})}'")

    def give_state(self, deployment: dict[str, Any]) -> None:
        """Export this `deployment`."""
        (self.folder / "state.json").write_text(json.dumps({"deployment": deployment}))
        self.answer("stack export", f"cat {self.folder}/state.json")

    def forget_stacks(self) -> None:
        """Have no stack."""
        self.answer("stack export", "echo 'error: no stack named' >&2; exit 6")

    def locks(self, stack: str) -> Path:
        """The folder of the stack's locks, which does not exist at first."""
        return self.folder / ".pulumi/locks/organization" / PROJECT / stack

    def lock(self, stack: str, pid: int, host: str = socket.gethostname()) -> None:
        """Have the stack locked by this process, with a file in Pulumi's format."""
        self.locks(stack).mkdir(parents=True, exist_ok=True)
        lock = json.dumps({"pid": pid, "username": "me", "hostname": host})
        (self.locks(stack) / f"{pid}-{host}.json").write_text(lock)

    @property
    def calls(self) -> list[str]:
        """The arguments of each call."""
        calls = self.folder / "calls"
        return calls.read_text().splitlines() if calls.exists() else []
