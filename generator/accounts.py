"""The players' accounts: a fixed population, as a region has one, so that runs meet the same people."""

import random
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

# A prime: any stride walks through all accounts before it meets one again.
POPULATION = 4999

_URL_SAFE = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
_TAGS = ("EUW", "EUNE", "NA1", "KR1", "BR1", "TR1", "0000", "1337", "GG", "uwu", "лес", "달빛", "夜")
_FIRST = (
    "Quiet", "Lucky", "Salty", "Mid", "Frozen", "Velvet", "Rusty", "Hollow", "Solar", "Tiny", "Grim",
    "Ünder", "Ñandú", "Été", "Sør", "Żubr", "Ёлка", "Волк", "달빛", "하늘", "星空", "夜", "ねこ", "🦊", "كهف",
)  # fmt: skip
_SECOND = (
    "Otter", "Comet", "Baron", "Lantern", "Minion", "Harbor", "Nomad", "Pixel", "Anvil", "Echo", "Turret",
    "Moth", "Brücke", "Çelik", "gato", "степь", "바람", "구름", "剣", "さくら", "⚔", "diff", "gap", "only",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Account:
    """A player: Riot ID (name and tag line, any script) and the ids that go with it."""

    puuid: str
    summoner_id: str
    game_name: str
    tag_line: str
    level: int
    icon: int


@cache
def population() -> tuple[Account, ...]:
    """All accounts, the same in every run."""
    rng = random.Random("lolstack accounts")
    return tuple(
        Account(
            puuid="".join(rng.choices(_URL_SAFE, k=78)),
            summoner_id="".join(rng.choices(_URL_SAFE, k=47)),
            game_name=_name(rng),
            tag_line=rng.choice(_TAGS),
            level=rng.randint(30, 900),
            icon=rng.randint(1, 6800),
        )
        for _ in range(POPULATION)
    )


def _name(rng: random.Random) -> str:
    """A game name within Riot's 16 characters."""
    name = f"{rng.choice(_FIRST)}{rng.choice(('', ' '))}{rng.choice(_SECOND)}{rng.choice(('', rng.randint(1, 99)))}"
    return name[:16].strip()


def draw(random: Callable[[], float], number: int) -> list[Account]:
    """`number` different accounts (fewer than POPULATION)."""
    accounts = population()
    at = int(random() * POPULATION)
    stride = 1 + int(random() * (POPULATION - 1))
    return [accounts[(at + stride * index) % POPULATION] for index in range(number)]
