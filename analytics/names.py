"""English names of items and keystones by Riot's ids: those of Kibana's data view. An unknown id is its number."""

from __future__ import annotations

import json
from functools import cache

from infra.names import ROOT

DATA_VIEW = ROOT / "mappings" / "kibana" / "index-pattern" / "lol-matches.json"
TRINKETS = (2052, 3330, 3340, 3348, 3363, 3364, 3513)
"""Free, and in a slot of their own: nobody decides to buy one. 2052 is ARAM's (Poro-Snax), 3348 Arena's; 3330 is
Fiddlesticks's effigy, and 3513 the Eye of the Herald, which takes the trinket's place for a while."""


def item_name(item: int) -> str:
    """The item's name."""
    return _names("items").get(item, str(item))


def keystone_name(keystone: int) -> str:
    """The keystone's name."""
    return _names("keystone").get(keystone, str(keystone))


@cache
def _names(field: str) -> dict[int, str]:
    formats = json.loads(DATA_VIEW.read_bytes())["attributes"]["fieldFormatMap"]
    return {int(entry["key"]): entry["value"] for entry in formats[field]["params"]["lookupEntries"]}
