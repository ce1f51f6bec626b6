"""Transforms a match into its documents, one per participant and one per team, and into `_bulk` actions."""

from collections.abc import Iterator, Sequence
from operator import attrgetter
from typing import TYPE_CHECKING, Any, NamedTuple

import orjson
from msgspec import Struct

from job.champions import canonical_name
from job.ids import external_version, monthly_index, participant_document_id, team_document_id
from job.match import Match
from job.match_v5 import (
    BLUE_TEAM_ID,
    BOT,
    ITEMS,
    RED_TEAM_ID,
    SUMMONER_SPELLS,
    Objective,
    Participant,
    Perks,
    Team,
)
from job.queues import POSITIONS, queue_name
from job.times import iso

if TYPE_CHECKING:
    from job.settings import Elasticsearch

Document = dict[str, object]


class Rates(Struct, frozen=True, gc=False):
    """A participant's ratios, not rounded. Rates per minute are None if the game has no duration."""

    kda: float
    gold_per_minute: float | None
    damage_per_minute: float | None
    cs_per_minute: float | None


class Action(Struct, frozen=True, gc=False):
    """A bulk action of one document: its id, and its two lines of a `_bulk` body, each with a newline at its end.

    `source_index` is the position of the message that the document comes from, in the sequence that is indexed
    together. `of_team` marks the document of a team.
    """

    document_id: str
    lines: bytes
    source_index: int = 0
    of_team: bool = False


class MatchAliases(NamedTuple):
    """The aliases of a match's documents: of its participants and of its teams."""

    participants: str
    teams: str

    @classmethod
    def of_settings(cls, elasticsearch: "Elasticsearch") -> "MatchAliases":
        """Those of the section `elasticsearch` of the job's settings."""
        return cls(elasticsearch.matches, elasticsearch.teams)


class Totals(Struct, gc=False):
    """Sums over the participants of a team."""

    kills: int = 0
    deaths: int = 0
    assists: int = 0
    gold: int = 0
    damage: int = 0


def documents(match: Match, arrived_at: int) -> Iterator[Document]:
    """Yield the documents of a match's participants, in their order.

    `arrived_at` is the message's arrival time in milliseconds; for a replay, that of the original message. Fields per
    minute are missing if the game has no duration, `win` if the match has no winner, shares if the team has nothing to
    share, and details if the match does not have them; every other field is in each document.
    """
    match_fields = _match_fields(match, arrived_at)
    return ({**match_fields, **fields} for fields in _participants(match))


def _participants(match: Match) -> Iterator[Document]:
    """The participants' documents without the fields of the match."""
    teams = _teams_of_participants(match)
    totals = _totals(match, teams)
    for participant, team in zip(match.participants, teams, strict=True):
        rates = rates_of(participant, match.duration)
        document: Document = {
            "participant_id": str(participant.participant_id),
            "summoner_name": summoner_name(participant),
            "champion_name": canonical_name(participant.champion_name),
            "team_id": participant.team_id,
            "position": position(participant),
            "kills": participant.kills,
            "deaths": participant.deaths,
            "assists": participant.assists,
            "kda": round(rates.kda, 2),
            "total_damage_dealt": participant.total_damage_dealt_to_champions,
            "gold_earned": participant.gold_earned,
            "cs": creep_score(participant),
            "vision_score": participant.vision_score,
        }
        if match.has_winner:
            document["win"] = participant.win
        if rates.gold_per_minute is not None:
            document["gold_per_minute"] = round(rates.gold_per_minute, 2)
        if rates.damage_per_minute is not None:
            document["damage_per_minute"] = round(rates.damage_per_minute, 2)
        if rates.cs_per_minute is not None:
            document["cs_per_minute"] = round(rates.cs_per_minute, 2)
        if team is not None:
            _add_shares(document, participant, totals[team])
        details = _details(participant)
        if details != _NO_DETAILS:
            _add_details(document, details)
        yield document


def _teams(match: Match) -> Iterator[Document]:
    """The documents of a match's two teams without the fields of the match, in the order in which the match has them.

    Yields nothing for a match without two teams (Arena, Swarm), or if the match has no `teams`.
    """
    if not _has_two_teams(match):
        return
    totals = _totals(match, _teams_of_participants(match))
    for team in {team.team_id: team for team in match.teams}.values():
        total = totals.get(team.team_id)
        if total is None:
            continue
        document: Document = {
            "team_id": team.team_id,
            "kills": total.kills,
            "deaths": total.deaths,
            "assists": total.assists,
            "gold": total.gold,
            "damage": total.damage,
        }
        if match.has_winner and team.win is not None:
            document["win"] = team.win
        if team.bans is not None:
            in_turn = sorted(team.bans, key=lambda ban: ban.pick_turn or 0)
            document["bans"] = [ban.champion_id for ban in in_turn if ban.champion_id > 0]
        for name, taken in zip(OBJECTIVES, _taken(team, match), strict=True):
            if taken is not None and taken.kills is not None:
                document[name] = taken.kills
            if taken is not None and taken.first is not None:
                document[f"first_{name}"] = taken.first
        yield document


def _taken(team: Team, match: Match) -> Sequence[Objective | None]:
    """A team's OBJECTIVES, None for those that did not exist yet or have a wrong type.

    Patches 15.1 to 15.3 leave Atakhan out for the team that did not take it: what another team of the match has exists.
    """
    if team.objectives is None:
        return _NONE_TAKEN
    taken: Sequence[Objective | None] = _objectives(team.objectives)
    if None not in taken:
        return taken
    of_teams = zip(*(_objectives(each.objectives) for each in match.teams if each.objectives), strict=True)
    return [
        held or (_NOT_TAKEN if any(each) and f"teams.objectives.{sent_name}" not in match.dropped_details else None)
        for held, each, sent_name in zip(taken, of_teams, _SENT_OBJECTIVES, strict=True)
    ]


UNKNOWN = "UNKNOWN"
TEAM_IDS = {BLUE_TEAM_ID, RED_TEAM_ID}
OBJECTIVES = ("baron", "dragon", "herald", "horde", "atakhan", "tower", "inhibitor")
_objectives = attrgetter("baron", "dragon", "rift_herald", "horde", "atakhan", "tower", "inhibitor")
_SENT_OBJECTIVES = ("baron", "dragon", "riftHerald", "horde", "atakhan", "tower", "inhibitor")
_NONE_TAKEN = (None,) * len(OBJECTIVES)
_NOT_TAKEN = Objective(kills=0, first=False)
# Document field → field of Participant: copied unchanged.
_DETAILS = {
    "champion_id": "champion_id",
    "champion_level": "champ_level",
    "damage_taken": "total_damage_taken",
    "physical_damage": "physical_damage_dealt_to_champions",
    "magic_damage": "magic_damage_dealt_to_champions",
    "true_damage": "true_damage_dealt_to_champions",
    "wards_placed": "wards_placed",
    "wards_killed": "wards_killed",
    "control_wards": "vision_wards_bought_in_game",
    "first_blood": "first_blood_kill",
    "double_kills": "double_kills",
    "triple_kills": "triple_kills",
    "quadra_kills": "quadra_kills",
    "penta_kills": "penta_kills",
}
_OTHER_DETAILS = ("puuid", "placement", "player_subteam_id", "role_bound_item", "perks", *SUMMONER_SPELLS, *ITEMS)
_details = attrgetter(*_DETAILS.values(), *_OTHER_DETAILS)
_NO_DETAILS = (None,) * (len(_DETAILS) + len(_OTHER_DETAILS))


def _match_fields(match: Match, arrived_at: int) -> Document:
    """The fields of the match, which all of its documents have."""
    fields: Document = {
        "match_id": match.match_id,
        "timestamp": match.created,
        "@timestamp": iso(match.ended),
        "game_duration": match.duration,
        "patch": match.patch,
        "queue_id": match.queue_id,
        "queue": queue_name(match.queue_id),
        "platform": match.platform,
        "remake": match.remake,
        "two_teams": _has_two_teams(match),
        "ingested_at": iso(arrived_at),
    }
    puuids = [participant.puuid for participant in match.participants]
    if any(puuids):
        fields["bots"] = puuids.count(BOT)
    if match.game_mode is not None:
        fields["game_mode"] = match.game_mode
    if match.map_id is not None:
        fields["map_id"] = match.map_id
    return fields


def _has_two_teams(match: Match) -> bool:
    """Whether blue and red play against each other, whatever the mode. In Arena the two teams are no sides."""
    return not match.is_arena and {participant.team_id for participant in match.participants} == TEAM_IDS


def _teams_of_participants(match: Match) -> list[int | None]:
    """The team id of each participant, in Arena that of the subteam.

    None if it is unknown, for all if that of one is: it may be any of the subteams.
    """
    if match.is_arena:
        subteams = [participant.player_subteam_id or None for participant in match.participants]
        return subteams if None not in subteams else [None] * len(subteams)
    return [participant.team_id for participant in match.participants]


def _totals(match: Match, teams: list[int | None]) -> dict[int | None, Totals]:
    """The sums of each team, by its id."""
    totals = {team: Totals() for team in teams}
    for participant, team in zip(match.participants, teams, strict=True):
        total = totals[team]
        total.kills += participant.kills
        total.deaths += participant.deaths
        total.assists += participant.assists
        total.gold += participant.gold_earned
        total.damage += participant.total_damage_dealt_to_champions
    return totals


def _add_shares(document: Document, participant: Participant, team: Totals) -> None:
    if team.kills:
        takedowns = participant.kills + participant.assists
        document["kill_participation"] = min(round(10_000 * takedowns / team.kills) / 10_000, 1.0)
    if team.damage:
        damage = participant.total_damage_dealt_to_champions
        document["damage_share"] = round(10_000 * damage / team.damage) / 10_000
    if team.gold:
        document["gold_share"] = round(10_000 * participant.gold_earned / team.gold) / 10_000


def _add_details(document: Document, details: tuple[Any, ...]) -> None:
    """Add a participant's optional fields. In items, spells, runes and placements, 0 means none."""
    details, others = details[: len(_DETAILS)], details[len(_DETAILS) :]
    puuid, placement, subteam_id, role_item, perks, *slots = others
    if None not in details:
        document.update(zip(_DETAILS, details, strict=True))
    else:
        document.update((name, held) for name, held in zip(_DETAILS, details, strict=True) if held is not None)
    if puuid:
        document["puuid"] = puuid
        document["bot"] = puuid == BOT
    if placement:
        document["placement"] = placement
    if subteam_id:
        document["subteam_id"] = subteam_id
    if role_item:
        document["role_item"] = role_item
    spells, items = slots[: len(SUMMONER_SPELLS)], slots[len(SUMMONER_SPELLS) :]
    for name, ids in (("summoner_spells", spells), ("items", items)):
        if ids.count(None) < len(ids):
            document[name] = list(filter(None, ids))
    if perks:
        _add_runes(document, perks)


def _add_runes(document: Document, perks: Perks) -> None:
    primary, secondary, *_ = (*perks.styles, None, None)
    if primary and primary.style:
        document["primary_style"] = primary.style
    if primary and primary.selections and primary.selections[0].perk:
        document["keystone"] = primary.selections[0].perk
    if secondary and secondary.style:
        document["secondary_style"] = secondary.style


def actions(match: Match, arrived_at: int, offset: int, aliases: MatchAliases, source_index: int = 0) -> list[Action]:
    """The bulk actions of a match's documents, first those of the participants, then those of the teams.

    They are for the aliases' indices of the month in which the game ended. `arrived_at` and `offset` are those of the
    message; for a replay, those of the original message. If a match is sent twice, the message with the later Kafka
    timestamp (then offset) wins, in whatever order concurrent tasks write.
    """
    version = external_version(arrived_at, offset)
    # Serialized once, not once per document.
    match_fields = orjson.dumps(_match_fields(match, arrived_at))[:-1]

    def to_action(index: bytes, document_id: str, fields: Document, of_team: bool = False) -> Action:
        lines = b"%b%b}}\n%b,%b\n" % (index, orjson.dumps(document_id), match_fields, orjson.dumps(fields)[1:])
        return Action(document_id, lines, source_index, of_team)

    index = _target(monthly_index(aliases.participants, match.ended), version)
    found = [
        to_action(index, participant_document_id(match.match_id, participant.participant_id), fields)
        for participant, fields in zip(match.participants, _participants(match), strict=True)
    ]
    if match.teams:
        index = _target(monthly_index(aliases.teams, match.ended), version)
        found += [
            to_action(index, team_document_id(match.match_id, fields["team_id"]), fields, of_team=True)
            for fields in _teams(match)
        ]
    return found


def action(index: str, document_id: str, document: Document) -> Action:
    """An `index` action without a version. It is idempotent: the same document again changes nothing."""
    lines = b"%b%b}}\n%b\n" % (_target(index), orjson.dumps(document_id), orjson.dumps(document))
    return Action(document_id, lines)


def _target(index: str, version: int | None = None) -> bytes:
    """The beginning of an action's first line, up to the document id.

    Optimistic concurrency control by external version: with a `version`, Elasticsearch keeps a document that has a
    higher version, and answers with a version conflict, which `BulkSink` counts as done.
    """
    versioned = b"" if version is None else b'"version":%d,"version_type":"external_gte",' % version
    return b'{"index":{"_index":%b,%b"_id":' % (orjson.dumps(index), versioned)


def rates_of(participant: Participant, duration: int) -> Rates:
    """The ratios of a participant in a game of `duration` seconds."""
    takedowns = participant.kills + participant.assists
    kda = takedowns / (participant.deaths or 1)
    if not duration:  # against a division by zero
        return Rates(kda, None, None, None)
    minutes = duration / 60
    return Rates(
        kda,
        participant.gold_earned / minutes,
        participant.total_damage_dealt_to_champions / minutes,
        creep_score(participant) / minutes,
    )


def creep_score(participant: Participant) -> int:
    """Creep score: minions and monsters killed. Match-V5 sometimes omits either."""
    return (participant.total_minions_killed or 0) + (participant.neutral_minions_killed or 0)


def position(participant: Participant) -> str:
    """teamPosition in upper case, or UNKNOWN: Match-V5 leaves it empty in modes without positions.

    Its other fields for a position have `Invalid` or `NONE` then, which some producers copy.
    """
    sent = participant.team_position or "NONE"
    upper = sent.upper()
    if upper in POSITIONS:
        return upper
    return UNKNOWN if upper in ("INVALID", "NONE") else sent


def summoner_name(participant: Participant) -> str:
    """The Riot ID, or the summoner name in matches older than Riot IDs."""
    game_name = participant.riot_id_game_name or participant.riot_id_name  # before patch 14.5, for a while
    if not game_name:
        return participant.summoner_name or ""
    if not participant.riot_id_tagline:
        return game_name
    return f"{game_name}#{participant.riot_id_tagline}"
