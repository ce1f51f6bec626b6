"""What Spark can do at most with a backlog: read it, and read and parse it, to nowhere, in the job's own session.

Parsing and making the documents' JSON also by Spark's own functions in the JVM, which the job could use instead. They
are less exact: what does not fit becomes null without a reason.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from functools import reduce
from pathlib import Path

import pyarrow as pa
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F  # noqa: N812 - the name everyone uses

from bench.in_network.task import Task, given, report
from job import settings
from job.documents import actions
from job.driver import session
from job.match import Match, PlausibleTimes, decode

SETTINGS = Path("/opt/job/bench.yaml")
TASKS = 8
"""In how many tasks the backlog is read: so many that no core waits long for the other's last one."""
SCHEMA = """
    metadata struct<matchId: string>,
    info struct<
        gameCreation: bigint, gameDuration: int, gameStartTimestamp: bigint, gameEndTimestamp: bigint,
        gameVersion: string, queueId: int, platformId: string,
        participants: array<struct<
            participantId: int, championName: string, teamId: int, win: boolean, kills: int, deaths: int, assists: int,
            goldEarned: int, totalDamageDealtToChampions: bigint, visionScore: int, teamPosition: string,
            riotIdGameName: string, riotIdTagline: string, summonerName: string, totalMinionsKilled: int,
            neutralMinionsKilled: int, timePlayed: int, gameEndedInEarlySurrender: boolean>>>
"""
"""What the job reads of a match, in Spark's words."""
TIMES = 3
"""How often the backlog is read in one Spark job, so that starting the job counts little."""


class Decode:
    """A function for `mapInArrow`: messages → how many participants they have. With `index`, makes the bodies of their
    `_bulk` requests too."""

    def __init__(self, bounds: PlausibleTimes, index: str = "") -> None:
        self._bounds = bounds
        self._index = index

    def __call__(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        participants = 0
        for batch in batches:
            values, arrivals = batch.column("value").to_pylist(), batch.column("arrived").to_pylist()
            for value, arrived in zip(values, arrivals, strict=True):
                match = decode(value, arrived, self._bounds)
                assert isinstance(match, Match), match
                participants += len(actions(match, arrived, 0, self._index) if self._index else match.participants)
        yield pa.RecordBatch.from_pydict({"participants": [participants]})


def main() -> None:
    """Report each stage once a round, after one round to get warm."""
    task = given()
    options = settings.load(SETTINGS)
    bounds = PlausibleTimes.of(options.event_time.earliest, options.event_time.ahead_seconds)
    spark = session.start(options)
    messages = reduce(DataFrame.unionAll, [backlog(spark, task)] * TIMES)
    counts = "participants long"
    stages: dict[str, DataFrame] = {
        "read": messages,
        "parse": messages.mapInArrow(Decode(bounds), counts),
        "make": messages.mapInArrow(Decode(bounds, options.elasticsearch.matches), counts),
        "parse_in_jvm": messages.transform(parsed).select("info.participants"),
        "make_in_jvm": messages.transform(parsed).transform(documents),
    }
    for number in range(1 + task.rounds):
        for name, frame in stages.items():
            begun = time.perf_counter()
            frame.write.format("noop").mode("overwrite").save()
            if number:
                report(name, TIMES * task.messages, time.perf_counter() - begun)
    spark.stop()


def backlog(spark: SparkSession, task: Task) -> DataFrame:
    """The messages: value, arrived (Kafka's timestamp in milliseconds)."""

    def offsets(by_partition: dict[int, int]) -> str:
        return json.dumps({task.topic: {str(partition): offset for partition, offset in by_partition.items()}})

    return (
        spark.read.format("kafka")
        .option("kafka.bootstrap.servers", task.bootstrap_servers)
        .option("subscribe", task.topic)
        .option("startingOffsets", offsets(task.starts))
        .option("endingOffsets", offsets(task.ends))
        .option("minPartitions", TASKS)
        # As the job reads, and for its reasons (job/queries.py).
        .option("kafka.fetch.max.wait.ms", 5)
        .option("kafka.max.partition.fetch.bytes", 8 * 2**20)
        .load()
        .select("value", F.unix_millis("timestamp").alias("arrived"))
    )


def parsed(messages: DataFrame) -> DataFrame:
    """The matches by `from_json`: metadata, info, arrived."""
    return messages.select(F.from_json(F.col("value").cast("string"), SCHEMA).alias("match"), "arrived").select(
        "match.*", "arrived"
    )


def documents(matches: DataFrame) -> DataFrame:
    """The documents of the matches by `to_json`, as the job makes them of matches with all their fields.

    Only the end of the game is the simplest of the three that the job knows.
    """
    minutes = F.col("info.gameDuration") / 60
    cs = F.col("totalMinionsKilled") + F.col("neutralMinionsKilled")
    version = F.split("info.gameVersion", r"\.")
    return (
        matches.select("*", F.explode("info.participants").alias("participant"))
        .select("metadata", "info", "arrived", "participant.*")
        .select(
            F.concat_ws("_", "metadata.matchId", "participantId").alias("id"),
            F.to_json(
                F.struct(
                    F.col("metadata.matchId").alias("match_id"),
                    F.col("info.gameCreation").alias("timestamp"),
                    iso(F.col("info.gameEndTimestamp")).alias("@timestamp"),
                    F.col("info.gameDuration").alias("game_duration"),
                    F.concat_ws(".", version[0], version[1]).alias("patch"),
                    F.col("info.queueId").alias("queue_id"),
                    F.col("info.platformId").alias("platform"),
                    F.col("gameEndedInEarlySurrender").alias("remake"),
                    iso(F.col("arrived")).alias("ingested_at"),
                    F.col("participantId").cast("string").alias("participant_id"),
                    F.concat_ws("#", "riotIdGameName", "riotIdTagline").alias("summoner_name"),
                    F.col("championName").alias("champion_name"),
                    F.col("teamId").alias("team_id"),
                    F.col("teamPosition").alias("position"),
                    *("win", "kills", "deaths", "assists"),
                    F.round((F.col("kills") + F.col("assists")) / F.greatest("deaths", F.lit(1)), 2).alias("kda"),
                    F.col("totalDamageDealtToChampions").alias("total_damage_dealt"),
                    F.col("goldEarned").alias("gold_earned"),
                    cs.alias("cs"),
                    F.col("visionScore").alias("vision_score"),
                    F.round(F.col("goldEarned") / minutes, 2).alias("gold_per_minute"),
                    F.round(F.col("totalDamageDealtToChampions") / minutes, 2).alias("damage_per_minute"),
                    F.round(cs / minutes, 2).alias("cs_per_minute"),
                )
            ).alias("document"),
        )
    )


def iso(moment: Column) -> Column:
    """Milliseconds as ISO 8601."""
    return F.date_format(F.timestamp_millis(moment), "yyyy-MM-dd'T'HH:mm:ss.SSS'Z'")


if __name__ == "__main__":
    main()
