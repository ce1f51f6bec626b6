"""What a benchmark says while it runs, and the error that ends it."""

from __future__ import annotations

from datetime import datetime


class BenchError(Exception):
    """A measure cannot be taken. The message says why and what to do, in one line."""


def say(text: str) -> None:
    """One line with the time of day."""
    print(f"{datetime.now():%H:%M:%S} {text}", flush=True)
