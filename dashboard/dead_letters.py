"""The page "Dead letters"."""

from __future__ import annotations

import streamlit as st

from analytics import charts
from analytics.key_figures import explain_missing_metrics
from dashboard import page, sources, tables, url
from dashboard.controls import controls
from dashboard.sources import DisplayedDeadLetter
from dashboard.view import View
from infra.names import DEAD_LETTER_TOPIC, make_command
from job.printable import escape


def show() -> None:
    """The page."""
    view = controls()
    page.refreshed_view(_draw, view)
    with st.container(key="card-letter"):
        page.heading("One dead letter", f"its offset is the second number of partition:offset in {DEAD_LETTER_TOPIC}")
        url.restore("letter")
        position = st.text_input(
            "partition:offset, such as 0:17", key="letter", on_change=url.write, max_chars=40, width=260
        )
        if position.strip():
            _draw_letter(position.strip())


def _draw(view: View) -> None:
    reasons, newest = sources.dead_letter_metrics(view), sources.newest_dead_letters()
    page.problems(reasons, newest)
    with st.container(key="data"):
        if reasons.data and reasons.time_range:
            page.hint(explain_missing_metrics(reasons.data.oldest_sample, reasons.time_range))
            page.chart_cards(
                [
                    charts.dead_letters_over_time(reasons.data.rates, reasons.time_range),
                    charts.dead_letters(reasons.data.counts),
                ]
            )
        if newest.data is not None:
            _draw_newest(newest.data)


def _draw_newest(letters: list[DisplayedDeadLetter]) -> None:
    rows = "".join(
        f"<tr><td>{letter.arrived_at:%Y-%m-%d %H:%M:%S}</td><td>{page.text(letter.position)}</td>"
        f"<td>{page.text(letter.reason)}</td><td>{page.text(escape(letter.detail))}</td>"
        f'<td>{page.text(letter.original_position)}</td><td class="number">{letter.size:,}</td></tr>'
        for letter in letters
    )
    with st.container(key="card-newest"):
        page.heading(
            "Newest",
            f"the last {sources.MAX_SHOWN_DEAD_LETTERS} of the topic, UTC; `{_make('dlq')}` counts all by reason",
        )
        tables.table(
            ("Arrived", "Partition:offset", "Reason", "Detail", "Original", "#Bytes"), rows, "there is no dead letter"
        )


def _draw_letter(position: str) -> None:
    answer = sources.dead_letter(wanted=position)
    if answer.problem:
        page.hint([answer.problem])
        return
    letter = answer.data
    if letter is None:
        page.hint([f"There is no dead letter at {position}."])
        return
    rows = "".join(
        f'<tr><th scope="row">{page.text(escape(name))}</th><td class="wrap">{page.text(escape(value))}</td></tr>'
        for name, value in letter.headers
    )
    cut = f" The first {sources.SHOWN_BYTES:,} B." if letter.size > sources.SHOWN_BYTES else ""
    st.html(
        f'<div class="scroll" tabindex="0"><table><tbody>{rows}</tbody></table></div>'
        f'<p class="note">Value: {letter.size:,} B.{cut} Control characters are escaped.</p>'
        f'<pre class="value" tabindex="0">{page.text(escape(letter.value)) or "(none)"}</pre>'
    )
    page.hint(
        [f"It cannot be replayed: {letter.obstacle}."]
        if letter.obstacle
        else [f"After a fix, replay it: {_make(f'dlq REPLAY={letter.position}')}"]
    )


def _make(target: str) -> str:
    return make_command(target, sources.stack_name())
