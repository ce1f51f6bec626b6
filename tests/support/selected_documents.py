"""Documents of all kinds of games, and which of them a query selects."""

from __future__ import annotations

from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import Any

PERSON = {
    "@timestamp": "2026-03-01T11:30:00Z",
    "remake": False,
    "win": True,
    "bot": False,
    "champion_name": "Ahri",
    "position": "MIDDLE",
    "queue_id": 420,
    "queue": "5v5 Ranked Solo",
    "game_mode": "CLASSIC",
    "items": [3031],
    "keystone": 8112,
    "gold_per_minute": 402.5,
    "kill_participation": 0.5,
}
ARENA = {"queue_id": 1700, "queue": "Arena", "game_mode": "CHERRY", "position": "UNKNOWN", "keystone": None}
SWARM = {
    "queue_id": 1810,
    "queue": "Swarm",
    "game_mode": "STRAWBERRY",
    "position": "UNKNOWN",
    "keystone": None,
    "champion_name": "Strawberry_Jinx",
}
DOCUMENTS: dict[str, Mapping[str, Any]] = {
    "person": {},
    "loser": {"win": False},
    "player of a compact match": {"game_mode": None, "items": None, "keystone": None, "bot": None},
    "bot": {"bot": True, "queue_id": 870, "queue": "Co-op vs. AI Intro Bot"},
    "person against bots": {"queue_id": 870, "queue": "Co-op vs. AI Intro Bot"},
    "remake": {"remake": True},
    "no winner": {"win": None},
    "team without a kill": {"kill_participation": None},
    "Arena": ARENA,
    "Arena without a mode": {**ARENA, "game_mode": None},
    "Swarm": SWARM,
    "Swarm without a mode": {**SWARM, "game_mode": None},
    "practice tool": {"queue_id": 0, "queue": "Custom", "game_mode": "PRACTICETOOL"},
    "custom game": {"queue_id": 0, "queue": "Custom"},
    "tutorial": {"queue_id": 2000, "queue": "Tutorial 1", "game_mode": "TUTORIAL_MODULE_1"},
    "tutorial of an unknown queue": {"queue_id": 2030, "queue": "2030", "game_mode": "TUTORIAL_MODULE_4"},
    "tutorial without a mode": {"queue_id": 2020, "queue": "Tutorial 3", "game_mode": None},
    "person against bots in URF": {"queue_id": 83, "queue": "Co-op vs AI Ultra Rapid Fire", "game_mode": "URF"},
    "person against Doom Bots": {"queue_id": 960, "queue": "Doom Bots Standard", "game_mode": "DOOMBOTSTEEMO"},
}


def is_selected(query: Mapping[str, Any], document: Mapping[str, Any]) -> bool:
    """Whether the query matches the document; every time range does."""
    ((kind, of),) = query.items()
    if kind == "bool":
        clauses = {name: found if isinstance(found, list) else [found] for name, found in of.items() if name[0] != "m"}
        excluded = of.get("must_not", [])
        return (
            all(is_selected(clause, document) for clause in clauses.get("filter", []))
            and any(is_selected(clause, document) for clause in clauses.get("should", [{"range": {}}]))
            and not any(
                is_selected(each, document) for each in (excluded if isinstance(excluded, list) else [excluded])
            )
        )
    if kind == "range":
        return True
    if kind == "exists":
        return document.get(of["field"]) is not None
    ((field, wanted),) = of.items()
    value = document.get(field)
    match kind:
        case "term" | "match":
            return value is not None and str(value).lower() == str(wanted).lower()
        case "terms":
            return value in wanted
        case "prefix":
            return str(value or "").startswith(wanted)
        case "wildcard":
            return fnmatchcase(str(value or ""), wanted)
    raise NotImplementedError(kind)
