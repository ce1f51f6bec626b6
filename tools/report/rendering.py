"""Renders the report's charts as SVG and PNG, in a light and a dark theme.

A chart's colours are names of the page's CSS variables, so that one SVG serves both themes.
"""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass
from typing import Any
from xml.etree import ElementTree

import altair as alt
import vl_convert

from tools.printable import sanitize

WIDTH, HEIGHT = 380, 230
"""Of a whole chart, in CSS pixels; about the size at which a phone displays it."""
FONT = "Liberation Sans"
"""Included in vl-convert, which measures all texts with it and draws those of PNGs. The page has its own font."""
MARGIN, TITLE_HEIGHT = 16, 40
"""Of a PNG, in CSS pixels."""
SCALE = 2
"""PNG pixels per CSS pixel."""
SVG = "http://www.w3.org/2000/svg"
Specification = alt.Chart | alt.LayerChart | alt.HConcatChart

ElementTree.register_namespace("", SVG)


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


THEME: dict[str, Any] = {
    "font": FONT,
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
        "columnPadding": 14,
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
    empty: str = "no data in this time range"

    def svg(self) -> str:
        """The chart for the page: each mark's description becomes a tooltip."""
        assert self.specification
        root = ElementTree.fromstring(_render_svg(self.specification))
        root.set("role", "img")
        root.set("aria-label", self.title)
        for attribute in ("width", "height"):
            del root.attrib[attribute]
        for mark in [element for element in root.iter() if element.tag in (f"{{{SVG}}}path", f"{{{SVG}}}text")]:
            if label := mark.attrib.pop("aria-label", None):
                ElementTree.SubElement(mark, f"{{{SVG}}}title").text = label
        return ElementTree.tostring(root, encoding="unicode")

    def png(self, palette: Palette) -> bytes:
        """The chart with its title and note, to be used without the page."""
        assert self.specification
        titled = self.specification.properties(
            title=alt.Title(self.title, subtitle=self.note, anchor="start", offset=12),
            background=css_colour("card"),
            padding=MARGIN,
        )
        if not isinstance(titled, alt.HConcatChart):
            titled = titled.properties(width=WIDTH + 2 * MARGIN, height=HEIGHT + 2 * MARGIN + TITLE_HEIGHT)
        colours = asdict(palette)
        svg = re.sub(r"var\(--(\w+)\)", lambda found: colours[found[1]], _render_svg(titled))
        return vl_convert.svg_to_png(svg, scale=SCALE)


def _render_svg(specification: Specification) -> str:
    return vl_convert.vegalite_to_svg(_sanitize_texts(specification.configure(**THEME).to_dict()), allowed_base_urls=[])


def _sanitize_texts(part: Any) -> Any:
    """Sanitize all texts of the specification: a control character makes vl-convert abort the process."""
    if isinstance(part, str):
        return sanitize(part)
    if isinstance(part, dict):
        return {key: _sanitize_texts(value) for key, value in part.items()}
    if isinstance(part, list):
        return [_sanitize_texts(value) for value in part]
    return part
