"""Plots of the benchmark report, as SVG files."""

from __future__ import annotations

from pathlib import Path
from statistics import median
from typing import Any

import altair as alt

from bench.alternatives import CONSUMERS
from bench.ceilings import STAGES
from bench.results import Results

WIDTH, HEIGHT = 560, 260
Rows = list[dict[str, Any]]
Chart = Any
"""Altair's encodings are untyped."""


def write_plots(folder: Path, results: Results) -> None:
    """Write a plot for each measure that was taken."""
    charts = {
        "freshness": freshness_plot(results),
        "drain": throughput_plot(results),
        "scaling": scaling_plot(results),
        "memory": memory_plot(results),
    }
    for name, chart in charts.items():
        if chart is not None:
            chart.configure_view(stroke=None).save(str(folder / f"{name}.svg"))


def freshness_plot(results: Results) -> Chart | None:
    """Cumulative distribution of the latency: percent of the matches found by latency."""
    if results.freshness is None:
        return None
    rows = [
        {"load": f"{each.size}, {each.rate}/s", "seconds": seconds, "percent": percent}
        for each in results.freshness.figures
        for percent, seconds in enumerate(each.percentiles, 1)
    ]
    return (
        _chart(rows)
        .mark_line()
        .encode(
            x=alt.X("seconds:Q", title="seconds from Kafka to search", scale=alt.Scale(zero=True)),
            y=alt.Y("percent:Q", title="percent of the matches"),
            color=alt.Color("load:N", title=None),
        )
    )


def throughput_plot(results: Results) -> Chart | None:
    """Documents a second of the job, its ceilings and the alternatives."""
    if results.drain is None:
        return None
    rows: Rows = []

    def add(size: str, label: str, kind: str, throughput: float) -> None:
        rows.append(
            {"size": f"{size} matches", "label": label.replace("`", ""), "kind": kind, "throughput": round(throughput)}
        )

    for each in results.drain.figures:
        add(each.size, "the job", "job", each.sustained())
    for ceilings in results.ceilings.figures if results.ceilings else []:
        add(ceilings.size, "combined ceiling of parsing and _bulk", "ceiling", ceilings.combined())
        for stage, rounds in ceilings.stages.items():
            add(ceilings.size, STAGES[stage], "ceiling", median(rounds))
    for other in results.alternatives.figures if results.alternatives else []:
        sustained = median(throughput.sustained for throughput in other.rounds)
        add(other.size, CONSUMERS[other.consumer], "alternative", sustained)
    base = alt.Chart(width=WIDTH - 160).encode(
        x=alt.X("throughput:Q", title="documents a second"),
        y=alt.Y("label:N", title=None, sort=None, axis=alt.Axis(labelLimit=420)),
    )
    bars = base.mark_bar().encode(
        color=alt.Color("kind:N", title=None, scale=alt.Scale(domain=["job", "ceiling", "alternative"]))
    )
    labels = base.mark_text(align="left", dx=3).encode(text=alt.Text("throughput:Q", format=",d"))
    return (
        alt.layer(bars, labels, data=alt.InlineData(values=rows))
        .facet(row=alt.Row("size:N", title=None))
        .resolve_scale(x="independent", y="independent")
    )


def scaling_plot(results: Results) -> Chart | None:
    """Time per message by length of the backlog and number of partitions."""
    if results.scaling is None:
        return None
    rows = [
        {
            "messages": each.messages,
            "partitions": str(each.partitions),
            "milliseconds": each.milliseconds_per_message,
        }
        for each in results.scaling.figures
    ]
    return (
        _chart(rows)
        .mark_line(point=True)
        .encode(
            x=alt.X("messages:Q", title="messages in the backlog", scale=alt.Scale(type="log", base=2)),
            y=alt.Y("milliseconds:Q", title="milliseconds per message", scale=alt.Scale(zero=True)),
            color=alt.Color("partitions:N", title="partitions"),
        )
    )


def memory_plot(results: Results) -> Chart | None:
    """Memory of driver, worker and state over the run."""
    if results.memory is None:
        return None
    rows = [
        {"minute": sample.minute, "of": name, "memory": value}
        for sample in results.memory.figures.samples
        for name, value in (
            ("driver", sample.driver_mib),
            ("worker and executor", sample.worker_mib),
            ("statistics' state", sample.state_mib),
        )
    ]
    return (
        _chart(rows)
        .mark_line()
        .encode(
            x=alt.X("minute:Q", title="minutes; below 0: warm-up, the state still grows"),
            y=alt.Y("memory:Q", title="MiB", scale=alt.Scale(zero=True)),
            color=alt.Color("of:N", title=None),
        )
    )


def _chart(rows: Rows) -> Chart:
    return alt.Chart(alt.InlineData(values=rows), width=WIDTH, height=HEIGHT)
