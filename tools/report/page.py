"""The report as one HTML page: nothing in it is fetched; without scripts only the sorting is missing."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from tools.pipeline_metrics import Pipeline
from tools.printable import plain
from tools.report import charts
from tools.report.charts import Chart, Palette
from tools.report.matches import Matches
from tools.time_range import Period

HERE = Path(__file__).parent
TOP_CHAMPIONS = 25
RECENT_STEPS = 5
"""Steps that the figures "now" are the mean of."""
SILENT_SECONDS = 60
"""Nothing newer found for so long is not well."""


@dataclass(frozen=True)
class Report:
    """What one page is made of. A source that did not answer is None, and `troubles` says why."""

    stack: str
    made: datetime
    period: Period
    matches: Matches | None
    pipeline: Pipeline | None
    troubles: tuple[str, ...] = ()


@dataclass(frozen=True)
class Figure:
    """A number at the head of the page."""

    name: str
    value: str
    note: str
    bad: bool = False


def match_charts(matches: Matches, period: Period) -> list[Chart]:
    """The charts of what Elasticsearch has."""
    return [
        charts.per_minute(matches.minutes, period, "matches", "by the end of the game"),
        charts.per_minute(matches.minutes, period, "documents", "one for each participant"),
        charts.game_lengths(matches.lengths),
        charts.win_against_pick(matches.champions),
        charts.positions(matches.positions),
        charts.sides(matches.sides),
    ]


def pipeline_charts(pipeline: Pipeline, period: Period) -> list[Chart]:
    """The charts of what Prometheus has."""
    over = (
        ("messages", "Messages per second", "into the topic, and out of it", pipeline.messages, ",.1f"),
        ("documents", "Documents per second", "acknowledged by Elasticsearch", pipeline.documents, ",.1f"),
        ("lag", "Lag", "messages in the topic that the job has not processed", pipeline.lag, ",.0f"),
        ("batch-time", "Batch time", "seconds", pipeline.batch_seconds, ".2f"),
        ("freshness", "Freshness", "seconds from Kafka to indexed", pipeline.message_age_seconds, ".2f"),
    )
    return [
        *(charts.over_time(name, title, note, lines, period, form) for name, title, note, lines, form in over),
        charts.dead_letters(pipeline.dead_letters),
    ]


def figures(report: Report) -> list[Figure]:
    """The numbers at the head of the page."""
    found: list[Figure] = []
    period = report.period
    hours = "hour" if period.hours == 1 else f"{period.hours} hours"
    if matches := report.matches:
        recent = matches.minutes[-RECENT_STEPS:]
        per_minute = sum(minute.matches for minute in recent) / (len(recent) or 1)
        documents = sum(minute.documents for minute in recent) / (len(recent) or 1)
        found += [
            Figure("Matches", compact(matches.count), f"in the last {hours}"),
            Figure(
                "Matches a minute",
                f"{per_minute:,.{1 if per_minute < 1000 else 0}f}",
                f"{documents:,.0f} documents; mean of {RECENT_STEPS * period.step_seconds // 60:,} minutes",
            ),
            Figure("Documents", compact(matches.documents_ever), f"{compact(matches.documents)} in the last {hours}"),
        ]
        if matches.newest_arrived:
            age = (report.made - matches.newest_arrived).total_seconds()
            found.append(
                Figure("Newest found", _duration(age), "since Kafka got its message", bad=age > SILENT_SECONDS)
            )
    if pipeline := report.pipeline:
        letters = pipeline.dead_letters_arrived
        (batch, batch_p95), (age_p50, age_p99) = pipeline.batch_now, pipeline.message_age_now
        found += [
            Figure("Freshness", _seconds(age_p50), f"p99 {_seconds(age_p99)}; from Kafka to indexed"),
            Figure("Batch time", _seconds(batch), f"p95 {_seconds(batch_p95)}"),
            Figure("Behind", "–" if pipeline.lag_now is None else compact(pipeline.lag_now), "messages to process"),
            Figure(
                "Dead letters", "–" if letters is None else compact(letters), f"in the last {hours}", bad=bool(letters)
            ),
        ]
    return found


def render(report: Report) -> str:
    """The page."""
    environment = Environment(
        loader=FileSystemLoader(HERE), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    # Markup is a str of its own type, and ours.
    environment.finalize = lambda value: plain(value) if type(value) is str else value
    environment.filters["moment"] = _moment
    style = environment.from_string((HERE / "page.css").read_text(encoding="utf-8")).render(
        light=_variables(charts.LIGHT), dark=_variables(charts.DARK)
    )
    script = (HERE / "sort.js").read_text(encoding="utf-8")
    return environment.get_template("page.html.jinja").render(
        report=report,
        style=style,
        script=script,
        # The page may run this script and no other, whatever a summoner or a champion is called.
        script_hash=f"sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}",
        figures=figures(report),
        match_charts=match_charts(report.matches, report.period) if report.matches else [],
        pipeline_charts=pipeline_charts(report.pipeline, report.period) if report.pipeline else [],
        champions=report.matches.champions[:TOP_CHAMPIONS] if report.matches else [],
    )


def compact(number: float) -> str:
    """The number in few characters: 999,999, then 1.00 M, 12.3 M, 123 M, 1.00 G."""
    for size, unit in ((10**9, "G"), (10**6, "M")):
        if number >= size:
            scaled = number / size
            return f"{scaled:,.{max(0, 3 - len(str(int(scaled))))}f} {unit}"
    return f"{number:,.0f}"


def _variables(palette: Palette) -> str:
    return " ".join(f"--{name}: {colour};" for name, colour in asdict(palette).items())


def _moment(time: datetime, seconds: bool = False) -> str:
    return f"{time:%Y-%m-%d %H:%M:%S}" if seconds else f"{time:%Y-%m-%d %H:%M}"


def _seconds(value: float | None) -> str:
    """In three digits or so."""
    if value is None:
        return "–"
    decimals = 2 if value < 10 else 1 if value < 100 else 0
    return f"{value:,.{decimals}f} s"


def _duration(seconds: float) -> str:
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:,.0f} {unit}"
    return f"{seconds:.1f} s"
