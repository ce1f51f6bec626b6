"""What the dashboard reads: shared by all viewers, and kept while a source is away."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from threading import Barrier

import pytest

from analytics.match_statistics import FilterValues, MatchFilter
from analytics.time_range import TimeRange
from dashboard import sources
from dashboard.sources import Answer, Letter
from dashboard.view import View
from infra.clients.prometheus import PrometheusError
from tests.support.report_samples import PIPELINE
from tools.dlq.dead_letters import DeadLetterMessage, MessagePosition

VIEW = View("24 h", filter=MatchFilter(platform="of this test"))


class Source:
    """A source that counts its reads, and fails while it is away."""

    def __init__(self) -> None:
        self.reads = 0
        self.is_away = False

    def read(self, _: TimeRange, __: View, ___: str) -> object:
        self.reads += 1
        if self.is_away:
            raise PrometheusError("Prometheus does not answer")
        return PIPELINE


@pytest.fixture
def source(monkeypatch: pytest.MonkeyPatch) -> Iterator[Source]:
    found = Source()
    monkeypatch.setitem(sources.READERS, "pipeline", found.read)
    sources.shared.clear()
    yield found
    sources.shared.clear()


def test_viewers_of_the_same_view_share_one_read_and_no_viewer_means_no_read(source: Source) -> None:
    assert source.reads == 0
    barrier = Barrier(3)

    def view() -> Answer[object]:
        barrier.wait(10)
        return sources.shared("pipeline", VIEW)

    with ThreadPoolExecutor() as viewers:
        answers = [viewer.result() for viewer in [viewers.submit(view) for _ in range(3)]]
    assert source.reads == 1
    assert all(answer is answers[0] for answer in answers)
    assert sources.shared("pipeline", View("7 days", filter=VIEW.filter)).data is PIPELINE
    assert source.reads == 2, "another view is read by itself"


def test_data_is_kept_with_the_problem_while_a_source_is_away(source: Source) -> None:
    good = sources.shared("pipeline", VIEW)
    assert (good.data, good.problem) == (PIPELINE, "")
    source.is_away = True
    sources.shared.clear()  # as after its time to live
    kept = sources.shared("pipeline", VIEW)
    assert kept.data is PIPELINE
    assert kept.read_at == good.read_at
    assert kept.problem == "Prometheus does not answer"
    sources.shared("pipeline", VIEW)
    assert source.reads == 2, "an error is shared as well"
    source.is_away = False
    sources.shared.clear()
    back = sources.shared("pipeline", VIEW)
    assert back.problem == ""
    assert back.read_at is not None
    assert good.read_at is not None
    assert back.read_at > good.read_at


def test_large_headers_of_a_dead_letter_are_cut() -> None:
    """The dashboard keeps many letters, and its memory is small. The job's headers are kept."""
    empty: list[tuple[str, bytes | None]] = [("", b"")]
    large: list[tuple[str, bytes | None]] = [("a", b"x" * 10**6)]
    job: list[tuple[str, bytes | None]] = [("dlq.reason", b"not_json"), ("dlq.partition", b"1"), ("dlq.offset", b"7")]
    position = MessagePosition("lol_matches_dlq", 0, 1)
    letter = Letter.of(
        DeadLetterMessage(position, datetime(2026, 3, 1, tzinfo=UTC), None, b"{", large + 100_000 * empty + job)
    )
    assert letter.headers[:3] == tuple((name, (content or b"").decode()) for name, content in job)
    assert letter.headers[-1] == ("…", "more headers")
    assert sum(len(name) + len(content) for name, content in letter.headers) < 30_000
    few = DeadLetterMessage(position, datetime(2026, 3, 1, tzinfo=UTC), None, b"{", empty + job)
    assert len(Letter.of(few).headers) == 4


def test_empty_or_failed_filter_values_are_not_kept_longer_than_other_data(monkeypatch: pytest.MonkeyPatch) -> None:
    """The page is opened while Elasticsearch starts, or before the first match. Nothing is read twice at once."""
    values = FilterValues(queue_ids=(420,), champions=("Ahri",))
    answers: list[FilterValues | Exception] = [PrometheusError("away"), FilterValues(), values]
    time_ranges: list[TimeRange] = []

    def read(_: object, time_range: TimeRange) -> FilterValues:
        time_ranges.append(time_range)
        answer = answers[len(time_ranges) - 1]
        if isinstance(answer, Exception):
            raise answer
        return answer

    monkeypatch.setattr(sources, "_elasticsearch", lambda: None)
    monkeypatch.setattr(sources, "read_filter_values", read)
    sources._filter_values.clear()
    found = []
    for _ in range(4):
        sources.shared.clear()  # as after its time to live
        found.append(sources.filter_values(VIEW).data)
        assert sources.filter_values(VIEW).data == found[-1]
    assert found == [None, FilterValues(), values, values]
    assert len(time_ranges) == 3, "the values are kept"
    assert {each.end - each.start for each in time_ranges} == {timedelta(hours=24)}, "of the view's time range"
    sources.shared.clear()
    sources._filter_values.clear()
