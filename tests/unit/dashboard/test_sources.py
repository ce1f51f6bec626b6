"""What the dashboard reads: shared by all viewers, and kept while a source is away."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from threading import Barrier, Event
from types import SimpleNamespace
from typing import Any

import pytest
import requests
import streamlit as st
from elasticsearch import ConnectionTimeout

from analytics.match_statistics import FilterValues, MatchFilter
from analytics.time_range import TimeRange
from dashboard import sources
from dashboard.sources import Answer, DisplayedDeadLetter, Source
from dashboard.view import View
from infra.clients.prometheus import PrometheusError
from tests.support.report_samples import MATCHES, PIPELINE
from tests.unit.conftest import Clock
from tools.dlq.dead_letters import DeadLetterMessage, MessagePosition

VIEW = View("24 h", filter=MatchFilter(platform="of this test"))


class FakeReader:
    """Counts its reads, and fails while its server is away."""

    def __init__(self) -> None:
        self.reads = 0
        self.is_away = False

    def __call__(self, *_: object) -> object:
        self.reads += 1
        if self.is_away:
            raise PrometheusError("Prometheus does not answer")
        return PIPELINE


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The time that the sources read."""
    found = Clock()
    monkeypatch.setattr(sources, "monotonic", found)
    sources.entry_of.cache_clear()
    return found


@pytest.fixture
def reader(clock: Clock) -> FakeReader:
    return FakeReader()


@pytest.fixture
def source(reader: FakeReader) -> Source[object]:
    return Source(reader)


def test_viewers_of_the_same_view_share_one_read_and_no_viewer_means_no_read(
    reader: FakeReader, source: Source[object]
) -> None:
    assert reader.reads == 0
    barrier = Barrier(3)

    def view() -> Answer[object]:
        barrier.wait(10)
        return source(VIEW)

    with ThreadPoolExecutor() as viewers:
        answers = [viewer.result() for viewer in [viewers.submit(view) for _ in range(3)]]
    assert reader.reads == 1
    assert all(answer is answers[0] for answer in answers)
    assert source(View("7 days", filter=VIEW.filter)).data is PIPELINE
    assert reader.reads == 2, "another view is read by itself"
    assert Source(reader)(VIEW).data is PIPELINE
    assert reader.reads == 3, "another source is read by itself"


def test_viewers_share_an_error_that_came_after_more_than_an_interval(
    monkeypatch: pytest.MonkeyPatch, clock: Clock
) -> None:
    """Otherwise each of them would wait as long, one after the other."""
    reads: list[float] = []
    is_reading, other_has_called = Event(), Event()

    def now() -> float:
        if is_reading.is_set():
            other_has_called.set()
        return clock()

    def read(*_: object) -> None:
        reads.append(clock())
        clock.sleep(3 * sources.TTL_SECONDS)
        is_reading.set()
        assert other_has_called.wait(10)
        clock.sleep(1)
        raise PrometheusError("Prometheus does not answer")

    monkeypatch.setattr(sources, "monotonic", now)
    source = Source(read)
    with ThreadPoolExecutor() as viewers:
        first = viewers.submit(source, VIEW)
        assert is_reading.wait(10)
        other = viewers.submit(source, VIEW)
    assert first.result() is other.result()
    assert len(reads) == 1


def test_least_recently_used_views_are_forgotten(reader: FakeReader, source: Source[object]) -> None:
    """The memory of the dashboard is small. Viewers can choose any number of views."""
    source(VIEW)
    for number in range(sources.MAX_CACHED_VIEWS - 1):
        source(VIEW, str(number))
        source(VIEW)
    assert reader.reads == sources.MAX_CACHED_VIEWS
    Source(reader)(VIEW)
    source(VIEW)
    assert reader.reads == sources.MAX_CACHED_VIEWS + 1
    source(VIEW, "0")
    assert reader.reads == sources.MAX_CACHED_VIEWS + 2


def test_viewer_who_clears_the_caches_of_streamlit_does_not_remove_the_data(
    reader: FakeReader, source: Source[object], clock: Clock
) -> None:
    """Each browser can send that message, also before the login."""
    good = source(VIEW)
    reader.is_away = True
    st.cache_resource.clear()
    assert source(VIEW) is good
    clock.sleep(60)
    st.cache_resource.clear()
    assert source(VIEW).data is good.data


@pytest.mark.parametrize(
    ("begin", "end"), [(30, None), (30, 90), (90, 30), (None, 90)], ids=["from", "both", "swapped", "to"]
)
def test_time_range_in_the_future_is_a_problem(
    reader: FakeReader, source: Source[object], begin: int | None, end: int | None
) -> None:
    """With one time, the other is now, or an hour before."""
    now = datetime.now(UTC)
    times = [None if minutes is None else now + timedelta(minutes=minutes) for minutes in (begin, end)]
    answer = source(View("from-to", begin=times[0], end=times[1]))
    assert answer.problem.startswith("The time range begins in the future: now is ")
    assert (reader.reads, answer.data) == (0, None)


@pytest.mark.parametrize(("begin", "end", "minutes"), [(-30, None, 30), (None, 30, 30), (-30, -90, 60)])
def test_time_range_by_one_time_or_swapped_times(begin: int | None, end: int | None, minutes: int) -> None:
    now = datetime(2026, 3, 1, 12, 0, 10, tzinfo=UTC)
    whole = now.replace(second=0)
    times = [None if offset is None else whole + timedelta(minutes=offset) for offset in (begin, end)]
    time_range = View("from-to", begin=times[0], end=times[1]).time_range(now)
    assert time_range.end - time_range.start == timedelta(minutes=minutes)


def test_data_is_kept_with_the_problem_while_a_source_is_away(
    reader: FakeReader, source: Source[object], clock: Clock
) -> None:
    good = source(VIEW)
    assert (good.data, good.problem) == (PIPELINE, "")
    reader.is_away = True
    clock.sleep(60)
    kept = source(VIEW)
    assert kept.data is PIPELINE
    assert kept.read_at == good.read_at
    assert kept.problem == "Prometheus does not answer"
    source(VIEW)
    assert reader.reads == 2, "an error is shared as well"
    reader.is_away = False
    clock.sleep(sources.TTL_SECONDS)
    back = source(VIEW)
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
    letter = DisplayedDeadLetter.of(
        DeadLetterMessage(position, datetime(2026, 3, 1, tzinfo=UTC), None, b"{", large + 100_000 * empty + job)
    )
    assert letter.headers[:3] == tuple((name, (content or b"").decode()) for name, content in job)
    assert letter.headers[-1] == ("…", "more headers")
    assert sum(len(name) + len(content) for name, content in letter.headers) < 30_000
    few = DeadLetterMessage(position, datetime(2026, 3, 1, tzinfo=UTC), None, b"{", empty + job)
    assert len(DisplayedDeadLetter.of(few).headers) == 4


def test_empty_or_failed_filter_values_are_not_kept_longer_than_other_data(
    monkeypatch: pytest.MonkeyPatch, clock: Clock
) -> None:
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
    found = []
    for _ in range(4):
        clock.sleep(60)
        found.append(sources.filter_values(VIEW).data)
        assert sources.filter_values(VIEW).data == found[-1]
    assert found == [None, FilterValues(), values, values]
    assert len(time_ranges) == 3, "the values are kept"
    assert {each.end - each.start for each in time_ranges} == {timedelta(hours=24)}, "of the view's time range"


class SlowElasticsearch:
    """Elasticsearch whose queries take `duration` seconds, or with an error as long as the timeout."""

    def __init__(self, clock: Clock, duration: float) -> None:
        self.clock, self.duration = clock, duration
        self.reads = 0
        self.answers = True

    def read(self, *_: object) -> object:
        self.reads += 1
        self.clock.sleep(min(self.duration, sources.TIMEOUT_SECONDS))
        if self.duration > sources.TIMEOUT_SECONDS:
            raise ConnectionTimeout("Connection timed out")
        return MATCHES

    def options(self, **_: object) -> SlowElasticsearch:
        return self

    def search(self, **_: object) -> dict[str, object]:
        if not self.answers:
            raise ConnectionTimeout("Connection timed out")
        return {}


def reads_in(seconds: int, view: View, elasticsearch: SlowElasticsearch, source: Source[Any] = sources.matches) -> int:
    """How often a page that is open for this time reads."""
    begin, before = elasticsearch.clock.now, elasticsearch.reads
    while elasticsearch.clock.now < begin + seconds:
        source(view)
        elasticsearch.clock.sleep(sources.REFRESH_SECONDS)
    return elasticsearch.reads - before


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch, clock: Clock) -> SlowElasticsearch:
    found = SlowElasticsearch(clock, 60)
    monkeypatch.setattr(sources, "_elasticsearch", lambda: found)
    monkeypatch.setattr(sources.matches, "read", found.read)
    monkeypatch.setattr(sources.player, "read", found.read)
    return found


def test_time_range_that_takes_longer_than_the_timeout_is_tried_once_a_minute(slow: SlowElasticsearch) -> None:
    assert reads_in(300, View("30 days"), slow) <= 6
    problem = sources.matches(View("30 days")).problem
    assert problem == "Elasticsearch needs more than 8 s: choose a shorter time range"


def test_time_range_that_took_too_long_once_is_read_at_the_next_refresh(slow: SlowElasticsearch) -> None:
    """It was a pause of Elasticsearch."""
    assert reads_in(18, View(), slow) == 1
    slow.duration = 0.1
    assert reads_in(30, View(), slow) == 3
    assert sources.matches(View()).problem == ""


def test_player_that_takes_longer_than_the_timeout_is_tried_once_a_minute(slow: SlowElasticsearch) -> None:
    """A player's matches have no time range that could be shorter."""
    assert reads_in(300, View(), slow, sources.player) <= 6
    assert sources.player(View()).problem == "Elasticsearch needs more than 8 s for this player"


@pytest.mark.parametrize("source", [sources.matches, sources.player], ids=["matches", "player"])
def test_elasticsearch_that_does_not_answer_at_all_is_tried_at_each_refresh(
    slow: SlowElasticsearch, source: Source[Any]
) -> None:
    """As soon as it is back, the page is."""
    slow.answers = False
    assert reads_in(180, View(), slow, source) == 10
    assert source(View()).problem == "Elasticsearch does not answer: Connection timed out"


@pytest.mark.parametrize(
    ("view", "duration", "reads"),
    [
        (View("1 h"), 0.1, 60),
        (View("1 h"), 0.9, 60),
        (View("30 days"), 0.1, 60),
        (View("1 h"), 4, 600 / 24),
        (View("30 days"), 7, 600 / 37),
        (View("from-to", begin=datetime(2026, 2, 1, tzinfo=UTC), end=datetime(2026, 2, 2, tzinfo=UTC)), 0.1, 2),
    ],
)
def test_slow_or_ended_time_range_is_read_less_often(
    slow: SlowElasticsearch, view: View, duration: float, reads: float
) -> None:
    slow.duration = duration
    assert reads_in(600, view, slow) == pytest.approx(reads, abs=1 + reads / 10)


def test_newest_dead_letters_are_read_again_only_if_the_topic_has_changed(
    monkeypatch: pytest.MonkeyPatch, clock: Clock
) -> None:
    offsets = {0: (0, 1)}
    letter = DeadLetterMessage(
        MessagePosition("lol_matches_dlq", 0, 0), datetime(2026, 3, 1, tzinfo=UTC), None, b"", []
    )
    reads: list[int] = []

    def read(*_: object) -> list[DeadLetterMessage]:
        reads.append(offsets[0][1])
        return offsets[0][1] * [letter]

    monkeypatch.setattr(sources, "_kafka", dict)
    monkeypatch.setattr(sources, "read_offsets", lambda _: dict(offsets))
    monkeypatch.setattr(sources, "read_dead_letters", read)
    sources._newest_letters.cache_clear()
    found = []
    for end in (1, 1, 2, 2):
        offsets[0] = (0, end)
        clock.sleep(60)
        found.append(len(sources.newest_dead_letters().data or []))
    assert found == [1, 1, 2, 2]
    assert reads == [1, 2]
    sources._newest_letters.cache_clear()


def test_queries_of_prometheus_have_a_shorter_timeout_than_a_refresh(monkeypatch: pytest.MonkeyPatch) -> None:
    """A page has up to 19 of them, one after the other."""
    settings = SimpleNamespace(prometheus=SimpleNamespace(url="http://localhost:1", username="", ca_certificates=""))
    monkeypatch.setattr(sources, "read_settings", lambda: settings)
    sources._prometheus.cache_clear()
    timeouts: list[float] = []

    def request(*_: object, timeout: float, **__: object) -> requests.Response:
        timeouts.append(timeout)
        raise requests.ConnectTimeout("away")

    monkeypatch.setattr(requests.Session, "request", request)
    with pytest.raises(PrometheusError, match="does not answer"):
        sources._prometheus().alerts()
    sources._prometheus.cache_clear()
    assert timeouts == [3]
