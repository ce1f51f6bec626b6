"""The start of each of the job's processes: settings, and logging as they have it."""

import sys
from pathlib import Path

from job import logs, settings


def load_settings(config: Path | None) -> settings.Settings:
    """The settings, overridden by the file `config`; configures logging with them.

    Invalid settings end the process with exit code 2, and each error is a line of stderr.
    """
    try:
        options = settings.load(config)
    except settings.SettingsError as error:
        for line in error.lines:
            print(f"Settings: {line}", file=sys.stderr)
        sys.exit(2)
    logs.configure(options.log)
    return options
