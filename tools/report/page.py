"""The report as one self-contained HTML page: it fetches nothing, and without scripts only the sorting is missing."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from analytics import charts
from analytics.builds import BuildStatistics
from analytics.chart import DARK, LIGHT, Chart, Palette
from analytics.key_figures import KeyFigure, explain_missing_metrics, key_figures
from analytics.match_statistics import MatchStatistics
from analytics.pipeline_metrics import PipelineFigures, PipelineMetrics
from analytics.time_range import TimeRange
from infra.names import make_command
from tools.printable import sanitize
from tools.report.rendering import svg

HERE = Path(__file__).parent
TOP_CHAMPIONS = 25


@dataclass(frozen=True)
class StackReport:
    """The data of one report. A source that did not answer is None, and `problems` has the reason."""

    stack: str
    created_at: datetime
    time_range: TimeRange
    matches: MatchStatistics | None
    builds: BuildStatistics | None
    pipeline: PipelineMetrics | None
    figures: PipelineFigures | None
    problems: tuple[str, ...] = ()
    queue: str = ""
    """The only queue; empty for all."""

    @property
    def match_charts(self) -> list[Chart]:
        """The charts from Elasticsearch."""
        found = charts.match_charts(self.matches, self.time_range) if self.matches else []
        return found + (charts.build_charts(self.builds) if self.builds else [])

    @property
    def pipeline_charts(self) -> list[Chart]:
        """The charts from Prometheus."""
        return charts.pipeline_charts(self.pipeline, self.time_range) if self.pipeline else []

    @property
    def key_figures(self) -> list[KeyFigure]:
        """The numbers at the top of the page."""
        return key_figures(self.matches, self.figures, self.time_range, self.created_at)

    @property
    def missing_metrics(self) -> list[str]:
        """Which part of the time range Prometheus has no data of."""
        return explain_missing_metrics(self.figures.oldest_sample, self.time_range) if self.figures else []


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
    champions = report.matches.champions if report.matches else ()
    script = (HERE / "sort.js").read_text(encoding="utf-8")
    return environment.get_template("page.html.jinja").render(
        report=report,
        command=make_command("report", report.stack),
        style=style,
        script=script,
        # Content security policy: no other script runs, whatever a player or a champion is called.
        script_hash=f"sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}",
        svg=svg,
        champions=champions[:TOP_CHAMPIONS],
        has_bans=any(champion.ban_rate is not None for champion in champions),
    )


def _css_variables(palette: Palette) -> str:
    return " ".join(f"--{name}: {colour};" for name, colour in asdict(palette).items())


def _time(time: datetime, seconds: bool = False) -> str:
    return f"{time:%Y-%m-%d %H:%M:%S}" if seconds else f"{time:%Y-%m-%d %H:%M}"
