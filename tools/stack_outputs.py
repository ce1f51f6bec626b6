"""What a deployed stack says of itself."""

from __future__ import annotations

import json
import subprocess
from typing import Any


class NotDeployedError(Exception):
    """The stack is not deployed, or Pulumi cannot say; the message is one line that says why and what to do."""


def outputs_of(stack: str) -> dict[str, Any]:
    """The stack's outputs, secrets masked. Raises NotDeployedError."""
    try:
        run = subprocess.run(
            ["pulumi", "stack", "output", "--json", "--stack", stack], capture_output=True, text=True, check=False
        )
    except FileNotFoundError as error:
        raise NotDeployedError("there is no pulumi on the PATH: `source tools/env.sh`, `make setup`") from error
    if run.returncode and "no stack named" not in run.stderr:
        raise NotDeployedError(f"pulumi cannot say what is deployed: {run.stderr.strip().rpartition(chr(10))[2]}")
    outputs: dict[str, Any] = json.loads(run.stdout) if run.returncode == 0 else {}
    if "services" not in outputs:
        raise NotDeployedError(f"the stack {stack} is not deployed: `make up STACK={stack}`")
    return outputs
