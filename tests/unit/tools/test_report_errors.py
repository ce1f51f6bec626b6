"""A report of services that do not answer, or with an error, and of no matches."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import pytest

from tests.support.report_samples import MATCHES, NO_MATCHES, PERIOD
from tools.report.__main__ import nothing_found, read, write


@pytest.fixture
def dead_port() -> Iterator[int]:
    with socket.socket() as bound:
        # Bound and not listening: nobody else can take it meanwhile.
        bound.bind(("127.0.0.1", 0))
        yield bound.getsockname()[1]


def test_each_is_named_in_a_line_and_the_page_is_made(dead_port: int, tmp_path: Path) -> None:
    address = f"localhost:{dead_port}"
    report = read("sample", {"elasticsearch": {"9200": address}, "prometheus": {"9090": address}}, 1)
    elasticsearch, prometheus = report.troubles
    assert elasticsearch.startswith(f"Elasticsearch at http://{address} does not answer: ")
    assert prometheus.startswith(f"Prometheus does not answer at http://{address}: ")
    assert "Connection refused" in prometheus
    assert all("\n" not in trouble and len(trouble) < 250 for trouble in report.troubles)
    page = write(report, tmp_path / "out")
    assert f"Prometheus does not answer at http://{address}" in page.read_text()
    assert list(page.parent.glob("*.png")) == []


class NotFound(BaseHTTPRequestHandler):
    """An Elasticsearch without the index."""

    def do_POST(self) -> None:
        body = b'{"error": {"type": "index_not_found_exception", "reason": "no such index"}, "status": 404}'
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(404)
        for name, value in (
            ("X-Elastic-Product", "Elasticsearch"),
            ("Content-Type", "application/vnd.elasticsearch+json; compatible-with=8"),
            ("Content-Length", str(len(body))),
        ):
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


def test_what_elasticsearch_answers_is_said(dead_port: int) -> None:
    with HTTPServer(("127.0.0.1", 0), NotFound) as server:
        Thread(target=server.serve_forever, args=[0.01]).start()
        address = f"localhost:{server.server_port}"
        report = read(
            "sample", {"elasticsearch": {"9200": address}, "prometheus": {"9090": f"localhost:{dead_port}"}}, 1
        )
        server.shutdown()
    trouble = report.troubles[0]
    assert trouble.startswith(
        f"Elasticsearch at http://{address} answers: NotFoundError(404, 'index_not_found_exception'"
    )


def test_why_there_is_no_match_to_see() -> None:
    assert nothing_found(MATCHES, PERIOD) == []
    (fresh,) = nothing_found(NO_MATCHES, PERIOD)
    assert fresh.startswith("No document can be found yet")
    old, new = (
        nothing_found(replace(MATCHES, count=0, newest_ended=ended), PERIOD)
        for ended in (PERIOD.start - timedelta(minutes=1), PERIOD.end)
    )
    assert old == [
        "No game ended in this time; the newest ended 2026-03-01 10:59. `make report HOURS=…` looks further back."
    ]
    assert new == ["No game ended in this time; the newest ended 2026-03-01 12:00. Later `make report` shows it."]
