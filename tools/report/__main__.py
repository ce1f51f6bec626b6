"""`make report`: the live data of a stack as `report/<stack>/report.html`, and each chart as a PNG beside it."""

from __future__ import annotations

import argparse
import sys
from datetime import UTC, datetime
from pathlib import Path

from elasticsearch import ApiError, Elasticsearch, TransportError

from infra.clients.prometheus import PrometheusClient, PrometheusError
from tools import pipeline_metrics
from tools.printable import plain
from tools.report import charts, matches
from tools.report.matches import Matches
from tools.report.page import Report, match_charts, pipeline_charts, render
from tools.stack_outputs import NotDeployedError, outputs_of
from tools.time_range import Period

TIMEOUT_SECONDS = 30
MOST_HOURS = 24 * 31


def read(stack: str, services: dict[str, dict[str, str]], hours: int) -> Report:
    """The report of the stack whose `services` are at these addresses."""
    made = datetime.now(UTC)
    period = Period.last(hours, made)
    troubles = []
    found_matches = found_pipeline = None
    elasticsearch = f"http://{services['elasticsearch']['9200']}"
    try:
        with Elasticsearch(elasticsearch, request_timeout=TIMEOUT_SECONDS, max_retries=0) as client:
            found_matches = matches.read(client, period)
    except (ApiError, TransportError) as error:
        answers = "answers" if isinstance(error, ApiError) else "does not answer"
        troubles.append(f"Elasticsearch at {elasticsearch} {answers}: {_short(error)}. Nothing is said of matches.")
    else:
        troubles += nothing_found(found_matches, period)
    try:
        found_pipeline = pipeline_metrics.read(PrometheusClient(f"http://{services['prometheus']['9090']}"), period)
    except PrometheusError as error:
        troubles.append(f"{error}. Nothing is said of the pipeline.")
    return Report(stack, made, period, found_matches, found_pipeline, tuple(troubles))


def nothing_found(found: Matches, period: Period) -> list[str]:
    """Why there is no match to see, if there is none."""
    if found.newest_ended is None:
        return ["No document can be found yet: `make status` says which link of the chain is to be looked at."]
    if found.count:
        return []
    later = found.newest_ended >= period.end
    advice = "Later `make report` shows it" if later else "`make report HOURS=…` looks further back"
    return [f"No game ended in this time; the newest ended {found.newest_ended:%Y-%m-%d %H:%M}. {advice}."]


def write(report: Report, folder: Path) -> Path:
    """The page and the pictures in `folder`, which is made. Gives the page's path."""
    folder.mkdir(parents=True, exist_ok=True)
    for picture in folder.glob("*.png"):
        picture.unlink()
    drawn = match_charts(report.matches, report.period) if report.matches else []
    drawn += pipeline_charts(report.pipeline, report.period) if report.pipeline else []
    for chart in drawn:
        if chart.specification:
            (folder / f"{chart.name}.png").write_bytes(chart.png(charts.LIGHT))
    page = folder / "report.html"
    page.write_text(render(report), encoding="utf-8")
    return page


def _short(error: Exception) -> str:
    return str(error).splitlines()[0][:200]


def main() -> int:
    """0 where all could be said, 1 where a service gave no answer or a wrong one, 2 where there is no such stack."""
    parser = argparse.ArgumentParser(prog="make report")
    parser.add_argument("--stack", required=True)
    parser.add_argument("--hours", type=int, default=1, help=f"how far back: 1 to {MOST_HOURS}")
    options = parser.parse_args()
    if not 1 <= options.hours <= MOST_HOURS:
        parser.error(f"HOURS must be 1 to {MOST_HOURS}")
    try:
        outputs = outputs_of(options.stack)
    except NotDeployedError as error:
        print(error)
        return 2
    report = read(options.stack, outputs["services"], options.hours)
    page = write(report, Path("report") / options.stack)
    for trouble in report.troubles:
        print(plain(trouble))
    print(
        f"{page}: {page.stat().st_size / 1000:,.0f} kB, and {len(list(page.parent.glob('*.png')))} pictures beside it"
    )
    return 0 if report.matches and report.pipeline else 1


if __name__ == "__main__":
    sys.exit(main())
