"""A reference implementation of the data dictionary: from the bytes of messages to documents and statistics.

Written from docs/data-dictionary.md in plain Python and shares no code with the job, so that tests can compare the two.
A dead letter gives None.

Nothing is rounded here: a ratio is an exact `Fraction`. A figure with two decimals agrees with it if no other such
figure is nearer. Halfway between two figures, both agree: the dictionary does not define the rounding, and binary
floating point takes the lower (0.125, 0.015) or the upper (0.375).
"""

import json
from collections import defaultdict
from collections.abc import Callable, Container, Iterable, Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any

from generator.champions import CHAMPIONS

Json = dict[str, Any]
Figures = dict[str, Any]
Key = tuple[int, str, str]
"""Start of the window in milliseconds, kind (champion or position), name."""

EARLIEST_MS = 1_546_300_800_000  # 2019-01-01T00:00:00Z
AHEAD_MS = 86_400_000


def _spelling(name: str) -> str:
    """A champion's name without case, spaces and punctuation."""
    return "".join(character for character in name.lower() if character.isalnum())


# The generator sends Match-V5's names, which are Data Dragon's but for one.
_CHAMPIONS = {_spelling(champion.name): champion.name for champion in CHAMPIONS} | {
    "fiddlesticks": "Fiddlesticks",
    "wukong": "MonkeyKing",
    "nunuwillump": "Nunu",
    "renataglasc": "Renata",
}


class Share(Fraction):
    """A ratio of which a document has four decimals."""


QUEUES = {
    0: "Custom",
    3100: "Custom",
    3130: "Custom",
    3140: "Practice Tool",
    3200: "Custom",
    400: "5v5 Draft Pick",
    420: "5v5 Ranked Solo",
    430: "5v5 Blind Pick",
    440: "5v5 Ranked Flex",
    450: "5v5 ARAM",
    480: "Swiftplay",
    490: "Normal (Quickplay)",
    700: "Summoner's Rift Clash",
    860: "Co-op vs. AI ARAM",
    870: "Co-op vs. AI Intro Bot",
    880: "Co-op vs. AI Beginner Bot",
    890: "Co-op vs. AI Intermediate Bot",
    1700: "Arena",
    1710: "Arena",
    1740: "Arena",
    1750: "Arena",
    1810: "Swarm",
    1820: "Swarm",
    1830: "Swarm",
    1840: "Swarm",
    4250: "Doom Bots",
    4310: "League Classic",
    4320: "Co-op vs. AI League Classic",
}
"""The names of the queues in the tests."""
_POSITIONS = ("TOP", "JUNGLE", "MIDDLE", "BOTTOM", "UTILITY")
COUNTED_QUEUES = (400, 420, 430, 440, 480, 490, 700)


class _InvalidMatchError(Exception):
    """The message is a dead letter."""


def _integer_between(low: int, high: int) -> Callable[[Any], int]:
    def read(value: Any) -> int:
        if not isinstance(value, Decimal) or not low <= value <= high or value != value.to_integral_value():
            raise _InvalidMatchError(value)
        return int(value)

    return read


def _text(min_length: int) -> Callable[[Any], str]:
    def read(value: Any) -> str:
        if not isinstance(value, str) or not min_length <= len(value) <= 120:
            raise _InvalidMatchError(value)
        if any("\ud800" <= character <= "\udfff" for character in value):  # half of a surrogate pair
            raise _InvalidMatchError(value)
        return value

    return read


def _boolean(value: Any) -> bool:
    if not isinstance(value, bool):
        raise _InvalidMatchError(value)
    return value


def _optional(read: Callable[[Any], Any]) -> Callable[[Any], Any]:
    return lambda value: None if value is None else read(value)


_INTEGER, _COUNT, _CREEPS = (
    _integer_between(-(2**31), 2**31 - 1),
    _integer_between(0, 2**31 - 1),
    _integer_between(0, 2**30 - 1),
)
_DAMAGE, _TIME = _integer_between(0, 10**11), _integer_between(0, 2**53)
_TEXT, _NAME = _text(0), _text(1)
_PARTICIPANT: Mapping[str, Callable[[Any], Any]] = {
    "participantId": _COUNT,
    "championName": _NAME,
    "teamId": _INTEGER,
    "win": _boolean,
    "kills": _COUNT,
    "deaths": _COUNT,
    "assists": _COUNT,
    "goldEarned": _COUNT,
    "totalDamageDealtToChampions": _DAMAGE,
    "visionScore": _INTEGER,
    "teamPosition": _optional(_TEXT),
    "riotIdGameName": _optional(_TEXT),
    "riotIdTagline": _optional(_TEXT),
    "riotIdName": _optional(_TEXT),
    "summonerName": _optional(_TEXT),
    "totalMinionsKilled": _optional(_CREEPS),
    "neutralMinionsKilled": _optional(_CREEPS),
    "timePlayed": _optional(_COUNT),
    "gameEndedInEarlySurrender": _optional(_boolean),
}
_INFO: Mapping[str, Callable[[Any], Any]] = {
    "gameCreation": _TIME,
    "gameDuration": _COUNT,
    "gameVersion": _TEXT,
    "queueId": _INTEGER,
    "platformId": _TEXT,
    "gameStartTimestamp": _optional(_TIME),
    "gameEndTimestamp": _optional(_TIME),
}


_DETAILS: Mapping[str, tuple[str, Callable[[Any], Any]]] = {
    "champion_id": ("championId", _integer_between(-(2**31), 1_000_000)),
    "champion_level": ("champLevel", _COUNT),
    "damage_taken": ("totalDamageTaken", _DAMAGE),
    "physical_damage": ("physicalDamageDealtToChampions", _DAMAGE),
    "magic_damage": ("magicDamageDealtToChampions", _DAMAGE),
    "true_damage": ("trueDamageDealtToChampions", _DAMAGE),
    "wards_placed": ("wardsPlaced", _COUNT),
    "wards_killed": ("wardsKilled", _COUNT),
    "control_wards": ("visionWardsBoughtInGame", _COUNT),
    "first_blood": ("firstBloodKill", _boolean),
    "double_kills": ("doubleKills", _COUNT),
    "triple_kills": ("tripleKills", _COUNT),
    "quadra_kills": ("quadraKills", _COUNT),
    "penta_kills": ("pentaKills", _COUNT),
}
_SLOTS: Mapping[str, tuple[str, ...]] = {
    "items": tuple(f"item{slot}" for slot in range(7)),
    "summoner_spells": ("summoner1Id", "summoner2Id"),
}
_OBJECTIVES: Mapping[str, str] = {
    "baron": "baron",
    "dragon": "dragon",
    "herald": "riftHerald",
    "horde": "horde",
    "atakhan": "atakhan",
    "tower": "tower",
    "inhibitor": "inhibitor",
}


def documents(value: bytes | None, arrived_at: int) -> list[Figures] | None:
    """The participants' documents, with ratios as exact fractions; `arrived_at` is in milliseconds."""
    match = read(value, arrived_at)
    if match is None:
        return None
    return [
        {
            **_match_fields(match, arrived_at),
            "participant_id": str(player["participantId"]),
            "summoner_name": _summoner_name(player),
            "champion_name": _champion(player),
            "team_id": player["teamId"],
            "position": _position(player),
            **({"win": player["win"]} if match["has_winner"] else {}),
            "kills": player["kills"],
            "deaths": player["deaths"],
            "assists": player["assists"],
            "total_damage_dealt": player["totalDamageDealtToChampions"],
            "gold_earned": player["goldEarned"],
            "cs": _creeps(player),
            "vision_score": player["visionScore"],
            **{name: ratio for name, ratio in _ratios(player, match["duration"]).items() if ratio is not None},
            **_shares(match, player),
            **player["details"],
        }
        for player in match["players"]
    ]


def team_documents(value: bytes | None, arrived_at: int) -> list[Figures] | None:
    """The teams' documents."""
    match = read(value, arrived_at)
    if match is None:
        return None
    found: dict[int, Figures] = {}
    for team in match["teams"]:
        team_id, players = team["team_id"], [each for each in match["players"] if each["teamId"] == team["team_id"]]
        if not match["two_teams"] or not players:
            continue
        found[team_id] = {
            **_match_fields(match, arrived_at),
            **{name: held for name, held in team.items() if name != "win" or match["has_winner"]},
            "kills": sum(each["kills"] for each in players),
            "deaths": sum(each["deaths"] for each in players),
            "assists": sum(each["assists"] for each in players),
            "gold": sum(each["goldEarned"] for each in players),
            "damage": sum(each["totalDamageDealtToChampions"] for each in players),
        }
    return list(found.values())


def _match_fields(match: Json, arrived_at: int) -> Figures:
    return {
        "match_id": match["id"],
        "timestamp": match["gameCreation"],
        "@timestamp": _iso(match["ended"]),
        "game_duration": match["duration"],
        "patch": ".".join(match["gameVersion"].split(".")[:2]),
        "queue_id": match["queueId"],
        "queue": QUEUES.get(match["queueId"], str(match["queueId"])),
        "platform": match["platformId"],
        "remake": match["remake"],
        "two_teams": match["two_teams"],
        "ingested_at": _iso(arrived_at),
        **match["details"],
        **_bots(match),
    }


def _bots(match: Json) -> Figures:
    """How many participants are bots, as far as anybody has a puuid."""
    known = [player["details"]["bot"] for player in match["players"] if "bot" in player["details"]]
    return {"bots": sum(known)} if known else {}


def _shares(match: Json, player: Json) -> Figures:
    """Shares of the team; in Arena of the subteam. There are none if the subteam of any player is unknown."""
    if match["arena"] and any("subteam_id" not in each["details"] for each in match["players"]):
        return {}

    def team_of(each: Json) -> Any:
        return each["details"].get("subteam_id") if match["arena"] else each["teamId"]

    team = [each for each in match["players"] if team_of(each) == team_of(player)]
    parts = {
        "kill_participation": (player["kills"] + player["assists"], sum(each["kills"] for each in team)),
        "damage_share": (
            player["totalDamageDealtToChampions"],
            sum(each["totalDamageDealtToChampions"] for each in team),
        ),
        "gold_share": (player["goldEarned"], sum(each["goldEarned"] for each in team)),
    }
    return {name: Share(min(part, whole), whole) for name, (part, whole) in parts.items() if whole}


def statistics(
    messages: Iterable[tuple[bytes | None, int]], size: int, slide: int, queues: Container[int] | None = COUNTED_QUEUES
) -> dict[Key, Figures]:
    """The statistics of messages (value, arrival time) in sliding windows; `size` and `slide` are in seconds.

    Those of these queues, None for all."""
    matches = [read(value, arrived_at) for value, arrived_at in messages]
    rows: dict[Key, list[Figures]] = defaultdict(list)
    for match in {match["id"]: match for match in matches if match}.values():
        if match["remake"] or not match["has_winner"] or len(match["players"]) > 18:
            continue
        if queues is not None and match["queueId"] not in queues:
            continue
        last = match["event_time"] // (slide * 1000) * slide * 1000
        for start in range(last, match["event_time"] - size * 1000, -slide * 1000):
            for player in match["players"]:
                if player["details"].get("bot"):
                    continue
                row = {**player, **_ratios(player, match["duration"])}
                rows[start, "champion", _champion(player)].append(row)
                rows[start, "position", _window_position(player)].append(row)
    return {key: _averages(group) for key, group in rows.items()}


def differences(actual: Mapping[str, Any], expected: Figures, error: Fraction = Fraction(0)) -> dict[str, Any]:
    """The fields in which a document or a row of statistics differs from this reference: actual and expected value.

    `error` is the tolerance of a ratio before rounding.
    """
    return {
        name: (actual.get(name, ...), expected.get(name, ...))
        for name in actual.keys() | expected.keys()
        if not _agrees(actual.get(name, ...), expected.get(name, ...), error)
    }


def _agrees(actual: Any, expected: Any, error: Fraction) -> bool:
    if not isinstance(expected, Fraction):
        return type(actual) is type(expected) and bool(actual == expected)
    if not isinstance(actual, float):
        return False
    shown, unit = Fraction(repr(actual)), 10_000 if isinstance(expected, Share) else 100
    return (shown * unit).denominator == 1 and abs(shown - expected) <= Fraction(1, 2 * unit) + error


def read(value: bytes | None, arrived_at: int) -> Json | None:
    """Decode a message: the match's fields, `id`, `duration` (seconds), `ended` and `event_time` (milliseconds),
    `remake`, `has_winner`, `players`, `arena`, `two_teams`, `teams`, `details`. None for a dead letter."""
    try:
        return _read(_parsed(value), arrived_at)
    except _InvalidMatchError:
        return None


def _parsed(value: bytes | None) -> Any:
    try:
        message = json.loads(
            (value or b"").decode("utf-8-sig"), parse_int=Decimal, parse_float=Decimal, parse_constant=_refuse
        )
    except ValueError as error:
        raise _InvalidMatchError from error
    return message


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not JSON")


def _fields(holder: Any, fields: Mapping[str, Callable[[Any], Any]]) -> Json:
    if not isinstance(holder, dict):
        raise _InvalidMatchError(holder)
    return {name: read(holder.get(name)) for name, read in fields.items()}


def _read(message: Any, arrived_at: int) -> Json:
    parts = _fields(message, {"metadata": lambda part: _fields(part, {"matchId": _NAME}), "info": lambda part: part})
    info = _fields(parts["info"], _INFO)
    listed = parts["info"].get("participants")
    players = [
        {**_fields(player, _PARTICIPANT), "details": _participant_details(player)}
        for player in (listed if isinstance(listed, list) else [])
    ]
    if len({player["participantId"] for player in players}) != len(players) or not players:
        raise _InvalidMatchError("participants")
    played = max(player["timePlayed"] or 0 for player in players)
    if played >= 100_000 or (info["gameDuration"] >= 60 and Fraction(played, info["gameDuration"]) >= 100):
        played //= 1000
    seconds: int | Fraction = info["gameDuration"]
    old = not info["gameEndTimestamp"] and _before_11_20(info["gameVersion"])
    if seconds >= 100 * played and not old and not Fraction(1, 2) <= Fraction(seconds, 1000 * (played or 1)) <= 2:
        played = 0
    if played and seconds:
        if seconds >= 100 * played:
            seconds = played if old and seconds >= (played + 60) * 1000 else Fraction(seconds, 1000)
        elif played >= 100 * seconds:
            seconds = played
    elif seconds >= 100_000 or old:
        seconds = Fraction(seconds, 1000)
    milliseconds = int(seconds * 1000)
    if info["gameStartTimestamp"] and played:
        ended = info["gameStartTimestamp"] + played * 1000
    else:
        ended = info["gameEndTimestamp"] or 0
        began = max(info["gameCreation"], info["gameStartTimestamp"] or 0)
        if ended == 0 or EARLIEST_MS <= ended < began:
            ended = info["gameCreation"] + milliseconds
    if not all(EARLIEST_MS <= moment <= arrived_at + AHEAD_MS for moment in (info["gameCreation"], ended)):
        raise _InvalidMatchError("implausible")
    game_mode = _detail(parts["info"], "gameMode", _TEXT)
    details = {"game_mode": game_mode or None, "map_id": _detail(parts["info"], "mapId", _INTEGER)}
    subteams = any("subteam_id" in player["details"] for player in players)
    arena = info["queueId"] in (1700, 1710, 1740, 1750) or game_mode == "CHERRY" or subteams
    return {
        **info,
        "details": {name: held for name, held in details.items() if held is not None},
        "arena": arena,
        "two_teams": not arena and {player["teamId"] for player in players} == {100, 200},
        "teams": _detail(parts["info"], "teams", _teams) or [],
        "id": parts["metadata"]["matchId"],
        "duration": milliseconds // 1000,
        "ended": ended,
        "event_time": min(ended, arrived_at),
        "remake": any(player["gameEndedInEarlySurrender"] for player in players),
        "has_winner": _has_winner(players, arena),
        "players": players,
    }


def _detail(holder: Json, name: str, read: Callable[[Any], Any]) -> Any:
    """An optional field; None if it is missing, null or invalid."""
    try:
        return _optional(read)(holder.get(name))
    except _InvalidMatchError:
        return None


def _participant_details(player: Json) -> Figures:
    found = {name: _detail(player, source, read) for name, (source, read) in _DETAILS.items()}
    puuid = _detail(player, "puuid", _TEXT)
    found |= {"puuid": puuid or None, "bot": puuid == "BOT" if puuid else None}
    found["placement"] = _detail(player, "placement", _COUNT) or None
    found["subteam_id"] = _detail(player, "playerSubteamId", _COUNT) or None
    found["role_item"] = _detail(player, "roleBoundItem", _COUNT) or None
    for name, slots in _SLOTS.items():
        sent = [slot for slot in slots if player.get(slot) is not None]
        held = [_detail(player, slot, _COUNT) for slot in sent]
        found[name] = [each for each in held if each] if sent and None not in held else None
    styles = [*(_detail(player, "perks", _rune_styles) or []), (0, 0), (0, 0)][:2]
    (found["primary_style"], found["keystone"]), (found["secondary_style"], _) = styles
    for name in ("primary_style", "keystone", "secondary_style"):
        found[name] = found[name] or None
    return {name: held for name, held in found.items() if held is not None}


def _rune_styles(perks: Any) -> list[tuple[int | None, int | None]]:
    """The styles, each with its first rune."""

    def style(part: Any) -> tuple[int | None, int | None]:
        runes = [_fields(each, {"perk": _optional(_COUNT)}) for each in _list(_object(part).get("selections", []))]
        return _optional(_COUNT)(part.get("style")), runes[0]["perk"] if runes else None

    return [style(part) for part in _list(_object(perks).get("styles", []))]


def _teams(listed: Any) -> list[Figures]:
    teams = [_object(team) for team in _list(listed)]
    objectives = [_detail(team, "objectives", _object) for team in teams]
    not_taken = {
        name: {"kills": 0, "first": False}
        for name, source in _OBJECTIVES.items()
        if _only_some_have(source, [each for each in objectives if each is not None])
    }
    return [_team(team, not_taken if sent is not None else {}) for team, sent in zip(teams, objectives, strict=True)]


def _only_some_have(source: str, objectives: list[Json]) -> bool:
    """Whether an objective is sent, and nowhere in a wrong type."""
    sent = [each for each in objectives if each.get(source) is not None]
    return bool(sent) and all(_detail(each, source, _objective) is not None for each in sent)


def _team(team: Json, not_taken: Mapping[str, Json]) -> Figures:
    objectives = _detail(team, "objectives", _object) or {}
    taken = {
        name: _detail(objectives, source, _objective) or not_taken.get(name, {}) for name, source in _OBJECTIVES.items()
    }
    found = {
        "team_id": _INTEGER(team.get("teamId")),
        "win": _detail(team, "win", _boolean),
        "bans": _detail(team, "bans", _bans),
        **{name: each.get("kills") for name, each in taken.items()},
        **{f"first_{name}": each.get("first") for name, each in taken.items()},
    }
    return {name: held for name, held in found.items() if held is not None}


def _objective(taken: Any) -> Json:
    return _fields(taken, {"kills": _optional(_COUNT), "first": _optional(_boolean)})


def _bans(listed: Any) -> list[int]:
    bans = [_fields(ban, {"championId": _INTEGER, "pickTurn": _optional(_INTEGER)}) for ban in _list(listed)]
    return [ban["championId"] for ban in sorted(bans, key=lambda ban: ban["pickTurn"] or 0) if ban["championId"] > 0]


def _list(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise _InvalidMatchError(value)
    return value


def _object(value: Any) -> Json:
    if not isinstance(value, dict):
        raise _InvalidMatchError(value)
    return value


def _ratios(player: Json, duration: int) -> dict[str, Fraction | None]:
    def per_minute(count: int) -> Fraction | None:
        return Fraction(count * 60, duration) if duration else None

    return {
        "kda": Fraction(player["kills"] + player["assists"], player["deaths"] or 1),
        "gold_per_minute": per_minute(player["goldEarned"]),
        "damage_per_minute": per_minute(player["totalDamageDealtToChampions"]),
        "cs_per_minute": per_minute(_creeps(player)),
    }


def _averages(rows: list[Figures]) -> Figures:
    def mean(name: str) -> Fraction | None:
        values = [row[name] for row in rows if row[name] is not None]
        return sum(values, Fraction(0)) / len(values) if values else None

    wins = sum(row["win"] for row in rows)
    return {
        "games_played": len(rows),
        "wins": wins,
        "win_rate": Fraction(wins * 100, len(rows)),
        "avg_kills": mean("kills"),
        "avg_deaths": mean("deaths"),
        "avg_assists": mean("assists"),
        "avg_kda": mean("kda"),
        "avg_gpm": mean("gold_per_minute"),
        "avg_dpm": mean("damage_per_minute"),
        "avg_cspm": mean("cs_per_minute"),
    }


def _has_winner(players: list[Json], arena: bool) -> bool:
    results = [player["win"] for player in players]
    if arena and not any(results):
        return False
    one_team = all(player["teamId"] == players[0]["teamId"] for player in players)
    return one_team or (any(results) and not all(results))


def _champion(player: Json) -> str:
    name: str = player["championName"]
    return _CHAMPIONS.get(_spelling(name), name)


def _position(player: Json) -> str:
    sent: str = player["teamPosition"] or "UNKNOWN"
    if sent.upper() in _POSITIONS:
        return sent.upper()
    return "UNKNOWN" if sent.upper() in ("INVALID", "NONE") else sent


def _window_position(player: Json) -> str:
    sent: str = (player["teamPosition"] or "").upper()
    return sent if sent in _POSITIONS else "UNKNOWN"


def _creeps(player: Json) -> int:
    return (player["totalMinionsKilled"] or 0) + (player["neutralMinionsKilled"] or 0)


def _summoner_name(player: Json) -> str:
    riot_id = [player["riotIdGameName"] or player["riotIdName"], player["riotIdTagline"]]
    return "#".join(part for part in riot_id if part) if riot_id[0] else player["summonerName"] or ""


def _before_11_20(version: str) -> bool:
    parts = version.split(".")[:2]
    if len(parts) < 2 or not all(part.isascii() and part.isdigit() and len(part) < 5 for part in parts):
        return False
    major, minor = map(int, parts)
    return major < 11 or (major == 11 and minor < 20)


def _iso(milliseconds: int) -> str:
    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=milliseconds)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
