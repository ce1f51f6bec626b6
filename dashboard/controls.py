"""The controls at the top of the pages."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime

import streamlit as st

from analytics.match_statistics import FilterValues, MatchFilter, patch_version
from dashboard import page, sources, url
from dashboard.view import DEFAULT_RANGE, EARLIEST, FROM_TO, LATEST, RANGES, View, parse_time
from job.champions import canonical_name
from job.queues import POSITIONS, queue_ids, queue_name

TIMES = {"From": "from", "To": "to"}
WITHOUT_VALUES = "filters without values"


def controls(*, matches: bool = False, champion: bool = False) -> View:
    """The controls, and what the viewer has selected: a time range, and filters of `matches` and for a `champion`."""
    with st.container(horizontal=True, vertical_alignment="bottom", key="controls"):
        names = [*RANGES, FROM_TO]
        url.restore("range", lambda name: name if name in names else DEFAULT_RANGE)
        name = st.selectbox("Time range", names, key="range", on_change=url.write, width=130)
        begin = end = None
        if name == FROM_TO:
            begin, end = (_time_control(label, key) for label, key in TIMES.items())
        view = View(name, begin, end)
        if matches:
            values = sources.filter_values(view).data or FilterValues()
            st.session_state[WITHOUT_VALUES] = not values.queue_ids
            view = replace(view, filter=_filter(values, champion))
        url.pause_control()
    if name == FROM_TO:
        written = {label: url.read(key) for label, key in TIMES.items()}
        page.hint(
            f"{label}: {text} is no time of {EARLIEST.year} to {LATEST.year}: write 2026-11-24T06:00, which is UTC, or "
            "2026-11-24T07:00%2B01:00."
            for label, text in written.items()
            if text and parse_time(text) is None
        )
    return view


def refresh_controls(view: View) -> None:
    """Run the whole page again if its filters have no values and could have some now: a refresh runs a part only."""
    if st.session_state.get(WITHOUT_VALUES):
        values = sources.filter_values(replace(view, filter=MatchFilter())).data
        if values and values.queue_ids:
            st.rerun()


def _time_control(label: str, key: str) -> datetime | None:
    """A control with a time. Empty at first: a default by today's date would change a sent link from day to day."""
    url.restore(key, parse_time)
    chosen = st.datetime_input(
        f"{label} (UTC)", None, key=key, on_change=url.write, width=230, step=60, min_value=EARLIEST, max_value=LATEST
    )
    return chosen and chosen.replace(tzinfo=UTC)


def _filter(values: FilterValues, with_champion: bool) -> MatchFilter:
    queue = _select("Queue", sorted({queue_name(queue_id) for queue_id in values.queue_ids}), 190)
    platform = _select("Platform", values.platforms, 110, str.upper)
    patch = _select("Patch", sorted(values.patches, key=patch_version, reverse=True), 100)
    champion = _select("Champion", values.champions, 160, canonical_name) if with_champion else ""
    position = _select("Position", POSITIONS, 120, str.upper)
    return MatchFilter(queue_ids(queue) if queue else None, platform, patch, champion, position)


def _select(label: str, values: Sequence[str], width: int, spell: Callable[[str], str] = str) -> str:
    """A control with one of the values, or another one that the viewer types or the URL has; empty for all.

    `spell` turns what was typed into the documents' spelling.
    """
    key = label.lower()
    url.restore(key)
    chosen = st.selectbox(label, [url.ALL, *values], key=key, on_change=url.write, width=width, accept_new_options=True)
    if chosen in (url.ALL, None):
        return ""
    return chosen if chosen in values else spell(chosen)
