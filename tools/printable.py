"""Sanitizes untrusted text, such as player names and message keys, before it is displayed.

job/printable.py escapes it for log lines instead.

`python3 -m tools.printable` sanitizes the lines of its standard input. It needs nothing but Python.
"""

from __future__ import annotations

import signal
import sys
from io import TextIOWrapper


def sanitize(text: str) -> str:
    """Replace control characters and everything else unprintable by U+FFFD, except line breaks and tabs."""
    return "".join(c if c.isprintable() or c in "\n\t" else "\N{REPLACEMENT CHARACTER}" for c in text)


def replace_unencodable() -> None:
    """Let standard output replace characters that its encoding lacks, by "?". Without this they are an error."""
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")


def main() -> None:
    """Copy standard input to standard output, sanitized, until its end or until nobody reads the output."""
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    sys.stdin.reconfigure(errors="replace")  # type: ignore[union-attr]
    replace_unencodable()
    for line in sys.stdin:
        sys.stdout.write(sanitize(line))


if __name__ == "__main__":
    main()
