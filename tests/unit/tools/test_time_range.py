"""The time range of charts."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from tools.time_range import STEPS, TimeRange


@pytest.mark.parametrize("hours", [1, 5, 24, 744])
@pytest.mark.parametrize("second", [0, 9, 10, 59])
def test_time_range_ends_with_the_last_minute_whose_matches_are_all_searchable(hours: int, second: int) -> None:
    now = datetime(2026, 3, 1, 12, 34, second, tzinfo=UTC)
    time_range = TimeRange.last(hours, now)
    assert time_range.end.second == 0
    assert timedelta(seconds=10) <= now - time_range.end < timedelta(seconds=70)
    assert time_range.end - time_range.start == timedelta(hours=hours)
    assert time_range.hours == hours
    assert time_range.step_seconds * STEPS == hours * 3600
