"""Decodes Kafka messages to rows of matches, as Arrow columns: the input of the statistics."""

from collections.abc import Collection, Iterable, Iterator, Sequence
from itertools import accumulate
from typing import Any

import pyarrow as pa
from msgspec import Struct, field
from pyspark.sql.pandas.types import to_arrow_schema
from pyspark.sql.types import ArrayType, BooleanType, IntegerType, LongType, StringType, StructType, TimestampType

from job.champions import canonical_name
from job.documents import UNKNOWN, position, rates_of
from job.match import Match, PlausibleTimes, decode
from job.match_v5 import BOT, Participant
from job.queues import POSITIONS
from job.tasks.kafka_rows import arrival_times
from job.tasks.outcomes import CountsAccumulator
from job.tasks.worker_gc import freeze_imported_objects

RATIO_SCALE = 1_000_000
"""Ratios are integers in millionths here: a sum of integers does not depend on the order in which matches arrive, as
a sum of floats does."""

PARTICIPANT_SCHEMA = (
    StructType()
    .add("champion", StringType(), nullable=False)
    .add("position", StringType(), nullable=False)
    .add("win", BooleanType(), nullable=False)
    .add("kills", IntegerType(), nullable=False)
    .add("deaths", IntegerType(), nullable=False)
    .add("assists", IntegerType(), nullable=False)
    .add("kda", LongType(), nullable=False)
    .add("gpm", LongType())
    .add("dpm", LongType())
    .add("cspm", LongType())
)
# Of the statistics only: the schema of a whole message is job/match_v5.py.
MATCH_SCHEMA = (
    StructType()
    .add("match_id", StringType(), nullable=False)
    .add("ended", TimestampType(), nullable=False)
    .add("participants", ArrayType(PARTICIPANT_SCHEMA, containsNull=False), nullable=False)
)
_PARTICIPANT_FIELDS = to_arrow_schema(PARTICIPANT_SCHEMA, timezone="UTC")
_MATCH_FIELDS = to_arrow_schema(MATCH_SCHEMA, timezone="UTC")


class EventTimes(Struct):
    """By match id, the event time (milliseconds) of each match that counts in the statistics.

    A match that arrived more than once has the latest.
    """

    by_match: dict[str, int] = field(default_factory=dict)

    def add(self, rows: pa.RecordBatch) -> None:
        """Add the event times in rows of MATCH_SCHEMA."""
        milliseconds = rows.column("ended").cast(pa.timestamp("ms", "UTC")).cast(pa.int64())
        self._add(zip(rows.column("match_id").to_pylist(), milliseconds.to_pylist(), strict=True))

    def merge(self, other: "EventTimes") -> None:
        """Add the event times of another task."""
        self._add(other.by_match.items())

    def _add(self, event_times: Iterable[tuple[str, int]]) -> None:
        for match_id, event_time in event_times:
            self.by_match[match_id] = max(event_time, self.by_match.get(match_id, event_time))


class DecodeMatches:
    """A function for `mapInArrow`: rows of Spark's Kafka source → rows of MATCH_SCHEMA.

    Dead letters have no row; they are an outcome of `job.tasks.index_matches`. `queue_ids` are the queues that count in
    the statistics, None for all.
    """

    def __init__(
        self,
        plausible_times: PlausibleTimes,
        queue_ids: frozenset[int] | None,
        accumulator: CountsAccumulator[EventTimes],
    ) -> None:
        self._plausible_times = plausible_times
        self._queue_ids = queue_ids
        self._accumulator = accumulator

    def __call__(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        freeze_imported_objects()
        event_times = EventTimes()
        for batch in batches:
            decoded = (
                decode(value, arrived_at, self._plausible_times, details=False)
                for value, arrived_at in zip(batch.column("value").to_pylist(), arrival_times(batch), strict=True)
            )
            rows = match_rows([match for match in decoded if isinstance(match, Match)], self._queue_ids)
            event_times.add(rows)
            yield rows
        self._accumulator.add(event_times)


def match_rows(matches: Sequence[Match], queue_ids: Collection[int] | None) -> pa.RecordBatch:
    """The matches that count in the statistics of these queues (None: of all) as rows of MATCH_SCHEMA, without bots.

    Built column by column: a dictionary per participant would take several times as long.
    """
    counted = [match for match in matches if match.uncounted_reason(queue_ids) is None]
    people = [[participant for participant in match.participants if participant.puuid != BOT] for match in counted]
    participants = [
        (participant, match.duration) for match, each in zip(counted, people, strict=True) for participant in each
    ]
    rates = [rates_of(participant, duration) for participant, duration in participants]
    columns: tuple[list[Any], ...] = (
        [canonical_name(participant.champion_name) for participant, _ in participants],
        [_known_position(participant) for participant, _ in participants],
        [participant.win for participant, _ in participants],
        [participant.kills for participant, _ in participants],
        [participant.deaths for participant, _ in participants],
        [participant.assists for participant, _ in participants],
        [_millionths(rate.kda) for rate in rates],
        [_millionths(rate.gold_per_minute) for rate in rates],
        [_millionths(rate.damage_per_minute) for rate in rates],
        [_millionths(rate.cs_per_minute) for rate in rates],
    )
    ends = accumulate((len(each) for each in people), initial=0)
    lists = pa.ListArray.from_arrays(
        pa.array(ends, pa.int32()),
        pa.StructArray.from_arrays(_arrays(columns, _PARTICIPANT_FIELDS), fields=list(_PARTICIPANT_FIELDS)),
        _MATCH_FIELDS.field("participants").type,
    )
    times = [match.event_time * 1000 for match in counted]  # Arrow's timestamps are in microseconds
    arrays = _arrays(([match.match_id for match in counted], times, lists), _MATCH_FIELDS)
    return pa.RecordBatch.from_arrays(arrays, schema=_MATCH_FIELDS)


def _known_position(participant: Participant) -> str:
    """The document's position, or UNKNOWN for another text than Match-V5's: the heap has room for this many groups."""
    found = position(participant)
    return found if found in POSITIONS else UNKNOWN


def _arrays(columns: Sequence[Any], schema: pa.Schema) -> list[pa.Array]:
    """Convert lists (or Arrow arrays) of equal length, one for each field of the schema, to Arrow arrays."""
    return [
        column if isinstance(column, pa.Array) else pa.array(column, field.type)
        for column, field in zip(columns, schema, strict=True)
    ]


def _millionths(value: float | None) -> int | None:
    return None if value is None else round(value * RATIO_SCALE)
