"""What a viewer has chosen is in the page's URL, as query parameters: a view can be sent, and Back returns to it.

The URL is the only state. Not by Streamlit's `bind="query-params"`: at a change of a control, that replaces the newest
entry of the browser's history, and adds entries without the parameters of controls that the next page does not have.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

import streamlit as st
from streamlit.runtime.scriptrunner import get_script_run_ctx

ALL = "all"
DEFAULTS = {
    "page": "Matches",
    "range": "1 h",
    "from": "",
    "to": "",
    "queue": ALL,
    "platform": ALL,
    "patch": ALL,
    "champion": ALL,
    "position": ALL,
    "player": "",
    "letter": "",
    "paused": "",
}
"""The values that are not in the URL, by control."""
TRUE = "true"
MAX_CHARACTERS = 120
"""Of a control's value. Streamlit limits what is typed, but not the URL, which may have megabytes."""


def read(control: str) -> str:
    """The URL's value of a control; its default if there is none, or if it is too long."""
    text = st.query_params.get(control, "")
    return text if 0 < len(text) <= MAX_CHARACTERS else DEFAULTS[control]


def restore(control: str, parse: Callable[[str], object] = str) -> None:
    """Give a control the URL's value, before it is drawn."""
    value = parse(read(control))
    if st.session_state.get(control) != value:
        st.session_state[control] = value


def write() -> None:
    """A control has changed: write all controls of the page into the URL, as one new entry of the browser's history.

    All of them: at a quick second change, the browser may not have the first one in its URL yet.
    """
    select(**{control: _text(st.session_state[control]) for control in DEFAULTS if control in st.session_state})


def select(**values: str) -> None:
    """Change these values in the URL. The others stay, those of other pages' controls too."""
    context = get_script_run_ctx()
    if context and context.is_history_navigation:
        return  # the viewer has changed the URL, not a control: Streamlit takes former controls for changed ones
    changed = st.query_params.to_dict() | values
    st.query_params.from_dict({name: value for name, value in changed.items() if value != DEFAULTS.get(name)})


def pause_control() -> None:
    """The control that pauses the refresh."""
    restore("paused", lambda text: text == TRUE)
    st.toggle("Pause", key="paused", on_change=write)


def _text(value: object) -> str:
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%dT%H:%M}"
    if isinstance(value, bool):
        return TRUE if value else ""
    return str(value or "")
