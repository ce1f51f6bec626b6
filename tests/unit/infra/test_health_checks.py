"""Health checks that must tell a service that hangs from one that waits for another service, against fake servers."""

from __future__ import annotations

import re
import socket
import ssl
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry, Gauge, start_http_server

from infra.names import CURL_CONFIG
from infra.services import archive, generator, spark_job, spark_master, spark_worker
from infra.services.base import EXIT_NOT_READY, curl_check, http_check
from tests.support.http_server import HTTPServer
from tests.support.tls import tls_server


@contextmanager
def server(status: int = 200, tls: ssl.SSLContext | None = None, **bodies: Any) -> Iterator[int]:
    """The port of an HTTP server that answers with `status`, or with 200 and JSON on a path in `bodies`."""
    with HTTPServer(host="127.0.0.1", ssl_context=tls) as http:
        for path, body in bodies.items():
            http.expect_request(re.compile(f"/{path}/?")).respond_with_json(body)
        http.expect_request(re.compile("/.*")).respond_with_data(status=status)
        yield http.port


def unused_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port: int = free.getsockname()[1]
    return port


def exit_code(command: Sequence[str]) -> int:
    # Without a login: curl takes an empty configuration.
    command = [each.replace(CURL_CONFIG, "/dev/null") for each in command]
    return subprocess.run(command, capture_output=True, check=False, timeout=30).returncode


@pytest.mark.parametrize(("status", "expected"), [(200, 0), (408, EXIT_NOT_READY), (503, EXIT_NOT_READY)])
def test_service_that_answers_with_an_http_error_is_alive(status: int, expected: int) -> None:
    """Elasticsearch that is red, Kibana without Elasticsearch."""
    with server(status) as port:
        assert exit_code(http_check(f"http://127.0.0.1:{port}/")) == expected


@pytest.mark.parametrize(
    ("validity", "expected"), [("valid", 0), ("expired", EXIT_NOT_READY), ("not yet valid", EXIT_NOT_READY)]
)
def test_service_whose_certificate_does_not_fit_the_clock_is_alive(
    tmp_path: Path, validity: str, expected: int
) -> None:
    """Elasticsearch in `strict`, after the machine's clock jumped."""
    authority, context = tls_server(tmp_path, validity)
    (tmp_path / "authority.crt").write_text(authority)
    with server(tls=context) as port:
        assert exit_code(curl_check(f"--cacert {tmp_path}/authority.crt https://127.0.0.1:{port}/")) == expected


def test_unreadable_authority_restarts_nothing(tmp_path: Path) -> None:
    _, context = tls_server(tmp_path)
    with server(tls=context) as port:
        check = curl_check(f"--cacert {tmp_path}/missing.crt https://127.0.0.1:{port}/")
        assert exit_code(check) == EXIT_NOT_READY


def test_service_that_does_not_answer_is_not_alive() -> None:
    assert exit_code(http_check(f"http://127.0.0.1:{unused_port()}/")) not in (0, EXIT_NOT_READY)


@pytest.mark.parametrize(
    ("check", "line", "expected"),
    [
        (archive.HEALTH_CHECK, "lol_archive_hanging 0.0", 0),
        (archive.HEALTH_CHECK, "lol_archive_hanging 1.0", 1),
        (archive.HEALTH_CHECK, "lol_archive_lag_messages 0.0", 1),
        (generator.HEALTH_CHECK, "generator_hanging 0.0", 0),
        (generator.HEALTH_CHECK, "generator_hanging 1.0", 1),
    ],
)
def test_archive_or_generator_that_hangs_is_not_alive(check: list[str], line: str, expected: int) -> None:
    registry = CollectorRegistry()
    name, value = line.split()
    Gauge(name, "", registry=registry).set(float(value))
    http, thread = start_http_server(0, "127.0.0.1", registry)
    try:
        assert exit_code([each.replace(":8000", f":{http.server_port}") for each in check]) == expected
    finally:
        http.shutdown()
        http.server_close()
        thread.join()


@pytest.mark.parametrize(
    ("pages", "expected"),
    [
        ({"health": "ok", "alive": "ok"}, 0),
        ({"alive": "ok"}, EXIT_NOT_READY),  # waiting for Elasticsearch
        ({}, 1),  # the query hangs
    ],
)
def test_driver_is_alive_while_it_waits_for_another_service(pages: dict[str, str], expected: int) -> None:
    with server(503, None, **pages) as port:
        assert exit_code(["sh", "-c", spark_job.HEALTH_CHECK.replace(":8000", f":{port}")]) == expected


def test_driver_that_does_not_answer_is_not_alive() -> None:
    check = spark_job.HEALTH_CHECK.replace(":8000", f":{unused_port()}")
    assert exit_code(["sh", "-c", check]) == 1


def check_worker(worker: int, master: int) -> int:
    """The exit code of the worker's health check with the two servers at these ports."""
    check = spark_worker.HEALTH_CHECK.replace("spark-master", "127.0.0.1")
    return exit_code(["sh", "-c", check.replace("8081", str(worker)).replace("8080", str(master))])


def check_master(port: int, directory: Path) -> int:
    """The exit code of the master's health check with its page at this port. `failed` in the directory: the file of
    the failed checks."""
    check = spark_master.HEALTH_CHECK.replace("8080", str(port)).replace(
        "/dev/shm/health-check.failed", f"{directory}/failed"
    )
    return exit_code(["sh", "-c", check.replace(spark_master.RECOVERY_DIRECTORY, str(directory))])


@pytest.mark.parametrize(("status", "expected"), [("ALIVE", 0), ("STANDBY", 1), ("RECOVERING", 1)])
def test_master_is_healthy_if_it_is_alive(status: str, expected: int, tmp_path: Path) -> None:
    with server(json={"workers": [{"state": "ALIVE"}], "status": status}) as port:
        assert check_master(port, tmp_path) == expected


def test_master_that_stays_on_standby_has_unreadable_recovery_files(tmp_path: Path) -> None:
    """Each master is on standby for a moment at its start: the second failed check decides."""
    marks = []
    for status in ("STANDBY", "STANDBY", "STANDBY", "RECOVERING", "ALIVE"):
        with server(json={"workers": [], "status": status}) as port:
            check_master(port, tmp_path)
        (tmp_path / "failed").write_text("\n")
        marks.append((tmp_path / "unreadable").exists())
    assert marks == [False, True, True, False, False]
    assert check_master(unused_port(), tmp_path) == 1
    assert not (tmp_path / "unreadable").exists()


@pytest.mark.parametrize(
    ("host", "state", "expected"),
    [(socket.gethostname(), "ALIVE", 0), (socket.gethostname(), "DEAD", 1), ("another-worker", "ALIVE", 1)],
)
def test_worker_is_healthy_if_the_master_knows_it(host: str, state: str, expected: int) -> None:
    with server(json={}) as worker, server(json={"workers": [{"host": host, "state": state}]}) as master:
        assert check_worker(worker, master) == expected


def test_worker_is_alive_while_the_master_is_down() -> None:
    """Its executors keep running without a master."""
    with server(json={}) as worker:
        assert check_worker(worker, unused_port()) == EXIT_NOT_READY


def test_worker_that_does_not_answer_is_not_alive() -> None:
    with server(json={"workers": [{"host": socket.gethostname(), "state": "ALIVE"}]}) as master:
        assert check_worker(unused_port(), master) == 1
