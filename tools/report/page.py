"""The report as one self-contained HTML page: it fetches nothing, and without scripts only the sorting is missing."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from tools.pipeline_metrics import PipelineMetrics
from tools.printable import sanitize
from tools.report import charts
from tools.report.match_statistics import MatchStatistics
from tools.report.rendering import DARK, LIGHT, Chart, Palette
from tools.time_range import TimeRange

HERE = Path(__file__).parent
TOP_CHAMPIONS = 25
RECENT_STEPS = 5
"""The current rates are means of this many steps."""
STALE_SECONDS = 60
"""Data older than this is marked as bad."""


@dataclass(frozen=True)
class StackReport:
    """The data of one report. A source that did not answer is None, and `problems` has the reason."""

    stack: str
    created_at: datetime
    time_range: TimeRange
    matches: MatchStatistics | None
    pipeline: PipelineMetrics | None
    problems: tuple[str, ...] = ()

    @property
    def match_charts(self) -> list[Chart]:
        """The charts from Elasticsearch."""
        if self.matches is None:
            return []
        steps, time_range = self.matches.steps, self.time_range
        return [
            charts.rate_per_minute(steps, time_range, "matches", "by the end of the game"),
            charts.rate_per_minute(steps, time_range, "documents", "one for each participant"),
            charts.game_lengths(self.matches.lengths),
            charts.win_rate_against_pick_rate(self.matches.champions),
            charts.positions(self.matches.positions),
            charts.sides(self.matches.sides),
        ]

    @property
    def pipeline_charts(self) -> list[Chart]:
        """The charts from Prometheus."""
        if self.pipeline is None:
            return []
        metrics = self.pipeline
        lines = (
            ("messages", "Messages per second", "into the topic, and processed", metrics.messages, ",.1f"),
            ("documents", "Documents per second", "acknowledged by Elasticsearch", metrics.documents, ",.1f"),
            ("lag", "Lag", "messages in the topic that the job has not processed", metrics.lag, ",.0f"),
            ("batch-time", "Batch time", "seconds", metrics.batch_seconds, ".2f"),
            ("freshness", "Freshness", "seconds from Kafka to indexed", metrics.freshness_seconds, ".2f"),
        )
        return [
            *(
                charts.lines_over_time(name, title, note, series, self.time_range, form)
                for name, title, note, series, form in lines
            ),
            charts.dead_letters(metrics.dead_letters),
        ]


@dataclass(frozen=True)
class KeyFigure:
    """A number at the top of the page."""

    name: str
    value: str
    note: str
    bad: bool = False


def key_figures(report: StackReport) -> list[KeyFigure]:
    """The numbers at the top of the page."""
    hours = "hour" if report.time_range.hours == 1 else f"{report.time_range.hours} hours"
    found: list[KeyFigure] = []
    if report.matches:
        found += _match_figures(report.matches, report, hours)
    if report.pipeline:
        found += _pipeline_figures(report.pipeline, hours)
    return found


def _match_figures(matches: MatchStatistics, report: StackReport, hours: str) -> list[KeyFigure]:
    recent = matches.steps[-RECENT_STEPS:]
    matches_per_minute = sum(step.matches for step in recent) / (len(recent) or 1)
    documents_per_minute = sum(step.documents for step in recent) / (len(recent) or 1)
    minutes = RECENT_STEPS * report.time_range.step_seconds // 60
    figures = [
        KeyFigure("Matches", compact(matches.count), f"in the last {hours}"),
        KeyFigure(
            "Matches per minute",
            f"{matches_per_minute:,.{1 if matches_per_minute < 1000 else 0}f}",
            f"{documents_per_minute:,.0f} documents; mean of {minutes:,} minutes",
        ),
        KeyFigure("Documents", compact(matches.total_documents), f"{compact(matches.documents)} in the last {hours}"),
    ]
    if matches.newest_arrived_at:
        age = (report.created_at - matches.newest_arrived_at).total_seconds()
        figures.append(
            KeyFigure("Newest document", _duration(age), "since its message arrived in Kafka", bad=age > STALE_SECONDS)
        )
    return figures


def _pipeline_figures(metrics: PipelineMetrics, hours: str) -> list[KeyFigure]:
    (batch_p50, batch_p95), (freshness_p50, freshness_p99) = metrics.batch_seconds_now, metrics.freshness_seconds_now
    lag, dead_letters, late_matches = metrics.lag_now, metrics.new_dead_letters, metrics.late_matches
    return [
        KeyFigure("Freshness", _seconds(freshness_p50), f"p99 {_seconds(freshness_p99)}; from Kafka to indexed"),
        KeyFigure("Batch time", _seconds(batch_p50), f"p95 {_seconds(batch_p95)}"),
        KeyFigure("Lag", "–" if lag is None else compact(lag), "messages not processed yet"),
        KeyFigure(
            "Dead letters",
            "–" if dead_letters is None else compact(dead_letters),
            f"in the last {hours}",
            bad=bool(dead_letters),
        ),
        KeyFigure(
            "Late matches",
            "–" if late_matches is None else compact(late_matches),
            "too late for the windows, since the job started",
            bad=bool(late_matches),
        ),
    ]


def render(report: StackReport) -> str:
    """The page as HTML."""
    environment = Environment(
        loader=FileSystemLoader(HERE), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    # Texts are sanitized, but not Markup: it is a subclass of str, and contains this package's own HTML only.
    environment.finalize = lambda value: sanitize(value) if type(value) is str else value
    environment.filters["time"] = _time
    style = environment.from_string((HERE / "page.css").read_text(encoding="utf-8")).render(
        light=_css_variables(LIGHT), dark=_css_variables(DARK)
    )
    script = (HERE / "sort.js").read_text(encoding="utf-8")
    return environment.get_template("page.html.jinja").render(
        report=report,
        style=style,
        script=script,
        # Content security policy: no other script runs, whatever a player or a champion is called.
        script_hash=f"sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}",
        key_figures=key_figures(report),
        champions=report.matches.champions[:TOP_CHAMPIONS] if report.matches else [],
    )


def compact(number: float) -> str:
    """The number in few characters: 999,999, then 1.00 M, 12.3 M, 123 M, 1.00 G."""
    for size, unit in ((10**9, "G"), (10**6, "M")):
        if number >= size:
            scaled = number / size
            return f"{scaled:,.{max(0, 3 - len(str(int(scaled))))}f} {unit}"
    return f"{number:,.0f}"


def _css_variables(palette: Palette) -> str:
    return " ".join(f"--{name}: {colour};" for name, colour in asdict(palette).items())


def _time(time: datetime, seconds: bool = False) -> str:
    return f"{time:%Y-%m-%d %H:%M:%S}" if seconds else f"{time:%Y-%m-%d %H:%M}"


def _seconds(value: float | None) -> str:
    """Seconds with about three digits."""
    if value is None:
        return "–"
    decimals = 2 if value < 10 else 1 if value < 100 else 0
    return f"{value:,.{decimals}f} s"


def _duration(seconds: float) -> str:
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:,.0f} {unit}"
    return f"{seconds:.1f} s"
