"""The report's plots."""

from __future__ import annotations

from pathlib import Path
from statistics import median
from typing import Any

import altair as alt

from bench import alternatives, ceilings
from bench.results import Results

WIDTH, HEIGHT = 560, 260
Rows = list[dict[str, Any]]
Chart = Any
"""What Altair's encodings return is typed as anything."""


def draw(folder: Path, results: Results) -> None:
    """Write a plot for each measure that is there."""
    charts = {
        "freshness": freshness(results),
        "drain": speeds(results),
        "growth": growth(results),
        "memory": memory(results),
    }
    for name, chart in charts.items():
        if chart is not None:
            chart.configure_view(stroke=None).save(str(folder / f"{name}.svg"))


def freshness(results: Results) -> Chart | None:
    """How many of a hundred matches are found after so many seconds."""
    if results.freshness is None:
        return None
    rows = [
        {"flow": f"{each.size}, {each.rate}/s", "seconds": seconds, "percent": percent}
        for each in results.freshness.figures
        for percent, seconds in enumerate(each.curve, 1)
    ]
    return (
        _chart(rows)
        .mark_line()
        .encode(
            x=alt.X("seconds:Q", title="seconds from Kafka to found by search", scale=alt.Scale(zero=True)),
            y=alt.Y("percent:Q", title="percent of the matches"),
            color=alt.Color("flow:N", title=None),
        )
    )


def speeds(results: Results) -> Chart | None:
    """The job, its ceilings and the alternatives, documents a second."""
    if results.drain is None:
        return None
    rows: Rows = []

    def row(size: str, what: str, kind: str, speed: float) -> None:
        rows.append({"size": f"{size} matches", "what": what.replace("`", ""), "kind": kind, "speed": round(speed)})

    for each in results.drain.figures:
        row(each.size, "the job", "job", each.sustained())
    for ceiling in results.ceilings.figures if results.ceilings else []:
        row(ceiling.size, "ceilings of parsing and _bulk, added up", "ceiling", ceiling.added_up())
        for stage, rounds in ceiling.stages.items():
            row(ceiling.size, ceilings.STAGES[stage], "ceiling", median(rounds))
    for other in results.alternatives.figures if results.alternatives else []:
        row(other.size, alternatives.WAYS[other.way], "alternative", median(speed.sustained for speed in other.rounds))
    base = alt.Chart(width=WIDTH - 160).encode(
        x=alt.X("speed:Q", title="documents a second"),
        y=alt.Y("what:N", title=None, sort=None, axis=alt.Axis(labelLimit=420)),
    )
    bars = base.mark_bar().encode(
        color=alt.Color("kind:N", title=None, scale=alt.Scale(domain=["job", "ceiling", "alternative"]))
    )
    labels = base.mark_text(align="left", dx=3).encode(text=alt.Text("speed:Q", format=",d"))
    return (
        alt.layer(bars, labels, data=alt.InlineData(values=rows))
        .facet(row=alt.Row("size:N", title=None))
        .resolve_scale(x="independent", y="independent")
    )


def growth(results: Results) -> Chart | None:
    """Time per message by the length of the backlog."""
    if results.growth is None:
        return None
    rows = [
        {
            "messages": each.messages,
            "partitions": str(each.partitions),
            "milliseconds": each.milliseconds_a_message,
        }
        for each in results.growth.figures
    ]
    return (
        _chart(rows)
        .mark_line(point=True)
        .encode(
            x=alt.X("messages:Q", title="messages in the backlog", scale=alt.Scale(type="log", base=2)),
            y=alt.Y("milliseconds:Q", title="milliseconds a message", scale=alt.Scale(zero=True)),
            color=alt.Color("partitions:N", title="partitions"),
        )
    )


def memory(results: Results) -> Chart | None:
    """Memory of driver, executor and state over the run."""
    if results.memory is None:
        return None
    rows = [
        {"minute": look.minute, "of": name, "memory": value}
        for look in results.memory.figures.looks
        for name, value in (
            ("driver", look.driver),
            ("worker and executor", look.executor),
            ("statistics' state", look.state),
        )
    ]
    return (
        _chart(rows)
        .mark_line()
        .encode(
            x=alt.X("minute:Q", title="minutes; below 0 the state still grows"),
            y=alt.Y("memory:Q", title="MiB", scale=alt.Scale(zero=True)),
            color=alt.Color("of:N", title=None),
        )
    )


def _chart(rows: Rows) -> Chart:
    return alt.Chart(alt.InlineData(values=rows), width=WIDTH, height=HEIGHT)
