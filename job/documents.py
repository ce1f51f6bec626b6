"""Transforms a match into its documents in lol_matches_stream, one per participant, and into `_bulk` actions."""

from collections.abc import Iterator

import orjson
from msgspec import Struct

from job.champions import canonical_name
from job.ids import external_version, monthly_index, participant_document_id
from job.match import Match, Participant
from job.times import iso

Document = dict[str, object]


class Rates(Struct, frozen=True, gc=False):
    """A participant's ratios, not rounded. Rates per minute are None if the game has no duration."""

    kda: float
    gold_per_minute: float | None
    damage_per_minute: float | None
    cs_per_minute: float | None


class Action(Struct, frozen=True, gc=False):
    """A bulk action of one document: its id, and its two lines of a `_bulk` body, each with a newline at its end.

    `source_index` is the position of the message (or row of statistics) that the document comes from, in the sequence
    that is indexed together.
    """

    document_id: str
    lines: bytes
    source_index: int = 0


def documents(match: Match, arrived_at: int) -> Iterator[Document]:
    """Yield the documents of a match, in the order of its participants.

    `arrived_at` is the arrival time of the message's original in milliseconds. Fields per minute are missing if the
    game has no duration, `win` if the match has no winner; every other field is in each document.
    """
    match_fields: Document = {
        "match_id": match.match_id,
        "timestamp": match.created,
        "@timestamp": iso(match.ended),
        "game_duration": match.duration,
        "patch": match.patch,
        "queue_id": match.queue_id,
        "platform": match.platform,
        "remake": match.remake,
        "ingested_at": iso(arrived_at),
    }
    for participant in match.participants:
        rates = rates_of(participant, match.duration)
        document: Document = {
            **match_fields,
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
        yield document


def actions(match: Match, arrived_at: int, offset: int, alias: str, source_index: int = 0) -> list[Action]:
    """The bulk actions of a match's documents, for the alias's index of the month in which the game ended.

    `arrived_at` and `offset` are those of the message's original. If a match is sent twice, the message with the later
    Kafka timestamp (then offset) wins, in whatever order concurrent tasks write.
    """
    index = monthly_index(alias, match.ended)
    version = external_version(arrived_at, offset)
    return [
        action(
            index, participant_document_id(match.match_id, participant.participant_id), document, source_index, version
        )
        for participant, document in zip(match.participants, documents(match, arrived_at), strict=True)
    ]


def action(
    index: str, document_id: str, document: Document, source_index: int = 0, version: int | None = None
) -> Action:
    """An `index` action. It is idempotent: the same document again changes nothing.

    With a `version`, Elasticsearch keeps a document that has a higher version, and answers with a version conflict,
    which `BulkSink` counts as done.
    """
    versioned = b"" if version is None else b',"version":%d,"version_type":"external_gte"' % version
    lines = b'{"index":{"_index":%b,"_id":%b%b}}\n%b\n' % (
        orjson.dumps(index),
        orjson.dumps(document_id),
        versioned,
        orjson.dumps(document),
    )
    return Action(document_id, lines, source_index)


def rates_of(participant: Participant, duration: int) -> Rates:
    """The ratios of a participant in a game of `duration` seconds."""
    takedowns = participant.kills + participant.assists
    kda = takedowns / (participant.deaths or 1)
    if not duration:
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
    """teamPosition, or UNKNOWN: Match-V5 leaves it empty in modes without positions."""
    return participant.team_position or "UNKNOWN"


def summoner_name(participant: Participant) -> str:
    """The Riot ID, or the summoner name in matches older than Riot IDs."""
    if not participant.riot_id_game_name:
        return participant.summoner_name or ""
    if not participant.riot_id_tagline:
        return participant.riot_id_game_name
    return f"{participant.riot_id_game_name}#{participant.riot_id_tagline}"
