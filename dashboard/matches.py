"""The pages "Matches" and "Champion"."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

import streamlit as st

from analytics import charts
from analytics.key_figures import KeyFigure, explain_absent, explain_no_matches, key_figures
from dashboard import page, sources, tables
from dashboard.controls import controls, refresh_controls
from dashboard.view import View

FORMS = {
    "kda": ("KDA", "{:.2f}"),
    "gold_per_minute": ("Gold per minute", "{:,.0f}"),
    "damage_per_minute": ("Damage per minute", "{:,.0f}"),
    "cs_per_minute": ("CS per minute", "{:.1f}"),
}


def show() -> None:
    """The page "Matches"."""
    page.refreshed_view(_draw, controls(matches=True, champion=True))


def show_champion() -> None:
    """The page "Champion"."""
    page.refreshed_view(_draw_champion, controls(matches=True, champion=True))


def mean_texts(means: Mapping[str, float | None]) -> dict[str, str]:
    """The means of FORMS by their names; a dash for a mean of no game."""
    return {
        name: "–" if (mean := means.get(field)) is None else form.format(mean) for field, (name, form) in FORMS.items()
    }


def _draw(view: View) -> None:
    if st.session_state.pop("page_changed", False):
        st.rerun()  # of the whole page: a click in this part of it runs this part only
    refresh_controls(view)
    matches, pipeline = sources.matches(view), sources.pipeline_figures(view)
    page.problems(matches, pipeline)
    with st.container(key="data"):
        now, time_range = datetime.now(UTC), matches.time_range or pipeline.time_range
        if time_range:
            # The newest document's age is that when it was read: the answer may be another viewer's, or kept.
            page.tiles(key_figures(matches.data, pipeline.data, time_range, matches.read_at or now))
        if matches.data and matches.time_range:
            advice = "Choose a longer time range"
            page.hint(explain_no_matches(matches.data, matches.time_range, now, sources.stack_name(), advice))
            page.chart_cards(charts.match_charts(matches.data, matches.time_range))
            tables.champions(matches.data.champions)
            tables.last_matches(matches.data.last)


def _draw_champion(view: View) -> None:
    refresh_controls(view)
    if not view.filter.champion:
        page.hint(["Choose a champion above, or click one in the table of the page Matches."])
        return
    answer = sources.champion(view)
    page.problems(answer)
    with st.container(key="data"):
        if not answer.data or not answer.time_range:
            return
        details = answer.data
        st.html(f"<h2>{page.text(view.filter.champion)}</h2>")
        if not details.games:
            none = f"No game of {view.filter.champion} {answer.time_range.words} matches the filters."
            page.hint([none if details.absent is None else explain_absent(details.absent)])
        figures = [KeyFigure("Games", f"{details.games:,}", answer.time_range.words)]
        if (won := details.means.get("win")) is not None:
            low, high = details.win_interval
            figures.append(KeyFigure("Won", f"{won:.1%}", f"95 %: {low:.0%} to {high:.0%}"))
        page.tiles(figures + [KeyFigure(name, mean, "mean") for name, mean in mean_texts(details.means).items()])
        page.chart_cards(charts.champion_charts(details))
