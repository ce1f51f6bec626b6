"""The Pulumi outputs of a deployed stack."""

from __future__ import annotations

import json
import subprocess
from typing import Any


class NotDeployedError(Exception):
    """The stack is not deployed, or Pulumi fails; the message is one line with the reason and what to do."""


def read_stack_outputs(stack: str) -> dict[str, Any]:
    """The stack's outputs, secrets in clear text: never print them as a whole. Raises NotDeployedError."""
    try:
        run = subprocess.run(
            ["pulumi", "stack", "output", "--json", "--show-secrets", "--stack", stack],
            capture_output=True,
            text=True,
            check=False,
        )
    except FileNotFoundError as error:
        raise NotDeployedError("pulumi is not on the PATH: `make setup`, then `source tools/env.sh`") from error
    if run.returncode and "no stack named" not in run.stderr:
        reason = run.stderr.strip().rpartition("\n")[2]
        raise NotDeployedError(f"pulumi cannot read the outputs of the stack {stack}: {reason}")
    outputs: dict[str, Any] = json.loads(run.stdout) if run.returncode == 0 else {}
    if "services" not in outputs:
        raise NotDeployedError(f"the stack {stack} is not deployed: `make up STACK={stack}`")
    return outputs
