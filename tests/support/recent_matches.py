"""Which matches a stack has: only one with a generator is sure to have some."""

from __future__ import annotations

import pytest

from analytics.search import count
from analytics.time_range import TimeRange
from harness.stack import Stack


def has_generator(stack: Stack) -> bool:
    """Whether matches arrive all the time. Tests then wait for them, and fail if none arrives."""
    return "generator" in stack.services


def has_full_generator(stack: Stack) -> bool:
    """Whether these matches have every field: compact ones have no teams, items and runes."""
    return has_generator(stack) and stack.setting("generatorSize") == "full"


def skip_without_matches(stack: Stack, time_range: TimeRange) -> None:
    """Skip the test if nobody sends matches, and none has ended in the time range."""
    if has_generator(stack):
        return
    ended = {"range": {"@timestamp": {"gte": time_range.start.isoformat(), "lt": time_range.end.isoformat()}}}
    if not count(stack.elasticsearch(), query=ended):
        pytest.skip(f"the stack has no generator, and no match has ended {time_range.words}")
