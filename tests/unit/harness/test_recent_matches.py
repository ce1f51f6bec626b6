"""Which tests of a stack are skipped because nobody sends matches."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from analytics.time_range import TimeRange
from tests.support.recent_matches import has_full_generator, skip_without_matches

LAST_HOUR = TimeRange.last(timedelta(hours=1), datetime.now(UTC))


def stack(*services: str, size: str = "full", matches: int = 0) -> Any:
    """A stack with these services, and matches of any time range."""
    client = SimpleNamespace(search=lambda **_: {"hits": {"total": {"value": matches}}})
    return SimpleNamespace(services=services, setting={"generatorSize": size}.__getitem__, elasticsearch=lambda: client)


@pytest.mark.parametrize("found", [stack("generator"), stack("kafka", matches=1)], ids=["generator", "matches"])
def test_test_runs_if_the_stack_has_a_generator_or_matches(found: Any) -> None:
    """With a generator also before the first match: the test waits for it."""
    skip_without_matches(found, LAST_HOUR)


def test_test_is_skipped_if_the_stack_has_neither() -> None:
    with pytest.raises(pytest.skip.Exception, match="no match has ended in the last hour"):
        skip_without_matches(stack("kafka"), LAST_HOUR)


@pytest.mark.parametrize(
    ("found", "expected"),
    [(stack("generator"), True), (stack("generator", size="compact"), False), (stack("kafka"), False)],
)
def test_only_a_full_generator_is_sure_to_send_every_field(found: Any, expected: bool) -> None:
    assert has_full_generator(found) is expected
