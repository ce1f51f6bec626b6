"""Simulated game: champions, players, winner and consistent end-of-game statistics. No JSON here."""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from math import exp
from typing import NamedTuple

from generator import accounts, champions
from generator.accounts import Account
from generator.champions import POSITIONS, Champion

BLUE, RED = 100, 200
SEATS = 5

ARAM_QUEUE = 450
_RIFT_QUEUES, _RIFT_QUEUE_WEIGHTS = (420, 440, 400), (65, 20, 15)
_PLATFORMS = ("EUW1", "NA1", "KR", "EUN1", "BR1", "TR1", "LA1", "OC1", "JP1", "VN2")
_PLATFORM_WEIGHTS = (28, 18, 18, 10, 8, 6, 4, 3, 3, 2)
_VERSIONS, _VERSION_WEIGHTS = ("16.4.748.682", "16.3.744.1190", "16.2.741.3387"), (75, 20, 5)

# The blue side wins slightly more often; log-odds.
_BLUE_BONUS = 0.04
_PASSIVE_GOLD_PER_MINUTE, _PASSIVE_GOLD_FROM_MINUTE, _STARTING_GOLD = 122.0, 1.1, 500
_MEAN_SECONDS, _DEVIATION_SECONDS = 1830, 370
_ARAM_MEAN_SECONDS, _ARAM_DEVIATION_SECONDS = 1250, 180
SHORTEST_SECONDS, LONGEST_SECONDS = 900, 2700
SHORTEST_REMAKE_SECONDS, LONGEST_REMAKE_SECONDS = 90, 300


class PositionProfile(NamedTuple):
    """Typical statistics of a position. `kills` and `deaths` are weights within the team; the others are per minute."""

    kills: float
    deaths: float
    assists: float  # share of the team's other kills
    minions: float
    monsters: float
    damage: float
    vision: float
    gold: float  # in addition to gold from minions, monsters and kills: plates, quests, support item


_RIFT = (
    PositionProfile(0.20, 0.20, 0.26, 6.2, 0.15, 480, 0.60, 8),
    PositionProfile(0.20, 0.20, 0.48, 0.9, 4.9, 400, 0.95, 6),
    PositionProfile(0.25, 0.19, 0.36, 6.6, 0.25, 560, 0.75, 6),
    PositionProfile(0.27, 0.20, 0.40, 7.1, 0.30, 580, 0.65, 12),
    PositionProfile(0.08, 0.21, 0.62, 0.9, 0.00, 230, 2.20, 52),
)
_ARAM = (PositionProfile(0.2, 0.2, 0.60, 2.4, 0.0, 850, 0.0, 90),) * SEATS


@dataclass(slots=True)
class Player:
    """One participant: identity, seat (0 to 4 in the team) and end-of-game statistics."""

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


@dataclass(slots=True)
class Game:
    """A finished game. Times in ms since 1970, `length` in seconds with its fraction, `duration` whole seconds."""

    match_id: str
    game_id: int
    platform: str
    queue_id: int
    version: str
    creation_ms: int
    start_ms: int
    end_ms: int
    length: float
    duration: int
    remake: bool
    winner: int
    players: list[Player]

    @property
    def aram(self) -> bool:
        return self.queue_id == ARAM_QUEUE


def simulate_game(
    rng: random.Random, game_id: int, now_ms: int, *, remake: bool = False, empty_positions: bool = False
) -> Game:
    """Simulates a game that ended just before `now_ms`.

    `empty_positions` leaves teamPosition empty: half of the time for all ten players (ARAM), else for one player.
    """
    draw = rng.random
    aram = empty_positions and draw() < 0.5
    without_position = int(draw() * 2 * SEATS) if empty_positions and not aram else -1
    length = _game_length(rng, remake, aram)
    end_ms = now_ms - 150 - int(draw() * 750)
    start_ms = end_ms - int(length * 1000)
    platform = rng.choices(_PLATFORMS, _PLATFORM_WEIGHTS)[0]

    positions = ("",) * SEATS if aram else POSITIONS
    taken: set[int] = set()
    picks = [champions.champion_pool(position).draw(draw, taken) for position in positions * 2]
    edge = sum(pick.strength for pick in picks[:SEATS]) - sum(pick.strength for pick in picks[SEATS:])
    winner = BLUE if draw() < 1 / (1 + exp(-edge - _BLUE_BONUS)) else RED

    return Game(
        match_id=f"{platform}_{game_id}",
        game_id=game_id,
        platform=platform,
        queue_id=ARAM_QUEUE if aram else rng.choices(_RIFT_QUEUES, _RIFT_QUEUE_WEIGHTS)[0],
        version=rng.choices(_VERSIONS, _VERSION_WEIGHTS)[0],
        creation_ms=start_ms - 15_000 - int(draw() * 45_000),
        start_ms=start_ms,
        end_ms=end_ms,
        length=length,
        duration=int(length),
        remake=remake,
        winner=winner,
        players=_players(rng, picks, winner, length / 60, remake, aram, without_position),
    )


def _game_length(rng: random.Random, remake: bool, aram: bool) -> float:
    """Length of the game in seconds."""
    if remake:
        return SHORTEST_REMAKE_SECONDS + rng.random() * (LONGEST_REMAKE_SECONDS - SHORTEST_REMAKE_SECONDS)
    mean, deviation = (_ARAM_MEAN_SECONDS, _ARAM_DEVIATION_SECONDS) if aram else (_MEAN_SECONDS, _DEVIATION_SECONDS)
    return min(max(rng.gauss(mean, deviation), SHORTEST_SECONDS), LONGEST_SECONDS)


def _players(
    rng: random.Random,
    picks: Sequence[Champion],
    winner: int,
    minutes: float,
    remake: bool,
    aram: bool,
    without_position: int,
) -> list[Player]:
    draw = rng.random
    profiles = _ARAM if aram else _RIFT
    player_accounts = accounts.pick_accounts(draw, 2 * SEATS)

    fights = 0.8 * draw() if remake else (1.1 + 1.2 * draw()) * (2.0 if aram else 1.0)
    winners_share = 0.48 + 0.24 * draw()
    total = int(minutes * fights)
    winners_kills = int(total * winners_share + 0.5)
    team_kills = {winner: winners_kills, BLUE + RED - winner: total - winners_kills}

    players: list[Player] = []
    for team_id in (BLUE, RED):
        win = team_id == winner
        ours, theirs = team_kills[team_id], team_kills[BLUE + RED - team_id]
        kills = _distribute(rng, ours, [profile.kills for profile in profiles])
        deaths = _distribute(rng, theirs, [profile.deaths for profile in profiles])
        # Minions and monsters pay both teams the same; towers, dragon buffs and shutdowns favour the winner.
        team_gold = 60.0 if win else 42.0
        for seat, profile in enumerate(profiles):
            index = len(players)
            slain, helped = kills[seat], int((ours - kills[seat]) * profile.assists * (0.6 + 0.8 * draw()))
            skill = 0.82 + 0.36 * draw()
            minions = int(minutes * profile.minions * skill)
            monsters = int(minutes * profile.monsters * (0.7 + 0.6 * draw()))
            gold = (
                _STARTING_GOLD
                + max(0.0, minutes - _PASSIVE_GOLD_FROM_MINUTE) * _PASSIVE_GOLD_PER_MINUTE
                + 20.5 * minions
                + 27.0 * monsters
                + 300 * slain
                + 85 * helped
                + minutes * (profile.gold + team_gold * (0.8 + 0.4 * draw()))
            )
            damage = minutes * profile.damage * (0.6 + 0.6 * draw()) + 430 * slain + 140 * helped
            players.append(
                Player(
                    number=index + 1,
                    team_id=team_id,
                    seat=seat,
                    position="" if aram or index == without_position else POSITIONS[seat],
                    champion=picks[index],
                    account=player_accounts[index],
                    win=win,
                    kills=slain,
                    deaths=deaths[seat],
                    assists=helped,
                    minions=minions,
                    monsters=monsters,
                    gold=int(gold),
                    damage=int(damage),
                    vision=int(minutes * profile.vision * (0.7 + 0.6 * draw())),
                )
            )
    return players


def _distribute(rng: random.Random, total: int, weights: Sequence[float]) -> list[int]:
    """Distributes `total` by weights with random noise; the parts add up exactly."""
    draw = rng.random
    noisy = [weight * (0.3 + 1.4 * draw()) for weight in weights]
    scale = total / sum(noisy)
    parts = [int(weight * scale) for weight in noisy]
    for _ in range(total - sum(parts)):
        parts[int(draw() * len(parts))] += 1
    return parts
