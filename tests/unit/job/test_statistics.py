"""Statistics equal a plain count in Python over the same matches, in batch and as a stream that restarts."""

import random
from collections import defaultdict
from datetime import UTC, datetime
from pathlib import Path
from statistics import fmean
from typing import Any

import orjson
import pyarrow as pa
import pytest
from pyspark.sql import DataFrame, Row, SparkSession

from job.match import Match, decode
from job.settings import Window, merged
from job.statistics import MATCH_SCHEMA, match_column, statistics
from job.windows import window_action
from tests.unit.job.matches import ARRIVED, BOUNDS, START, Json, match, participant, value

WINDOW = merged({}).window
FIGURES = ("kills", "deaths", "assists", "kda", "gpm", "dpm", "cspm")


def matches(number: int, seed: int) -> list[Json]:
    """Different matches of two players each over a quarter of an hour, in order of their end."""
    dice = random.Random(seed)
    result = []
    for n in range(number):
        players = [
            participant(
                each,
                championName=dice.choice(["Ahri", "Jinx", "Zed"]),
                teamPosition=dice.choice(["TOP", "MIDDLE", ""]),
                kills=dice.randrange(20),
                deaths=dice.randrange(10),
                goldEarned=dice.randrange(5_000, 20_000),
                gameEndedInEarlySurrender=n % 7 == 0,
            )
            for each in (1, 2)
        ]
        result.append(match(*players, match_id=f"EUW1_{seed}_{n}", gameStartTimestamp=START - 900_000 + n * 30_000))
    return result


def reference(messages: list[Json], window: Window) -> dict[tuple[int, str, str], dict[str, float]]:
    """What SPEC's formulas give, by start of the window (milliseconds), kind and name."""
    rows: dict[tuple[int, str, str], list[dict[str, float]]] = defaultdict(list)
    for message in {each["metadata"]["matchId"]: each for each in messages}.values():
        info = message["info"]
        if any(player["gameEndedInEarlySurrender"] for player in info["participants"]):
            continue
        ended = (info["gameStartTimestamp"] + 1_845_000) // 1000
        minutes = info["gameDuration"] / 60
        first = ended // window.slide_seconds * window.slide_seconds
        for start in range(first, ended - window.size_seconds, -window.slide_seconds):
            for player in info["participants"]:
                row = {
                    "win": player["win"],
                    "kills": player["kills"],
                    "deaths": player["deaths"],
                    "assists": player["assists"],
                    "kda": (player["kills"] + player["assists"]) / max(1, player["deaths"]),
                    "gpm": player["goldEarned"] / minutes,
                    "dpm": player["totalDamageDealtToChampions"] / minutes,
                    "cspm": (player["totalMinionsKilled"] + player["neutralMinionsKilled"]) / minutes,
                }
                rows[start * 1000, "champion", player["championName"]].append(row)
                rows[start * 1000, "position", player["teamPosition"] or "UNKNOWN"].append(row)
    return {
        key: {
            "games_played": len(group),
            "wins": sum(row["win"] for row in group),
            "win_rate": 100 * fmean(row["win"] for row in group),
            **{f"avg_{figure}": fmean(row[figure] for row in group) for figure in FIGURES},
        }
        for key, group in rows.items()
    }


def found(rows: list[Row]) -> dict[tuple[int, str, str], dict[str, float]]:
    names = ("games_played", "wins", "win_rate", *(f"avg_{figure}" for figure in FIGURES))
    return {
        (int(row.window_start.replace(tzinfo=UTC).timestamp() * 1000), row.kind, row["name"]): {
            name: row[name] for name in names
        }
        for row in rows
    }


def assert_equal(
    actual: dict[tuple[int, str, str], dict[str, float]], expected: dict[tuple[int, str, str], dict[str, float]]
) -> None:
    assert actual.keys() == expected.keys()
    for key, figures in expected.items():
        assert actual[key] == pytest.approx(figures, abs=0.0051), key


def frame(spark: SparkSession, messages: list[Json | bytes | None]) -> DataFrame:
    """The matches that count among the messages, as rows of MATCH_SCHEMA."""
    values = [value(each) if isinstance(each, dict) else each for each in messages]
    results = [decode(each, ARRIVED, BOUNDS) for each in values]
    column = match_column([each if isinstance(each, Match) else None for each in results])
    rows = pa.RecordBatch.from_struct_array(column.filter(column.is_valid()))
    return spark.createDataFrame(pa.Table.from_batches([rows]), MATCH_SCHEMA)


@pytest.fixture(scope="module")
def in_order() -> list[Json]:
    return matches(30, seed=7)


def test_duplicates_once_remakes_never_bad_messages_not_at_all(spark: SparkSession, in_order: list[Json]) -> None:
    """And a match without duration counts, but has no rates."""
    instant = match(participant(1, timePlayed=..., championName="Ivern", teamPosition="UTILITY"), gameDuration=0)
    messages = [*in_order, *in_order[:10], instant, b"{", None, match(participants=[])]
    rows = frame(spark, messages).transform(statistics, WINDOW).collect()
    of_instant = [row for row in rows if row["name"] in {"Ivern", "UTILITY"}]
    assert {(row.games_played, row.avg_kda, row.avg_gpm, row.avg_dpm, row.avg_cspm) for row in of_instant} == {
        (1, 5.33, None, None, None)
    }
    assert_equal(found([row for row in rows if row not in of_instant]), reference(in_order, WINDOW))


def test_a_stream_out_of_order_with_duplicates_and_a_restart(
    spark: SparkSession, tmp_path: Path, in_order: list[Json]
) -> None:
    """Two runs over one checkpoint, the matches shuffled: the last figures of each row are the whole's."""
    shuffled = [*in_order, *in_order[5:15]]
    random.Random(3).shuffle(shuffled)
    window = WINDOW.model_copy(update={"watermark_seconds": 3600})
    latest: dict[tuple[int, str, str], dict[str, float]] = {}

    def keep(batch: DataFrame, _number: int) -> None:
        latest.update(found(batch.collect()))

    for run in range(2):
        part: list[Any] = shuffled[run::2]
        frame(spark, part).write.mode("append").parquet(str(tmp_path / "input"))
        query = (
            spark.readStream.schema(MATCH_SCHEMA)
            .parquet(str(tmp_path / "input"))
            .transform(statistics, window)
            .writeStream.outputMode("update")
            .option("checkpointLocation", str(tmp_path / "checkpoint"))
            .trigger(availableNow=True)
            .foreachBatch(keep)
            .start()
        )
        query.awaitTermination()
    assert_equal(latest, reference(in_order, window))


def row(kind: str, **changes: Any) -> dict[str, Any]:
    figures = {"games_played": 3, "wins": 2, "win_rate": 66.67, **{f"avg_{figure}": 1.25 for figure in FIGURES}}
    start = datetime(2026, 1, 31, 23, 58, tzinfo=UTC)
    return {
        "window_start": start,
        "window_end": start.replace(minute=59),
        "kind": kind,
        "name": "Ahri",
        **figures,
    } | changes


def test_the_document_of_a_champion() -> None:
    action = window_action(row("champion"), "lol_champion_stats")
    head, source = (orjson.loads(line) for line in action.lines.splitlines())
    assert head == {"index": {"_index": "lol_champion_stats-2026.01", "_id": "1769903880000_Ahri"}}
    assert source == {
        "window_start": "2026-01-31T23:58:00.000Z",
        "window_end": "2026-01-31T23:59:00.000Z",
        "champion_name": "Ahri",
        "games_played": 3,
        "wins": 2,
        "win_rate": 66.67,
        **{f"avg_{figure}": 1.25 for figure in FIGURES},
    }


def test_the_document_of_a_position() -> None:
    source = orjson.loads(window_action(row("position", name="TOP"), "n").lines.splitlines()[1])
    assert set(source) == {
        "window_start", "window_end", "position", "games_played",
        "avg_kills", "avg_deaths", "avg_assists", "avg_gpm", "avg_dpm",
    }  # fmt: skip


def test_figures_that_are_not_known_are_left_out() -> None:
    assert "avg_gpm" not in orjson.loads(window_action(row("champion", avg_gpm=None), "n").lines.splitlines()[1])


@pytest.mark.parametrize(("kind", "name"), [("champion", "lol_champion_stats"), ("position", "lol_position_stats")])
def test_the_mappings_have_exactly_these_fields(kind: str, name: str) -> None:
    template = Path(__file__).parents[3] / "mappings" / "index_templates" / f"{name}.json"
    mappings = orjson.loads(template.read_bytes())["template"]["mappings"]
    assert set(mappings["properties"]) == set(orjson.loads(window_action(row(kind), "n").lines.splitlines()[1]))
    assert mappings["dynamic"] == "strict"
