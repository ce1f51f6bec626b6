"""Simulated game: champions, players, winner and consistent end-of-game statistics. No JSON here."""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from math import exp
from typing import NamedTuple

from generator import accounts, arena, champions, swarm
from generator.champions import POSITIONS, Champion
from generator.modes import ARAM, COOP, RIFT, SWARM, SWARM_QUEUES, Format, QueueChoice
from generator.players import BLUE, RED, Player, distribute

SEATS = 5

_PLATFORMS = ("EUW1", "NA1", "KR", "EUN1", "BR1", "TR1", "LA1", "OC1", "JP1", "VN2")
_PLATFORM_WEIGHTS = (28, 18, 18, 10, 8, 6, 4, 3, 3, 2)
_VERSIONS, _VERSION_WEIGHTS = ("16.4.748.682", "16.3.744.1190", "16.2.741.3387"), (75, 20, 5)

# The blue side wins slightly more often; log-odds. Against bots, the players nearly always win.
_BLUE_BONUS = 0.04
_BONUS_AGAINST_BOTS = 3.0
_SWARM_WIN_RATE = 0.6
_PASSIVE_GOLD_PER_MINUTE, _PASSIVE_GOLD_FROM_MINUTE, _STARTING_GOLD = 122.0, 1.1, 500
# Mean and deviation, in seconds.
_LENGTHS = {RIFT: (1830, 370), COOP: (1400, 200), ARAM: (1250, 180), SWARM: (1150, 200)}
_ARENA_LENGTH = (1300, 160)
SHORTEST_SECONDS, LONGEST_SECONDS = 900, 2700
SHORTEST_REMAKE_SECONDS, LONGEST_REMAKE_SECONDS = 90, 300
# Swarm pauses while players choose an upgrade; timePlayed leaves that out, gameDuration does not.
_MOST_OF_SWARM_PAUSED = 0.2


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
class Game:
    """A finished game. Times in ms since 1970, `length` in seconds with fraction, `duration` in whole seconds.

    `winner` is a team id, or 0 if the only team lost (Swarm).
    """

    match_id: str
    game_id: int
    format: Format
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


def simulate_game(
    rng: random.Random,
    game_id: int,
    now_ms: int,
    choice: QueueChoice,
    *,
    remake: bool,
    empty_position: bool,
) -> Game:
    """Simulates a game of the chosen format that ended just before `now_ms`.

    `empty_position` leaves teamPosition empty for one player, if the format has positions at all.
    """
    draw = rng.random
    of_format = choice.format
    without_position = int(draw() * 2 * SEATS) if empty_position and of_format.positions else -1
    length = _game_length(rng, remake, of_format)
    end_ms = now_ms - 150 - int(draw() * 750)
    start_ms = end_ms - int(length * 1000)
    platform = rng.choices(_PLATFORMS, _PLATFORM_WEIGHTS)[0]

    picks = _picks(rng, of_format)
    winner = _winner(rng, of_format, picks)
    game = Game(
        match_id=f"{platform}_{game_id}",
        game_id=game_id,
        format=of_format,
        platform=platform,
        queue_id=rng.choices(choice.queue_ids, choice.weights)[0],
        version=rng.choices(_VERSIONS, _VERSION_WEIGHTS)[0],
        creation_ms=start_ms - 15_000 - int(draw() * 45_000),
        start_ms=start_ms,
        end_ms=end_ms,
        length=length,
        duration=int(length),
        remake=remake,
        winner=winner,
        players=[],
    )
    if of_format.two_teams:
        game.players = _two_teams(rng, game, picks, without_position)
    elif of_format is SWARM:
        played = int(game.duration * (1 - _MOST_OF_SWARM_PAUSED * draw()))
        game.players = swarm.simulate_players(rng, SWARM_QUEUES[game.queue_id], winner == BLUE, played)
    else:
        game.players = arena.simulate_players(rng, of_format, game.duration)
    return game


def _game_length(rng: random.Random, remake: bool, of_format: Format) -> float:
    """Length of the game in seconds."""
    if remake:
        return SHORTEST_REMAKE_SECONDS + rng.random() * (LONGEST_REMAKE_SECONDS - SHORTEST_REMAKE_SECONDS)
    mean, deviation = _LENGTHS.get(of_format, _ARENA_LENGTH)
    return min(max(rng.gauss(mean, deviation), SHORTEST_SECONDS), LONGEST_SECONDS)


def _picks(rng: random.Random, of_format: Format) -> list[Champion]:
    """The champions of two teams, by seat. Other formats pick theirs with their players."""
    if not of_format.two_teams:
        return []
    positions = POSITIONS if of_format.positions else ("",) * SEATS
    taken: set[int] = set()
    return [champions.champion_pool(position).draw(rng.random, taken) for position in positions * 2]


def _winner(rng: random.Random, of_format: Format, picks: list[Champion]) -> int:
    if of_format is SWARM:
        return BLUE if rng.random() < _SWARM_WIN_RATE else 0
    if not of_format.two_teams:
        return BLUE
    edge = sum(pick.strength for pick in picks[:SEATS]) - sum(pick.strength for pick in picks[SEATS:])
    bonus = _BONUS_AGAINST_BOTS if of_format.bots else _BLUE_BONUS
    return BLUE if rng.random() < 1 / (1 + exp(-edge - bonus)) else RED


def _two_teams(rng: random.Random, game: Game, picks: Sequence[Champion], without_position: int) -> list[Player]:
    draw = rng.random
    aram = game.format is ARAM
    profiles = _ARAM if aram else _RIFT
    minutes = game.length / 60
    player_accounts = accounts.pick_accounts(draw, 2 * SEATS)
    if game.format.bots:
        player_accounts[SEATS:] = [accounts.bot_account(pick.name) for pick in picks[SEATS:]]

    fights = 0.8 * draw() if game.remake else (1.1 + 1.2 * draw()) * (2.0 if aram else 1.0)
    winners_share = 0.48 + 0.24 * draw()
    total = int(minutes * fights)
    winners_kills = int(total * winners_share + 0.5)
    team_kills = {game.winner: winners_kills, BLUE + RED - game.winner: total - winners_kills}

    players: list[Player] = []
    for team_id in (BLUE, RED):
        win = team_id == game.winner
        ours, theirs = team_kills[team_id], team_kills[BLUE + RED - team_id]
        kills = distribute(rng, ours, [profile.kills for profile in profiles])
        deaths = distribute(rng, theirs, [profile.deaths for profile in profiles])
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
                    played=game.duration,
                )
            )
    return players
