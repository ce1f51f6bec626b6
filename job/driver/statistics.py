"""Statistics of each champion and position in sliding windows of event time, from Spark's built-in functions alone."""

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F  # noqa: N812 - the name everyone uses

from job.settings import Window
from job.tasks.match_rows import RATIO_SCALE

_AVERAGES = {"avg_kills": "kills", "avg_deaths": "deaths", "avg_assists": "assists"}
_RATE_AVERAGES = {"avg_kda": "kda", "avg_gpm": "gpm", "avg_dpm": "dpm", "avg_cspm": "cspm"}


def statistics(matches: DataFrame, window: Window) -> DataFrame:
    """Aggregate rows of MATCH_SCHEMA to one row for each window, kind (champion, position) and name.

    Columns: window_start, window_end (timestamps), kind, name, games_played, wins, win_rate (percent), avg_kills,
    avg_deaths, avg_assists, avg_kda, avg_gpm, avg_dpm, avg_cspm; rounded to two decimals; null if no game has a
    duration. A streaming query in update mode gets the rows whose figures changed.
    """
    return matches.transform(_deduplicate, window).transform(_explode_names).transform(_aggregate, window)


def _deduplicate(matches: DataFrame, window: Window) -> DataFrame:
    """Deduplicate by match id: a match that is sent several times within the watermark counts once.

    Rows are still whole matches here, so the state has one entry per match instead of ten. The plain dropDuplicates
    would need the event time among its keys, or its state would grow without a limit.
    """
    watermarked = matches.withWatermark("ended", f"{window.watermark_seconds} seconds")
    if not matches.isStreaming:
        return watermarked.dropDuplicates(["match_id"])
    return watermarked.dropDuplicatesWithinWatermark(["match_id"])


def _explode_names(matches: DataFrame) -> DataFrame:
    """One row per participant for its champion, and one for its position."""
    names = F.array(
        F.struct(F.lit("champion").alias("kind"), F.col("participant.champion").alias("name")),
        F.struct(F.lit("position").alias("kind"), F.col("participant.position").alias("name")),
    )
    return (
        matches.select("ended", F.explode("participants").alias("participant"))
        .select("ended", "participant", F.explode(names).alias("group"))
        .select("ended", "group.*", "participant.*")
    )


def _aggregate(rows: DataFrame, window: Window) -> DataFrame:
    sliding = F.window("ended", f"{window.size_seconds} seconds", f"{window.slide_seconds} seconds")
    games, wins = F.count(F.lit(1)), F.count_if("win")
    return (
        rows.groupBy(sliding.alias("window"), "kind", "name")
        .agg(
            games.alias("games_played"),
            wins.alias("wins"),
            _two_decimals(wins * 100 / games).alias("win_rate"),
            *[_two_decimals(F.avg(source)).alias(name) for name, source in _AVERAGES.items()],
            *[_two_decimals(F.avg(source) / RATIO_SCALE).alias(name) for name, source in _RATE_AVERAGES.items()],
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
