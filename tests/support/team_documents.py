"""The documents of a match's teams, taken from the bulk actions with which the job indexes them."""

from __future__ import annotations

import orjson

from job.documents import Document, MatchAliases, actions
from job.match import Match

_ALIASES = MatchAliases("participants", "teams")


def team_documents(match: Match, arrived_at: int) -> list[Document]:
    """The teams' documents, in the order in which the match has the teams."""
    found = actions(match, arrived_at, 0, _ALIASES)
    return [orjson.loads(action.lines.split(b"\n")[1]) for action in found if action.of_team]
