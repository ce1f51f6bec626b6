"""The page "Player"."""

from __future__ import annotations

import streamlit as st

from analytics.charts import NO_CHAMPIONS_OF_MODES
from analytics.key_figures import KeyFigure
from analytics.player import Player, PlayerQueue
from dashboard import page, sources, tables, url
from dashboard.matches import FORMS, mean_texts


def show() -> None:
    """The page."""
    with st.container(horizontal=True, vertical_alignment="bottom", key="controls"):
        url.restore("player")
        wanted = st.text_input(
            "Player: Riot ID (name#tag) or puuid",
            key="player",
            on_change=url.write,
            max_chars=url.MAX_CHARACTERS,
            width=420,
        )
        url.pause_control()
    page.refreshed(_draw, wanted.strip())


def _draw(wanted: str) -> None:
    if not wanted:
        page.hint(["Enter a player's Riot ID, such as Name#EUW, or a puuid."])
        return
    answer = sources.player(wanted=wanted)
    page.problems(answer)
    if not answer.read_at:
        return
    if answer.data is None:
        page.hint([f"No document has the Riot ID or puuid {wanted}. The tag (#EUW) belongs to a Riot ID."])
        return
    with st.container(key="data"):
        _draw_player(answer.data)


def _draw_player(player: Player) -> None:
    earlier = f" · earlier: {', '.join(player.names[1:])}" if len(player.names) > 1 else ""
    st.html(
        f"<h2>{page.text(player.names[0])}</h2>"
        f'<p class="note">{page.text((player.puuid or "without a puuid: found by name") + earlier)}</p>'
    )
    note = "at any time, without remakes and matches without a winner"
    page.tiles([KeyFigure("Games", f"{player.games:,}", note)])
    with st.container(key="card-queues"):
        page.heading("By queue", "means of these games; most played first")
        names = (f"#{name}" for name, _ in FORMS.values())
        tables.table(
            ("Queue", "#Games", "#Won", *names, "#Kill participation"),
            "".join(map(_queue_row, player.queues)),
            "no game counts yet",
        )
    with st.container(key="card-form"):
        page.heading(
            "Form", f"the last {games} games, newest first" if (games := len(player.last)) > 1 else "the last game"
        )
        st.html(f'<p class="form">{"".join(_result(game.won) for game in player.last)}</p>')
    rows = "".join(
        f"<tr><td>{page.text(champion.name)}</td><td>{page.text(champion.queue)}</td>"
        f'<td class="number">{champion.games:,}</td>'
        f'<td class="number">{champion.win_rate:.0%}</td><td class="number">{champion.kda:.2f}</td></tr>'
        for champion in player.champions
    )
    with st.container(key="card-players-champions"):
        page.heading("Champions", "most played, by queue")
        tables.table(
            ("Champion", "Queue", "#Games", "#Won", "#KDA"), rows, f"no game counts yet; {NO_CHAMPIONS_OF_MODES}"
        )
    rows = "".join(
        f"<tr><td>{game.ended:%Y-%m-%d %H:%M}</td><td>{page.text(game.match_id)}</td><td>{page.text(game.queue)}</td>"
        f"<td>{page.text(game.champion)}</td><td>{page.text(game.position)}</td>"
        f'<td class="number">{game.kills} / {game.deaths} / {game.assists}</td>'
        f'<td class="number">{tables.length(game.duration)}</td><td>{_RESULTS[game.won]}</td></tr>'
        for game in player.last
    )
    with st.container(key="card-players-matches"):
        page.heading("Matches", "newest first, UTC")
        columns = ("Ended", "Match", "Queue", "Champion", "Position", "#K / D / A", "#Length", "Result")
        tables.table(columns, rows, "no match")


def _queue_row(queue: PlayerQueue) -> str:
    won, share = queue.means["win"], queue.means["kill_participation"]
    texts = (
        f"{queue.games:,}",
        "–" if won is None else f"{won:.1%}",
        *mean_texts(queue.means).values(),
        "–" if share is None else f"{share:.0%}",
    )
    cells = "".join(f'<td class="number">{text}</td>' for text in texts)
    return f"<tr><td>{page.text(queue.name)}</td>{cells}</tr>"


_RESULTS = {True: "won", False: "lost", None: "does not count"}


def _result(won: bool | None) -> str:
    """A letter, so that the result does not depend on seeing its colour."""
    letter, kind = {True: ("W", "won-game"), False: ("L", "lost-game"), None: ("–", "no-game")}[won]
    return f'<span class="{kind}" title="{_RESULTS[won]}">{letter}</span>'
