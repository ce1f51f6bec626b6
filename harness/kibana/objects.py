"""The saved objects of mappings/kibana/."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

from harness.kibana.schema import Dashboard, DataView, Lens, parse
from infra.provisioning.saved_object import OBJECTS


def paths() -> list[Path]:
    return sorted(OBJECTS.glob("*/*.json"))


def body(type_: str, id_: str) -> dict[str, Any]:
    """A new copy of the object's JSON."""
    loaded: dict[str, Any] = json.loads((OBJECTS / type_ / f"{id_}.json").read_text(encoding="utf-8"))
    return loaded


@cache
def data_views() -> dict[str, DataView]:
    parsed = [parse(json.loads(path.read_text(encoding="utf-8"))) for path in paths()]
    return {each.id: each for each in parsed if isinstance(each, DataView)}


@cache
def panels() -> dict[str, Lens]:
    parsed = [parse(json.loads(path.read_text(encoding="utf-8"))) for path in paths()]
    return {each.id: each for each in parsed if isinstance(each, Lens)}


def dashboard() -> Dashboard:
    parsed = parse(body("dashboard", "lol-matches-live"))
    assert isinstance(parsed, Dashboard)
    return parsed
