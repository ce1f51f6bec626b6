"""Text of others, to be shown."""

from __future__ import annotations


def plain(text: str) -> str:
    """`text` with a replacement character for each that cannot be printed, but for line breaks and tabs."""
    return "".join(c if c.isprintable() or c in "\n\t" else "\N{REPLACEMENT CHARACTER}" for c in text)
