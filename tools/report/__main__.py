"""`make report`: write the report of a stack to `report/<stack>/report.html`, and each chart as a PNG beside it."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from elasticsearch import ApiError, ConnectionTimeout, NotFoundError, TransportError

from analytics.builds import read_build_statistics
from analytics.chart import LIGHT
from analytics.key_figures import explain_no_matches
from analytics.match_statistics import EVERYTHING, MatchFilter, read_match_statistics
from analytics.pipeline_metrics import read_pipeline_figures, read_pipeline_metrics
from analytics.search import search_nothing
from analytics.time_range import FutureTimeRangeError, TimeRange
from infra.clients.elasticsearch import ElasticsearchServer, describe_failure
from infra.clients.prometheus import PrometheusError
from infra.names import MATCHES_ALIAS, make_command
from job.queues import queue_ids, queue_name
from job.settings import parse_time
from tools.command_line import run, stack_name
from tools.printable import sanitize
from tools.report.page import StackReport, render
from tools.report.rendering import png
from tools.stack_outputs import NotDeployedError, connect_prometheus, read_stack_outputs

PAGE = "report.html"
ANSWER_TIMEOUT_SECONDS = 30
"""For a search without work: if it takes longer, Elasticsearch hangs."""
TIMEOUT_SECONDS = 300
"""For each search: those over a month of matches take minutes."""
MAX_HOURS = 24 * 31 + 1
"""A month of 31 days in local time, at whose end the clocks are set back by an hour."""


def read_report(
    stack: str, outputs: Mapping[str, Any], time_range: TimeRange, only: MatchFilter = EVERYTHING
) -> StackReport:
    """The report of a time range. `outputs` are the stack's, with its addresses and logins."""
    created_at = datetime.now(UTC)
    problems = []
    matches = builds = pipeline = figures = None
    elasticsearch = ElasticsearchServer.of_stack(outputs)
    answers = False
    try:
        with elasticsearch.client(request_timeout=TIMEOUT_SECONDS, max_retries=0) as client:
            search_nothing(client, ANSWER_TIMEOUT_SECONDS)
            answers = True
            found = read_match_statistics(client, time_range, only)
            matches, builds = found, read_build_statistics(client, time_range, only)
    except NotFoundError:
        problems.append(
            f"No index of {MATCHES_ALIAS} is open: `{make_command('status', stack)}` names the closed ones."
        )
    except (ApiError, TransportError) as error:
        failure = "returns an error" if isinstance(error, ApiError) else "does not answer"
        problem = f"{failure}: {describe_failure(error)}"
        if answers and isinstance(error, ConnectionTimeout):
            problem = f"needs more than {TIMEOUT_SECONDS} s: choose a shorter time range"
        problems.append(f"Elasticsearch at {elasticsearch.url} {problem}. The report has no matches.")
    else:
        problems += explain_no_matches(
            matches,
            time_range,
            created_at,
            stack,
            f"Choose a longer time range: `{make_command('report HOURS=…', stack)}`",
        )
    try:
        prometheus = connect_prometheus(outputs)
        pipeline, figures = read_pipeline_metrics(prometheus, time_range), read_pipeline_figures(prometheus, time_range)
    except PrometheusError as error:
        problems.append(f"{error}. The report has no pipeline metrics.")
    return StackReport(
        stack, created_at, time_range, matches, builds, pipeline, figures, tuple(problems), _queue_of(only)
    )


def write_report(report: StackReport, folder: Path) -> Path:
    """Write the page and the charts' PNGs into `folder`, replacing older ones. Returns the page's path.

    Raises OSError. Until everything is written, the former report stays.
    """
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o700)  # in `strict`, pages need a login: other users must not read the report either
    with TemporaryDirectory(dir=folder, prefix=".partial.") as name:
        partial = Path(name)
        for chart in (*report.match_charts, *report.pipeline_charts):
            if chart.specification:
                (partial / f"{chart.name}.png").write_bytes(png(chart, LIGHT))
        (partial / PAGE).write_text(render(report), encoding="utf-8")
        former = {picture.name for picture in folder.glob("*.png")}
        new = {file.name for file in partial.iterdir()}
        for file_name in new:
            (partial / file_name).replace(folder / file_name)
        for file_name in former - new:
            (folder / file_name).unlink()
    return folder / PAGE


def _time_range(hours: int | None, begin: str | None, end: str | None, now: datetime) -> TimeRange:
    """The time range of the options. Raises ValueError if they do not fit."""
    if begin is None:
        if end is not None:
            raise ValueError("TO needs FROM")
        hours = 1 if hours is None else hours
        if not 1 <= hours <= MAX_HOURS:
            raise ValueError(f"HOURS must be 1 to {MAX_HOURS}")
        return TimeRange.last(timedelta(hours=hours), now)
    if hours is not None:
        raise ValueError("either HOURS or FROM, not both")
    first, last = _parse_time("FROM", begin), _parse_time("TO", end) if end else now
    try:
        time_range = TimeRange.between(first, last, now)
    except FutureTimeRangeError as error:
        raise ValueError(f"{error}; a time without a zone is UTC") from None
    if not timedelta(minutes=1) <= last - first <= timedelta(hours=MAX_HOURS):
        raise ValueError(f"FROM must be one minute to {MAX_HOURS} hours before {'TO' if end else 'now'}")
    return time_range


def _parse_time(name: str, text: str) -> datetime:
    try:
        return parse_time(text)
    except ValueError:
        raise ValueError(f"{name}={text} is not a time: write 2026-11-24T06:00Z") from None


def _queue_ids(text: str) -> tuple[int, ...] | None:
    """The ids of the queue with this id or name; None for all queues. Raises ValueError if there is none."""
    if not text:
        return None
    if ids := queue_ids(text):
        return ids
    raise ValueError(
        f"no queue is called {text!r}: write its id, such as 420, or its name, such as {queue_name(420)!r}"
    )


def _queue_of(only: MatchFilter) -> str:
    """The name of the selected queue, with its id if other queues have the same name; empty for all queues."""
    if not only.queue_ids:
        return ""
    name = queue_name(only.queue_ids[0])
    return name if only.queue_ids == (queue_ids(name) or only.queue_ids) else f"{name} ({only.queue_ids[0]})"


def main() -> int:
    """Returns 0 if the report is complete, 1 if a service does not answer or fails or the report cannot be written, 2
    if the stack is not deployed."""
    parser = argparse.ArgumentParser(prog="make report")
    parser.add_argument("--stack", type=stack_name, required=True)
    parser.add_argument("--hours", type=int, help=f"length of the time range: 1 (the default) to {MAX_HOURS}")
    parser.add_argument(
        "--from", dest="begin", metavar="TIME", help="its beginning, such as 2026-11-24T06:00Z; without a zone: UTC"
    )
    parser.add_argument("--to", dest="end", metavar="TIME", help="its end; default: now")
    parser.add_argument("--queue", default="", help="only matches of this queue: its id, or its name as in the report")
    options = parser.parse_args()
    now = datetime.now(UTC)
    try:
        time_range = _time_range(options.hours, options.begin, options.end, now)
        only = MatchFilter(queue_ids=_queue_ids(options.queue))
    except ValueError as error:
        parser.error(str(error))
    try:
        outputs = read_stack_outputs(options.stack)
    except NotDeployedError as error:
        print(error)
        return 2
    report = read_report(options.stack, outputs, time_range, only)
    folder = Path("report") / options.stack
    try:
        page = write_report(report, folder)
    except OSError as error:
        print(f"the report cannot be written to {folder.absolute()}: {error}", file=sys.stderr)
        return 1
    for problem in report.problems:
        print(sanitize(problem))
    pictures = len(list(page.parent.glob("*.png")))
    print(f"{page}: {page.stat().st_size / 1000:,.0f} kB, and {pictures} charts as PNG in the same directory")
    return 0 if report.matches and report.pipeline else 1


if __name__ == "__main__":
    run(main)
