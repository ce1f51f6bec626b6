"""The controls at the top of the pages. Their values are in the page's URL."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import streamlit as st

from dashboard.view import DEFAULT_RANGE, FROM_TO, RANGES, View, utc


def controls() -> View:
    """The controls, and what the viewer has selected."""
    with st.container(horizontal=True, vertical_alignment="bottom", key="controls"):
        names = [*RANGES, FROM_TO]
        name = st.selectbox(
            "Time range", names, index=names.index(DEFAULT_RANGE), key="range", bind="query-params", width=130
        )
        begin = end = None
        if name == FROM_TO:
            now = datetime.now(UTC).replace(second=0, microsecond=0, tzinfo=None)
            begin = st.datetime_input(
                "From (UTC)", now - timedelta(hours=1), key="from", bind="query-params", width=220
            )
            end = st.datetime_input("To (UTC)", now, key="to", bind="query-params", width=220)
        st.toggle("Pause", key="paused", bind="query-params")
    return View(name, utc(begin), utc(end))
