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
    "two_teams": True,
    "items": [3031],
    "keystone": 8112,
    "gold_per_minute": 402.5,
    "kill_participation": 0.5,
}
ONE_TEAM = {"two_teams": False, "position": "UNKNOWN"}
ARENA = {"queue_id": 1700, "queue": "Arena", "game_mode": "CHERRY", **ONE_TEAM, "keystone": None}
SWARM = {
    "queue_id": 1810,
    "queue": "Swarm",
    "game_mode": "STRAWBERRY",
    **ONE_TEAM,
    "keystone": None,
    "champion_name": "Strawberry_Jinx",
}
CLASSIC = {"queue_id": 4310, "queue": "League Classic", "game_mode": "JADE", "map_id": 453, "bots": 0}
COOP_CLASSIC = {"queue_id": 4320, "queue": "Co-op vs. AI League Classic", "bots": 5}
DOOM_BOTS = {"queue_id": 4250, "queue": "Doom Bots", "game_mode": "RUBY_TRIAL_1", "bots": 5}
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
    "Arena of an unknown queue without a mode": {**ARENA, "queue_id": 1760, "queue": "1760", "game_mode": None},
    "practice tool": {"queue_id": 0, "queue": "Custom", "game_mode": "PRACTICETOOL", **ONE_TEAM},
    "practice tool without a mode": {"queue_id": 3140, "queue": "Practice Tool", "game_mode": None, **ONE_TEAM},
    "custom game of one team": {"queue_id": 3130, "queue": "Custom", **ONE_TEAM},
    "new mode of one team": {"queue_id": 5000, "queue": "5000", "game_mode": "NEW", **ONE_TEAM},
    "match that an earlier version indexed": {"two_teams": None},
    "custom game": {"queue_id": 0, "queue": "Custom"},
    "custom game among people": {"queue_id": 0, "queue": "Custom", "bots": 0},
    "custom game against bots": {"queue_id": 0, "queue": "Custom", "bots": 5},
    "person in a queue of bots that has no name": {"queue_id": 4290, "queue": "4290", "bots": 5},
    "League Classic": {**CLASSIC, "champion_name": "Jade_Ahri"},
    "League Classic against bots": {**CLASSIC, **COOP_CLASSIC, "champion_name": "JADE_Ahri"},
    "bot's champion of Doom Bots": {**DOOM_BOTS, "bot": True, "champion_name": "RUBY_Annie"},
    "champion of Doom Bots without a puuid": {**DOOM_BOTS, "bot": None, "bots": None, "champion_name": "Ruby_Annie"},
    "person against Doom Bots of 2025": DOOM_BOTS,
    "tutorial": {"queue_id": 2000, "queue": "Tutorial 1", "game_mode": "TUTORIAL_MODULE_1", **ONE_TEAM},
    "tutorial without a mode": {"queue_id": 2020, "queue": "Tutorial 3", "game_mode": None, **ONE_TEAM},
    "tutorial against a team of bots": {"queue_id": 2020, "queue": "Tutorial 3", "game_mode": "TUTORIAL_MODULE_3"},
    "person against bots in URF": {"queue_id": 83, "queue": "Co-op vs AI Ultra Rapid Fire", "game_mode": "URF"},
    "person against Doom Bots": {"queue_id": 960, "queue": "Doom Bots Standard", "game_mode": "DOOMBOTSTEEMO"},
}


def is_selected(query: Mapping[str, Any], document: Mapping[str, Any]) -> bool:
    """Whether the query matches the document; every range of times does."""
    ((kind, of),) = query.items()
    if kind == "bool":
        clauses = {name: found if isinstance(found, list) else [found] for name, found in of.items() if name[0] != "m"}
        excluded = of.get("must_not", [])
        return (
            all(is_selected(clause, document) for clause in clauses.get("filter", []))
            and any(is_selected(clause, document) for clause in clauses.get("should", [{"range": {"@timestamp": {}}}]))
            and not any(
                is_selected(each, document) for each in (excluded if isinstance(excluded, list) else [excluded])
            )
        )
    if kind == "range":
        ((field, bounds),) = of.items()
        return field != "bots" or (document.get(field) or 0) > int(bounds["gt"])
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
