"""Runs a command-line tool: exit code, Ctrl-C, and characters that the output's encoding lacks."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import NoReturn

from tools.printable import replace_unencodable

INTERRUPTED = 130
"""Exit code after Ctrl-C: 128 and the number of SIGINT, as of a shell."""


def run(main: Callable[[], int]) -> NoReturn:
    """Exit with the exit code that `main` returns. Neither Ctrl-C nor a character that the output's
    encoding lacks ends in a traceback."""
    replace_unencodable()
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
