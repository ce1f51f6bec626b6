"""Matches → statistics of each champion and position in sliding windows of event time. Built-in functions only."""

from collections.abc import Sequence
from itertools import accumulate
from typing import Any

import pyarrow as pa
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F  # noqa: N812 - the name everyone uses
from pyspark.sql.pandas.types import to_arrow_schema
from pyspark.sql.types import ArrayType, BooleanType, IntegerType, LongType, StringType, StructType, TimestampType

from job.documents import position, rates_of
from job.match import Match
from job.settings import Window

# Ratios travel as whole millionths: sums of integers do not depend on the order in which matches come, as those of
# floats do.
_MILLION = 1_000_000
_AVERAGES = {"avg_kills": "kills", "avg_deaths": "deaths", "avg_assists": "assists"}
_RATE_AVERAGES = {"avg_kda": "kda", "avg_gpm": "gpm", "avg_dpm": "dpm", "avg_cspm": "cspm"}

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
MATCH_SCHEMA = (
    StructType()
    .add("match_id", StringType(), nullable=False)
    .add("ended", TimestampType(), nullable=False)
    .add("participants", ArrayType(PARTICIPANT_SCHEMA, containsNull=False), nullable=False)
)
_PARTICIPANT_FIELDS = to_arrow_schema(PARTICIPANT_SCHEMA, timezone="UTC")
_MATCH_FIELDS = to_arrow_schema(MATCH_SCHEMA, timezone="UTC")


def match_rows(matches: Sequence[Match]) -> pa.RecordBatch:
    """The matches that count, all but remakes, as rows of MATCH_SCHEMA.

    Made column by column: a dictionary for each participant would cost a multiple.
    """
    counted = [match for match in matches if not match.remake]
    participants = [(each, match.duration) for match in counted for each in match.participants]
    rates = [rates_of(each, duration) for each, duration in participants]
    columns: tuple[list[Any], ...] = (
        [each.champion_name for each, _ in participants],
        [position(each) for each, _ in participants],
        [each.win for each, _ in participants],
        [each.kills for each, _ in participants],
        [each.deaths for each, _ in participants],
        [each.assists for each, _ in participants],
        [_millionths(rate.kda) for rate in rates],
        [_millionths(rate.gold_per_minute) for rate in rates],
        [_millionths(rate.damage_per_minute) for rate in rates],
        [_millionths(rate.cs_per_minute) for rate in rates],
    )
    ends = accumulate((len(match.participants) for match in counted), initial=0)
    lists = pa.ListArray.from_arrays(
        pa.array(ends, pa.int32()),
        pa.StructArray.from_arrays(_arrays(columns, _PARTICIPANT_FIELDS), fields=list(_PARTICIPANT_FIELDS)),
        _MATCH_FIELDS.field("participants").type,
    )
    times = [match.event_time * 1000 for match in counted]  # Arrow's timestamps: microseconds
    arrays = _arrays(([match.match_id for match in counted], times, lists), _MATCH_FIELDS)
    return pa.RecordBatch.from_arrays(arrays, schema=_MATCH_FIELDS)


def _arrays(columns: Sequence[Any], schema: pa.Schema) -> list[pa.Array]:
    """Lists (or Arrow arrays) of equal length, one for each field of the schema, as Arrow arrays."""
    return [
        column if isinstance(column, pa.Array) else pa.array(column, field.type)
        for column, field in zip(columns, schema, strict=True)
    ]


def _millionths(value: float | None) -> int | None:
    return None if value is None else round(value * _MILLION)


def statistics(matches: DataFrame, window: Window) -> DataFrame:
    """Rows of MATCH_SCHEMA → one row for each window, kind (champion, position) and name.

    Columns: window_start, window_end (timestamps), kind, name, games_played, wins, win_rate (percent), avg_kills,
    avg_deaths, avg_assists, avg_kda, avg_gpm, avg_dpm, avg_cspm; two decimals; null where no game had a duration.
    For a streaming frame in update mode: rows whose figures changed.
    """
    return (
        matches.transform(lambda rows: _once(rows, window))
        .transform(_by_name)
        .transform(lambda rows: _aggregated(rows, window))
    )


def _once(matches: DataFrame, window: Window) -> DataFrame:
    """Each match once, however often it was sent within the watermark.

    The state that deduplicates has one entry for a match, not ten: rows are still whole matches here. The plain
    dropDuplicates would need the event time among its keys for its state to have an end.
    """
    watermarked = matches.withWatermark("ended", f"{window.watermark_seconds} seconds")
    if not matches.isStreaming:
        return watermarked.dropDuplicates(["match_id"])
    return watermarked.dropDuplicatesWithinWatermark(["match_id"])


def _by_name(matches: DataFrame) -> DataFrame:
    """One row for each participant and each name it counts under."""
    names = F.array(
        F.struct(F.lit("champion").alias("kind"), F.col("participant.champion").alias("name")),
        F.struct(F.lit("position").alias("kind"), F.col("participant.position").alias("name")),
    )
    return (
        matches.select("ended", F.explode("participants").alias("participant"))
        .select("ended", "participant", F.explode(names).alias("by"))
        .select("ended", "by.*", "participant.*")
    )


def _aggregated(rows: DataFrame, window: Window) -> DataFrame:
    sliding = F.window("ended", f"{window.size_seconds} seconds", f"{window.slide_seconds} seconds")
    games, wins = F.count(F.lit(1)), F.count_if("win")
    return (
        rows.groupBy(sliding.alias("window"), "kind", "name")
        .agg(
            games.alias("games_played"),
            wins.alias("wins"),
            _two_decimals(wins * 100 / games).alias("win_rate"),
            *[_two_decimals(F.avg(source)).alias(name) for name, source in _AVERAGES.items()],
            *[_two_decimals(F.avg(source) / _MILLION).alias(name) for name, source in _RATE_AVERAGES.items()],
        )
        .select(
            F.col("window.start").alias("window_start"),
            F.col("window.end").alias("window_end"),
            "kind",
            "name",
            "games_played",
            "wins",
            "win_rate",
            *_AVERAGES,
            *_RATE_AVERAGES,
        )
    )


def _two_decimals(value: Column) -> Column:
    return F.round(value, 2)
