"""Champion names in one spelling: that of Data Dragon's champion ids, which its images and other data sets use.

Match-V5 spells one of them differently in some matches (FiddleSticks), and producers that take the names from elsewhere
send the displayed name (Kai'Sa, Wukong). Grouped by the name as sent, a champion would be two.
"""

from functools import lru_cache

_NAMES = """
Aatrox Ahri Akali Akshan Alistar Ambessa Amumu Anivia Annie Aphelios Ashe AurelionSol Aurora Azir Bard Belveth
Blitzcrank Brand Braum Briar Caitlyn Camille Cassiopeia Chogath Corki Darius Diana DrMundo Draven Ekko Elise Evelynn
Ezreal Fiddlesticks Fiora Fizz Galio Gangplank Garen Gnar Gragas Graves Gwen Hecarim Heimerdinger Hwei Illaoi Irelia
Ivern Janna JarvanIV Jax Jayce Jhin Jinx KSante Kaisa Kalista Karma Karthus Kassadin Katarina Kayle Kayn Kennen Khazix
Kindred Kled KogMaw Leblanc LeeSin Leona Lillia Lissandra Locke Lucian Lulu Lux Malphite Malzahar Maokai MasterYi Mel
Milio MissFortune MonkeyKing Mordekaiser Morgana Naafiri Nami Nasus Nautilus Neeko Nidalee Nilah Nocturne Nunu Olaf
Orianna Ornn Pantheon Poppy Pyke Qiyana Quinn Rakan Rammus RekSai Rell Renata Renekton Rengar Riven Rumble Ryze Samira
Sejuani Senna Seraphine Sett Shaco Shen Shyvana Singed Sion Sivir Skarner Smolder Sona Soraka Swain Sylas Syndra
TahmKench Taliyah Talon Taric Teemo Thresh Tristana Trundle Tryndamere TwistedFate Twitch Udyr Urgot Varus Vayne Veigar
Velkoz Vex Vi Viego Viktor Vladimir Volibear Warwick Xayah Xerath XinZhao Yasuo Yone Yorick Yunara Yuumi Zaahen Zac Zed
Zeri Ziggs Zilean Zoe Zyra
"""
# Displayed names that differ from the id in more than case, spaces and punctuation.
_OTHER_NAMES = {"Wukong": "MonkeyKing", "Nunu & Willump": "Nunu", "Renata Glasc": "Renata"}


def _letters(name: str) -> str:
    """What all spellings of a name have in common."""
    return "".join(filter(str.isalnum, name)).casefold()


_BY_LETTERS = {_letters(name): name for name in _NAMES.split()} | {
    _letters(name): champion for name, champion in _OTHER_NAMES.items()
}


@lru_cache(maxsize=4096)
def canonical_name(name: str) -> str:
    """Data Dragon's spelling of a champion's name. A name of no known champion (a newer one) stays as it is."""
    return _BY_LETTERS.get(_letters(name), name)
