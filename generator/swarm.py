"""Swarm (gameMode STRAWBERRY): one team against monsters, with champions of its own and hardly any champion damage."""

import random

from generator import accounts, champions
from generator.players import BLUE, Player

_GOLD_PER_MINUTE = 260
_DAMAGE_PER_MINUTE = 220_000
_MOST_DAMAGE_TO_CHAMPIONS = 400  # of the last boss


def simulate_players(rng: random.Random, number: int, win: bool, played: int) -> list[Player]:
    """`number` players of one team who played for `played` seconds: nobody kills a champion."""
    draw = rng.random
    minutes = played / 60
    taken: set[int] = set()
    return [
        Player(
            number=seat + 1,
            team_id=BLUE,
            seat=seat,
            position="",
            champion=champions.SWARM_POOL.draw(draw, taken),
            account=account,
            win=win,
            kills=0,
            deaths=int(draw() * (3 if win else 5)) + (not win),
            assists=0,
            minions=0,
            monsters=0,
            gold=int(minutes * _GOLD_PER_MINUTE * (0.7 + 0.6 * draw())),
            damage=int(draw() * _MOST_DAMAGE_TO_CHAMPIONS),
            vision=0,
            played=played,
            other_damage=int(minutes * _DAMAGE_PER_MINUTE * (0.4 + 1.2 * draw())),
        )
        for seat, account in enumerate(accounts.pick_accounts(draw, number))
    ]
