"""What the command lines of the job's processes share: the option --config, logging, and signals."""

import argparse
import signal
import sys
from collections.abc import Callable
from pathlib import Path

from job import logs, settings


def add_config_argument(parser: argparse.ArgumentParser) -> None:
    """Add the option --config, for `load_settings`."""
    parser.add_argument(
        "--config", type=Path, help="the job's settings: YAML file whose keys override those of config.yaml"
    )


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


def on_termination_signal(handler: Callable[[], object]) -> None:
    """Set the handler of SIGTERM (sent by Docker) and SIGINT (Ctrl+C)."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: handler())
