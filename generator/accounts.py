"""Player accounts: a fixed population, like that of a region, so that all runs contain the same players.

A player comes back with the same puuid, and now and then with another Riot ID.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

# A prime: any stride visits all accounts before it repeats one.
POPULATION = 4999
BOT_PUUID = "BOT"

# A player changes the Riot ID this often; each at another time.
_RENAMED_EVERY_MS = 30 * 86_400_000

_URL_SAFE = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
_TAGS = ("EUW", "EUNE", "NA1", "KR1", "BR1", "TR1", "0000", "1337", "GG", "uwu", "лес", "달빛", "夜")
_NAME_STARTS = (
    "Quiet", "Lucky", "Salty", "Mid", "Frozen", "Velvet", "Rusty", "Hollow", "Solar", "Tiny", "Grim",
    "Ünder", "Ñandú", "Été", "Sør", "Żubr", "Ёлка", "Волк", "달빛", "하늘", "星空", "夜", "ねこ", "🦊", "كهف",
)  # fmt: skip
_NAME_ENDS = (
    "Otter", "Comet", "Baron", "Lantern", "Minion", "Harbor", "Nomad", "Pixel", "Anvil", "Echo", "Turret",
    "Moth", "Brücke", "Çelik", "gato", "степь", "바람", "구름", "剣", "さくら", "⚔", "diff", "gap", "only",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Account:
    """A player's account: Riot ID (name and tag line, in any script) and its other ids."""

    puuid: str
    summoner_id: str
    game_name: str
    tag_line: str
    level: int
    icon: int
    other_name: str = ""
    renamed_at_ms: int = 0
    """One of the times at which the player takes the other game name, or the first one again."""
    summoner_name: str = ""
    """Empty since there are Riot IDs; bots have none of those."""

    def game_name_at(self, time_ms: int) -> str:
        """The game name at a time (ms since 1970)."""
        renames = (time_ms - self.renamed_at_ms) // _RENAMED_EVERY_MS
        return self.other_name if renames % 2 else self.game_name


@cache
def all_accounts() -> tuple[Account, ...]:
    """All accounts, the same in every run."""
    rng, renames = random.Random("lolstack accounts"), random.Random("lolstack renames")
    return tuple(
        Account(
            puuid="".join(rng.choices(_URL_SAFE, k=78)),
            summoner_id="".join(rng.choices(_URL_SAFE, k=47)),
            game_name=_name(rng),
            tag_line=rng.choice(_TAGS),
            level=rng.randint(30, 900),
            icon=rng.randint(1, 6800),
            other_name=_name(renames),
            renamed_at_ms=renames.randrange(_RENAMED_EVERY_MS),
        )
        for _ in range(POPULATION)
    )


def _name(rng: random.Random) -> str:
    """A game name of at most Riot's 16 characters."""
    start, space, end = rng.choice(_NAME_STARTS), rng.choice(("", " ")), rng.choice(_NAME_ENDS)
    return f"{start}{space}{end}{rng.choice(('', rng.randint(1, 99)))}"[:16].strip()


def pick_accounts(random: Callable[[], float], number: int) -> list[Account]:
    """`number` (at most POPULATION) distinct accounts."""
    accounts = all_accounts()
    start = int(random() * POPULATION)
    stride = 1 + int(random() * (POPULATION - 1))
    return [accounts[(start + stride * index) % POPULATION] for index in range(number)]


def bot_account(champion_name: str) -> Account:
    """The account of a bot, as Match-V5 gives it: named after its champion, with no ids of its own."""
    return Account(
        puuid=BOT_PUUID, summoner_id=BOT_PUUID, game_name="", tag_line="", level=1, icon=0, summoner_name=champion_name
    )
