"""The parts of which all pages consist: refresh, tiles, cards with charts, problems, texts that others wrote."""

from __future__ import annotations

import html
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import streamlit as st

from analytics.chart import Chart, light_dark_variables
from analytics.key_figures import KeyFigure, duration
from analytics.time_range import FutureTimeRangeError
from dashboard.sources import REFRESH_SECONDS, Answer
from dashboard.view import View
from tools.printable import sanitize

STYLE = (Path(__file__).parent / "style.css").read_text(encoding="utf-8")
FONT = '"Source Sans", sans-serif'
"""Streamlit's own."""


def style() -> None:
    """The style sheet of all pages."""
    st.html(f"<style>:root {{ {light_dark_variables()} }}\n{STYLE}</style>")


def refreshed(draw: Callable[..., None], *arguments: Any) -> None:
    """Draw a part of the page now and, unless the viewer has paused it, at each interval."""
    paused = st.session_state.get("paused", False)
    st.fragment(draw, run_every=None if paused else REFRESH_SECONDS)(*arguments)


def refreshed_view(draw: Callable[[View], None], view: View) -> None:
    """The same for a part with the data of a view: of the times that it says, unless the viewer has chosen both."""
    refreshed(_draw_view, draw, view)


def _draw_view(draw: Callable[[View], None], view: View) -> None:
    try:
        time_range = view.time_range(datetime.now(UTC))
    except FutureTimeRangeError as error:
        hint([f"{error}. Choose another one."])
        return
    if view.missing:
        empty = f"{' and '.join(view.missing)} {'are' if view.missing[1:] else 'is'} empty"
        hint([f"{empty}: the data is of {time_range.start:%Y-%m-%d %H:%M} to {time_range.end:%Y-%m-%d %H:%M} UTC."])
    draw(view)


def text(untrusted: object) -> str:
    """HTML that displays the text as it is (no XSS): of a player, a champion or a message."""
    return html.escape(sanitize(str(untrusted)))


def problems(main: Answer[Any], *others: Answer[Any]) -> None:
    """What is unavailable. Stale data stays on the page with its age. The page is grey if that is its main part."""
    alerts, ages = [], []
    for answer in {answer.problem: answer for answer in (*others, main)}.values():  # each problem once
        if answer.problem:
            alerts.append(f'<p class="problem" role="alert">{text(answer.problem)}. Trying again.</p>')
            if answer.read_at:
                age = duration((datetime.now(UTC) - answer.read_at).total_seconds())
                ages.append(f'<p class="age">Below is the data of {answer.read_at:%H:%M:%S} UTC, {age} ago.</p>')
    grey = "<style>.st-key-data { opacity: 0.5; filter: grayscale(1); }</style>" if main.problem else ""
    # Elements of their own: a screen reader reads an alert again when its element changes, as the ages always do.
    st.html(f'<div class="problems">{"".join(alerts)}</div>{grey}')
    st.html(f'<div class="ages">{"".join(dict.fromkeys(ages))}</div>')


def hint(lines: Iterable[str]) -> None:
    """Why there is nothing to see, and what to do."""
    paragraphs = "".join(f'<p class="hint">{text(line)}</p>' for line in lines)
    if paragraphs:
        st.html(paragraphs)


def tiles(figures: Iterable[KeyFigure]) -> None:
    """The key figures."""
    cells = "".join(
        f'<div class="card"><dt>{text(figure.name)}</dt>'
        f'<dd class="value{" bad" if figure.bad else ""}">{text(figure.value)}</dd>'
        f'<dd class="note">{text(figure.note)}</dd></div>'
        for figure in figures
    )
    st.html(f'<dl class="figures">{cells}</dl>')


def chart_cards(charts: Iterable[Chart]) -> None:
    """The charts in a grid whose number of columns depends on the window's width."""
    with st.container(key="charts"):
        for chart in charts:
            chart_card(chart)


def chart_card(chart: Chart) -> None:
    """A chart with its title and note."""
    with st.container(key=f"card-{chart.name}"):
        heading(chart.title, chart.note)
        if chart.specification is None:
            st.html(f'<p class="empty">{text(chart.empty)}</p>')
            return
        specification = chart.to_dict(FONT, validate=False) | {"usermeta": {"embedOptions": {"renderer": "svg"}}}
        st.vega_lite_chart(specification, theme=None, key=f"chart-{chart.name}", alt=f"{chart.title}: {chart.note}")


def heading(title: str, note: str) -> None:
    """The heading of a card."""
    st.html(f'<h3>{text(title)}</h3><p class="note">{text(note)}</p>')
