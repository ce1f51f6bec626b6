"""Decodes and validates a Kafka message: a match, or a dead letter's reason.

job/match_json.py has the faults of the JSON; whatever else makes a message a dead letter (a poison message), such as
implausible times, is here.
"""

import re
from codecs import BOM_UTF8
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from typing import TYPE_CHECKING, NamedTuple

from msgspec import Struct

from job.dead_letter import DeadLetter
from job.match_json import EMPTY_MATCH, DecodedMatch, decode_json
from job.match_v5 import Info, Participant, Team
from job.queues import ARENA, ARENA_MODE, MAX_PARTICIPANTS_OF_A_MODE
from job.times import LATEST_MS

if TYPE_CHECKING:
    from job.settings import EventTime

UNCOUNTED_REASONS = ("queue", "remake", "no_winner", "too_many_participants")
"""Why a match does not count in the windows of the statistics. Too many participants are more than any mode has."""
_DURATION_UNIT_LIMIT = 100_000
"""The threshold between the units: a smaller gameDuration or timePlayed is in seconds, any other in milliseconds. No
game lasts 100,000 s (over a day), and none ends within 100,000 ms."""
_SHORTEST_GAME_SECONDS = 60
_TOO_LONG_SECONDS = 60
"""Before patch 11.20, gameDuration ends when the server closes the game, which can be minutes after its end.
Source: https://github.com/RiotGames/developer-relations/issues/538."""
_OTHER_UNIT = 100
"""From this factor on, gameDuration and timePlayed differ by their unit (a factor of 1,000) and not by their value."""
_SAME_LENGTH = 2
"""Up to this factor, gameDuration and timePlayed can measure the same game. They differ by pauses, and by the minutes
until the server closes it."""
_PATCH = re.compile(r"([0-9]{1,4})\.([0-9]{1,4})(?![0-9])")


class Match(Struct, frozen=True, gc=False):
    """A valid match.

    Times are milliseconds since 1970, `duration` is in seconds. `event_time` is the time by which the statistics assign
    the match to windows: its end, or its arrival time if that is earlier, so that no match moves the watermark past
    Kafka's clock. `remake` belongs to the match: Riot repeats it on each participant, and one participant with it
    suffices. `has_winner` is false if several teams play and either no participant or every participant won, and in
    Arena if no participant won. `is_arena`: a participant's team is its subteam, and `team_id` is no side of the map.
    `dropped_details` names the invalid optional fields that were dropped.
    """

    match_id: str
    created: int
    ended: int
    event_time: int
    duration: int
    patch: str
    queue_id: int
    platform: str
    remake: bool
    has_winner: bool
    participants: list[Participant]
    game_mode: str | None
    map_id: int | None
    is_arena: bool
    teams: Sequence[Team]
    dropped_details: Sequence[str]

    def uncounted_reason(self, queue_ids: Collection[int] | None) -> str | None:
        """Why the match does not count in the statistics of these queues (None: of all): one of UNCOUNTED_REASONS."""
        if self.remake:
            return "remake"
        if not self.has_winner:
            return "no_winner"
        if len(self.participants) > MAX_PARTICIPANTS_OF_A_MODE:
            return "too_many_participants"
        return None if queue_ids is None or self.queue_id in queue_ids else "queue"


@dataclass(frozen=True, slots=True)
class PlausibleTimes:
    """The plausible range of a match's timestamps: from `earliest` to `ahead` after its arrival, in milliseconds.

    Each month has its own indices, so without this range, clock skew (timestamps in the far past or future) would fill
    the cluster with indices.
    """

    earliest: int
    ahead: int

    @classmethod
    def of(cls, earliest: date, ahead_seconds: int) -> "PlausibleTimes":
        """The range that begins at midnight UTC of a day."""
        midnight = datetime.combine(earliest, time(), UTC)
        return cls(int(midnight.timestamp()) * 1000, ahead_seconds * 1000)

    @classmethod
    def of_settings(cls, event_time: "EventTime") -> "PlausibleTimes":
        """The range of the section `event_time` of the job's settings."""
        return cls.of(event_time.earliest, event_time.ahead_seconds)


def decode(
    value: bytes | None, arrived_at: int, plausible_times: PlausibleTimes, details: bool = True
) -> Match | DeadLetter:
    """Decode and validate the value of one message; never raises.

    `arrived_at` is the message's LogAppendTime in milliseconds. A single invalid participant makes the whole message a
    dead letter, so that each message has exactly one outcome. Without `details`, optional fields are not decoded, which
    saves a third of the time: only the documents use them. Exceptions are those by which a mode is recognized.
    """
    if not 0 <= arrived_at <= LATEST_MS:
        return DeadLetter(
            "implausible_timestamp",
            f"Kafka's timestamp of the message, {arrived_at}, is no time in milliseconds: its producer has set it; set "
            "message.timestamp.type of the topic to LogAppendTime",
        )
    if value is None:
        return DeadLetter("null_value", "the message has no value (a tombstone)")
    value = value.removeprefix(BOM_UTF8)  # RFC 8259 allows parsers to ignore a BOM
    if not value.strip():
        return DeadLetter("empty_value", "the message's value is empty")
    decoded = decode_json(value, details)
    return decoded if isinstance(decoded, DeadLetter) else _validate(decoded, arrived_at, plausible_times)


def _validate(decoded: DecodedMatch, arrived_at: int, plausible_times: PlausibleTimes) -> Match | DeadLetter:
    message, info = decoded.message, decoded.message.info
    if not info.participants:
        return EMPTY_MATCH
    if len({participant.participant_id for participant in info.participants}) < len(info.participants):
        return DeadLetter(
            "duplicate_participant",
            "two participants share an id: one document would overwrite the other",
            "info.participants[...].participantId",
        )
    played = _seconds_played(info)
    milliseconds = _duration(info, played)
    earliest, latest = plausible_times.earliest, arrived_at + plausible_times.ahead
    end = _end(info, milliseconds, played, earliest)
    for moment in (_Moment("start", info.game_creation, "info.gameCreation", info.game_creation), end):
        if not earliest <= moment.time <= latest:
            units = (("seconds", moment.sent * 1000), ("microseconds", moment.sent // 1000))
            unit = next((unit for unit, meant in units if earliest <= meant <= latest), None)
            return DeadLetter(
                "implausible_timestamp",
                f"the game's {moment.name}, {moment.time} ms, is before {earliest} or more than "
                f"{plausible_times.ahead} ms after the message's arrival time ({arrived_at})"
                + (f"; {moment.sent} looks like {unit}" if unit else ""),
                moment.field,
            )
    is_arena = (
        info.queue_id in ARENA
        or info.game_mode == ARENA_MODE
        or any(participant.player_subteam_id for participant in info.participants)
    )
    return Match(
        match_id=message.metadata.match_id,
        created=info.game_creation,
        ended=end.time,
        event_time=min(end.time, arrived_at),
        duration=milliseconds // 1000,
        patch=".".join(info.game_version.split(".")[:2]),
        queue_id=info.queue_id,
        platform=info.platform_id,
        remake=any(participant.game_ended_in_early_surrender for participant in info.participants),
        has_winner=_has_winner(info.participants, is_arena),
        participants=info.participants,
        game_mode=info.game_mode or None,
        map_id=info.map_id,
        is_arena=is_arena,
        teams=info.teams or (),
        dropped_details=decoded.dropped,
    )


def _has_winner(participants: list[Participant], is_arena: bool) -> bool:
    """Whether somebody won and somebody lost. A single team wins or loses against the game (Swarm, practice); Arena's
    halves are no teams, and one of them always wins."""
    first = participants[0]
    if any(each.win is not first.win for each in participants):
        return True
    return all(each.team_id == first.team_id for each in participants) and (first.win or not is_arena)


def _seconds_played(info: Info) -> int:
    """The longest timePlayed in seconds; 0 if there is none, or if it is much less than gameDuration in either unit."""
    longest = max((participant.time_played or 0 for participant in info.participants), default=0)
    duration = info.game_duration
    # Beside a gameDuration that can be one in seconds, a timePlayed of another unit is in milliseconds.
    other_unit = duration >= _SHORTEST_GAME_SECONDS and longest >= _OTHER_UNIT * duration
    seconds = longest // 1000 if other_unit or longest >= _DURATION_UNIT_LIMIT else longest
    if duration < _OTHER_UNIT * seconds or _is_before_11_20(info):
        return seconds
    is_same_length = seconds * 1000 <= _SAME_LENGTH * duration and duration <= _SAME_LENGTH * seconds * 1000
    return seconds if is_same_length else 0


def _duration(info: Info, played: int) -> int:
    """The length of the game in milliseconds. The unit of gameDuration follows from the seconds `played`.

    Before patch 11.20 a gameDuration that is much longer is wrong: the seconds played are right.

    Without `played`, gameDuration is in milliseconds in matches from before patch 11.20, which have no gameEndTimestamp
    (or 0, as a producer with typed fields may write it). In other matches the unit follows from the usual length of a
    game.
    """
    duration = info.game_duration
    if played and duration:
        if played >= _OTHER_UNIT * duration:  # a producer divided seconds by 1,000
            return played * 1000
        if duration < _OTHER_UNIT * played:
            return duration * 1000
        is_too_long = duration >= 1000 * (played + _TOO_LONG_SECONDS) and _is_before_11_20(info)
        return played * 1000 if is_too_long else duration
    return duration if _is_before_11_20(info) or duration >= _DURATION_UNIT_LIMIT else duration * 1000


def _is_before_11_20(info: Info) -> bool:
    patch = None if info.game_end_timestamp else _PATCH.match(info.game_version)
    return patch is not None and (int(patch[1]), int(patch[2])) < (11, 20)


class _Moment(NamedTuple):
    """The start or end of a game in milliseconds, with the field that it comes from and that field's timestamp."""

    name: str
    time: int
    field: str
    sent: int


def _end(info: Info, duration: int, played: int, earliest: int) -> _Moment:
    """The end of the game; `duration` is in milliseconds, `played` in seconds.

    gameEndTimestamp can be much later than the actual end, so the time played has precedence. It is ignored if it is
    before the game began, unless it is earlier than `earliest`: then it is no time in milliseconds.
    """
    if info.game_start_timestamp and played:
        start = info.game_start_timestamp
        return _Moment("end", start + played * 1000, "info.gameStartTimestamp", start)
    end = info.game_end_timestamp or 0
    began = max(info.game_creation, info.game_start_timestamp or 0)
    if end and not earliest <= end < began:
        return _Moment("end", end, "info.gameEndTimestamp", end)
    return _Moment("end", info.game_creation + duration, "info.gameDuration", info.game_creation)
