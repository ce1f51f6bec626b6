"""A game's players with their end-of-game statistics, and what the simulation of each format shares."""

import random
from collections.abc import Sequence
from dataclasses import dataclass

from generator.accounts import Account
from generator.champions import Champion

BLUE, RED = 100, 200


@dataclass(slots=True)
class Player:
    """One participant: identity, seat (from 0 in the team) and end-of-game statistics.

    `played` is in seconds. `subteam` and `placement` are 0 unless the teams play for a placement (Arena).
    `damage` is that to champions, `other_damage` that to anything else which the other fields do not imply.
    """

    number: int
    team_id: int
    seat: int
    position: str
    champion: Champion
    account: Account
    win: bool
    kills: int
    deaths: int
    assists: int
    minions: int
    monsters: int
    gold: int
    damage: int
    vision: int
    played: int
    subteam: int = 0
    placement: int = 0
    other_damage: int = 0


def distribute(rng: random.Random, total: int, weights: Sequence[float]) -> list[int]:
    """Distributes `total` by weights with random noise; the parts add up exactly."""
    draw = rng.random
    noisy = [weight * (0.3 + 1.4 * draw()) for weight in weights]
    scale = total / sum(noisy)
    parts = [int(weight * scale) for weight in noisy]
    for _ in range(total - sum(parts)):
        parts[int(draw() * len(parts))] += 1
    return parts
