"""`make report`: write the report of a stack to `report/<stack>/report.html`, and each chart as a PNG beside it."""

from __future__ import annotations

import argparse
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

from elasticsearch import ApiError, Elasticsearch, NotFoundError, TransportError

from analytics.chart import LIGHT
from analytics.key_figures import explain_no_matches
from analytics.match_statistics import read_match_statistics
from analytics.pipeline_metrics import read_pipeline_metrics
from analytics.time_range import TimeRange
from infra.clients.prometheus import PrometheusClient, PrometheusError
from infra.names import ELASTICSEARCH_PORT, MATCHES_ALIAS, PROMETHEUS_PORT
from tools.printable import sanitize
from tools.report.page import StackReport, render
from tools.report.rendering import png
from tools.stack_outputs import NotDeployedError, read_stack_outputs

TIMEOUT_SECONDS = 30
MAX_HOURS = 24 * 31


def read_report(stack: str, services: dict[str, dict[str, str]], hours: int) -> StackReport:
    """The report of the last `hours`. `services` are the stack's addresses, by service and container port."""
    created_at = datetime.now(UTC)
    time_range = TimeRange.last(timedelta(hours=hours), created_at)
    problems = []
    matches = pipeline = None
    elasticsearch = f"http://{services['elasticsearch'][str(ELASTICSEARCH_PORT)]}"
    try:
        with Elasticsearch(elasticsearch, request_timeout=TIMEOUT_SECONDS, max_retries=0) as client:
            matches = read_match_statistics(client, time_range)
    except NotFoundError:
        problems.append(f"No index of {MATCHES_ALIAS} is open: `make status` names the closed ones.")
    except (ApiError, TransportError) as error:
        failure = "returns an error" if isinstance(error, ApiError) else "does not answer"
        problems.append(f"Elasticsearch at {elasticsearch} {failure}: {_short(error)}. The report has no matches.")
    else:
        problems += explain_no_matches(matches, time_range, "Choose a longer time range: `make report HOURS=…`")
    prometheus = PrometheusClient(f"http://{services['prometheus'][str(PROMETHEUS_PORT)]}")
    try:
        pipeline = read_pipeline_metrics(prometheus, time_range)
    except PrometheusError as error:
        problems.append(f"{error}. The report has no pipeline metrics.")
    return StackReport(stack, created_at, time_range, matches, pipeline, tuple(problems))


def write_report(report: StackReport, folder: Path) -> Path:
    """Write the page and the charts' PNGs into `folder`, replacing older ones. Returns the page's path."""
    folder.mkdir(parents=True, exist_ok=True)
    for picture in folder.glob("*.png"):
        picture.unlink()
    for chart in (*report.match_charts, *report.pipeline_charts):
        if chart.specification:
            (folder / f"{chart.name}.png").write_bytes(png(chart, LIGHT))
    page = folder / "report.html"
    page.write_text(render(report), encoding="utf-8")
    return page


def _short(error: Exception) -> str:
    return str(error).splitlines()[0][:200]


def main() -> int:
    """Returns 0 if the report is complete, 1 if a service does not answer or fails, 2 if the stack is not deployed."""
    parser = argparse.ArgumentParser(prog="make report")
    parser.add_argument("--stack", required=True)
    parser.add_argument("--hours", type=int, default=1, help=f"length of the time range: 1 to {MAX_HOURS}")
    options = parser.parse_args()
    if not 1 <= options.hours <= MAX_HOURS:
        parser.error(f"HOURS must be 1 to {MAX_HOURS}")
    try:
        outputs = read_stack_outputs(options.stack)
    except NotDeployedError as error:
        print(error)
        return 2
    report = read_report(options.stack, outputs["services"], options.hours)
    page = write_report(report, Path("report") / options.stack)
    for problem in report.problems:
        print(sanitize(problem))
    pictures = len(list(page.parent.glob("*.png")))
    print(f"{page}: {page.stat().st_size / 1000:,.0f} kB, and {pictures} charts as PNG in the same directory")
    return 0 if report.matches and report.pipeline else 1


if __name__ == "__main__":
    sys.exit(main())
