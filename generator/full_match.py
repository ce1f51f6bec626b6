"""Full-size Match-V5 object of a game (76 to 90 KB with ten participants): scalars, challenges, perks, missions."""

import random
from typing import Any

from generator import champions, loadout, objectives
from generator.filler_fields import (
    CHALLENGE_CONSTANTS,
    CHALLENGE_COUNTERS,
    CHALLENGE_FLOATS,
    PARTICIPANT_CONSTANTS,
    PARTICIPANT_COUNTERS,
)
from generator.game import SEATS, Game
from generator.modes import ARAM, QUEUES_WITH_BANS, SWARM
from generator.objectives import Objectives
from generator.players import BLUE, RED, Player

_COUNTERS = tuple(PARTICIPANT_COUNTERS.items())
_CHALLENGE_COUNTERS = tuple(CHALLENGE_COUNTERS.items())
_CHALLENGE_FLOATS = tuple(CHALLENGE_FLOATS.items())
_COUNTER_MAXIMA_ARE_FOR_MINUTES = 30.0
_LANE_AND_ROLE = (
    ("TOP", "SOLO"),
    ("JUNGLE", "NONE"),
    ("MIDDLE", "SOLO"),
    ("BOTTOM", "CARRY"),
    ("BOTTOM", "SUPPORT"),
)
_ARAM_LANE_AND_ROLE, _NO_LANE_AND_ROLE = ("MIDDLE", "DUO"), ("NONE", "SUPPORT")
_LEVELS_PER_MINUTE = (0.53, 0.48, 0.53, 0.47, 0.42)
_LEVELS_PER_MINUTE_WITHOUT_POSITIONS = 0.8
_HIGHEST_LEVEL = 18
_SWARM_LEVELS_PER_MINUTE, _SWARM_HIGHEST_LEVEL = 3.0, 90
_SURRENDER_SHARE = 0.2
_NO_WARDS = {"detectorWardsPlaced": 0, "wardsKilled": 0, "wardsPlaced": 0}
_NO_BAN, _MISSED_BAN_SHARE = -1, 0.02


def render(rng: random.Random, game: Game) -> dict[str, Any]:
    """The match as a JSON object. Values that the game does not determine are random, from `rng`."""
    taken = objectives.distribute_objectives(rng, game)
    killers = [player.number for player in game.players if player.kills and game.format.two_teams]
    first_blood = killers[int(rng.random() * len(killers))] if killers else 0
    surrendered = game.format.two_teams and not game.remake and rng.random() < _SURRENDER_SHARE
    team_ids = (BLUE,) if game.format is SWARM else (BLUE, RED)
    return {
        "metadata": {
            "dataVersion": "2",
            "matchId": game.match_id,
            "participants": [player.account.puuid for player in game.players],
        },
        "info": {
            "endOfGameResult": "GameComplete",
            "gameCreation": game.creation_ms,
            "gameDuration": game.duration,
            "gameEndTimestamp": game.end_ms,
            "gameId": game.game_id,
            "gameMode": game.format.game_mode,
            "gameName": f"teambuilder-match-{game.game_id}",
            "gameStartTimestamp": game.start_ms,
            "gameType": "MATCHED_GAME",
            "gameVersion": game.version,
            "mapId": game.format.map_id,
            "participants": [
                _participant(rng, game, player, taken, player.number == first_blood, surrendered)
                for player in game.players
            ],
            "platformId": game.platform,
            "queueId": game.queue_id,
            "teams": [_team(rng, game, team_id, taken[team_id], first_blood) for team_id in team_ids],
            "tournamentCode": "",
        },
    }


def _participant(
    rng: random.Random,
    game: Game,
    player: Player,
    taken: dict[int, Objectives],
    first_blood: bool,
    surrendered: bool,
) -> dict[str, Any]:
    draw = rng.random
    of_format = game.format
    minutes = game.length / 60
    scale = minutes / _COUNTER_MAXIMA_ARE_FOR_MINUTES
    seat, account = player.seat, player.account
    ours, theirs = taken[player.team_id], taken[BLUE + RED - player.team_id]
    own = {name: by_seat[seat] for name, by_seat in ours.by_seat.items()}
    lane, role = _lane_and_role(game, seat)
    slots = loadout.items(draw, player.gold, player.champion, of_format)
    role_item = 0
    if player.position == "BOTTOM":  # the reward of this role's quest is a slot for the boots
        role_item, slots = slots[0], [0, *slots[1:]]
    spell1, spell2 = loadout.spells(draw, seat, of_format)
    doubles, triples, quadras, pentas = _multikills(rng, player.kills)
    sprees = int(draw() * player.kills / 3)
    to_turrets = own["tower"] * 1800 + int(draw() * 1500 * scale)
    dealt = player.damage + to_turrets + player.minions * 420 + player.monsters * 900 + player.other_damage
    suffered = int(minutes * (500 + 500 * draw()) + 900 * player.deaths)
    to_champions = _split_damage(rng, player.damage, player.champion.magic)
    overall = _split_damage(rng, dealt, player.champion.magic)
    received = _split_damage(rng, suffered, draw() < 0.5)
    dead = min(int(player.deaths * (8 + minutes * draw())), game.duration // 2)
    level = _level(game, seat, minutes, draw())

    has_nexus = of_format.two_teams and not game.remake

    fields: dict[str, Any] = PARTICIPANT_CONSTANTS.copy()
    for name, most in _COUNTERS:
        fields[name] = int(draw() * most * scale)
    if not of_format.positions:
        fields |= _NO_WARDS
    if player.subteam:
        augments = loadout.augments(draw, max(2, 6 - player.placement))
        fields |= {f"playerAugment{number}": id_ for number, id_ in enumerate(augments, 1)}
        fields |= {
            "placement": player.placement,
            "playerSubteamId": player.subteam,
            "subteamPlacement": player.placement,
        }
    fields |= {
        "assists": player.assists,
        "baronKills": own["baron"],
        "champExperience": level * 1050 + int(draw() * 1000),
        "champLevel": level,
        "championId": player.champion.id,
        "championName": player.champion.name,
        "damageDealtToBuildings": to_turrets,
        "damageDealtToEpicMonsters": own["dragon"] * 5000 + own["baron"] * 9000,
        "damageDealtToObjectives": to_turrets + own["dragon"] * 5000 + own["baron"] * 9000,
        "damageDealtToTurrets": to_turrets,
        "deaths": player.deaths,
        "doubleKills": doubles,
        "dragonKills": own["dragon"],
        "firstBloodAssist": False,
        "firstBloodKill": first_blood,
        "firstTowerAssist": False,
        "firstTowerKill": "tower" in ours.first and seat == _first_seat(ours.by_seat["tower"]),
        "gameEndedInEarlySurrender": game.remake,
        "gameEndedInSurrender": surrendered,
        "goldEarned": player.gold,
        "goldSpent": int(player.gold * (0.86 + 0.12 * draw())),
        "individualPosition": player.position or "Invalid",
        "inhibitorKills": own["inhibitor"],
        "inhibitorTakedowns": min(ours.kills["inhibitor"], own["inhibitor"] + int(draw() * 2)),
        "inhibitorsLost": theirs.kills["inhibitor"],
        **{f"item{slot}": item for slot, item in enumerate(slots)},
        "roleBoundItem": role_item,
        "killingSprees": sprees,
        "kills": player.kills,
        "lane": lane,
        "largestKillingSpree": min(player.kills, 3 + int(draw() * 4)) if sprees else 0,
        "largestMultiKill": _largest_multikill(player.kills, doubles, triples, quadras, pentas),
        "longestTimeSpentLiving": int((game.duration - dead) / (1 + player.deaths * draw())),
        "magicDamageDealt": overall[1],
        "magicDamageDealtToChampions": to_champions[1],
        "magicDamageTaken": received[1],
        "neutralMinionsKilled": player.monsters,
        "nexusKills": int(has_nexus and player.win and seat == 3),
        "nexusLost": int(has_nexus and not player.win),
        "nexusTakedowns": int(has_nexus and player.win),
        "participantId": player.number,
        "pentaKills": pentas,
        "physicalDamageDealt": overall[0],
        "physicalDamageDealtToChampions": to_champions[0],
        "physicalDamageTaken": received[0],
        "profileIcon": account.icon,
        "puuid": account.puuid,
        "quadraKills": quadras,
        "riotIdGameName": account.game_name_at(game.start_ms),
        "riotIdTagline": account.tag_line,
        "role": role,
        "summoner1Id": spell1,
        "summoner2Id": spell2,
        "summonerId": account.summoner_id,
        "summonerLevel": account.level,
        "summonerName": account.summoner_name,
        "teamEarlySurrendered": game.remake and not player.win,
        "teamId": player.team_id,
        "teamPosition": player.position,
        "timePlayed": player.played,
        "totalAllyJungleMinionsKilled": player.monsters - player.monsters // 6,
        "totalDamageDealt": dealt,
        "totalDamageDealtToChampions": player.damage,
        "totalDamageTaken": suffered,
        "totalEnemyJungleMinionsKilled": player.monsters // 6,
        "totalMinionsKilled": player.minions,
        "totalTimeSpentDead": dead,
        "tripleKills": triples,
        "trueDamageDealt": overall[2],
        "trueDamageDealtToChampions": to_champions[2],
        "trueDamageTaken": received[2],
        "turretKills": own["tower"],
        "turretTakedowns": min(ours.kills["tower"], own["tower"] + int(draw() * 4)),
        "turretsLost": theirs.kills["tower"],
        "visionScore": player.vision,
        "visionWardsBoughtInGame": fields["detectorWardsPlaced"],
        "win": player.win,
    }
    if not player.subteam:  # Arena has no challenges
        fields["challenges"] = _challenges(rng, game, player, ours, fields, loadout.legendaries(slots))
    fields["missions"] = {f"playerScore{number}": int(draw() * 3 * scale) for number in range(12)}
    fields["perks"] = loadout.perks(draw, player.champion.id, minutes) if of_format.two_teams else loadout.no_perks()
    return fields


def _challenges(
    rng: random.Random,
    game: Game,
    player: Player,
    ours: Objectives,
    fields: dict[str, Any],
    legendaries: list[int],
) -> dict[str, Any]:
    """The `challenges` object: Riot's derived figures, unrounded, computed with the exact length of the game.

    The exact length includes the fraction of a second that `gameDuration` lacks.
    """
    draw = rng.random
    minutes = game.length / 60
    scale = minutes / _COUNTER_MAXIMA_ARE_FOR_MINUTES
    team = [mate for mate in game.players if mate.team_id == player.team_id]
    takedowns = player.kills + player.assists
    challenges: dict[str, Any] = CHALLENGE_CONSTANTS.copy()
    for name, most in _CHALLENGE_COUNTERS:
        challenges[name] = int(draw() * most * scale)
    for name, highest in _CHALLENGE_FLOATS:
        challenges[name] = draw() * highest
    challenges |= {
        "baronTakedowns": fields["baronKills"],
        "controlWardsPlaced": fields["detectorWardsPlaced"],
        "damagePerMinute": player.damage / minutes,
        "damageTakenOnTeamPercentage": 0.1 + 0.2 * draw(),
        "deathsByEnemyChamps": player.deaths,
        "dragonTakedowns": fields["dragonKills"],
        "gameLength": game.length,
        "goldPerMinute": player.gold / minutes,
        "kda": takedowns / max(1, player.deaths),
        "killParticipation": takedowns / max(1, sum(mate.kills for mate in team)),
        "killingSprees": fields["killingSprees"],
        "legendaryItemUsed": legendaries,
        "multikills": fields["doubleKills"] + fields["tripleKills"],
        "perfectGame": int(not player.deaths and takedowns > 10),
        "riftHeraldTakedowns": ours.by_seat["riftHerald"][player.seat],
        "takedowns": takedowns,
        "teamBaronKills": ours.kills["baron"],
        "teamDamagePercentage": player.damage / max(1, sum(mate.damage for mate in team)),
        "teamRiftHeraldKills": ours.kills["riftHerald"],
        "turretTakedowns": fields["turretTakedowns"],
        "visionScorePerMinute": player.vision / minutes,
    }
    return challenges


def _team(rng: random.Random, game: Game, team_id: int, taken: Objectives, first_blood: int) -> dict[str, Any]:
    team = [player for player in game.players if player.team_id == team_id]
    has_first_blood = any(player.number == first_blood for player in team)
    goals = {name: {"first": name in taken.first, "kills": number} for name, number in sorted(taken.kills.items())}
    goals["champion"] = {"first": has_first_blood, "kills": sum(player.kills for player in team)}
    return {
        "bans": _bans(rng, game, team_id) if game.queue_id in QUEUES_WITH_BANS else [],
        "feats": {
            "EPIC_MONSTER_KILL": {"featState": int(taken.kills["dragon"] >= 3)},
            "FIRST_BLOOD": {"featState": int(has_first_blood)},
            "FIRST_TURRET": {"featState": int("tower" in taken.first)},
        },
        "objectives": goals,
        "teamId": team_id,
        "win": team_id == game.winner,
    }


def _bans(rng: random.Random, game: Game, team_id: int) -> list[dict[str, int]]:
    """Five banned champions that nobody plays, -1 for a missed ban; both teams may ban the same one."""
    unavailable = {player.champion.id for player in game.players}
    turn = 1 if team_id == BLUE else 1 + SEATS
    return [
        {
            "championId": _NO_BAN
            if rng.random() < _MISSED_BAN_SHARE
            else champions.champion_pool(position).draw(rng.random, unavailable).id,
            "pickTurn": turn + index,
        }
        for index, position in enumerate(champions.POSITIONS)
    ]


def _lane_and_role(game: Game, seat: int) -> tuple[str, str]:
    if game.format.positions:
        return _LANE_AND_ROLE[seat]
    return _ARAM_LANE_AND_ROLE if game.format is ARAM else _NO_LANE_AND_ROLE


def _level(game: Game, seat: int, minutes: float, luck: float) -> int:
    if game.format is SWARM:
        return min(_SWARM_HIGHEST_LEVEL, 1 + int(minutes * _SWARM_LEVELS_PER_MINUTE + luck))
    pace = _LEVELS_PER_MINUTE[seat] if game.format.positions else _LEVELS_PER_MINUTE_WITHOUT_POSITIONS
    return min(_HIGHEST_LEVEL, 1 + int(minutes * pace + luck))


def _split_damage(rng: random.Random, damage: int, magic: bool) -> tuple[int, int, int]:
    """Splits damage into (physical, magic, true); the parts add up to it."""
    true = int(damage * 0.08 * rng.random())
    main = int((damage - true) * (0.65 + 0.3 * rng.random()))
    other = damage - true - main
    return (other, main, true) if magic else (main, other, true)


def _multikills(rng: random.Random, kills: int) -> tuple[int, int, int, int]:
    """Numbers of double, triple, quadra and penta kills, possible with `kills` kills."""
    draw = rng.random
    doubles = int(draw() * kills / 3)
    triples = int(draw() * doubles / 2)
    quadras = int(triples > 0 and kills > 9 and draw() < 0.1)
    pentas = int(quadras > 0 and kills > 14 and draw() < 0.2)
    return doubles, triples, quadras, pentas


def _largest_multikill(kills: int, doubles: int, triples: int, quadras: int, pentas: int) -> int:
    for size, number in ((5, pentas), (4, quadras), (3, triples), (2, doubles)):
        if number:
            return size
    return min(kills, 1)


def _first_seat(by_seat: list[int]) -> int:
    """The first seat with at least one."""
    return next(seat for seat, number in enumerate(by_seat) if number)
