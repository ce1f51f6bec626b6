"""Latency of the dashboard's queries. Elasticsearch, the job and the stream are fakes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any
from unittest.mock import MagicMock

import pytest

from bench import dashboard_queries
from bench.dashboard_queries import RUNS, WARM_UP_RUNS, DashboardQueries, fill_hour, measure_dashboard_queries, warm_up
from bench.profiles import QUICK
from harness.kibana.objects import panels
from harness.kibana.panel_query import PanelQuery, PanelResponse


class FakeQuery:
    """A query whose n-th run takes n ms and which finds documents from its second run on."""

    title = "Champions"

    def __init__(self, streams: list[str]) -> None:
        self.streams_during_runs: list[tuple[str, ...]] = []
        self._streams = streams

    def run(self, _client: object) -> PanelResponse:
        self.streams_during_runs.append(tuple(self._streams))
        runs = len(self.streams_during_runs)
        return PanelResponse(rows=[], hits=runs - 1, took_ms=runs)


@pytest.fixture
def stack() -> Any:
    """A stack with 840 documents in the last hour, whose job has processed 5 messages."""
    stack = MagicMock(kafka_settings={"bootstrap.servers": "a-broker:9092"})
    stack.elasticsearch.search.return_value = {"hits": {"total": {"value": 840}}}
    stack.job_progress.return_value.processed = 5
    return stack


@pytest.fixture
def streams(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The streams that are running."""
    running: list[str] = []

    @contextmanager
    def background_stream(client: Mapping[str, str], size: str, rate: float) -> Iterator[None]:
        running.append(f"{rate} {size} matches/s to {client['bootstrap.servers']}")
        yield
        running.pop()

    monkeypatch.setattr(dashboard_queries, "background_stream", background_stream)
    return running


def test_query_latency_is_measured_after_the_warm_up_while_the_stream_runs(
    stack: Any, streams: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    query = FakeQuery(streams)
    monkeypatch.setattr(dashboard_queries, "panel_queries", lambda: [query])
    measured = measure_dashboard_queries(stack, QUICK)

    runs_before = 2 + WARM_UP_RUNS  # the first finds no documents
    assert query.streams_during_runs == [("2 full matches/s to a-broker:9092",)] * (runs_before + RUNS)
    assert streams == []
    (latency,) = measured.queries
    assert latency.median == runs_before + (RUNS + 1) / 2
    assert latency.p95 == pytest.approx(runs_before + 1 + 0.95 * (RUNS - 1))
    assert latency.maximum == runs_before + RUNS
    assert measured == DashboardQueries("full", 2, 840, RUNS, [latency])


def test_warm_up_lasts_its_time(stack: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dashboard_queries, "time", MagicMock(monotonic=MagicMock(side_effect=range(100))))
    query = MagicMock()
    warm_up([query], stack.elasticsearch, seconds=10)
    assert query.run.call_count == WARM_UP_RUNS + 9


def test_missing_matches_of_the_hour_are_sent_and_processed(stack: Any) -> None:
    fill_hour(stack, 100)
    stack.send_backlog.assert_called_once_with("full", 16)
    stack.wait_until_processed.assert_called_once_with(5 + 16)


def test_nothing_is_sent_if_the_hour_has_enough_matches(stack: Any) -> None:
    fill_hour(stack, 84)
    stack.send_backlog.assert_not_called()


def test_panel_query_searches_the_last_hour_without_the_request_cache() -> None:
    (bucket_id,) = [
        each for each, column in panels()["lol-arrivals"].layers["data"].columns.items() if column.is_bucketed
    ]
    response = {"took": 7, "hits": {"total": {"value": 3}}, "aggregations": {bucket_id: {"buckets": []}}}
    client = MagicMock()
    client.search.return_value = MagicMock(body=response, __getitem__=lambda _, key: response[key])

    assert PanelQuery("lol-arrivals", "data").run(client) == PanelResponse(rows=[], hits=3, took_ms=7)
    request = client.search.call_args.kwargs
    assert (request["index"], request["request_cache"]) == ("lol_matches_stream", False)
    assert request["allow_partial_search_results"] is False
    (bounds,) = [each["range"]["ingested_at"] for each in request["query"]["bool"]["filter"] if "range" in each]
    assert datetime.fromisoformat(bounds["lte"]) - datetime.fromisoformat(bounds["gte"]) == timedelta(hours=1)
