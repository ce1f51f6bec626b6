"""What all command-line tools share: the name of a stack, Ctrl-C, and characters that the output's encoding lacks."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from typing import NoReturn

from tools.printable import replace_unencodable

INTERRUPTED = 130
"""Exit code after Ctrl-C: 128 and the number of SIGINT, as of a shell."""


def stack_name(text: str) -> str:
    """The argument --stack. Pulumi also takes a qualified name; containers, labels and files have the short one."""
    _, slash, short = text.rpartition("/")
    if slash:
        raise argparse.ArgumentTypeError(f"{text} has a /: write the short name, {short}")
    return text


def run(main: Callable[[], int]) -> NoReturn:
    """Exit with the exit code that `main` returns. Neither Ctrl-C nor a character that the output's
    encoding lacks ends in a traceback."""
    replace_unencodable()
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
