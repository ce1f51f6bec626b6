"""Sanitizes untrusted text, such as player names and message keys, before it is displayed."""

from __future__ import annotations


def sanitize(text: str) -> str:
    """Replace control characters and everything else unprintable by U+FFFD, except line breaks and tabs."""
    return "".join(c if c.isprintable() or c in "\n\t" else "\N{REPLACEMENT CHARACTER}" for c in text)
