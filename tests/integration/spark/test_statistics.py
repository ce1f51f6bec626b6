"""Statistics equal the reference over the same messages: in batch, and in a stream with duplicates and restarts."""

import itertools
import json
import os
import random
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry
from pyspark.sql import DataFrame, Row, SparkSession

from job.driver.checkpoints import Checkpoints
from job.driver.late_matches import LateMatches
from job.driver.metrics import Metrics
from job.driver.statistics import statistics
from job.lag import ConsumerLag
from job.match import Match, decode
from job.settings import Window, with_overrides
from job.tasks.match_rows import MATCH_SCHEMA, DecodeMatches, EventTimes, match_rows
from job.tasks.outcomes import CountsAccumulator
from job.topic import Incarnation
from tests.support import reference
from tests.support.reference import Figures, Key
from tests.support.sample_matches import ALIASES, ARRIVED_AT, PLAUSIBLE_TIMES, START, Json, match, participant, value

WINDOW = with_overrides({}).window
QUEUE_IDS = with_overrides({}).statistics.counted_queue_ids
MESSAGES = pa.schema([("value", pa.binary()), ("timestamp", pa.timestamp("us", "UTC"))])
DAY_SECONDS = 24 * 3600
# Ratios are integers in millionths between the tasks.
MILLIONTH = Fraction(1, 1_000_000)


def rows(messages: Sequence[bytes | None]) -> pa.Table:
    """The matches of the messages as rows of MATCH_SCHEMA, the input of the statistics; dead letters make no row."""
    results = [decode(message, ARRIVED_AT, PLAUSIBLE_TIMES) for message in messages]
    return pa.Table.from_batches([match_rows([result for result in results if isinstance(result, Match)], QUEUE_IDS)])


def game(name: str, ended: int, *players: Json) -> bytes:
    """A match that ended `ended` seconds after START, with two participants by default."""
    start = START + ended * 1000 - 1_845_000
    return value(match(*(players or (participant(1), participant(2))), match_id=name, gameStartTimestamp=start))


def by_key(collected: Sequence[Row]) -> dict[Key, Figures]:
    """Rows of statistics in the reference's shape."""
    return {
        (round(row.window_start.timestamp() * 1000), row.kind, row["name"]): {
            name: row[name] for name in row.asDict() if name not in {"window_start", "window_end", "kind", "name"}
        }
        for row in collected
    }


def assert_equals_reference(actual: dict[Key, Figures], messages: Sequence[bytes | None], window: Window) -> None:
    expected = reference.statistics(
        ((message, ARRIVED_AT) for message in messages), window.size_seconds, window.slide_seconds
    )
    assert actual.keys() == expected.keys()
    differing = {key: reference.differences(actual[key], expected[key], MILLIONTH) for key in expected}
    assert not any(differing.values()), {key: fields for key, fields in differing.items() if fields}


class Stream:
    """The statistics as a streaming query over a folder, one file per micro-batch, with a checkpoint between runs."""

    def __init__(self, spark: SparkSession, folder: Path, window: Window) -> None:
        self._spark = spark
        self._folder = folder
        self._window = window
        self._files = itertools.count(1)
        self._checkpoints = Checkpoints(spark, f"file://{folder}", Incarnation("matches", "cluster", "topic", (0,)))
        self._checkpoint = Path(self._checkpoints.path("statistics").removeprefix("file://"))
        self._last_batch = 0
        self.latest: dict[Key, Figures] = {}
        self.registry = CollectorRegistry()
        self._metrics = Metrics(ALIASES, self.registry)
        self._query_metrics = self._metrics.add_query("statistics", ConsumerLag("lag"))
        (folder / "messages").mkdir()

    def run(self, *batches: Sequence[bytes]) -> None:
        """Run the query over these micro-batches, then stop it."""
        for batch in batches:
            number = next(self._files)
            file = self._folder / "messages" / f"{number}.parquet"
            pq.write_table(pa.table({"value": batch, "timestamp": [ARRIVED_AT * 1000] * len(batch)}, MESSAGES), file)
            os.utime(file, (number, number))  # Spark reads files in the order of their modification time
        event_times = CountsAccumulator(self._spark.sparkContext, EventTimes)
        late_matches = LateMatches(self._checkpoints, "statistics")

        def run_batch(changed: DataFrame, number: int) -> None:
            self.latest.update(by_key(changed.collect()))
            self._metrics.record_late_matches(number, late_matches.count(number, event_times.drain(number).by_match))

        query = (
            self._spark.readStream.schema("value binary, timestamp timestamp")
            .option("maxFilesPerTrigger", 1)
            .parquet(str(self._folder / "messages"))
            .mapInArrow(DecodeMatches(PLAUSIBLE_TIMES, QUEUE_IDS, event_times), MATCH_SCHEMA)
            .transform(statistics, self._window)
            .writeStream.queryName("statistics")
            .outputMode("update")
            .option("checkpointLocation", str(self._checkpoint))
            .trigger(availableNow=True)
            .foreachBatch(run_batch)
            .start()
        )
        query.awaitTermination()
        for progress in query.recentProgress:
            self._query_metrics.record_progress(json.loads(progress.json))
            if progress.numInputRows:
                self._last_batch = progress.batchId

    def remove_last_commit(self) -> None:
        """Simulate a driver that died between the last batch and its commit: the next run repeats the batch."""
        for log, first in (("commits", self._last_batch), ("offsets", self._last_batch + 1)):
            for file in (self._checkpoint / log).iterdir():
                if int(file.name.strip(".cr")) >= first:
                    file.unlink()

    def late_matches(self) -> float | None:
        """The number of matches that came too late for the windows, by the job's metric."""
        return self.registry.get_sample_value("lol_job_late_matches_total")

    def dropped_by_watermark(self) -> float:
        """The number of messages whose match Spark dropped because of the watermark, by the job's metric."""
        name = "lol_job_rows_dropped_by_watermark_total"
        return sum(
            sample.value
            for metric in self.registry.collect()
            for sample in metric.samples
            if sample.name == name and sample.labels["operator"] == "dedupeWithinWatermark"
        )


def test_duplicates_count_once_and_remakes_matches_without_a_winner_and_dead_letters_do_not(
    spark: SparkSession,
) -> None:
    """A match without a duration counts, but has no rates per minute. A champion of two spellings is one."""
    rng = random.Random(7)
    games = [
        game(
            f"EUW1_{n}",
            30 * n,
            *(
                participant(
                    number,
                    championName=rng.choice(["Ahri", "Jinx", "FiddleSticks", "Fiddlesticks"]),
                    teamPosition=rng.choice(["TOP", "MIDDLE", ""]),
                    win=n % 5 > 0 and rng.random() < 0.5,
                    kills=rng.randrange(20),
                    deaths=rng.randrange(10),
                    goldEarned=rng.randrange(5_000, 20_000),
                    gameEndedInEarlySurrender=n % 7 == 0,
                )
                for number in range(1, 11)
            ),
        )
        for n in range(30)
    ]
    no_duration = match(participant(1, timePlayed=..., championName="Ivern"), match_id="EUW1_0s", gameDuration=0)
    # The largest valid values, in more than one message: their sums must not overflow either.
    largest: Json = dict.fromkeys(["kills", "assists", "goldEarned"], 2**31 - 1)
    largest |= {"deaths": 0, "totalDamageDealtToChampions": 10**11, "totalMinionsKilled": 2**30 - 1}
    extreme = [
        value(
            match(
                participant(1, championName="Zilean", teamPosition="UTILITY", **largest), match_id=name, gameDuration=1
            )
        )
        for name in ("EUW1_largest", "EUW1_largest_2")
    ]
    messages = [*games, *games[:10], value(no_duration), *extreme, b"{", None, value(match(participants=[]))]
    frame = spark.createDataFrame(rows(messages), MATCH_SCHEMA)
    actual = by_key(frame.transform(statistics, WINDOW).collect())
    assert_equals_reference(actual, messages, WINDOW)
    assert {name for _, kind, name in actual if kind == "champion"} == {
        "Ahri",
        "Jinx",
        "Fiddlesticks",
        "Ivern",
        "Zilean",
    }
    assert all(0 <= figures["wins"] <= figures["games_played"] for figures in actual.values())
    ivern = [figures for (_, _, name), figures in actual.items() if name == "Ivern"]
    assert {(each["games_played"], each["avg_kda"], each["avg_gpm"]) for each in ivern} == {(1, 5.33, None)}
    assert len(ivern) == WINDOW.size_seconds / WINDOW.slide_seconds


def test_match_without_a_winner_is_in_no_windows_figures(spark: SparkSession) -> None:
    """Ten losses would lower the win rates of its champions."""
    decided = game("EUW1_1", 0, *(participant(number) for number in range(1, 11)))
    undecided = game("EUW1_2", 0, *(participant(number, win=False) for number in range(1, 11)))
    figures = by_key(
        spark.createDataFrame(rows([decided, undecided]), MATCH_SCHEMA).transform(statistics, WINDOW).collect()
    )
    champions = [each for (_, kind, _), each in figures.items() if kind == "champion"]
    assert {(each["games_played"], each["wins"], each["win_rate"]) for each in champions} == {(10, 5, 50.0)}


PLAYERS = st.fixed_dictionaries(
    {
        "championName": st.sampled_from(["Ahri", "Jinx", "Zed"]),
        "teamPosition": st.sampled_from(["TOP", "MIDDLE", ""]),
        "win": st.booleans(),
        "kills": st.integers(0, 20),
        "deaths": st.integers(0, 12),
        "assists": st.integers(0, 30),
        "goldEarned": st.integers(3_000, 25_000),
        "totalDamageDealtToChampions": st.integers(2_000, 90_000),
        "totalMinionsKilled": st.integers(0, 350),
        "gameEndedInEarlySurrender": st.integers(0, 9).map(lambda number: number == 0),
    }
)
GAMES = st.lists(st.tuples(st.integers(0, 900), st.lists(PLAYERS, min_size=1, max_size=3)), min_size=4, max_size=12)
BATCHES = 4


@pytest.mark.parametrize("crash", [False, True])
@settings(max_examples=2)
@given(games=GAMES, data=st.data(), restart=st.integers(1, BATCHES - 1))
def test_stream_with_duplicates_in_any_order_and_a_restart_equals_the_reference(
    spark: SparkSession,
    tmp_path_factory: pytest.TempPathFactory,
    games: list[tuple[int, list[Json]]],
    data: st.DataObject,
    restart: int,
    crash: bool,
) -> None:
    """Each match arrives one to three times, each time in any micro-batch; the latest figures are those of all."""
    batches: list[list[bytes]] = [[] for _ in range(BATCHES)]
    for number, (ended, players) in enumerate(games):
        message = game(f"EUW1_{number}", ended, *(participant(n, **each) for n, each in enumerate(players, 1)))
        for batch in data.draw(st.lists(st.integers(0, BATCHES - 1), min_size=1, max_size=3)):
            batches[batch].append(message)
    window = WINDOW.model_copy(update={"watermark_seconds": DAY_SECONDS})
    stream = Stream(spark, tmp_path_factory.mktemp("stream"), window)
    stream.run(*batches[:restart])
    if crash:
        stream.remove_last_commit()
    stream.run(*batches[restart:])
    assert_equals_reference(stream.latest, [message for batch in batches for message in batch], window)
    assert stream.dropped_by_watermark() == 0


def test_late_match_counts_within_the_watermark_and_is_dropped_and_measured_after_it(
    spark: SparkSession, tmp_path: Path
) -> None:
    """The watermark is the latest event time minus its delay: START + 400 s here."""
    stream = Stream(spark, tmp_path, WINDOW)
    first, latest = game("EUW1_1", 0), game("EUW1_2", 400 + WINDOW.watermark_seconds)
    in_time, too_late = game("EUW1_3", 401), game("EUW1_4", 400)
    stream.run([first], [latest], [], [in_time, too_late, first, latest])
    assert_equals_reference(stream.latest, [first, latest, in_time], WINDOW)
    assert stream.dropped_by_watermark() == 2  # the last, and the first again, whose deduplication state has expired
    assert stream.late_matches() == 1, "the first has its windows"


def test_late_match_counts_once_however_often_it_is_sent(spark: SparkSession, tmp_path: Path) -> None:
    """Also in several batches, and in one that is repeated after a crash.

    A late remake does not count, nor a match that also has a version in time, for example of a later message.
    """
    stream = Stream(spark, tmp_path, WINDOW)
    late = [game(f"EUW1_late_{number}", number) for number in range(4)]
    remake = game("EUW1_remake", 0, participant(1, gameEndedInEarlySurrender=True))
    two_versions = [game("EUW1_2", ended) for ended in (100, 1800)]
    stream.run([game("EUW1_1", 1900)], [late[0]])  # the watermark of a batch is used from the next one on
    assert (stream.dropped_by_watermark(), stream.late_matches()) == (0, 0)
    stream.run([late[1]] * 2, [late[1], remake, *two_versions], [late[1]], [late[2]])
    assert (stream.dropped_by_watermark(), stream.late_matches()) == (6, 2)
    stream.remove_last_commit()
    stream.run([late[3]])
    assert (stream.dropped_by_watermark(), stream.late_matches()) == (8, 4), "those of the repeated batch and a new one"


def test_late_match_of_a_retried_task_counts_once(spark: SparkSession) -> None:
    """The task is run again although it was complete: its shuffle files were lost with an executor."""
    event_times = CountsAccumulator(spark.sparkContext, EventTimes)
    messages = pa.table({"value": [game("EUW1_1", 1)] * 2, "timestamp": [ARRIVED_AT * 1000] * 2}, MESSAGES)
    tasks = spark.createDataFrame(messages).mapInArrow(
        DecodeMatches(PLAUSIBLE_TIMES, QUEUE_IDS, event_times), MATCH_SCHEMA
    )
    spark.sparkContext.setLocalProperty("streaming.sql.batchId", "2")
    try:
        for _ in range(2):
            tasks.collect()
    finally:
        spark.sparkContext.setLocalProperty("streaming.sql.batchId", None)  # type: ignore[arg-type]
    checkpoints: Any = SimpleNamespace(watermark=lambda _query, batch: START + batch * 1000)
    assert LateMatches(checkpoints, "statistics").count(2, event_times.drain(2).by_match) == 1


def test_match_with_an_end_in_the_future_counts_and_does_not_advance_the_watermark(
    spark: SparkSession, tmp_path: Path
) -> None:
    stream = Stream(spark, tmp_path, WINDOW)
    future, usual = game("EUW1_1", DAY_SECONDS // 2), game("EUW1_2", 1900)
    stream.run([future], [usual])
    assert_equals_reference(stream.latest, [future, usual], WINDOW)
    assert (stream.dropped_by_watermark(), stream.late_matches()) == (0, 0)
