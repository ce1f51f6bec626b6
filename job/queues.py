"""Riot's queues and modes: the English name of each queue id, which of them are Arena or against bots, and limits.

Source: https://static.developer.riotgames.com/docs/lol/queues.json, its `description` without the word "games". These
are not in that list: 1740 and 1750 (Arena in matches of 2026 and, with eighteen players, of 2025 and later), 860, the
Doom Bots of 2025 (https://github.com/MingweiSamuel/riotapi-schema/issues/60), League Classic
(https://github.com/stelar7/R4J/pull/135), and since 2025 the practice tool (3140) and custom games: those of Summoner's
Rift (3100 to 3130) and of ARAM (3200 to 3230; 3270 of ARAM: Mayhem) are in R4J's GameQueueType.java.
"""

import re

ARENA = frozenset({1700, 1710, 1740, 1750})
"""Queues in which `teamId` is no side of the map: 100 has the winning half of the participants."""
ARENA_MODE = "CHERRY"
"""Arena's gameMode."""
CLASSIC_MODES = ("JADE", "KIWI_JADE")
"""The gameModes of League Classic and of ARAM: Mayhem Classic, which have champions of their own."""
MAX_PARTICIPANTS_OF_A_MODE = 18
"""No mode has more: Arena has up to eighteen."""
POSITIONS = ("TOP", "JUNGLE", "MIDDLE", "BOTTOM", "UTILITY")
"""The values of teamPosition, beside an empty one."""

_NAMES = {
    0: "Custom",
    72: "1v1 Snowdown Showdown",
    73: "2v2 Snowdown Showdown",
    75: "6v6 Hexakill",
    76: "Ultra Rapid Fire",
    78: "One For All: Mirror Mode",
    83: "Co-op vs AI Ultra Rapid Fire",
    98: "6v6 Hexakill",
    100: "5v5 ARAM",
    310: "Nemesis",
    313: "Black Market Brawlers",
    317: "Definitely Not Dominion",
    325: "All Random",
    400: "5v5 Draft Pick",
    420: "5v5 Ranked Solo",
    430: "5v5 Blind Pick",
    440: "5v5 Ranked Flex",
    450: "5v5 ARAM",
    460: "3v3 Blind Pick",
    470: "3v3 Ranked Flex",
    480: "Swiftplay",
    490: "Normal (Quickplay)",
    600: "Blood Hunt Assassin",
    610: "Dark Star: Singularity",
    700: "Summoner's Rift Clash",
    720: "ARAM Clash",
    800: "Co-op vs. AI Intermediate Bot",
    810: "Co-op vs. AI Intro Bot",
    820: "Co-op vs. AI Beginner Bot",
    830: "Co-op vs. AI Intro Bot",
    840: "Co-op vs. AI Beginner Bot",
    850: "Co-op vs. AI Intermediate Bot",
    860: "Co-op vs. AI ARAM",
    870: "Co-op vs. AI Intro Bot",
    880: "Co-op vs. AI Beginner Bot",
    890: "Co-op vs. AI Intermediate Bot",
    900: "ARURF",
    910: "Ascension",
    920: "Legend of the Poro King",
    940: "Nexus Siege",
    950: "Doom Bots Voting",
    960: "Doom Bots Standard",
    980: "Star Guardian Invasion: Normal",
    990: "Star Guardian Invasion: Onslaught",
    1000: "PROJECT: Hunters",
    1010: "Snow ARURF",
    1020: "One for All",
    1030: "Odyssey Extraction: Intro",
    1040: "Odyssey Extraction: Cadet",
    1050: "Odyssey Extraction: Crewmember",
    1060: "Odyssey Extraction: Captain",
    1070: "Odyssey Extraction: Onslaught",
    1200: "Nexus Blitz",
    1300: "Nexus Blitz",
    1400: "Ultimate Spellbook",
    1700: "Arena",
    1710: "Arena",
    1740: "Arena",
    1750: "Arena",
    1810: "Swarm",
    1820: "Swarm",
    1830: "Swarm",
    1840: "Swarm",
    1900: "Pick URF",
    2000: "Tutorial 1",
    2010: "Tutorial 2",
    2020: "Tutorial 3",
    2300: "Brawl",
    2400: "ARAM: Mayhem",
    2450: "ARAM: Mayhem Classic",
    3100: "Custom",
    3110: "Custom",
    3120: "Custom",
    3130: "Custom",
    3140: "Practice Tool",
    3200: "Custom",
    3210: "Custom",
    3220: "Custom",
    3230: "Custom",
    3260: "Custom League Classic",
    3262: "Custom League Classic",
    3270: "Custom ARAM: Mayhem",
    3280: "Custom ARAM: Mayhem Classic",
    4200: "Doom Bots",
    4210: "Doom Bots",
    4220: "Doom Bots",
    4240: "Doom Bots",
    4250: "Doom Bots",
    4260: "Doom Bots",
    4310: "League Classic",
    4320: "Co-op vs. AI League Classic",
}

AGAINST_BOTS = frozenset(
    queue_id for queue_id, name in _NAMES.items() if name.startswith(("Tutorial", "Co-op vs", "Doom Bots"))
)
"""Queues in which one of the teams is of bots. Other matches, such as custom games, can have bots too: their documents
have the number of them."""


def queue_name(queue_id: int) -> str:
    """The queue's English name; the id itself if Riot's list does not have it."""
    return _NAMES.get(queue_id) or str(queue_id)


def queue_ids(name: str) -> tuple[int, ...]:
    """The ids of the queues with this name, in any case: several can have the same one. Any id, which the documents
    have as a signed 32-bit integer, stands for itself."""
    if re.fullmatch("-?[0-9]{1,10}", name):
        return (int(name),) if -(2**31) <= int(name) < 2**31 else ()
    return tuple(queue_id for queue_id, known in _NAMES.items() if known.casefold() == name.casefold())
