"""The page "Matches"."""

from __future__ import annotations

from datetime import UTC, datetime

import streamlit as st

from analytics import charts
from analytics.key_figures import key_figures
from dashboard import page, sources
from dashboard.controls import controls
from dashboard.view import View


def show() -> None:
    """The page."""
    page.refreshed(_draw, controls())


def _draw(view: View) -> None:
    matches, pipeline = sources.matches(view), sources.pipeline(view)
    page.problems(matches, pipeline)
    with st.container(key="data"):
        time_range = matches.time_range or pipeline.time_range
        if time_range:
            page.tiles(key_figures(matches.data, pipeline.data, time_range, datetime.now(UTC)))
        if matches.data and matches.time_range:
            page.chart_cards(charts.match_charts(matches.data, matches.time_range))
