"""A chart and its look: a Vega-Lite specification, its theme, and the light and the dark palette.

A chart's colours are names of CSS variables, so that one chart serves both themes.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import altair as alt

from tools.printable import sanitize

WIDTH, HEIGHT = 380, 230
"""Size of a whole chart, in CSS pixels; about the size at which a phone displays it."""
Specification = alt.Chart | alt.LayerChart
NO_DATA = "no data in this time range"


@dataclass(frozen=True)
class Palette:
    """The colours of a theme."""

    page: str
    card: str
    ink: str
    muted: str
    line: str
    accent: str
    second: str
    blue: str
    red: str
    bad: str


LIGHT = Palette(
    page="#f3f5f8",
    card="#ffffff",
    ink="#18212c",
    muted="#566373",
    line="#e2e7ed",
    accent="#0b7a75",
    second="#b7791f",
    blue="#2f6fd0",
    red="#cc4340",
    bad="#c22f2c",
)
DARK = Palette(
    page="#0f141a",
    card="#182029",
    ink="#e8edf3",
    muted="#9aa8b7",
    line="#2b3642",
    accent="#3cc4bb",
    second="#e9b44c",
    blue="#6aa5ff",
    red="#ff7d79",
    bad="#ff7d79",
)


def css_colour(name: str) -> str:
    """The CSS variable of a palette's colour."""
    return f"var(--{name})"


def light_dark_variables() -> str:
    """CSS: the palette's variables, each with its light and its dark colour."""
    dark = asdict(DARK)
    return " ".join(f"--{name}: light-dark({colour}, {dark[name]});" for name, colour in asdict(LIGHT).items())


THEME: dict[str, Any] = {
    "background": "transparent",
    "view": {"stroke": None},
    "axis": {
        "labelColor": css_colour("muted"),
        "titleColor": css_colour("muted"),
        "labelFontSize": 11,
        "titleFontSize": 11,
        "titleFontWeight": "normal",
        "gridColor": css_colour("line"),
        "domain": False,
        "ticks": False,
        "labelPadding": 6,
    },
    "legend": {
        "labelColor": css_colour("muted"),
        "labelFontSize": 11,
        "orient": "top",
        "title": None,
        "symbolStrokeWidth": 2,
        "padding": 0,
        "columnPadding": 28,  # room for a font that is wider than the measured one
    },
    "title": {
        "color": css_colour("ink"),
        "subtitleColor": css_colour("muted"),
        "fontSize": 15,
        "subtitleFontSize": 11,
        "subtitlePadding": 5,
    },
    "text": {"color": css_colour("ink"), "fontSize": 11},
}


@dataclass(frozen=True)
class Chart:
    """A chart with its title and note. Without a specification it has no data, and `empty` is displayed instead."""

    name: str
    title: str
    note: str
    specification: Specification | None
    empty: str = NO_DATA

    def to_dict(self, font: str, *, validate: bool = True) -> dict[str, Any]:
        """The specification with the theme, and `font` for all texts. `validate`: against Vega-Lite's schema."""
        assert self.specification
        styled: dict[str, Any] = self.specification.configure(**THEME, font=font).to_dict(validate=validate)
        sanitized: dict[str, Any] = _sanitize_texts(styled)
        return sanitized


def _sanitize_texts(part: Any) -> Any:
    """Sanitize all texts of the specification: a control character makes vl-convert abort the process."""
    if isinstance(part, str):
        return sanitize(part)
    if isinstance(part, dict):
        return {key: _sanitize_texts(value) for key, value in part.items()}
    if isinstance(part, list):
        return [_sanitize_texts(value) for value in part]
    return part
