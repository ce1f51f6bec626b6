"""Sample Match-V5 messages for tests: one small valid match, and functions that change it."""

import json
from copy import deepcopy
from datetime import date
from typing import Any

from job.dead_letter import DeadLetter
from job.documents import MatchAliases
from job.match import Match, PlausibleTimes, decode

ARRIVED_AT = 1_770_000_000_000  # 2026-02-02T02:40:00Z
START = ARRIVED_AT - 2_000_000
PLAUSIBLE_TIMES = PlausibleTimes.of(date(2019, 1, 1), ahead_seconds=86_400)
ALIASES = MatchAliases("lol_matches_stream", "lol_teams_stream")

Json = dict[str, Any]


def participant(number: int, **changes: Any) -> Json:
    """A participant; `changes` replace fields, or remove them where the value is `...`."""
    fields: Json = {
        "participantId": number,
        "championName": "Ahri",
        "teamId": 100 if number <= 5 else 200,
        "teamPosition": "MIDDLE",
        "riotIdGameName": f"Player {number}",
        "riotIdTagline": "EUW",
        "summonerName": "",
        "win": number <= 5,
        "kills": 7,
        "deaths": 3,
        "assists": 9,
        "goldEarned": 12_345,
        "totalDamageDealtToChampions": 23_456,
        "totalMinionsKilled": 180,
        "neutralMinionsKilled": 12,
        "visionScore": 21,
        "timePlayed": 1845,
        "gameEndedInEarlySurrender": False,
        "challenges": {"kda": 5.33, "legendaryItemUsed": [1, 2]},
    }
    return _changed(fields, changes)


def full_participant(number: int, **changes: Any) -> Json:
    """A participant with all optional fields that the job reads."""
    details: Json = {
        "puuid": f"puuid-of-{number}",
        "championId": 103,
        "champLevel": 16,
        "placement": 0,
        "playerSubteamId": 0,
        **{f"item{slot}": item for slot, item in enumerate([3157, 0, 3089, 3020, 0, 4645, 3363])},
        "roleBoundItem": 3006,
        "summoner1Id": 4,
        "summoner2Id": 14,
        "perks": {
            "statPerks": {"defense": 5011, "flex": 5008, "offense": 5005},
            "styles": [
                {
                    "description": "primaryStyle",
                    "selections": [{"perk": perk, "var1": 900, "var2": 0, "var3": 0} for perk in (8112, 8126, 8140)],
                    "style": 8100,
                },
                {
                    "description": "subStyle",
                    "selections": [{"perk": perk, "var1": 0, "var2": 0, "var3": 0} for perk in (8226, 8210)],
                    "style": 8200,
                },
            ],
        },
        "totalDamageTaken": 18_765,
        "physicalDamageDealtToChampions": 1_456,
        "magicDamageDealtToChampions": 20_000,
        "trueDamageDealtToChampions": 2_000,
        "wardsPlaced": 9,
        "wardsKilled": 3,
        "visionWardsBoughtInGame": 2,
        "firstBloodKill": number == 1,
        "doubleKills": 2,
        "tripleKills": 1,
        "quadraKills": 0,
        "pentaKills": 0,
    }
    return participant(number, **details | changes)


def _team(team_id: int, win: bool, bans: list[int], **taken: int) -> Json:
    return {
        "teamId": team_id,
        "win": win,
        "bans": [{"championId": ban, "pickTurn": 5 - turn} for turn, ban in enumerate(bans)],
        "objectives": {name: {"first": win and kills > 0, "kills": kills} for name, kills in taken.items()},
    }


TWO_TEAMS = [
    _team(100, True, [1, -1, 3, 4, 5], baron=1, dragon=3, riftHerald=1, horde=4, atakhan=0, tower=9, inhibitor=2),
    _team(200, False, [6, 7, 8, 9, 10], baron=0, dragon=1, riftHerald=0, horde=2, atakhan=1, tower=3, inhibitor=0),
]
"""`info.teams` of a match of two teams; the bans are in the reverse of their turns."""


def match(*participants: Json, match_id: str = "EUW1_7012345678", **changes: Any) -> Json:
    """A match of the given participants, ten by default; `changes` replace or remove fields of `info`."""
    info: Json = {
        "gameCreation": START - 60_000,
        "gameStartTimestamp": START,
        "gameEndTimestamp": START + 1_845_500,
        "gameDuration": 1845,
        "gameVersion": "16.4.748.682",
        "platformId": "EUW1",
        "queueId": 420,
        "participants": list(participants) or [participant(number) for number in range(1, 11)],
    }
    return {"metadata": {"dataVersion": "2", "matchId": match_id}, "info": _changed(info, changes)}


def _changed(fields: Json, changes: Json) -> Json:
    changed = {**fields, **changes}
    return deepcopy({name: value for name, value in changed.items() if value is not ...})


def value(message: Any) -> bytes:
    """The JSON of a message as bytes."""
    return json.dumps(message).encode()


def decoded(message: Json, arrived_at: int = ARRIVED_AT) -> Match:
    """Decode a message that must be a match."""
    result = decode(value(message), arrived_at, PLAUSIBLE_TIMES)
    assert isinstance(result, Match), result
    return result


def dead_letter(message: Json | bytes | None, arrived_at: int = ARRIVED_AT) -> DeadLetter:
    """Decode a message that must be a dead letter; return its reason."""
    bytes_ = value(message) if isinstance(message, dict) else message
    result = decode(bytes_, arrived_at, PLAUSIBLE_TIMES)
    assert isinstance(result, DeadLetter), result
    return result
