"""Common layout of dashboards and panels: fixed ids, links, units, legends, thresholds, a text for missing data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from grafana_foundation_sdk.builders import common, prometheus
from grafana_foundation_sdk.builders import dashboard as builders
from grafana_foundation_sdk.builders.stat import Panel as Stat
from grafana_foundation_sdk.builders.timeseries import Panel as TimeSeries
from grafana_foundation_sdk.models.common import (
    BigValueColorMode,
    BigValueGraphMode,
    BigValueTextMode,
    DataSourceRef,
    GraphThresholdsStyleMode,
    LegendDisplayMode,
    LegendPlacement,
    SortOrder,
    TooltipDisplayMode,
    VisibilityMode,
)
from grafana_foundation_sdk.models.dashboard import (
    Dashboard,
    DashboardCursorSync,
    DashboardLinkType,
    FieldColorModeId,
    Threshold,
    ValueMap,
    ValueMappingResult,
)
from grafana_foundation_sdk.models.prometheus import QueryEditorMode

PROMETHEUS = DataSourceRef(type_val="prometheus", uid="prometheus")
UIDS = {"Pipeline": "lolstack-pipeline", "Services": "lolstack-services"}

GOOD, WARNING, BAD = "green", "orange", "red"

Panel = Stat | TimeSeries


@dataclass(frozen=True)
class Query:
    """A PromQL expression and the legend of its series; `{{label}}` stands for a label's value."""

    expression: str
    legend: str


@dataclass(frozen=True)
class Row:
    """A row of panels, each of `width` × `height` units of Grafana's grid, which is 24 units wide."""

    title: str
    panels: Sequence[Panel]
    width: int = 6
    height: int = 7


def dashboard(title: str, description: str, rows: Sequence[Row]) -> Dashboard:
    """A dashboard of `rows`. The ids of rows and panels follow from their positions."""
    builder = (
        builders.Dashboard(title)
        .uid(UIDS[title])
        .description(description)
        .tags(["lolstack"])
        .readonly()
        .time("now-1h", "now")
        .refresh("10s")
        .timezone("browser")
        .tooltip(DashboardCursorSync.CROSSHAIR)
    )
    for other, uid in UIDS.items():
        if other != title:
            link = builders.DashboardLink(other).type(DashboardLinkType.LINK).url(f"/d/{uid}").icon("dashboard")
            builder.link(link.keep_time(True))
    for number, row in enumerate(rows, start=1):
        builder.with_row(builders.Row(row.title).id(number * 100))
        for position, panel in enumerate(row.panels, start=1):
            builder.with_panel(panel.id(number * 100 + position).span(row.width).height(row.height))
    built = builder.build()
    for built_link in built.links or []:
        built_link.placement = None  # type: ignore[assignment]  # the SDK's only value would hide the link in a menu
    return built


def above(bad: float, warning: float | None = None) -> list[Threshold]:
    """Thresholds of a value that should be low: `bad` and above is red."""
    return [Threshold(None, GOOD), *([] if warning is None else [Threshold(warning, WARNING)]), Threshold(bad, BAD)]


def below(bad: float, warning: float | None = None) -> list[Threshold]:
    """Thresholds of a value that should be high: below `bad` is red."""
    return [
        Threshold(None, BAD),
        *([Threshold(bad, GOOD)] if warning is None else [Threshold(bad, WARNING), Threshold(warning, GOOD)]),
    ]


def stat(
    title: str,
    description: str,
    unit: str,
    *queries: Query,
    limits: Sequence[Threshold] = (),
    words: Mapping[int, str] | None = None,
    no_data: str = "no data",
) -> Stat:
    """A stat panel: the newest value of each series (or its text in `words`), coloured by `limits`, with sparkline."""
    panel = (
        Stat()
        .title(title)
        .description(description)
        .datasource(PROMETHEUS)
        .unit(unit)
        .no_value(no_data)
        .thresholds(builders.ThresholdsConfig().steps(list(limits) or [Threshold(None, "text")]))
        .reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]))
        .color_mode(BigValueColorMode.VALUE)
        .graph_mode(BigValueGraphMode.AREA)
        .text_mode(BigValueTextMode.AUTO)
    )
    if words:
        panel.mappings([ValueMap({str(value): ValueMappingResult(text=word) for value, word in words.items()})])
    for target in _targets(queries):
        panel.with_target(target)
    return panel


def time_series(
    title: str, description: str, unit: str, *queries: Query, limits: Sequence[Threshold] = (), no_data: str = "no data"
) -> TimeSeries:
    """A time series panel with the newest and highest value in the legend; `limits` are dashed lines."""
    panel = (
        TimeSeries()
        .title(title)
        .description(description)
        .datasource(PROMETHEUS)
        .unit(unit)
        .no_value(no_data)
        .min(0)
        .color_scheme(builders.FieldColor().mode(FieldColorModeId.PALETTE_CLASSIC_BY_NAME))
        .thresholds(builders.ThresholdsConfig().steps(list(limits) or [Threshold(None, GOOD)]))
        .thresholds_style(
            common.GraphThresholdsStyleConfig().mode(
                GraphThresholdsStyleMode.DASHED if limits else GraphThresholdsStyleMode.OFF
            )
        )
        .line_width(1)
        .fill_opacity(10)
        .show_points(VisibilityMode.NEVER)
        .legend(
            common.VizLegendOptions()
            .show_legend(True)
            .display_mode(LegendDisplayMode.TABLE)
            .placement(LegendPlacement.BOTTOM)
            .calcs(["lastNotNull", "max"])
        )
        .tooltip(common.VizTooltipOptions().mode(TooltipDisplayMode.MULTI).sort(SortOrder.DESCENDING))
    )
    for target in _targets(queries):
        panel.with_target(target)
    return panel


def _targets(queries: Sequence[Query]) -> list[prometheus.Dataquery]:
    return [
        prometheus.Dataquery()
        .ref_id(chr(ord("A") + number))
        .datasource(PROMETHEUS)
        .editor_mode(QueryEditorMode.CODE)
        .expr(query.expression)
        .legend_format(query.legend)
        .range()
        for number, query in enumerate(queries)
    ]
