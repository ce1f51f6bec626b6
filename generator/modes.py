"""Game modes: the queues and formats of games that the generator plays, and how often it plays each."""

import random
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple


@dataclass(frozen=True, slots=True)
class Format:
    """What the games of a mode have in common. With `teams` above two, they play for a placement (Arena)."""

    game_mode: str
    map_id: int
    teams: int
    team_size: int
    positions: bool = False
    bots: bool = False
    """The red team is played by the computer."""

    @property
    def two_teams(self) -> bool:
        return self.teams == 2


RIFT = Format("CLASSIC", map_id=11, teams=2, team_size=5, positions=True)
COOP = Format("CLASSIC", map_id=11, teams=2, team_size=5, positions=True, bots=True)
ARAM = Format("ARAM", map_id=12, teams=2, team_size=5)
ARENA_DUOS = Format("CHERRY", map_id=30, teams=8, team_size=2)
ARENA_TRIOS = Format("CHERRY", map_id=30, teams=6, team_size=3)
SWARM = Format("STRAWBERRY", map_id=33, teams=1, team_size=4)

# Each mode with its format and its queues' weights. Swarm has a queue for each number of players.
_MODES: dict[str, tuple[Format, dict[int, float]]] = {
    "ranked_solo": (RIFT, {420: 1}),
    "ranked_flex": (RIFT, {440: 1}),
    "normal": (RIFT, {400: 1}),
    "quickplay": (RIFT, {490: 1}),
    "aram": (ARAM, {450: 1}),
    "arena_16": (ARENA_DUOS, {1700: 1, 1710: 1}),
    "arena_18": (ARENA_TRIOS, {1750: 1}),
    "swarm": (SWARM, {1810: 1, 1820: 2, 1830: 1, 1840: 2}),
    "coop": (COOP, {870: 1, 880: 1, 890: 2}),
}
MODE_NAMES = tuple(_MODES)
QUEUES_WITH_BANS = frozenset({400, 420, 440, 1700, 1710, 1750})
SWARM_QUEUES = {1810: 1, 1820: 2, 1830: 3, 1840: 4}
"""Number of players by queue."""

ModeWeights = Mapping[str, float]
RIFT_5V5: ModeWeights = {"ranked_solo": 65, "ranked_flex": 20, "normal": 15}
"""Ten participants in two teams of five, in every match."""
REALISTIC: ModeWeights = {
    "ranked_solo": 36,
    "ranked_flex": 10,
    "normal": 14,
    "quickplay": 8,
    "aram": 20,
    "arena_16": 3,
    "arena_18": 3,
    "swarm": 1,
    "coop": 5,
}
"""About the shares of the modes in a region with all of them."""


def parse_modes(text: str) -> ModeWeights:
    """The weights of modes: `realistic`, or `name=weight` with commas between. Raises ValueError if it is neither."""
    if text == "realistic":
        return REALISTIC
    weights: dict[str, float] = {}
    for part in text.split(","):
        name, _, weight = part.strip().partition("=")
        if name not in _MODES:
            raise ValueError(f"{name!r} is no mode; the modes are {', '.join(MODE_NAMES)}")
        if name in weights:
            raise ValueError(f"{name} is given twice")
        if not (weight.isascii() and weight.isdigit() and len(weight) <= 6):
            raise ValueError(
                f"the weight of {name} must be a whole number below a million, as in {name}=40, not {weight!r}"
            )
        weights[name] = int(weight)
    if not sum(weights.values()):
        raise ValueError("one mode at least needs a weight above 0")
    return weights


def have_remakes(modes: ModeWeights) -> bool:
    """Whether a match of these modes can be a remake: only one of two teams can."""
    return any(weight and _MODES[name][0].two_teams for name, weight in modes.items())


class QueueChoice(NamedTuple):
    """A format with the queues to choose from, and their weights."""

    format: Format
    queue_ids: tuple[int, ...]
    weights: tuple[float, ...]


class ModeMix:
    """Modes by weight, deterministic by seed. A format is drawn here, its queue when the game is simulated."""

    def __init__(self, modes: ModeWeights, seed: int) -> None:
        # A generator of its own: matches of a single format do not depend on the choice among several.
        self._random = random.Random(f"modes {seed}")
        self._have_remakes = have_remakes(modes)
        by_format: dict[Format, dict[int, float]] = {}
        for name, weight in modes.items():
            if weight:
                of_format, queues = _MODES[name]
                total = sum(queues.values())
                by_format.setdefault(of_format, {}).update({id_: weight * part / total for id_, part in queues.items()})
        self._choices = tuple(
            QueueChoice(of_format, tuple(queues), tuple(queues.values())) for of_format, queues in by_format.items()
        )
        self._weights = tuple(sum(choice.weights) for choice in self._choices)

    def draw(self, *, remake: bool = False) -> QueueChoice:
        """The format of the next game. Raises ValueError for a remake if no mode has any."""
        if remake and not self._have_remakes:
            raise ValueError("none of the modes has remakes")
        if len(self._choices) == 1:
            return self._choices[0]
        while True:
            choice = self._random.choices(self._choices, self._weights)[0]
            if choice.format.two_teams or not remake:
                return choice
