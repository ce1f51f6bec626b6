"""What the dashboard's pages read. Streamlit runs them in the test, with sample data."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest
from altair.utils import schemapi
from streamlit.testing.v1 import AppTest

from analytics.match_statistics import FilterValues, MatchFilter, MatchStatistics
from analytics.player import Player, PlayerGame
from analytics.time_range import TimeRange
from dashboard import settings, sources
from dashboard.sources import DisplayedDeadLetter, Source
from dashboard.view import View
from infra.clients.prometheus import Alert, PrometheusClient, Series
from infra.names import ROOT
from tests.support.report_samples import MATCHES, TIME_RANGE


class FakePrometheus(PrometheusClient):
    """Has no series; counts the queries of now and those over time."""

    def __init__(self) -> None:
        self.values_of_now = self.ranges = 0
        self.queries: list[str] = []

    def range(self, query: str, start: datetime, end: datetime, step_seconds: int) -> list[Series]:
        self.ranges += 1
        self.queries.append(query)
        return []

    def value(self, query: str, at: datetime | None = None) -> float | None:
        self.values_of_now += 1
        self.queries.append(f"{query} of now")
        return None

    def values(self, query: str, label: str) -> dict[str, float]:
        self.queries.append(query)
        return {}

    def alerts(self) -> list[Alert]:
        return []


@pytest.fixture
def prometheus(monkeypatch: pytest.MonkeyPatch) -> FakePrometheus:
    """The Prometheus that the pages read."""
    found = FakePrometheus()
    monkeypatch.setattr(sources, "_prometheus", lambda: found)
    return found


@pytest.fixture
def views(monkeypatch: pytest.MonkeyPatch) -> list[View]:
    """The views of which the page reads the matches."""
    read: list[View] = []

    def matches(_: TimeRange, view: View, __: str) -> MatchStatistics:
        read.append(view)
        return MATCHES

    values = FilterValues((420,), ("EUW1", "tr1"), ("16.4",), ("Ahri",))
    monkeypatch.setattr(sources, "matches", Source(matches))
    monkeypatch.setattr(sources, "filter_values", Source(lambda *_: values))
    monkeypatch.delenv(settings.VARIABLE, raising=False)  # so that no page needs a login
    settings.read_settings.cache_clear()
    sources.entry_of.cache_clear()
    return read


def open_page(**parameters: str) -> AppTest:
    """Open the page Matches, or that of the query parameter `page`."""
    app = AppTest.from_file(str(ROOT / "dashboard" / "app.py"), default_timeout=30)
    for name, value in parameters.items():
        app.query_params[name] = value
    app.run()
    assert not app.exception
    return app


def test_page_of_matches_reads_no_series_that_it_does_not_draw(prometheus: FakePrometheus, views: list[View]) -> None:
    open_page()
    assert len(views) == 1
    assert prometheus.ranges == 0
    assert 0 < prometheus.values_of_now <= 8


@pytest.mark.usefixtures("prometheus")
@pytest.mark.parametrize(
    ("name", "typed", "only"),
    [
        ("champion", "Kai'Sa", MatchFilter(champion="Kaisa")),
        ("champion", "Wukong", MatchFilter(champion="MonkeyKing")),
        ("champion", "ahri", MatchFilter(champion="Ahri")),
        ("champion", "Newest", MatchFilter(champion="Newest")),
        ("platform", "euw1", MatchFilter(platform="EUW1")),
        ("platform", "tr1", MatchFilter(platform="tr1")),  # as the documents have it
        ("position", "jungle", MatchFilter(position="JUNGLE")),
        ("queue", "5v5 ranked solo", MatchFilter(queue_ids=(420,))),
        ("queue", "-1", MatchFilter(queue_ids=(-1,))),
        ("queue", "-7", MatchFilter(queue_ids=(-7,))),
        ("queue", "2000000001", MatchFilter(queue_ids=(2_000_000_001,))),
        ("queue", "Bogus", MatchFilter(queue_ids=())),
        ("queue", "3000000000", MatchFilter(queue_ids=())),  # no id of a document
    ],
)
def test_value_in_the_url_selects_the_documents_spelling(
    views: list[View], name: str, typed: str, only: MatchFilter
) -> None:
    open_page(**{name: typed})
    assert [view.filter for view in views] == [only]


@pytest.mark.usefixtures("prometheus")
@pytest.mark.parametrize(
    ("begin", "end", "times"),
    [
        (
            "2026-10-31T23:55:30+02:00",
            "2026-11-01T00:05Z",
            (datetime(2026, 10, 31, 21, 55), datetime(2026, 11, 1, 0, 5)),
        ),
        ("1990-01-01T00:00", "2026-11-01T00:05", (datetime(1990, 1, 1), datetime(2026, 11, 1, 0, 5))),
    ],
    ids=["zones", "long ago"],
)
def test_time_in_the_url_may_have_a_zone_and_be_long_ago(
    views: list[View], begin: str, end: str, times: tuple[datetime, datetime]
) -> None:
    hints = hints_of(**{"range": "from-to", "from": begin, "to": end})
    assert [(view.begin, view.end) for view in views] == [tuple(time.replace(tzinfo=UTC) for time in times)]
    assert hints == ""


@pytest.mark.usefixtures("prometheus", "views")
@pytest.mark.parametrize(
    ("begin", "end", "words"),
    [
        ("", "", ["From and To are empty: the data is of "]),
        ("", "2026-03-01T12:00", ["From is empty: the data is of 2026-03-01 11:00 to 2026-03-01 12:00 UTC."]),
        (
            "yesterday",
            "2026-03-01T12:00",
            ["From: yesterday is no time", "of 2026-03-01 11:00 to 2026-03-01 12:00 UTC"],
        ),
        ("2026-03-01T12:00", "0001-01-01T00:00+14:00", ["To: 0001-01-01T00:00+14:00 is no time", "To is empty: "]),
    ],
)
def test_page_says_which_times_it_shows_if_from_or_to_is_missing(begin: str, end: str, words: list[str]) -> None:
    for page in ("Matches", "Champion", "Pipeline", "Dead letters"):
        shown = hints_of(**{"page": page, "range": "from-to", "from": begin, "to": end})
        assert [each for each in words if each not in shown] == []


@pytest.mark.usefixtures("prometheus", "views")
def test_time_range_in_the_future_asks_for_another_one() -> None:
    shown = hints_of(**{"range": "from-to", "from": "2150-01-01T00:00"})
    assert "The time range begins in the future: now is " in shown
    assert "UTC. Choose another one." in shown


def hints_of(**parameters: str) -> str:
    """What the page with these query parameters says of its choices and problems."""
    bodies = [each.proto.body for each in open_page(**parameters).get("html")]
    return "".join(body for body in bodies if 'class="hint"' in body or 'class="problem"' in body)


@pytest.mark.usefixtures("prometheus", "views")
@pytest.mark.parametrize(
    ("games", "form"), [(1, "the last game"), (2, "the last 2 games, newest first")], ids=["one game", "two games"]
)
def test_form_of_a_player(monkeypatch: pytest.MonkeyPatch, games: int, form: str) -> None:
    game = PlayerGame("EUW1_1", TIME_RANGE.end, 1845, "Arena", "Ahri", "Middle", 7, 3, 9, True)
    player = Player("p", ("Ann#EUW",), games, (), (), games * (game,))
    monkeypatch.setattr(sources.player, "read", lambda *_: player)
    shown = [element.proto.body for element in open_page(page="Player", player="Ann#EUW").get("html")]
    assert f'<h3>Form</h3><p class="note">{form}</p>' in shown


@pytest.mark.usefixtures("prometheus", "views")
def test_page_does_not_validate_its_charts(monkeypatch: pytest.MonkeyPatch) -> None:
    """That takes longer than all the rest of a refresh."""
    validated: list[str] = []
    monkeypatch.setattr(schemapi, "DEBUG_MODE", True)
    monkeypatch.setattr(schemapi.SchemaBase, "validate", lambda instance, *_: validated.append(str(type(instance))))
    open_page()
    assert validated == []


@pytest.mark.usefixtures("views")
@pytest.mark.parametrize(("name", "queries"), [("Pipeline", 19), ("Dead letters", 3)])
def test_page_sends_each_query_once_and_none_that_it_does_not_draw(
    monkeypatch: pytest.MonkeyPatch, prometheus: FakePrometheus, name: str, queries: int
) -> None:
    monkeypatch.setattr(sources, "newest_dead_letters", Source(lambda *_: []))
    open_page(page=name)
    assert len(prometheus.queries) == len(set(prometheus.queries)) == queries


@pytest.mark.usefixtures("views", "prometheus")
@pytest.mark.parametrize(
    ("page", "control", "default"),
    [("Matches", "champion", "all"), ("Player", "player", ""), ("Dead letters", "letter", "")],
)
def test_long_value_in_the_url_is_ignored(
    monkeypatch: pytest.MonkeyPatch, page: str, control: str, default: str
) -> None:
    """Caches and searches would keep it: a few of the largest would be more than the container's memory."""
    monkeypatch.setattr(sources, "newest_dead_letters", Source(lambda *_: []))
    app = open_page(page=page, **{control: "9" * 121})
    assert not app.exception
    assert app.session_state[control] == default


@pytest.mark.usefixtures("views", "prometheus")
def test_page_without_metrics_of_the_job_says_that_dead_letters_are_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "newest_dead_letters", Source(lambda *_: []))
    app = AppTest.from_file(str(ROOT / "dashboard" / "app.py"), default_timeout=30)
    app.query_params["page"] = "Dead letters"
    shown = [each.proto.body for each in app.run().get("html") if 'class="empty"' in each.proto.body]
    unknown = [body for body in shown if "unknown: Prometheus has no metrics of the job" in body]
    assert len(unknown) == 2
    assert not [body for body in shown if "none since" in body]


@pytest.mark.usefixtures("views", "prometheus")
@pytest.mark.parametrize("stack", ["dev", "other"])
def test_command_that_a_page_shows_names_the_stack(monkeypatch: pytest.MonkeyPatch, stack: str) -> None:
    """Typed without, it would act on the stack `dev`."""
    letter = DisplayedDeadLetter("0:17", datetime(2026, 3, 1, tzinfo=UTC), "not_json", "", "", 1, (), "{", "")
    monkeypatch.setattr(sources, "newest_dead_letters", Source(lambda *_: [letter]))
    monkeypatch.setattr(sources, "dead_letter", Source(lambda *_: letter))
    monkeypatch.setattr(sources, "read_settings", lambda: SimpleNamespace(stack=stack))
    app = AppTest.from_file(str(ROOT / "dashboard" / "app.py"), default_timeout=30)
    app.query_params["page"], app.query_params["letter"] = "Dead letters", "0:17"
    shown = "".join(each.proto.body for each in app.run().get("html"))
    assert f"make dlq REPLAY=0:17 STACK={stack}<" in shown
    assert f"`make dlq STACK={stack}` counts all" in shown


@pytest.mark.usefixtures("prometheus", "views")
@pytest.mark.parametrize(
    ("parameters", "card", "words"),
    [
        (
            {"page": "Matches"},
            "name sorts, one on a champion opens its page",
            "without remakes, matches without a winner, bots",
        ),
        ({"page": "Player", "player": "Ann#EUW"}, "<dt>Games</dt>", "without remakes and matches without a winner"),
    ],
    ids=["champions", "player"],
)
def test_labels_say_which_games_are_left_out(
    monkeypatch: pytest.MonkeyPatch, parameters: dict[str, str], card: str, words: str
) -> None:
    player = Player("puuid", ("Ann#EUW",), 1, (), (), ())
    monkeypatch.setattr(sources, "player", Source(lambda *_: player))
    app = AppTest.from_file(str(ROOT / "dashboard" / "app.py"), default_timeout=30)
    for name, value in parameters.items():
        app.query_params[name] = value
    (shown,) = [each.proto.body for each in app.run().get("html") if card in each.proto.body]
    assert words in shown


@pytest.mark.usefixtures("prometheus")
def test_filters_of_an_open_page_get_their_values_with_the_first_match(
    monkeypatch: pytest.MonkeyPatch, views: list[View]
) -> None:
    """A refresh runs a part of the page, without the controls."""
    empty, values = FilterValues(), FilterValues((420,), ("EUW1",), ("16.4",), ("Ahri",))
    reads = [empty]
    monkeypatch.setattr(sources, "filter_values", lambda _: sources.Answer(reads.pop() if reads else values))
    app = AppTest.from_file(str(ROOT / "dashboard" / "app.py"), default_timeout=30).run()
    (champions,) = [box.options for box in app.selectbox if box.label == "Champion"]
    assert champions == ["all", "Ahri"]
    assert views


@pytest.mark.usefixtures("prometheus", "views")
def test_alert_of_an_outage_stays_the_same_while_the_data_gets_older(monkeypatch: pytest.MonkeyPatch) -> None:
    """A screen reader reads an alert that has changed again, every 10 s."""
    now = datetime.now(UTC)

    def elements(age: int) -> list[str]:
        answer = sources.Answer(MATCHES, TIME_RANGE, now - timedelta(seconds=age), "Elasticsearch does not answer")
        monkeypatch.setattr(sources, "matches", lambda _: answer)
        app = AppTest.from_file(str(ROOT / "dashboard" / "app.py"), default_timeout=30).run()
        return [element.proto.body for element in app.get("html") if "problems" in element.proto.body] + [
            element.proto.body for element in app.get("html") if "Below is the data" in element.proto.body
        ]

    (alert, age), (later_alert, later_age) = elements(20), elements(300)
    assert 'role="alert"' in alert
    assert alert == later_alert
    assert age != later_age


@pytest.mark.usefixtures("prometheus", "views")
def test_age_of_the_newest_document_does_not_include_that_of_the_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    read_at = datetime.now(UTC) - timedelta(seconds=50)
    found = replace(MATCHES, newest_arrived_at=read_at - timedelta(seconds=20))
    monkeypatch.setattr(sources, "matches", lambda _: sources.Answer(found, TIME_RANGE, read_at))
    app = AppTest.from_file(str(ROOT / "dashboard" / "app.py"), default_timeout=30).run()
    (tiles,) = [element.proto.body for element in app.get("html") if "Newest document" in element.proto.body]
    assert '<dd class="value">20.0 s</dd>' in tiles
