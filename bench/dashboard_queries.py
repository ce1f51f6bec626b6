"""Dashboard queries: latency of each Kibana panel's query in Elasticsearch while the stream runs."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from elasticsearch import Elasticsearch
from msgspec import Struct

from analytics.search import count
from bench.freshness import p50_p95_p99
from bench.measured_stack import MeasuredStack
from bench.profiles import Profile
from bench.progress import print_progress
from generator.match_factory import MatchSize
from harness.kibana.panel_query import TIME_RANGE, PanelQuery, panel_queries
from harness.load import DOCUMENTS_PER_MATCH, background_stream
from harness.waiting import eventually

SIZE: MatchSize = "full"
RATE = 2
"""Matches a second of the stream."""
WARM_UP_RUNS, RUNS = 5, 40
"""Runs of each query."""
DATA_TIMEOUT_SECONDS = 300
"""How long a query may find no documents: the statistics of the last hour need a window that has ended."""


class QueryLatency(Struct, frozen=True):
    """Milliseconds that Elasticsearch took for one panel's query."""

    panel: str
    median: float
    p95: float
    maximum: float


class DashboardQueries(Struct, frozen=True):
    """`documents`: matches' documents in the dashboard's hour at the end of the measure. `runs`: of each query."""

    size: MatchSize
    rate: int
    documents: int
    runs: int
    queries: list[QueryLatency]


def measure_dashboard_queries(stack: MeasuredStack, profile: Profile) -> DashboardQueries:
    """Fill the dashboard's hour if it has too few documents, warm up, then run each query RUNS times.

    The stream runs from the warm-up to the end.
    """
    stack.wait_until_idle()
    client = stack.elasticsearch
    fill_hour(stack, profile.query_matches)
    queries = panel_queries()
    with background_stream(stack.kafka_settings, SIZE, RATE):
        for query in queries:
            wait_for_data(query, client)
        warm_up(queries, client, profile.query_warm_up_seconds)
        figures = [measure_query(query, client) for query in queries]
        documents = documents_of_hour(client)
    return DashboardQueries(SIZE, RATE, documents, RUNS, figures)


def fill_hour(stack: MeasuredStack, matches: int) -> None:
    """Send full-size matches until the dashboard's hour has at least `matches` matches: compact ones have no builds and
    no teams."""
    missing = matches - documents_of_hour(stack.elasticsearch) // DOCUMENTS_PER_MATCH
    if missing > 0:
        processed_before = stack.job_progress().processed
        stack.send_backlog(SIZE, missing)
        stack.wait_until_processed(processed_before + missing)
        stack.wait_until_merged()


def documents_of_hour(client: Elasticsearch) -> int:
    """Matches' documents that the dashboard covers."""
    last_hour: dict[str, Any] = {"range": {"@timestamp": {"gte": f"now-{TIME_RANGE.total_seconds():.0f}s"}}}
    return count(client, query=last_hour)


def wait_for_data(query: PanelQuery, client: Elasticsearch) -> None:
    """Wait until the query finds documents: its latency means nothing before. Raises AssertionError on a timeout."""

    def found() -> None:
        assert query.run(client).hits, f"the query of the panel {query.title} finds no documents"

    eventually(found, DATA_TIMEOUT_SECONDS, poll_seconds=1)


def warm_up(queries: Sequence[PanelQuery], client: Elasticsearch, seconds: float) -> None:
    """Run the queries in turn for `seconds`, and each at least WARM_UP_RUNS times."""
    deadline = time.monotonic() + seconds
    runs = 0
    while runs < WARM_UP_RUNS or time.monotonic() < deadline:
        for query in queries:
            query.run(client)
        runs += 1


def measure_query(query: PanelQuery, client: Elasticsearch) -> QueryLatency:
    """Run the query RUNS times, one after the other."""
    milliseconds = [query.run(client).took_ms for _ in range(RUNS)]
    median, p95, _ = p50_p95_p99(milliseconds)
    print_progress(f"query of {query.title}: median {median:.0f} ms, p95 {p95:.0f} ms, maximum {max(milliseconds)} ms")
    return QueryLatency(query.title, median, p95, max(milliseconds))
