"""A report of services that do not answer: nothing listens at their ports."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tools.report.__main__ import read, write


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
