"""The dashboard's tables."""

from __future__ import annotations

import pytest
from streamlit.testing.v1 import AppTest


def _draw(name: str) -> None:
    from analytics.match_statistics import ChampionStatistics
    from dashboard import tables

    tables.champions([ChampionStatistics(name, 10, 0.5, None, 0.5, 3.0, 400.0, 600.0, 6.0)])


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("Kai'Sa", "Kai'Sa"),
        ('=HYPERLINK("http://example.com")', '\'=HYPERLINK("http://example.com")'),
        ("-1+1", "'-1+1"),
        ("\tx", "'\tx"),
        ("\n =1+1", "'\n =1+1"),
        ("\uff1d1+1", "'\uff1d1+1"),  # a full-width =
    ],
)
def test_champions_name_is_no_formula_in_a_downloaded_table(name: str, shown: str) -> None:
    app = AppTest.from_function(_draw, args=(name,), default_timeout=30).run()
    assert not app.exception
    assert list(app.dataframe[0].value["Champion"]) == [shown]
