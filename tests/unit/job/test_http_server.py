"""HTTP server of the driver, and of archive and generator: /metrics, /health, /alive, the login."""

import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from socket import create_connection, socket
from wsgiref.simple_server import WSGIServer

import pytest
import requests
from prometheus_client import CollectorRegistry

import generator.wsgi_server
import job.wsgi_server
from generator.metrics import GeneratorMetrics
from job.driver.health import JobHealth
from job.driver.http_server import pages
from job.settings import Http, with_overrides
from job.sinks.sink_wait import SinkWait
from job.web_server import serve


def http_settings(**login: str) -> Http:
    """The settings with a free port."""
    with socket() as free:
        free.bind(("127.0.0.1", 0))
        return with_overrides({"http": {"port": free.getsockname()[1], **login}}).http


@pytest.fixture
def port(health: JobHealth) -> Iterator[int]:
    options = http_settings()
    server = serve(pages(health), options)
    yield options.port
    server.shutdown()
    server.server_close()


def get(port: int, path: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as response:
            return response.status, response.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def test_health_check_is_503_with_the_reason_until_the_first_batch(health: JobHealth, port: int) -> None:
    assert get(port, "/health") == (503, "query matches is not running\n")
    assert get(port, "/alive") == (200, "ok\n")
    health.matches.query_started()
    health.matches.batch_finished()
    assert get(port, "/health") == (200, "ok\n")


def test_health_check_of_a_waiting_job_is_200_with_the_reason(health: JobHealth, port: int) -> None:
    health.matches.query_started()
    health.matches.batch_finished()
    health.record_sink_wait(SinkWait("Elasticsearch", "it answers 400 (closed)", seconds=60))
    assert get(port, "/health") == (200, "waiting for Elasticsearch: it answers 400 (closed)\n")


def test_hanging_query_is_not_alive(health: JobHealth, port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    health.matches.query_started()
    health.matches.batch_finished()
    later = time.monotonic() + 61
    monkeypatch.setattr(time, "monotonic", lambda: later)
    assert get(port, "/alive") == (503, "query matches has made no progress for 61 s\n")


def test_metrics_page_is_in_prometheus_format(port: int) -> None:
    status, text = get(port, "/metrics")
    assert status == 200
    assert "# TYPE python_info gauge" in text


def test_unknown_path_is_404(port: int) -> None:
    assert get(port, "/") == (404, "/metrics, /health, /alive\n")


def serve_job(health: JobHealth) -> WSGIServer:
    """The driver's pages; the archive has the same server and login."""
    return serve(pages(health), http_settings(username="monitor", password="a:b"))


def serve_generator(_health: JobHealth) -> WSGIServer:
    return GeneratorMetrics(CollectorRegistry()).serve(http_settings().port, "monitor:a:b")


@pytest.mark.parametrize("start", [serve_job, serve_generator])
def test_every_path_needs_the_login_if_there_is_one(
    start: Callable[[JobHealth], WSGIServer], health: JobHealth
) -> None:
    server = start(health)
    url = f"http://127.0.0.1:{server.server_port}"
    try:
        for path in ("/metrics", "/health", "/alive", "/"):
            for login in (None, ("monitor", "a"), ("", ""), ("monitor", ""), ("mönitör", "a:b")):
                answer = requests.get(url + path, auth=login, timeout=5)
                assert (answer.status_code, answer.text) == (401, ""), f"{path} {login}"
        for header in ("Basic", "Basic !", "Bearer bW9uaXRvcjphOmI=", "bW9uaXRvcjphOmI=", "\xff"):
            answer = requests.get(f"{url}/metrics", headers={"Authorization": header.encode("latin-1")}, timeout=5)
            assert answer.status_code == 401, header
        assert requests.get(f"{url}/metrics", auth=("monitor", "a:b"), timeout=5).status_code == 200
    finally:
        server.shutdown()
        server.server_close()


def set_timeout(monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    for module in (job.wsgi_server, generator.wsgi_server):
        monkeypatch.setattr(module.RequestHandler, "timeout", seconds)


@pytest.mark.parametrize("start", [serve_job, serve_generator])
@pytest.mark.parametrize("sent", [b"", b"GET /metrics HTTP/1.0\r\nHost:"], ids=["nothing", "half a request"])
def test_connection_of_a_silent_client_is_closed_without_a_line_in_the_log(
    start: Callable[[JobHealth], WSGIServer],
    sent: bytes,
    health: JobHealth,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    set_timeout(monkeypatch, 0.5)
    server = start(health)
    try:
        with create_connection(("127.0.0.1", server.server_port), timeout=5) as connection:
            connection.sendall(sent)
            assert connection.recv(1) == b""
    finally:
        server.shutdown()
        server.server_close()
    assert capfd.readouterr() == ("", "")


def test_hanging_client_does_not_block_the_health_check(port: int) -> None:
    with create_connection(("127.0.0.1", port)):
        assert get(port, "/health")[0] == 503


@pytest.mark.parametrize("start", [serve_job, serve_generator])
def test_connection_of_a_slow_client_is_closed(
    start: Callable[[JobHealth], WSGIServer], health: JobHealth, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Although it sends a byte before each timeout."""
    set_timeout(monkeypatch, 0.3)
    server = start(health)
    begin = time.monotonic()
    try:
        with create_connection(("127.0.0.1", server.server_port), timeout=0.05) as connection:
            assert is_closed_while(lambda: connection.sendall(b"G"), connection, begin + 10)
    finally:
        server.shutdown()
        server.server_close()
    assert time.monotonic() - begin >= 0.3


def is_closed_while(send: Callable[[], object], connection: socket, deadline: float) -> bool:
    """Whether the server closes the connection before the deadline, while the client sends after each timeout."""
    while time.monotonic() < deadline:
        try:
            send()
            return connection.recv(1) == b""
        except TimeoutError:
            pass
        except ConnectionError:
            return True
    return False


@pytest.mark.parametrize("start", [serve_job, serve_generator])
def test_headers_without_end_are_not_kept(start: Callable[[JobHealth], WSGIServer], health: JobHealth) -> None:
    """The answer comes before the end of the request, of which 64 KiB are read."""
    server = start(health)
    try:
        with create_connection(("127.0.0.1", server.server_port), timeout=5) as connection:
            connection.sendall(b"GET /metrics HTTP/1.0\r\nTrace: ".ljust(65_536, b"y"))
            assert connection.recv(12) == b"HTTP/1.0 401"
    finally:
        server.shutdown()
        server.server_close()


@pytest.mark.parametrize("start", [serve_job, serve_generator])
def test_oldest_of_many_connections_is_closed(
    start: Callable[[JobHealth], WSGIServer], health: JobHealth, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_timeout(monkeypatch, 60)
    for module in (job.wsgi_server, generator.wsgi_server):
        monkeypatch.setattr(module, "MAX_CONNECTIONS", 3)
    server = start(health)
    address = ("127.0.0.1", server.server_port)
    with ExitStack() as stack:
        stack.callback(server.server_close)
        stack.callback(server.shutdown)
        first, *others = (stack.enter_context(create_connection(address, timeout=5)) for _ in range(4))
        assert first.recv(1) == b""
        newest = others[-1]
        newest.sendall(b"GET /metrics HTTP/1.0\r\n\r\n")
        assert newest.recv(12) == b"HTTP/1.0 401"
