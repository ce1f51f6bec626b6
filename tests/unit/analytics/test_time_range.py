"""The time range of charts."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from analytics.time_range import STEPS, FutureTimeRangeError, TimeRange


@pytest.mark.parametrize("hours", [1, 5, 24, 745])
@pytest.mark.parametrize("second", [0, 9, 10, 59])
def test_time_range_ends_with_the_last_minute_whose_matches_are_all_searchable(hours: int, second: int) -> None:
    now = datetime(2026, 3, 1, 12, 34, second, tzinfo=UTC)
    time_range = TimeRange.last(timedelta(hours=hours), now)
    assert time_range.end.second == 0
    assert timedelta(seconds=10) <= now - time_range.end < timedelta(seconds=70)
    assert time_range.end - time_range.start == timedelta(hours=hours)
    assert time_range.step_seconds * STEPS == hours * 3600


def test_short_time_range_ends_with_a_whole_step() -> None:
    time_range = TimeRange.last(timedelta(minutes=15), datetime(2026, 3, 1, 12, 34, 56, tzinfo=UTC))
    assert time_range.end == datetime(2026, 3, 1, 12, 34, 45, tzinfo=UTC)
    assert time_range.end - time_range.start == timedelta(minutes=15)


def test_time_range_between_two_times_has_whole_minutes_and_a_minute_at_least() -> None:
    start = datetime(2026, 3, 1, 12, 34, 56, tzinfo=UTC)
    now = start + timedelta(days=1)
    hour = TimeRange.between(start, start + timedelta(hours=1), now)
    assert (hour.start, hour.end) == (start.replace(second=0), start.replace(hour=13, second=0))
    shortest = TimeRange.between(start, start, now)
    assert (shortest.start, shortest.end) == (start.replace(second=0), start.replace(minute=35, second=0))


def test_time_range_between_two_times_ends_now_if_the_second_is_in_the_future() -> None:
    """Its last steps would have no match yet, and so would the current rates."""
    start = datetime(2026, 3, 1, tzinfo=UTC)
    now = datetime(2026, 3, 1, 9, 30, 5, tzinfo=UTC)
    today = TimeRange.between(start, start + timedelta(days=1), now)
    assert (today.start, today.end) == (start, now.replace(minute=29, second=0))


def test_time_range_that_begins_in_the_future_is_refused() -> None:
    """As one in local time, which is read as UTC."""
    now = datetime(2026, 3, 1, 13, 0, 20, tzinfo=UTC)
    with pytest.raises(FutureTimeRangeError, match=r"now is 2026-03-01 13:00 UTC$"):
        TimeRange.between(now + timedelta(seconds=1), now + timedelta(hours=1), now)


@pytest.mark.parametrize(
    ("minutes", "words"),
    [
        (15, "in the last 15 minutes"),
        (48, "in the last 48 minutes"),
        (60, "in the last hour"),
        (90, "in the last 90 minutes"),
        (24 * 60, "in the last 24 hours"),
        (7 * 24 * 60, "in the last 7 days"),
    ],
)
def test_time_range_in_words(minutes: int, words: str) -> None:
    now = datetime(2026, 3, 1, 12, 34, tzinfo=UTC)
    assert TimeRange.last(timedelta(minutes=minutes), now).words == words
    assert TimeRange.between(now - timedelta(minutes=minutes), now, now).words == "in this time range"
