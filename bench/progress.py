"""Progress lines of a benchmark run, and the error that ends it."""

from __future__ import annotations

from datetime import datetime


class BenchError(Exception):
    """A measure cannot be taken. The message is one line: the reason and what to do."""


def print_progress(text: str) -> None:
    """Print one line with the time of day."""
    print(f"{datetime.now():%H:%M:%S} {text}", flush=True)
