"""The saved objects of mappings/kibana/."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

from harness.kibana.schema import Dashboard, DataView, KibanaObject, Lens, parse
from infra.provisioning.saved_object import OBJECTS


def paths() -> list[Path]:
    return sorted(OBJECTS.glob("*/*.json"))


def body(type_: str, id_: str) -> dict[str, Any]:
    """A new copy of the object's JSON."""
    loaded: dict[str, Any] = json.loads((OBJECTS / type_ / f"{id_}.json").read_text(encoding="utf-8"))
    return loaded


def data_views() -> dict[str, DataView]:
    return {each.id: each for each in _objects() if isinstance(each, DataView)}


def panels() -> dict[str, Lens]:
    return {each.id: each for each in _objects() if isinstance(each, Lens)}


def dashboard() -> Dashboard:
    return next(each for each in _objects() if isinstance(each, Dashboard))


@cache
def _objects() -> list[KibanaObject]:
    return [parse(json.loads(path.read_text(encoding="utf-8"))) for path in paths()]
