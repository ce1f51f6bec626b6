"""Champions: names and ids as in Riot's match data, positions, popularity and strength."""

import hashlib
from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from itertools import accumulate
from typing import NamedTuple

POSITIONS = ("TOP", "JUNGLE", "MIDDLE", "BOTTOM", "UTILITY")

# Name, id, positions (T J M B S, the usual one first), damage type (P physical, M magic).
_ROWS = """
Aatrox 266 T P · Ahri 103 M M · Akali 84 MT M · Akshan 166 MB P · Alistar 12 S M · Ambessa 799 TJ P
Amumu 32 JS M · Anivia 34 M M · Annie 1 MS M · Aphelios 523 B P · Ashe 22 BS P · AurelionSol 136 M M
Aurora 893 MT M · Azir 268 M M · Bard 432 S M · Belveth 200 J P · Blitzcrank 53 S M · Brand 63 SJ M
Braum 201 S M · Briar 233 J P · Caitlyn 51 B P · Camille 164 TS P · Cassiopeia 69 MT M · Chogath 31 TM M
Corki 42 MB P · Darius 122 TJ P · Diana 131 JM M · DrMundo 36 TJ M · Draven 119 B P · Ekko 245 JM M
Elise 60 JS M · Evelynn 28 J M · Ezreal 81 BM P · FiddleSticks 9 JS M · Fiora 114 T P · Fizz 105 M M
Galio 3 MS M · Gangplank 41 T P · Garen 86 TM P · Gnar 150 T P · Gragas 79 TJ M · Graves 104 J P
Gwen 887 TJ M · Hecarim 120 J P · Heimerdinger 74 TM M · Hwei 910 MS M · Illaoi 420 T P · Irelia 39 TM P
Ivern 427 J M · Janna 40 S M · JarvanIV 59 J P · Jax 24 TJ P · Jayce 126 TM P · Jhin 202 B P
Jinx 222 B P · KSante 897 T P · Kaisa 145 B P · Kalista 429 B P · Karma 43 SM M · Karthus 30 JB M
Kassadin 38 M M · Katarina 55 M M · Kayle 10 TM M · Kayn 141 J P · Kennen 85 T M · Khazix 121 J P
Kindred 203 J P · Kled 240 TM P · KogMaw 96 B P · Leblanc 7 MS M · LeeSin 64 JT P · Leona 89 S M
Lillia 876 JT M · Lissandra 127 M M · Lucian 236 BM P · Lulu 117 S M · Lux 99 SM M · Malphite 54 TS M
Malzahar 90 M M · Maokai 57 SJ M · MasterYi 11 J P · Mel 800 MS M · Milio 902 S M · MissFortune 21 BS P
MonkeyKing 62 JT P · Mordekaiser 82 TJ M · Morgana 25 SM M · Naafiri 950 JM P · Nami 267 S M · Nasus 75 T P
Nautilus 111 SJ M · Neeko 518 SM M · Nidalee 76 J M · Nilah 895 B P · Nocturne 56 JM P · Nunu 20 J M
Olaf 2 TJ P · Orianna 61 M M · Ornn 516 T M · Pantheon 80 TSJ P · Poppy 78 TSJ P · Pyke 555 S P
Qiyana 246 MJ P · Quinn 133 T P · Rakan 497 S M · Rammus 33 J M · RekSai 421 JT P · Rell 526 S M
Renata 888 S M · Renekton 58 T P · Rengar 107 JT P · Riven 92 T P · Rumble 68 TM M · Ryze 13 MT M
Samira 360 B P · Sejuani 113 JT M · Senna 235 SB P · Seraphine 147 SB M · Sett 875 TS P · Shaco 35 JS P
Shen 98 TS M · Shyvana 102 J M · Singed 27 TM M · Sion 14 TM P · Sivir 15 B P · Skarner 72 JT M
Smolder 901 BM P · Sona 37 S M · Soraka 16 S M · Swain 50 MSB M · Sylas 517 MJ M · Syndra 134 M M
TahmKench 223 TS M · Taliyah 163 MJ M · Talon 91 MJ P · Taric 44 S M · Teemo 17 TJ M · Thresh 412 S M
Tristana 18 BM P · Trundle 48 TJ P · Tryndamere 23 TM P · TwistedFate 4 MT M · Twitch 29 BJ P · Udyr 77 JT M
Urgot 6 T P · Varus 110 BM P · Vayne 67 BT P · Veigar 45 MB M · Velkoz 161 SM M · Vex 711 M M
Vi 254 J P · Viego 234 JM P · Viktor 112 M M · Vladimir 8 MT M · Volibear 106 JT M · Warwick 19 JT P
Xayah 498 B P · Xerath 101 MS M · XinZhao 5 J P · Yasuo 157 MTB P · Yone 777 MT P · Yorick 83 T P
Yunara 804 B P · Yuumi 350 S M · Zaahen 904 TJ P · Zac 154 JS M · Zed 238 MJ P · Zeri 221 B P
Ziggs 115 BM M · Zilean 26 SM M · Zoe 142 M M · Zyra 143 SJ M
"""

# Champions of Swarm; their names in Match-V5 have a prefix.
_SWARM_PREFIX = "Strawberry_"
_SWARM_ROWS = """
Riven 3147 P · Jinx 3151 P · Leona 3152 M · Seraphine 3153 M · Briar 3156 P · Yasuo 3157 P · Aurora 3159 M
Illaoi 3678 P · Xayah 3947 P
"""

# The most played champions, by popularity; the others follow in a fixed order.
_MOST_PLAYED = (
    "Kaisa", "LeeSin", "Ahri", "Thresh", "Ezreal", "Jinx", "Lux", "Yone", "Aatrox", "Viego", "Caitlyn", "Yasuo",
    "Nautilus", "Sylas", "Jhin", "Lulu", "Darius", "Graves", "Akali", "Leona", "Garen", "Ashe", "Karma", "Jax",
    "Zed", "Blitzcrank", "Khazix", "MissFortune", "Katarina", "Ekko", "Sett", "Vayne", "Syndra", "Pyke", "Nami",
)  # fmt: skip

# Factor on a champion's popularity in a position other than its usual one.
_SECONDARY_POSITION_WEIGHT = 0.25
# Offset of the Zipf distribution: with it, the most played champion is in about every third game, not in all.
_ZIPF_OFFSET = 9.0
# Maximum log-odds that one champion adds to its team's win: alone it moves the win rate between 45 and 55 percent.
MAX_STRENGTH = 0.2


@dataclass(frozen=True, slots=True)
class Champion:
    """A champion; `strength` in log-odds of its team's win, `popularity` a weight above 0."""

    name: str
    id: int
    positions: tuple[str, ...]
    magic: bool
    popularity: float
    strength: float


def _shuffled(names: list[str], salt: str) -> list[str]:
    """The names in a pseudo-random order that is the same in every run and process."""
    return sorted(names, key=lambda name: hashlib.blake2b(f"{salt}/{name}".encode()).digest())


def _split(rows: str) -> list[list[str]]:
    return [row.split() for row in rows.replace("·", "\n").strip().splitlines()]


def _load() -> tuple[Champion, ...]:
    rows = _split(_ROWS)
    names = [row[0] for row in rows]
    others = [name for name in _shuffled(names, "popularity") if name not in _MOST_PLAYED]
    popularity = {name: rank for rank, name in enumerate([*_MOST_PLAYED, *others])}
    strength = {name: rank for rank, name in enumerate(_shuffled(names, "strength"))}
    by_letter = dict(zip("TJMBS", POSITIONS, strict=True))
    return tuple(
        Champion(
            name=name,
            id=int(number),
            positions=tuple(by_letter[letter] for letter in letters),
            magic=damage == "M",
            popularity=1 / (popularity[name] + _ZIPF_OFFSET),
            strength=MAX_STRENGTH * (2 * strength[name] / (len(names) - 1) - 1),
        )
        for name, number, letters, damage in rows
    )


CHAMPIONS = _load()


class ChampionPool(NamedTuple):
    """Champions to pick from, with the cumulative sums of their weights."""

    champions: tuple[Champion, ...]
    cumulative: tuple[float, ...]

    def draw(self, random: Callable[[], float], taken: set[int]) -> Champion:
        """Picks a champion by weight whose id is not in `taken`, and adds its id there."""
        total, last = self.cumulative[-1], len(self.cumulative) - 1
        while True:
            champion = self.champions[bisect_right(self.cumulative, random() * total, 0, last)]
            if champion.id not in taken:
                taken.add(champion.id)
                return champion


@cache
def champion_pool(position: str) -> ChampionPool:
    """Champions of `position`, weighted by popularity; all champions with equal weights if it is "" (modes without
    positions)."""
    if not position:
        return ChampionPool(CHAMPIONS, tuple(float(n) for n in range(1, len(CHAMPIONS) + 1)))
    chosen = tuple(champion for champion in CHAMPIONS if position in champion.positions)
    weights = (
        champion.popularity * (1 if champion.positions[0] == position else _SECONDARY_POSITION_WEIGHT)
        for champion in chosen
    )
    return ChampionPool(chosen, tuple(accumulate(weights)))


def _load_swarm() -> ChampionPool:
    champions = tuple(
        Champion(_SWARM_PREFIX + name, int(number), positions=(), magic=damage == "M", popularity=1.0, strength=0.0)
        for name, number, damage in _split(_SWARM_ROWS)
    )
    return ChampionPool(champions, tuple(float(n) for n in range(1, len(champions) + 1)))


SWARM_POOL = _load_swarm()
