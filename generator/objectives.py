"""Objectives (towers, dragons, barons …): how many each team took, and which of its players took them."""

import random
from dataclasses import dataclass, field

from generator.game import BLUE, RED, SEATS, Game

# Maximum in a full-length game: (of the winner, of the loser).
_LIMITS = {
    "tower": (11, 6),
    "inhibitor": (3, 1),
    "dragon": (4, 3),
    "baron": (2, 1),
    "riftHerald": (1, 1),
    "horde": (4, 3),
    "atakhan": (1, 1),
}
# A jungler usually takes the monsters.
_JUNGLER = 1
_MONSTERS = frozenset({"dragon", "baron", "riftHerald", "horde", "atakhan"})
# Exist once in a game: only one team can take them.
_ONCE_A_GAME = frozenset({"riftHerald", "atakhan"})
_IN_ARAM = frozenset({"tower", "inhibitor"})
_FULL_LENGTH_MINUTES = 28.0


@dataclass(slots=True)
class Objectives:
    """A team's objectives: `kills` by name, `by_seat[name][seat]` adds up to it, `first` has those it took first."""

    kills: dict[str, int] = field(default_factory=dict)
    by_seat: dict[str, list[int]] = field(default_factory=dict)
    first: set[str] = field(default_factory=set)


def distribute_objectives(rng: random.Random, game: Game) -> dict[int, Objectives]:
    """Objectives by team id. A remake has none; else the winner took at least the five towers in front of a nexus."""
    draw = rng.random
    teams = {BLUE: Objectives(), RED: Objectives()}
    loser = BLUE + RED - game.winner
    pace = min(1.0, game.duration / 60 / _FULL_LENGTH_MINUTES)
    for name, (most, most_of_loser) in _LIMITS.items():
        none = game.remake or (game.aram and name not in _IN_ARAM)
        won = 0 if none else int((0.5 + 0.5 * draw()) * pace * most + 0.5)
        lost = 0 if none else int(draw() * pace * (most_of_loser + 1))
        if name == "tower" and not none:
            won = max(won, 5)
        if name in _ONCE_A_GAME and won:
            lost = 0
        for team_id, number in ((game.winner, won), (loser, lost)):
            team = teams[team_id]
            team.kills[name] = number
            seats = [0] * SEATS
            for _ in range(number):
                seat = _JUNGLER if name in _MONSTERS and draw() < 0.75 else int(draw() * SEATS)
                seats[seat] += 1
            team.by_seat[name] = seats
        if won or lost:
            teams[game.winner if draw() * (won + lost) < won else loser].first.add(name)
    return teams
