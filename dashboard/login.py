"""Authentication: the login of the whole dashboard, where its settings have one.

Streamlit's own needs an identity provider.
"""

from __future__ import annotations

import hashlib
import hmac

import streamlit as st

from dashboard.settings import SettingsError, read_settings

LOGGED_IN = "logged in"


def require() -> None:
    """Show a form in place of the page until the viewer has logged in: once for each session.

    The state of a session is on the server, for two minutes after the browser has disconnected. The browser has only
    the session's id, which is random.
    """
    try:
        expected = read_settings().login_sha256
    except SettingsError:
        return  # each page shows the error: without settings nothing can be read
    if not expected or st.session_state.get(LOGGED_IN):
        return
    with st.form("login", width=360):
        user = st.text_input("User", autocomplete="username")
        password = st.text_input("Password", type="password", autocomplete="current-password")
        submitted = st.form_submit_button("Log in")
    if submitted:
        given = hashlib.sha256(f"{user}:{password}".encode()).hexdigest()
        if hmac.compare_digest(given, expected):
            st.session_state[LOGGED_IN] = True
            st.rerun()
        st.error("User or password is wrong.")
    st.stop()
