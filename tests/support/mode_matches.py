"""Hand-made matches, one of each mode, in Match-V5's shape: the fields that the job reads and a few that it does not.

Each has few distinct figures, so that a test can state the documents it expects field by field.
"""

from typing import Any

from tests.support.sample_matches import START

Json = dict[str, Any]

NO_PERKS = {
    "statPerks": {"defense": 0, "flex": 0, "offense": 0},
    "styles": [
        {"description": "primaryStyle", "selections": [{"perk": 0, "var1": 0, "var2": 0, "var3": 0}] * 4, "style": 0},
        {"description": "subStyle", "selections": [{"perk": 0, "var1": 0, "var2": 0, "var3": 0}] * 2, "style": 0},
    ],
}
"""The runes of modes without any: zeros."""


def perks(keystone: int, primary: int, secondary: int) -> Json:
    """Runes: the keystone is the first of the primary style's four."""
    return {
        "statPerks": {"defense": 5011, "flex": 5008, "offense": 5005},
        "styles": [
            {
                "description": "primaryStyle",
                "selections": [
                    {"perk": perk, "var1": 7, "var2": 0, "var3": 0} for perk in (keystone, 9101, 9104, 8014)
                ],
                "style": primary,
            },
            {
                "description": "subStyle",
                "selections": [{"perk": perk, "var1": 0, "var2": 0, "var3": 0} for perk in (8304, 8345)],
                "style": secondary,
            },
        ],
    }


def player(number: int, champion: tuple[str, int], score: tuple[int, int, int], gold: int, **changes: Any) -> Json:
    """A participant of a match on the Rift. `score`: kills, deaths, assists; damage is 2,000 for each kill."""
    kills, deaths, assists = score
    name, id_ = champion
    return {
        "participantId": number,
        "puuid": f"puuid-{number}",
        "riotIdGameName": f"Player {number}",
        "riotIdTagline": "EUW",
        "summonerName": "",
        "championName": name,
        "championId": id_,
        "champLevel": 16,
        "teamId": 100 if number <= 5 else 200,
        "teamPosition": ("TOP", "JUNGLE", "MIDDLE", "BOTTOM", "UTILITY")[(number - 1) % 5],
        "win": number <= 5,
        "kills": kills,
        "deaths": deaths,
        "assists": assists,
        "doubleKills": 0,
        "tripleKills": 0,
        "quadraKills": 0,
        "pentaKills": 0,
        "firstBloodKill": False,
        "goldEarned": gold,
        "totalDamageDealtToChampions": kills * 2_000,
        "physicalDamageDealtToChampions": kills * 1_500,
        "magicDamageDealtToChampions": kills * 400,
        "trueDamageDealtToChampions": kills * 100,
        "totalDamageTaken": deaths * 3_000,
        "totalMinionsKilled": 180,
        "neutralMinionsKilled": 12,
        "visionScore": 21,
        "wardsPlaced": 10,
        "wardsKilled": 3,
        "visionWardsBoughtInGame": 2,
        **{f"item{slot}": item for slot, item in enumerate((3006, 3031, 3094, 0, 0, 0, 3340))},
        "summoner1Id": 4,
        "summoner2Id": 14,
        "perks": perks(8005, 8000, 8300),
        "placement": 0,
        "playerSubteamId": 0,
        "subteamPlacement": 0,
        "playerAugment1": 0,
        "timePlayed": 1800,
        "gameEndedInEarlySurrender": False,
        "challenges": {"kda": (kills + assists) / max(1, deaths), "legendaryItemUsed": [3031, 3094]},
        **changes,
    }


def team(team_id: int, win: bool, bans: list[int], **objectives: tuple[bool, int]) -> Json:
    """A team: `bans` in turn (-1: nobody banned); each objective: whether it was the first to take it, and how many."""
    names = ("atakhan", "baron", "champion", "dragon", "horde", "inhibitor", "riftHerald", "tower")
    taken = {name: objectives.get(name, (False, 0)) for name in names}
    turn = 1 if team_id == 100 else 6
    return {
        "teamId": team_id,
        "win": win,
        "bans": [{"championId": id_, "pickTurn": turn + index} for index, id_ in enumerate(bans)],
        "feats": {"FIRST_BLOOD": {"featState": 0}},
        "objectives": {name: {"first": first, "kills": kills} for name, (first, kills) in taken.items()},
    }


def _match(mode: str, map_id: int, queue_id: int, players: list[Json], teams: list[Json], seconds: int) -> Json:
    return {
        "metadata": {
            "dataVersion": "2",
            "matchId": f"EUW1_{queue_id}",
            "participants": [each["puuid"] for each in players],
        },
        "info": {
            "endOfGameResult": "GameComplete",
            "gameCreation": START - 60_000,
            "gameDuration": seconds,
            "gameEndTimestamp": START + seconds * 1000 + 500,
            "gameId": queue_id,
            "gameMode": mode,
            "gameName": f"teambuilder-match-{queue_id}",
            "gameStartTimestamp": START,
            "gameType": "MATCHED_GAME",
            "gameVersion": "16.4.748.682",
            "mapId": map_id,
            "participants": players,
            "platformId": "EUW1",
            "queueId": queue_id,
            "teams": teams,
            "tournamentCode": "",
        },
    }


_FIVES = [("Aatrox", 266), ("LeeSin", 64), ("Ahri", 103), ("Jinx", 222), ("Thresh", 412)]
_OTHERS = [("Camille", 164), ("Viego", 234), ("Syndra", 134), ("Kaisa", 145), ("Nautilus", 111)]
_SCORES = [(4, 2, 6), (6, 3, 10), (8, 2, 8), (10, 1, 6), (2, 4, 20)]
_OTHER_SCORES = [(2, 6, 3), (3, 6, 5), (4, 6, 2), (3, 6, 4), (0, 6, 9)]
"""The teams' kills are 30 and 12: each is the other's deaths, 12 and 30."""
_GOLD = [12_000, 11_000, 13_000, 15_000, 9_000]
_OTHER_GOLD = [10_000, 9_000, 10_000, 10_000, 6_000]


def _ten(**changes: Any) -> list[Json]:
    """Two teams of five, of which the first wins."""
    rows = zip([*_FIVES, *_OTHERS], [*_SCORES, *_OTHER_SCORES], [*_GOLD, *_OTHER_GOLD], strict=True)
    return [player(number, champion, score, gold, **changes) for number, (champion, score, gold) in enumerate(rows, 1)]


def ranked_solo() -> Json:
    """Ranked solo: bans with a missed one and a champion that both teams ban, all objectives, an empty position."""
    players = _ten()
    players[3] |= {
        "firstBloodKill": True,
        "doubleKills": 2,
        "tripleKills": 1,
        "quadraKills": 1,
        "pentaKills": 1,
        "champLevel": 18,
        **{f"item{slot}": item for slot, item in enumerate((3006, 3031, 3094, 3036, 3072, 3026, 3363))},
        "summoner1Id": 7,
        "perks": perks(8008, 8000, 8100),
    }
    players[9]["teamPosition"] = ""
    blue = team(
        *(100, True, [157, 238, -1, 350, 555]),
        atakhan=(True, 1),
        baron=(True, 2),
        champion=(True, 30),
        dragon=(False, 3),
        horde=(True, 3),
        inhibitor=(True, 2),
        riftHerald=(False, 0),
        tower=(True, 9),
    )
    red = team(
        *(200, False, [157, 11, 84, 777, 53]),
        champion=(False, 12),
        dragon=(True, 1),
        riftHerald=(True, 1),
        tower=(False, 3),
    )
    return _match("CLASSIC", 11, 420, players, [blue, red], 1800)


def aram() -> Json:
    """ARAM: no positions, wards, monsters or bans; towers and inhibitors only."""
    none = {"teamPosition": "", "visionScore": 0, "neutralMinionsKilled": 0}
    none |= {"wardsPlaced": 0, "wardsKilled": 0, "visionWardsBoughtInGame": 0}
    teams = [
        team(100, True, [], champion=(True, 30), inhibitor=(True, 1), tower=(True, 4)),
        team(200, False, [], champion=(False, 12), tower=(False, 1)),
    ]
    return _match("ARAM", 12, 450, _ten(**none, summoner2Id=32, timePlayed=1200), teams, 1200)


def _arena(queue_id: int, teams: int, size: int) -> Json:
    """The subteams are numbered from the last place to the first; each player of the n-th place has as many kills as
    teams are placed lower, and as many deaths as are placed higher."""
    champions = [("Sivir", 15), ("Sett", 875), ("Galio", 3)]
    players: list[Json] = []
    for subteam in range(1, teams + 1):
        placement = teams + 1 - subteam
        played = 900 - 40 * (placement - 1)
        for seat in range(size):
            number = len(players) + 1
            score = (teams - placement, placement - 1, 2 * (size - 1))
            arena_only = {
                "teamId": 100 if placement <= teams // 2 else 200,
                "win": placement <= teams // 2,
                "teamPosition": "",
                "placement": placement,
                "subteamPlacement": placement,
                "playerSubteamId": subteam,
                "playerAugment1": 1338,
                "champLevel": 18,
                "totalMinionsKilled": 0,
                "neutralMinionsKilled": 0,
                "visionScore": 0,
                "wardsPlaced": 0,
                "wardsKilled": 0,
                "visionWardsBoughtInGame": 0,
                **{f"item{slot}": item for slot, item in enumerate((223006, 223031, 226673, 0, 0, 0, 3348))},
                "summoner1Id": 2202,
                "summoner2Id": 2201,
                "perks": NO_PERKS,
                "timePlayed": played,
            }
            each = player(number, champions[seat], score, 10_000 + 1_000 * seat, **arena_only)
            del each["challenges"]  # Arena has none
            players.append(each)
    halves = [team(100, True, [17, 10]), team(200, False, [27])]
    return _match("CHERRY", 30, queue_id, players, halves, 900)


def arena_16() -> Json:
    """Arena with eight teams of two. teamId 100 is the better half."""
    return _arena(1710, teams=8, size=2)


def arena_18() -> Json:
    """Arena with six teams of three."""
    return _arena(1750, teams=6, size=3)


def arena_without_placement() -> Json:
    """An Arena match without the fields of Arena, as some early ones are: placement and subteam 0, nobody wins."""
    message = _arena(1700, teams=8, size=2)
    for each in message["info"]["participants"]:
        each |= {"placement": 0, "subteamPlacement": 0, "playerSubteamId": 0, "playerAugment1": 0, "win": False}
    message["info"]["teams"][0]["win"] = False
    return message


def swarm() -> Json:
    """Swarm with two players: one team, nobody kills a champion, hardly any damage to champions, and five minutes of
    pauses that gameDuration has and timePlayed has not."""
    swarm_only = {
        "teamPosition": "",
        "totalDamageDealt": 4_000_000,
        "totalDamageDealtToChampions": 288,
        "physicalDamageDealtToChampions": 200,
        "magicDamageDealtToChampions": 88,
        "totalMinionsKilled": 0,
        "neutralMinionsKilled": 0,
        "visionScore": 0,
        "wardsPlaced": 0,
        "wardsKilled": 0,
        "visionWardsBoughtInGame": 0,
        "champLevel": 61,
        "perks": NO_PERKS,
        "timePlayed": 900,
    }
    players = [
        player(1, ("Strawberry_Jinx", 3151), (0, 1, 0), 4_000, **swarm_only),
        player(2, ("Strawberry_Leona", 3152), (0, 0, 0), 6_000, **swarm_only),
    ]
    return _match("STRAWBERRY", 33, 1820, players, [team(100, True, [])], 1200)


def coop() -> Json:
    """Co-op against five bots: their puuid is `BOT`, and they have no Riot ID."""
    players = _ten()
    for each in players[5:]:
        each |= {"puuid": "BOT", "riotIdGameName": "", "riotIdTagline": "", "summonerName": each["championName"]}
    teams = [
        team(100, True, [], champion=(True, 30), dragon=(True, 2), tower=(True, 11)),
        team(200, False, [], champion=(False, 12)),
    ]
    return _match("CLASSIC", 11, 870, players, teams, 1800)


MODES = {
    "ranked_solo": ranked_solo,
    "aram": aram,
    "arena_16": arena_16,
    "arena_18": arena_18,
    "arena_without_placement": arena_without_placement,
    "swarm": swarm,
    "coop": coop,
}
