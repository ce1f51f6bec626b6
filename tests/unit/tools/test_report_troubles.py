"""A report of services that do not answer, for nothing listens at their ports, and of no matches."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.unit.tools.samples import MATCHES, NO_MATCHES
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


def test_why_there_is_no_match_to_see() -> None:
    assert nothing_found(MATCHES) == []
    (fresh,) = nothing_found(NO_MATCHES)
    assert fresh.startswith("No document can be found yet")
    (old,) = nothing_found(replace(MATCHES, count=0))
    assert old.startswith("No game ended in this time; the newest ended 2026-03-01 12:00. ")
