"""`make report`: the time range and the queue of its options."""

from __future__ import annotations

import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from analytics.match_statistics import MatchFilter
from analytics.time_range import TimeRange
from tests.support.clock import stopped_at
from tests.support.report_samples import BUILDS, FIGURES, MATCHES, PIPELINE
from tools.report import __main__ as report
from tools.report.page import StackReport

NOW = datetime(2026, 11, 24, 13, tzinfo=UTC)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[TimeRange, MatchFilter]]:
    """The time ranges and filters for which reports are read; nothing is written."""
    found = []

    def read_report(stack: str, _: Any, time_range: TimeRange, only: MatchFilter) -> StackReport:
        found.append((time_range, only))
        return StackReport(stack, datetime.now(UTC), time_range, MATCHES, BUILDS, PIPELINE, FIGURES)

    monkeypatch.setattr(report, "datetime", stopped_at(NOW))
    monkeypatch.setattr(report, "read_stack_outputs", lambda _: {"services": {}})
    monkeypatch.setattr(report, "read_report", read_report)
    monkeypatch.setattr(report, "write_report", lambda *_: Path(__file__))
    return found


def run(monkeypatch: pytest.MonkeyPatch, *options: str) -> int:
    monkeypatch.setattr(sys, "argv", ["report", "--stack", "sample", *options])
    return report.main()


def test_report_is_of_the_last_hour_and_all_queues_by_default(
    monkeypatch: pytest.MonkeyPatch, asked: list[tuple[TimeRange, MatchFilter]]
) -> None:
    assert run(monkeypatch) == 0
    ((time_range, only),) = asked
    assert time_range.words == "in the last hour"
    assert only == MatchFilter()


def test_from_and_to_select_a_time_range(
    monkeypatch: pytest.MonkeyPatch, asked: list[tuple[TimeRange, MatchFilter]]
) -> None:
    run(monkeypatch, "--from", "2026-11-24T06:00Z", "--to", "2026-11-24T08:30+01:00")
    ((time_range, _),) = asked
    assert time_range.start == datetime(2026, 11, 24, 6, tzinfo=UTC)
    assert time_range.end == datetime(2026, 11, 24, 7, 30, tzinfo=UTC)


def test_month_in_local_time_may_have_an_hour_more(
    monkeypatch: pytest.MonkeyPatch, asked: list[tuple[TimeRange, MatchFilter]]
) -> None:
    """The clocks are set back at the end of daylight saving time."""
    run(monkeypatch, "--from", "2026-10-01T00:00+02:00", "--to", "2026-11-01T00:00+01:00")
    ((time_range, _),) = asked
    assert time_range.end - time_range.start == timedelta(hours=745)


@pytest.mark.parametrize("queue", ["1700", "arena", "Arena"])
def test_queue_is_selected_by_id_or_name(
    monkeypatch: pytest.MonkeyPatch, asked: list[tuple[TimeRange, MatchFilter]], queue: str
) -> None:
    run(monkeypatch, "--queue", queue)
    ((_, only),) = asked
    assert only.queue_ids == ((1700,) if queue == "1700" else (1700, 1710, 1740, 1750))


@pytest.mark.parametrize("queue", [-1, -7, 2_000_000_001])
def test_queue_without_a_name_is_selected_by_its_id(
    monkeypatch: pytest.MonkeyPatch, asked: list[tuple[TimeRange, MatchFilter]], queue: int
) -> None:
    run(monkeypatch, "--queue", str(queue))
    assert [only.queue_ids for _, only in asked] == [(queue,)]


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        (["--hours", "0"], "HOURS must be 1 to 745"),
        (["--hours", "746"], "HOURS must be 1 to 745"),
        (["--to", "2026-11-24T06:00Z"], "TO needs FROM"),
        (["--hours", "2", "--from", "2026-11-24T06:00Z"], "either HOURS or FROM"),
        (["--from", "yesterday"], "FROM=yesterday is not a time"),
        (["--from", "2026-11-24T06:00Z", "--to", "9999-12-31T23:59-14:00"], "TO=9999-12-31T23:59-14:00 is not a time"),
        (["--from", "0001-01-01T00:00+14:00"], "FROM=0001-01-01T00:00+14:00 is not a time"),
        (
            ["--from", "2026-11-24T06:00Z", "--to", "2026-11-24T06:00Z"],
            "FROM must be one minute to",
        ),
        (
            ["--from", "2025-11-24T06:00Z", "--to", "2026-11-24T06:00Z"],
            "FROM must be one minute to 745 hours before TO",
        ),
        (["--from", "2025-11-24T06:00Z"], "FROM must be one minute to 745 hours before now"),
        (["--from", f"{NOW + timedelta(seconds=-30):%Y-%m-%dT%H:%M:%S}"], "745 hours before now"),
        (["--from", "2026-11-24T18:30"], "begins in the future: now is 2026-11-24 13:00 UTC; a time without a zone"),
        (["--from", "2026-11-24T18:30", "--to", "2026-11-24T19:00"], "begins in the future: now is 2026-11-24 13:00"),
        (["--queue", "ranked"], "no queue is called 'ranked'"),
        (["--queue", "3000000000"], "no queue is called '3000000000'"),
    ],
)
def test_wrong_option_is_refused_with_the_reason(
    monkeypatch: pytest.MonkeyPatch,
    asked: list[tuple[TimeRange, MatchFilter]],
    capsys: pytest.CaptureFixture[str],
    options: list[str],
    problem: str,
) -> None:
    with pytest.raises(SystemExit):
        run(monkeypatch, *options)
    assert problem in capsys.readouterr().err
    assert asked == []
