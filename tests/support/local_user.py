"""curl as an unprivileged user of the Docker host, who can connect to every container by its address."""

from __future__ import annotations

import os
import subprocess

NOBODY = 65534


def curl(base: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run curl, without a proxy. `arguments` are curl's own, and end with the path after the URL `base`."""
    return subprocess.run(
        ["curl", "-sS", "-m", "10", "--noproxy", "*", *arguments[:-1], base + arguments[-1]],
        user=NOBODY if os.geteuid() == 0 else None,
        cwd="/",
        capture_output=True,
        text=True,
        check=False,
    )
