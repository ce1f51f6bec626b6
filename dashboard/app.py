"""The dashboard's entry point, `streamlit run dashboard/app.py`: runs at each visit and at each change of a control."""

from __future__ import annotations

import streamlit as st
from altair.utils.schemapi import disable_debug_mode

from dashboard import dead_letters, login, matches, page, pipeline, player, url

PAGES = {
    "Matches": matches.show,
    "Champion": matches.show_champion,
    "Player": player.show,
    "Pipeline": pipeline.show,
    "Dead letters": dead_letters.show,
}

disable_debug_mode()  # without it, Altair validates each part of each chart, which the tests do
st.set_page_config(page_title="LoL matches", layout="wide")
page.style()
login.require()
# Not Streamlit's own pages: they have paths, below which its browser part looks for the server, with an error for each.
url.restore("page", lambda name: name if name in PAGES else url.DEFAULTS["page"])
chosen = st.segmented_control(
    "Page", list(PAGES), key="page", on_change=url.write, required=True, label_visibility="collapsed"
)
PAGES[chosen or url.DEFAULTS["page"]]()
