"""The folder of set-up's downloads and of logs and locks; tools/setup.sh uses the same one."""

from __future__ import annotations

import os
from pathlib import Path

from infra.home import home_folder


def cache_folder() -> Path:
    """The folder, which need not exist."""
    return Path(os.environ.get("XDG_CACHE_HOME") or home_folder() / ".cache") / "lolstack"
