"""`make report` if services do not answer or return errors, or there are no matches."""

from __future__ import annotations

import socket
import sys
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from elastic_transport import ApiResponseMeta, HttpHeaders, NodeConfig
from elasticsearch import ApiError, ConnectionTimeout, Elasticsearch, NotFoundError

from analytics.key_figures import explain_no_matches
from analytics.match_statistics import MatchStatistics
from tests.support.report_samples import CREATED_AT, MATCHES, NO_MATCHES, REPORT, TIME_RANGE
from tools.report import __main__ as report_tool
from tools.report.__main__ import read_report, write_report
from tools.report.page import StackReport, render


@pytest.fixture
def closed_port() -> Iterator[int]:
    with socket.socket() as bound:
        # Bound but not listening, so that no other process can take it.
        bound.bind(("127.0.0.1", 0))
        yield bound.getsockname()[1]


def outputs(address: str) -> dict[str, Any]:
    """The outputs of a stack whose services are at this address."""
    return {
        "services": {"elasticsearch": {"9200": address}, "prometheus": {"9090": address}},
        "elasticsearchUrl": f"http://{address}",
    }


@pytest.mark.usefixtures("published_ports")
def test_unreachable_services_are_reported_in_one_line_each_and_the_page_is_written(
    closed_port: int, tmp_path: Path
) -> None:
    address = f"localhost:{closed_port}"
    report = read_report("sample", outputs(address), TIME_RANGE)
    elasticsearch, prometheus = report.problems
    assert elasticsearch.startswith(f"Elasticsearch at http://{address} does not answer: ")
    assert prometheus.startswith(f"Prometheus does not answer at http://{address}: ")
    assert "Connection refused" in prometheus
    assert all("\n" not in problem and len(problem) < 250 for problem in report.problems)
    page = write_report(report, tmp_path / "out")
    assert f"Prometheus does not answer at http://{address}" in page.read_text()
    assert list(page.parent.glob("*.png")) == []
    assert page.parent.stat().st_mode & 0o777 == 0o700, "others can read the report, also in `strict`"


@pytest.mark.usefixtures("published_ports")
@pytest.mark.parametrize(
    ("queue", "words"),
    [
        ("Arena", "queue Arena ·"),
        ("1700", "queue Arena (1700) ·"),
        ("870", "queue Co-op vs. AI Intro Bot (870) ·"),
        ("420", "queue 5v5 Ranked Solo ·"),
        ("987654", "queue 987654 ·"),
        ("", "all queues ·"),
    ],
)
def test_page_names_the_selected_queue_and_its_id_if_others_have_the_same_name(
    monkeypatch: pytest.MonkeyPatch, closed_port: int, queue: str, words: str
) -> None:
    written: list[StackReport] = []

    def write(report: StackReport, _: Path) -> Path:
        written.append(report)
        return Path(__file__)

    monkeypatch.setattr(report_tool, "read_stack_outputs", lambda _: outputs(f"localhost:{closed_port}"))
    monkeypatch.setattr(report_tool, "write_report", write)
    monkeypatch.setattr(sys, "argv", ["report", "--stack", "sample", "--queue", queue])
    report_tool.main()
    assert words in render(written[0])


@pytest.mark.usefixtures("published_ports")
@pytest.mark.parametrize(
    ("error_class", "status", "error_type", "problem"),
    [
        (
            ApiError,
            503,
            "search_phase_execution_exception",
            "Elasticsearch at {address} returns an error: ApiError(503, 'search_phase_execution_exception'",
        ),
        (
            NotFoundError,
            404,
            "index_not_found_exception",
            "No index of lol_matches_stream is open: `make status STACK=sample` names the closed ones.",
        ),
    ],
)
def test_error_response_of_elasticsearch_is_reported(
    monkeypatch: pytest.MonkeyPatch,
    closed_port: int,
    error_class: type[ApiError],
    status: int,
    error_type: str,
    problem: str,
) -> None:
    def search(*_: object, **__: object) -> None:
        meta = ApiResponseMeta(status, "1.1", HttpHeaders(), 0.1, NodeConfig("http", "localhost", 9200))
        raise error_class(error_type, meta, {"error": {"type": error_type, "reason": "as the test"}, "status": status})

    monkeypatch.setattr(Elasticsearch, "search", search)
    address = f"localhost:{closed_port}"
    report = read_report("sample", outputs(address), TIME_RANGE)
    assert report.problems[0].startswith(problem.format(address=f"http://{address}"))
    assert report.matches is None


@pytest.mark.usefixtures("published_ports")
@pytest.mark.parametrize("answers", [True, False])
def test_search_that_takes_too_long_is_told_from_elasticsearch_that_hangs(
    monkeypatch: pytest.MonkeyPatch, closed_port: int, answers: bool
) -> None:
    def search(*_: object, **request: object) -> dict[str, Any]:
        if answers and request.get("query") == {"match_none": {}}:
            return {}
        raise ConnectionTimeout("as the test")

    monkeypatch.setattr(Elasticsearch, "search", search)
    report = read_report("sample", outputs(f"localhost:{closed_port}"), TIME_RANGE)
    problem = "needs more than 300 s: choose a shorter time range" if answers else "does not answer: "
    assert report.problems[0].startswith(f"Elasticsearch at http://localhost:{closed_port} {problem}")


def test_former_report_stays_until_the_new_one_is_complete(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not after a full disk, or Ctrl-C in the middle. Other files stay in any case."""
    folder = tmp_path / "out"
    folder.mkdir()
    for name in ("matches.png", "report.html", "notes.txt"):
        (folder / name).write_text("former")

    def png(*_: object) -> bytes:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("tools.report.__main__.png", png)
        with pytest.raises(KeyboardInterrupt):
            write_report(REPORT, folder)
    assert {path.name: path.read_text() for path in folder.iterdir()} == dict.fromkeys(
        ("matches.png", "report.html", "notes.txt"), "former"
    )
    assert list(tmp_path.iterdir()) == [folder]
    monkeypatch.setattr("tools.report.__main__.png", lambda *_: b"new")
    write_report(REPORT, folder)
    assert (folder / "report.html").read_text() != "former"
    assert {path.read_bytes() for path in folder.glob("*.png")} == {b"new"}
    assert (folder / "notes.txt").read_text() == "former"
    assert list(tmp_path.iterdir()) == [folder]


def test_report_that_cannot_be_written_is_one_line_with_folder_and_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "report").write_text("a file")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(report_tool, "read_stack_outputs", lambda _: {})
    monkeypatch.setattr(report_tool, "read_report", lambda *_: REPORT)
    monkeypatch.setattr("sys.argv", ["report", "--stack", "unit"])
    assert report_tool.main() == 1
    error = capsys.readouterr().err
    assert error.startswith(f"the report cannot be written to {tmp_path}/report/unit: ")
    assert error.count("\n") == 1


def test_missing_matches_are_explained() -> None:
    def explained(matches: MatchStatistics, silent_for: timedelta = timedelta(days=1)) -> list[str]:
        return explain_no_matches(matches, TIME_RANGE, CREATED_AT + silent_for, "sample", "Choose a longer one")

    assert explained(MATCHES) == []
    (no_documents,) = explained(NO_MATCHES)
    assert no_documents.startswith("No document is searchable yet: `make status STACK=sample` shows")
    (not_ended,) = explained(replace(NO_MATCHES, total_documents=10))
    assert not_ended.startswith("No game in the index that these filters select has ended yet")
    (absent,) = explained(replace(NO_MATCHES, total_documents=10, absent=("champion",)))
    assert absent == "No document has this champion: check the spelling, or choose another."
    (excluding,) = explained(replace(NO_MATCHES, total_documents=10, absent=()))
    assert excluding.startswith("No document matches all of these filters at once")
    before = replace(MATCHES, count=0, newest_ended=TIME_RANGE.start - timedelta(minutes=1))
    assert explained(before) == [
        "No game ended in this time range; the newest ended 2026-03-01 10:59. No message has arrived since "
        "2026-03-01 12:00. Choose a longer one."
    ]
    # Messages of games that ended earlier are arriving.
    assert explained(before, timedelta(seconds=10)) == [
        "No game ended in this time range; the newest ended 2026-03-01 10:59. Choose a longer one."
    ]
    assert explained(replace(before, newest_ended=TIME_RANGE.end)) == [
        "No game ended in this time range; the newest ended 2026-03-01 12:00. Look again later."
    ]
