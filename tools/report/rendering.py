"""Renders charts as SVG for the report's page, and as PNG."""

from __future__ import annotations

import re
from dataclasses import asdict
from typing import Any
from xml.etree import ElementTree

import vl_convert

from analytics.chart import HEIGHT, WIDTH, Chart, Palette, css_colour

FONT = "Liberation Sans"
"""Included in vl-convert, which measures all texts with it and draws those of PNGs. The page has its own font."""
MARGIN, TITLE_HEIGHT = 16, 40
"""Margin and height of the title of a PNG, in CSS pixels."""
SCALE = 2
"""PNG pixels per CSS pixel."""
SVG = "http://www.w3.org/2000/svg"

ElementTree.register_namespace("", SVG)


def svg(chart: Chart) -> str:
    """The chart for the page: each mark's description becomes a tooltip."""
    root = ElementTree.fromstring(_render_svg(chart.to_dict(FONT)))
    root.set("role", "img")
    root.set("aria-label", chart.title)
    for attribute in ("width", "height"):
        del root.attrib[attribute]
    for mark in [element for element in root.iter() if element.tag in (f"{{{SVG}}}path", f"{{{SVG}}}text")]:
        if label := mark.attrib.pop("aria-label", None):
            ElementTree.SubElement(mark, f"{{{SVG}}}title").text = label
    return ElementTree.tostring(root, encoding="unicode")


def png(chart: Chart, palette: Palette) -> bytes:
    """The chart with its title and note, to be used without the page."""
    titled = chart.to_dict(FONT) | {
        "title": {"text": chart.title, "subtitle": chart.note, "anchor": "start", "offset": 12},
        "background": css_colour("card"),
        "padding": MARGIN,
        "width": WIDTH + 2 * MARGIN,
        "height": HEIGHT + 2 * MARGIN + TITLE_HEIGHT,
    }
    colours = asdict(palette)
    drawn = re.sub(r"var\(--(\w+)\)", lambda found: colours[found[1]], _render_svg(titled))
    return vl_convert.svg_to_png(drawn, scale=SCALE)


def _render_svg(specification: dict[str, Any]) -> str:
    return vl_convert.vegalite_to_svg(specification, allowed_base_urls=[])
