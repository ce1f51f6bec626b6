"""A period ends at the last whole minute of which all has arrived."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from tools.time_range import STEPS, Period


@pytest.mark.parametrize("hours", [1, 5, 24, 744])
@pytest.mark.parametrize("second", [0, 9, 10, 59])
def test_it_ends_with_the_last_whole_minute_that_has_arrived(hours: int, second: int) -> None:
    now = datetime(2026, 3, 1, 12, 34, second, tzinfo=UTC)
    period = Period.last(hours, now)
    assert period.end.second == 0
    assert timedelta(seconds=10) <= now - period.end < timedelta(seconds=70)
    assert period.end - period.start == timedelta(hours=hours)
    assert period.hours == hours
    assert period.step_seconds * STEPS == hours * 3600
