"""The benchmarks' own stack: deployed from scratch, measured, destroyed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from bench.measured_stack import MeasuredStack
from bench.progress import print_progress
from harness.stack import Stack

NAME = "bench"
CONFIG = {"generatorEnabled": "false", "job.kafka.starting_offsets": "earliest"}
"""Defaults but for the generator: the topic receives nothing but what the benchmarks send."""


@contextmanager
def bench_stack() -> Iterator[MeasuredStack]:
    """Deploy the stack `bench`, yield it, and destroy it at the end."""
    stack = Stack(NAME, CONFIG)
    stack.clean_up()
    try:
        print_progress(f"deploying the stack {NAME}")
        stack.up()
        yield MeasuredStack(stack)
    finally:
        print_progress(f"destroying the stack {NAME}")
        stack.remove()
