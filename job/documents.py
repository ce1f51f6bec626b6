"""A match → its documents in lol_matches_stream, one for each participant; names of indices, ids of documents."""

from collections.abc import Iterator
from datetime import UTC, datetime

import orjson
from msgspec import Struct

from job.match import Match, Participant

Document = dict[str, object]


class Rates(Struct, frozen=True, gc=False):
    """A participant's ratios, not rounded. Per-minute values are None where the game had no duration."""

    kda: float
    gold_per_minute: float | None
    damage_per_minute: float | None
    cs_per_minute: float | None


_MOST_MILLISECONDS = 2**43 - 1
_OFFSET_BITS = 20


class Action(Struct, frozen=True, gc=False):
    """One document on its way: its id, and its two lines of a `_bulk` body, newline at the end of each.

    `origin` is the sender's number for what the document was made of.
    """

    document_id: str
    lines: bytes
    origin: int = 0


def documents(match: Match, ingested: int) -> Iterator[Document]:
    """Yield the documents of a match, in the order of its participants.

    `ingested` is when Kafka got the message, in milliseconds. Per-minute fields are left out where the game had no
    duration; everything else is in each document.
    """
    of_match: Document = {
        "match_id": match.match_id,
        "timestamp": match.created,
        "@timestamp": iso(match.ended),
        "game_duration": match.duration,
        "patch": match.patch,
        "queue_id": match.queue_id,
        "platform": match.platform,
        "remake": match.remake,
        "ingested_at": iso(ingested),
    }
    for participant in match.participants:
        rates = rates_of(participant, match.duration)
        document: Document = {
            **of_match,
            "participant_id": str(participant.participant_id),
            "summoner_name": summoner_name(participant),
            "champion_name": participant.champion_name,
            "team_id": participant.team_id,
            "position": position(participant),
            "win": participant.win,
            "kills": participant.kills,
            "deaths": participant.deaths,
            "assists": participant.assists,
            "kda": round(rates.kda, 2),
            "total_damage_dealt": participant.total_damage_dealt_to_champions,
            "gold_earned": participant.gold_earned,
            "cs": creep_score(participant),
            "vision_score": participant.vision_score,
        }
        if rates.gold_per_minute is not None:
            document["gold_per_minute"] = round(rates.gold_per_minute, 2)
        if rates.damage_per_minute is not None:
            document["damage_per_minute"] = round(rates.damage_per_minute, 2)
        if rates.cs_per_minute is not None:
            document["cs_per_minute"] = round(rates.cs_per_minute, 2)
        yield document


def actions(match: Match, ingested: int, offset: int, name: str, origin: int = 0) -> list[Action]:
    """The documents of a match, ready for `_bulk`, in the index of `name` for the month in which the game ended.

    Of a match that was sent again the later message wins, by Kafka's time, then by `offset`: in whatever order they are
    written, since tasks run beside each other.
    """
    index = monthly_index(name, match.ended)
    version = min(max(ingested, 0), _MOST_MILLISECONDS) << _OFFSET_BITS | offset % 2**_OFFSET_BITS
    return [
        action(index, f"{match.match_id}_{document['participant_id']}", document, origin, version)
        for document in documents(match, ingested)
    ]


def action(index: str, document_id: str, document: Document, origin: int = 0, version: int | None = None) -> Action:
    """An `index` action: writing the same document again changes nothing.

    Where there is a `version`, a document with a higher one stays (`bulk.Bulk` takes that as done).
    """
    versioned = b"" if version is None else b',"version":%d,"version_type":"external_gte"' % version
    lines = b'{"index":{"_index":%b,"_id":%b%b}}\n%b\n' % (
        orjson.dumps(index),
        orjson.dumps(document_id),
        versioned,
        orjson.dumps(document),
    )
    return Action(document_id, lines, origin)


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
    """Minions and monsters killed; Match-V5 leaves either out at times."""
    return (participant.total_minions_killed or 0) + (participant.neutral_minions_killed or 0)


def position(participant: Participant) -> str:
    """teamPosition; Match-V5 leaves it empty in modes without positions."""
    return participant.team_position or "UNKNOWN"


def summoner_name(participant: Participant) -> str:
    """The Riot ID, or in matches from before there was one the summoner name."""
    if not participant.riot_id_game_name:
        return participant.summoner_name or ""
    if not participant.riot_id_tagline:
        return participant.riot_id_game_name
    return f"{participant.riot_id_game_name}#{participant.riot_id_tagline}"


def monthly_index(name: str, moment: int) -> str:
    """The index of `name` for a moment in milliseconds, by its month in UTC: lol_matches_stream-2026.11."""
    moment_in_utc = datetime.fromtimestamp(moment / 1000, UTC)
    return f"{name}-{moment_in_utc.year}.{moment_in_utc.month:02d}"


def iso(moment: int) -> str:
    """Milliseconds since 1970 as ISO 8601 in UTC: 2026-11-23T21:45:00.123Z."""
    return datetime.fromtimestamp(moment / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
