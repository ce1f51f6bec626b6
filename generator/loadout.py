"""A player's loadout: runes, summoner spells, items and augments, with the ids of Riot's data."""

from collections.abc import Callable
from typing import Any

from generator.champions import Champion
from generator.modes import ARAM, SWARM, Format

_STYLES: dict[int, tuple[tuple[int, ...], ...]] = {
    8000: ((8005, 8008, 8010, 8021), (8009, 9101, 9111), (9103, 9104, 9105), (8014, 8017, 8299)),
    8100: ((8112, 8128, 9923), (8126, 8139, 8143), (8137, 8140, 8141), (8105, 8106, 8135)),
    8200: ((8214, 8229, 8230), (8224, 8226, 8275), (8210, 8233, 8234), (8232, 8236, 8237)),
    8300: ((8351, 8360, 8369), (8304, 8306, 8321), (8313, 8345, 8352), (8316, 8347, 8410)),
    8400: ((8437, 8439, 8465), (8401, 8446, 8463), (8429, 8444, 8473), (8242, 8451, 8453)),
}
_STYLE_IDS = tuple(_STYLES)
_OTHER_STYLES = {style: tuple(other for other in _STYLES if other != style) for style in _STYLES}
_OFFENSE, _FLEX, _DEFENSE = (5005, 5007, 5008), (5001, 5008, 5010), (5001, 5011, 5013)

_FLASH, _MARK = 4, 32
_SPELLS_WITHOUT_TOWERS = (2202, 2201)  # Flash and Flee of Arena
_SECOND_SPELL = ((12, 14, 6), (11,), (12, 14, 21), (7, 21, 1), (14, 3, 7))
_BOOTS = (3006, 3009, 3020, 3047, 3111, 3158)
_WEAPONS = (3031, 3033, 3036, 3046, 3071, 3072, 3074, 3094, 3142, 3153, 3508, 6672, 6673, 6676, 6694)
_STAVES = (3003, 3089, 3100, 3102, 3115, 3116, 3135, 3152, 3157, 3165, 4628, 4645, 4646, 6653, 6655)
_SHARED = (3065, 3068, 3075, 3083, 3084, 3107, 3109, 3110, 3143, 3190, 3222, 3504, 6617, 6665)
_TRINKETS = (3340, 3363, 3364)
_ARAM_TRINKET, _ARENA_TRINKET = 2052, 3348
_SWARM_ITEMS = tuple(range(9271, 9299))
_GOLD_PER_ITEM = 2600
# Arena has the items of the Rift under ids of its own.
_ARENA_ITEM = 220_000
_AUGMENTS = tuple(range(1, 97)) + tuple(range(1001, 1049))


_NO_SELECTION = {"perk": 0, "var1": 0, "var2": 0, "var3": 0}


def _pick(draw: Callable[[], float], among: tuple[int, ...]) -> int:
    return among[int(draw() * len(among))]


def _pick_favourite(draw: Callable[[], float], among: tuple[int, ...], champion_id: int) -> int:
    """One of these, more often those that the champion's players favour."""
    return among[(champion_id + int(draw() ** 2 * len(among))) % len(among)]


def perks(draw: Callable[[], float], champion_id: int, minutes: float) -> dict[str, Any]:
    """The `perks` object (runes): a primary style with four runes, a secondary style with two, and three shards."""
    primary = _pick_favourite(draw, _STYLE_IDS, champion_id)
    other = _pick(draw, _OTHER_STYLES[primary])
    keystones, *rows_of_primary = _STYLES[primary]
    skipped = 1 + int(draw() * 3)
    rows = _STYLES[other]
    return {
        "statPerks": {
            "defense": _pick(draw, _DEFENSE),
            "flex": _pick(draw, _FLEX),
            "offense": _pick(draw, _OFFENSE),
        },
        "styles": [
            {
                "description": "primaryStyle",
                "selections": [
                    _selection(draw, _pick_favourite(draw, keystones, champion_id), minutes),
                    *(_selection(draw, _pick(draw, row), minutes) for row in rows_of_primary),
                ],
                "style": primary,
            },
            {
                "description": "subStyle",
                "selections": [_selection(draw, _pick(draw, rows[at]), minutes) for at in (1, 2, 3) if at != skipped],
                "style": other,
            },
        ],
    }


def _selection(draw: Callable[[], float], perk: int, minutes: float) -> dict[str, int]:
    return {
        "perk": perk,
        "var1": int(draw() * 60 * minutes),
        "var2": int(draw() * 20 * minutes),
        "var3": 0,
    }


def no_perks() -> dict[str, Any]:
    """The `perks` object of a mode without runes: the same shape with zeros."""
    return {
        "statPerks": {"defense": 0, "flex": 0, "offense": 0},
        "styles": [
            {"description": description, "selections": [_NO_SELECTION] * number, "style": 0}
            for description, number in (("primaryStyle", 4), ("subStyle", 2))
        ],
    }


def spells(draw: Callable[[], float], seat: int, of_format: Format) -> tuple[int, int]:
    """Ids of the two summoner spells."""
    if not of_format.two_teams:
        return _SPELLS_WITHOUT_TOWERS
    return _FLASH, _MARK if of_format is ARAM else _pick(draw, _SECOND_SPELL[seat])


def items(draw: Callable[[], float], gold: int, champion: Champion, of_format: Format) -> list[int]:
    """Seven item slots: as many finished items as the gold pays for, 0 for an empty slot, the trinket last."""
    if of_format is SWARM:
        return [*(_pick(draw, _SWARM_ITEMS) for _ in range(5)), 0, 0]
    own = _STAVES if champion.magic else _WEAPONS
    bought = [_pick_favourite(draw, _BOOTS, champion.id)] if gold > 1500 else []
    wanted = min(6, 1 + gold // _GOLD_PER_ITEM) if bought else 0
    while len(bought) < wanted:
        item = _pick_favourite(draw, own if draw() < 0.7 else _SHARED, champion.id)
        if item not in bought:
            bought.append(item)
    empty = [0] * (6 - len(bought))
    if not of_format.two_teams:
        return [*(_ARENA_ITEM + item for item in bought), *empty, _ARENA_TRINKET]
    return [*bought, *empty, _ARAM_TRINKET if of_format is ARAM else _pick(draw, _TRINKETS)]


def augments(draw: Callable[[], float], number: int) -> list[int]:
    """Six augment slots of an Arena player, `number` of them filled."""
    return [*(_pick(draw, _AUGMENTS) for _ in range(number)), *[0] * (6 - number)]


def legendaries(slots: list[int]) -> list[int]:
    """The finished items of seven slots, without boots and trinket."""
    return [item for item in slots[:6] if item and item not in _BOOTS]
