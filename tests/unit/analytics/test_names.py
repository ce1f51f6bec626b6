"""Names of items: those of Data Dragon, each of one item only."""

from __future__ import annotations

import json
from collections import Counter

import pytest

from analytics.names import DATA_VIEW, item_name


@pytest.mark.parametrize(
    ("item", "name"),
    [
        (2510, "Dusk and Dawn"),
        (2517, "Endless Hunger"),
        (2520, "Bastionbreaker"),
        (2522, "Actualizer"),
        (2523, "Hexoptics C44"),
        (2524, "Bandlepipes"),
        (3008, "Gluttonous Greaves"),
        (3172, "Gunmetal Greaves"),
        (3173, "Chainlaced Crushers"),
        (3175, "Spellslinger's Shoes"),
        (3031, "Infinity Edge"),
        (6655, "Luden's Echo"),
        (6692, "Eclipse"),
        (1037, "Pickaxe"),
        (126697, "Hubris (ARAM)"),
        (223031, "Infinity Edge (Arena)"),
        (443054, "Darksteel Talons"),
        (447111, "Overlord's Bloodmail (Arena)"),
        (999_999, "999999"),
    ],
)
def test_items_of_2026_have_names(item: int, name: str) -> None:
    assert item_name(item) == name


def test_no_two_items_have_the_same_name() -> None:
    """A chart would draw their bars on top of each other."""
    formats = json.loads(DATA_VIEW.read_bytes())["attributes"]["fieldFormatMap"]
    names = Counter(entry["value"] for entry in formats["items"]["params"]["lookupEntries"])
    assert {name: items for name, items in names.items() if items > 1} == {}
