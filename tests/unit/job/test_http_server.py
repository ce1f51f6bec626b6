"""HTTP server of the driver: /metrics and /health."""

import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from socket import create_connection, socket

import pytest
from prometheus_client import CollectorRegistry

from job.driver.http_server import serve
from job.driver.metrics import Metrics, QueryMetrics
from job.lag import ConsumerLag
from job.sinks.sink_wait import SinkWait
from tests.support.sample_matches import ALIASES


@pytest.fixture
def metrics() -> Metrics:
    return Metrics(ALIASES, max_batch_age=60, registry=CollectorRegistry())


@pytest.fixture
def query(metrics: Metrics) -> QueryMetrics:
    return metrics.add_query("matches", ConsumerLag("lol_job_kafka_lag_messages", query="matches"))


@pytest.fixture
def port(metrics: Metrics, query: QueryMetrics) -> Iterator[int]:
    with socket() as free:
        free.bind(("127.0.0.1", 0))
        number: int = free.getsockname()[1]
    server = serve(metrics, number)
    yield number
    server.shutdown()
    server.server_close()


def get(port: int, path: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as response:
            return response.status, response.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def test_health_check_is_503_with_the_reason_until_the_first_batch(query: QueryMetrics, port: int) -> None:
    assert get(port, "/health") == (503, "query matches is not running\n")
    assert get(port, "/alive") == (200, "ok\n")
    query.query_started()
    query.query_idle()
    assert get(port, "/health") == (200, "ok\n")


def test_health_check_of_a_waiting_job_is_200_with_the_reason(metrics: Metrics, query: QueryMetrics, port: int) -> None:
    query.query_started()
    query.query_idle()
    metrics.record_sink_wait(SinkWait("Elasticsearch", "it answers 400 (closed)", seconds=60, attempt=1))
    assert get(port, "/health") == (200, "a sink waits for Elasticsearch: it answers 400 (closed)\n")


def test_hanging_query_is_not_alive(query: QueryMetrics, port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    query.query_started()
    query.query_idle()
    later = time.monotonic() + 61
    monkeypatch.setattr(time, "monotonic", lambda: later)
    assert get(port, "/alive") == (503, "query matches has finished no batch for 61 s\n")


def test_metrics_page_is_in_prometheus_format(port: int) -> None:
    status, text = get(port, "/metrics")
    assert status == 200
    assert "# TYPE python_info gauge" in text


def test_unknown_path_is_404(port: int) -> None:
    assert get(port, "/") == (404, "/metrics, /health, /alive\n")


def test_hanging_client_does_not_block_the_health_check(port: int) -> None:
    with create_connection(("127.0.0.1", port)):
        assert get(port, "/health")[0] == 503
