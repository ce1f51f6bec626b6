"""The pages' tables."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial
from typing import Any
from unicodedata import normalize

import streamlit as st

from analytics.match_statistics import ChampionStatistics, MatchSummary
from dashboard import url
from dashboard.page import heading, text
from tools.printable import sanitize

MINUTE = 60
PERCENT = "%.1f %%"


def champions(found: Sequence[ChampionStatistics]) -> None:
    """A table that can be sorted and searched. A click on a row opens the champion's page."""
    with st.container(key="card-champions"):
        heading(
            "Champions",
            "a click on a column's name sorts, one on a champion opens its page; the magnifier, displayed while the "
            "mouse is over the table, searches; without remakes, matches without a winner, bots, champions of modes "
            "(Swarm, …)",
        )
        if not found:
            st.html('<p class="empty">no game in this time range</p>')
            return
        columns: dict[str, list[Any]] = {
            "Champion": [_no_formula(sanitize(champion.name)) for champion in found],
            "Games": [champion.games for champion in found],
            "Picked": [100 * champion.pick_rate for champion in found],
            "Banned": [None if champion.ban_rate is None else 100 * champion.ban_rate for champion in found],
            "Won": [100 * champion.win_rate for champion in found],
            "95 %": ["{:.0%} – {:.0%}".format(*champion.win_interval) for champion in found],
            "KDA": [champion.kda for champion in found],
            "Gold/min": [champion.gold_per_minute for champion in found],
            "Damage/min": [champion.damage_per_minute for champion in found],
            "CS/min": [champion.cs_per_minute for champion in found],
        }
        if all(rate is None for rate in columns["Banned"]):
            del columns["Banned"]
        st.dataframe(
            columns,
            key="champions",
            hide_index=True,
            height=390,
            on_select=partial(_open_champion, [champion.name for champion in found]),
            selection_mode="single-cell",
            alt="Champions by number of games",
            column_config={
                "Champion": st.column_config.TextColumn(pinned=True, width=140),
                "Games": st.column_config.NumberColumn(format="localized"),
                "Picked": st.column_config.NumberColumn(
                    format=PERCENT, help="of the matches in which a person played a champion of Summoner's Rift"
                ),
                "Banned": st.column_config.NumberColumn(
                    format=PERCENT,
                    help="of the matches of two teams with bans, without League Classic and ARAM: Mayhem Classic",
                ),
                "Won": st.column_config.NumberColumn(format=PERCENT),
                "95 %": st.column_config.TextColumn(help="confidence interval of the win rate"),
                "KDA": st.column_config.NumberColumn(format="%.2f"),
                "Gold/min": st.column_config.NumberColumn(format="%.0f"),
                "Damage/min": st.column_config.NumberColumn(format="%.0f"),
                "CS/min": st.column_config.NumberColumn(format="%.1f"),
            },
        )


def _no_formula(name: str) -> str:
    """The name as text also in a spreadsheet: the table can be downloaded as CSV, and producers may send any name."""
    # Spreadsheets skip spaces and line breaks before a formula, and read full-width signs as these.
    begins = normalize("NFKC", name).lstrip(" \n")
    return f"'{name}" if begins.startswith(("=", "+", "-", "@", "\t", "\r")) else name


def _open_champion(names: Sequence[str]) -> None:
    cells = st.session_state["champions"].selection.cells
    if cells and cells[0][0] < len(names):
        url.select(page="Champion", champion=names[cells[0][0]])
        st.session_state["page_changed"] = True


def last_matches(found: Iterable[MatchSummary]) -> None:
    """The newest matches, one line each."""
    rows = "".join(
        f"<tr><td>{match.ended:%Y-%m-%d %H:%M:%S}</td><td>{text(match.id)}</td><td>{text(match.patch)}</td>"
        f'<td>{text(match.queue)}</td><td class="number">{length(match.duration)}</td>'
        f"<td{_class(match.winner)}>{'remake' if match.remake else match.winner or '–'}</td>"
        f"{_sides(match)}</tr>"
        for match in found
    )
    with st.container(key="card-last"):
        heading(
            "Last matches",
            "the newest searchable matches, UTC; the winner's champions are bold; matches without two teams (Arena, "
            "Swarm): all champions by placement",
        )
        table(
            ("Ended", "Match", "Patch", "Queue", "#Length", "Winner", "#Kills", "Blue", "Red"),
            rows,
            "no match is searchable yet",
        )


def table(columns: Iterable[str], rows: str, empty: str) -> None:
    """A table of HTML rows; the name of a column of numbers begins with #."""
    if not rows:
        st.html(f'<p class="empty">{text(empty)}</p>')
        return
    heads = "".join(
        f'<th scope="col" class="number">{text(name[1:])}</th>'
        if name.startswith("#")
        else f'<th scope="col">{text(name)}</th>'
        for name in columns
    )
    st.html(
        f'<div class="scroll" tabindex="0"><table><thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table></div>'
    )


def length(seconds: int) -> str:
    """Minutes and seconds."""
    return f"{seconds // MINUTE}:{seconds % MINUTE:02}"


def _class(winner: str | None) -> str:
    return f' class="{winner}"' if winner else ""


def _sides(match: MatchSummary) -> str:
    """The cells of the kills and of both sides; a match without two teams has no sides."""
    if match.champions:
        return f'<td class="number">–</td><td class="champions" colspan="2">{text(" · ".join(match.champions))}</td>'
    return (
        f'<td class="number">{match.blue_kills} : {match.red_kills}</td>'
        f"{_side(match.blue, match.winner == 'blue')}{_side(match.red, match.winner == 'red')}"
    )


def _side(champions: Iterable[str], won: bool) -> str:
    return f'<td class="champions{" won" if won else ""}">{text(" · ".join(champions)) or "–"}</td>'
