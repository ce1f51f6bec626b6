"""The user's home folder as Pulumi and Maven find it."""

from __future__ import annotations

import os
import pwd
from pathlib import Path


def home_folder() -> Path:
    """The home folder in the user's passwd entry.

    Not HOME, which may be another user's (with sudo) or not set: Pulumi's state and locks would be elsewhere. HOME only
    for a user without an entry. tools/env.sh and tools/setup.sh follow the same rule.
    """
    try:
        return Path(pwd.getpwuid(os.getuid()).pw_dir)
    except KeyError:
        return Path.home()
