"""The controls at the top of the pages. Their values are query parameters of the page's URL."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import streamlit as st

from analytics.match_statistics import FilterValues, MatchFilter, patch_version
from dashboard import sources
from dashboard.view import DEFAULT_RANGE, FROM_TO, RANGES, View, utc
from job.champions import canonical_name
from job.match_v5 import POSITIONS
from job.queues import queue_ids, queue_name

ALL = "all"
WITHOUT_VALUES = "filters without values"


def controls(*, matches: bool = False, champion: bool = False) -> View:
    """The controls, and what the viewer has selected: a time range, and filters of `matches` and for a `champion`."""
    with st.container(horizontal=True, vertical_alignment="bottom", key="controls"):
        names = [*RANGES, FROM_TO]
        name = st.selectbox(
            "Time range", names, index=names.index(DEFAULT_RANGE), key="range", bind="query-params", width=130
        )
        begin = end = None
        if name == FROM_TO:
            # Empty at first: a value that equals its default is left out of the URL, so a default by today's date would
            # change a bookmarked page from one day to the next.
            begin = st.datetime_input("From (UTC)", None, key="from", bind="query-params", width=230, step=60)
            end = st.datetime_input("To (UTC)", None, key="to", bind="query-params", width=230, step=60)
        view = View(name, utc(begin), utc(end))
        if matches:
            values = sources.filter_values(view).data or FilterValues()
            st.session_state[WITHOUT_VALUES] = not values.queue_ids
            view = replace(view, filter=_filter(values, champion))
        st.toggle("Pause", key="paused", bind="query-params")
    return view


def refresh_controls(view: View) -> None:
    """Run the whole page again if its filters have no values and could have some now: a refresh runs a part only."""
    if st.session_state.get(WITHOUT_VALUES):
        values = sources.filter_values(replace(view, filter=MatchFilter())).data
        if values and values.queue_ids:
            st.rerun()


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
    chosen = st.selectbox(
        label,
        [ALL, *values],
        key=label.lower(),
        bind="query-params",
        width=width,
        accept_new_options=True,
    )
    if chosen in (ALL, None):
        return ""
    return chosen if chosen in values else spell(chosen)
