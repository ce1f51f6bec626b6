"""The benchmarks' own stack: made from nothing, measured, taken down."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from bench.measured_stack import Target
from bench.progress import say
from harness.stack import Stack

NAME = "bench"
CONFIG = {"generatorEnabled": "false", "job.kafka.starting_offsets": "earliest"}


@contextmanager
def own_stack() -> Iterator[Target]:
    """The stack `bench`, up, with all defaults but the generator: what is sent is the benchmarks' alone."""
    stack = Stack(NAME, CONFIG)
    stack.clear()
    try:
        say(f"deploying the stack {NAME}")
        stack.up()
        yield Target(stack)
    finally:
        say(f"destroying the stack {NAME}")
        stack.remove()
