"""The dashboard's entry point, `streamlit run dashboard/app.py`: runs at each visit and at each change of a control."""

from __future__ import annotations

import streamlit as st

from dashboard import matches, page

st.set_page_config(page_title="LoL matches", layout="wide")
page.style()
st.navigation([st.Page(matches.show, title="Matches", url_path="matches", default=True)], position="top").run()
