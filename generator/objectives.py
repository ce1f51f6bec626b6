"""Objectives (towers, dragons, barons …): how many each team took, and which of its players took them."""

import random
from dataclasses import dataclass, field

from generator.game import SEATS, Game
from generator.modes import ARAM
from generator.players import BLUE, RED

# Maximum in a full-length game: (of the winner, of the loser).
_LIMITS = {
    "tower": (11, 8),
    "inhibitor": (3, 2),
    "dragon": (4, 4),
    "baron": (2, 2),
    "riftHerald": (1, 1),
    "horde": (3, 3),
    "atakhan": (1, 1),
}
# Exponents of a number from 0 to 1: below one it is usually high, above one usually low.
_WINNER, _LOSER = 0.6, 1.6
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
    """Objectives by team id; none in a remake, nor where there are not two teams.

    The winner usually took more of each, and at least the five towers in front of a nexus.
    """
    draw = rng.random
    teams = {BLUE: Objectives(), RED: Objectives()}
    if game.remake or not game.format.two_teams:
        for team in teams.values():
            team.kills = dict.fromkeys(_LIMITS, 0)
            team.by_seat = {name: [0] * SEATS for name in _LIMITS}
        return teams
    loser = BLUE + RED - game.winner
    pace = min(1.0, game.duration / 60 / _FULL_LENGTH_MINUTES)
    for name, (most, most_of_loser) in _LIMITS.items():
        exists = game.format is not ARAM or name in _IN_ARAM
        won = int(draw() ** _WINNER * pace * (most + 1)) if exists else 0
        lost = int(draw() ** _LOSER * pace * (most_of_loser + 1)) if exists else 0
        if name == "tower":
            won = max(won, 5)
        if name in _ONCE_A_GAME and won and lost:
            won, lost = (1, 0) if draw() < _WINNER else (0, 1)
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
