"""What command-line tools share: a stack's name, Ctrl-C, a closed pipe, characters that the output's encoding lacks."""

from __future__ import annotations

import argparse
import errno
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import IO, NoReturn

from tools.printable import replace_unencodable

INTERRUPTED = 130
"""Exit code after Ctrl-C: 128 and the number of SIGINT, as of a shell."""
CLOSED_PIPE = 141
"""Exit code if the reader of the output has ended: 128 and the number of SIGPIPE."""


def stack_name(text: str) -> str:
    """The argument --stack. Pulumi also takes a qualified name; containers, labels and files have the short one."""
    _, slash, short = text.rpartition("/")
    if slash:
        raise argparse.ArgumentTypeError(f"{text} has a /: write the short name, {short}")
    return text


def run(main: Callable[[], int]) -> NoReturn:
    """Exit with the exit code that `main` returns. No traceback follows from Ctrl-C, from an output that is a closed
    pipe, from a full disk, or from a character that the output's encoding lacks."""
    replace_unencodable()
    for size in ("COLUMNS", "LINES"):
        if os.environ.get(size) == "0":  # of a pseudo-terminal without a size; rich would print nothing
            del os.environ[size]
    try:
        status = main()
        sys.stdout.flush()
    except KeyboardInterrupt:
        status = INTERRUPTED
    except BrokenPipeError:
        _discard(sys.stdout)
        status = CLOSED_PIPE
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        _discard(sys.stdout)
        sys.exit(f"{sys.argv[0]}: {error}")
    sys.exit(status)


def write(target: IO[str], text: str) -> None:
    """Write text at once. From a failure on, such as a closed pipe or a full disk, the target discards everything."""
    try:
        target.write(text)
        target.flush()
    except OSError as error:
        _discard(target)
        if target is not sys.stderr:
            write(sys.stderr, f"{target.name}: no more output: {error}\n")


def _discard(target: IO[str]) -> None:
    """Let the target discard everything. Python flushes what it could not write once more when it closes it."""
    with Path(os.devnull).open("w") as nowhere:
        os.dup2(nowhere.fileno(), target.fileno())
