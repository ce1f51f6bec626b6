"""What a deployed stack says of itself."""

from __future__ import annotations

import json
import subprocess
from typing import Any


def outputs_of(stack: str) -> dict[str, Any]:
    """The stack's outputs, secrets masked. Empty where it is not deployed."""
    run = subprocess.run(
        ["pulumi", "stack", "output", "--json", "--stack", stack], capture_output=True, text=True, check=False
    )
    return dict(json.loads(run.stdout)) if run.returncode == 0 else {}
