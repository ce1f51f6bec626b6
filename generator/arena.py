"""Arena (gameMode CHERRY): teams of two or three that play for a placement; the better half of them wins.

Match-V5 gives the winners teamId 100 and the others 200, which is no side of the map: who played together is
`playerSubteamId`.
"""

import random

from generator import accounts, champions
from generator.modes import Format
from generator.players import BLUE, RED, Player, distribute

# Share of the game that a team plays longer than the one placed below it: the worst are eliminated first.
_LASTS_LONGER = 0.06
_STARTING_GOLD, _GOLD_PER_MINUTE = 3000, 650
_DAMAGE_PER_MINUTE = 1150


def simulate_players(rng: random.Random, of_format: Format, duration: int) -> list[Player]:
    """The players in the order of their subteams; each kill is the death of a player of another subteam."""
    draw = rng.random
    teams, size = of_format.teams, of_format.team_size
    placements = list(range(1, teams + 1))
    rng.shuffle(placements)
    total = int(teams * size * (2.5 + 2.5 * draw()))
    kills = distribute(rng, total, [teams + 1 - placement for placement in placements])
    deaths = distribute(rng, total, [teams + placement for placement in placements])
    taken: set[int] = set()
    player_accounts = iter(accounts.pick_accounts(draw, teams * size))
    players: list[Player] = []
    for team, placement in enumerate(placements):
        win = placement <= teams // 2
        played = duration if placement <= 2 else int(duration * (1 - _LASTS_LONGER * (placement - 2)))
        minutes = played / 60
        slain = distribute(rng, kills[team], [1.0] * size)
        died = distribute(rng, deaths[team], [1.0] * size)
        for seat in range(size):
            helped = int((kills[team] - slain[seat]) * (0.5 + 0.5 * draw()))
            damage = minutes * _DAMAGE_PER_MINUTE * (0.6 + 0.6 * draw()) + 500 * slain[seat]
            players.append(
                Player(
                    number=len(players) + 1,
                    team_id=BLUE if win else RED,
                    seat=seat,
                    position="",
                    champion=champions.champion_pool("").draw(draw, taken),
                    account=next(player_accounts),
                    win=win,
                    kills=slain[seat],
                    deaths=died[seat],
                    assists=helped,
                    minions=0,
                    monsters=0,
                    gold=int(
                        _STARTING_GOLD + minutes * _GOLD_PER_MINUTE + 250 * slain[seat] + 400 * (teams - placement)
                    ),
                    damage=int(damage),
                    vision=0,
                    played=played,
                    subteam=team + 1,
                    placement=placement,
                )
            )
    return players
