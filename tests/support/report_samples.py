"""Sample data of a report and of a status."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from analytics.builds import BuildStatistics, GoldBucket, GroupStatistics, KillParticipation
from analytics.match_statistics import (
    GAME_LENGTHS,
    ChampionStatistics,
    GameLengthBucket,
    MatchStatistics,
    MatchSummary,
    ObjectiveStatistics,
    PositionStatistics,
    SideStatistics,
    StepRate,
)
from analytics.pipeline_metrics import DeadLetterMetrics, PipelineFigures, PipelineMetrics, Points
from analytics.time_range import STEPS, TimeRange
from job.queues import POSITIONS
from tools.health import ServiceHealth, StackHealth, StageHealth
from tools.report.page import StackReport
from tools.status import StackStatus

CREATED_AT = datetime(2026, 3, 1, 12, 0, 30, tzinfo=UTC)
TIME_RANGE = TimeRange.last(timedelta(hours=1), CREATED_AT)
XSS = "</script><img src=https://example.com/x onerror=alert(1)>"
"""A name for a cross-site scripting attack."""
SHORT_XSS = "<img src=x>"
"""The same in a column of a table that does not wrap."""


def points(value: float) -> Points:
    """The same value at each step."""
    return tuple(
        (TIME_RANGE.start + timedelta(seconds=TIME_RANGE.step_seconds * n), value) for n in range(1, STEPS + 1)
    )


PIPELINE = PipelineMetrics(
    messages={"into the topic": points(2), "processed": points(1.9)},
    documents={"champion_stats": points(31), "matches_stream": points(20)},
    lag={"lag": points(0)},
    batch_seconds={"p50": points(0.4), "p95": points(0.8)},
    freshness_seconds={"p50": points(0.9), "p99": points(1.6)},
    lag_by_partition={"partition 0": points(0), "partition 1": points(2)},
    sink_waits={},
    dead_letters={"not_json": 3, "null_value": 0},
)
DEAD_LETTERS = DeadLetterMetrics(
    rates={"not_json": points(0.05)},
    counts=PIPELINE.dead_letters,
    oldest_sample=TIME_RANGE.start - timedelta(days=3),
)
FIGURES = PipelineFigures(
    lag=0,
    batch_seconds=(0.4, 0.8),
    freshness_seconds=(0.9, 1.6),
    new_dead_letters=5,
    late_matches=7,
    oldest_sample=TIME_RANGE.start - timedelta(days=3),
)
EMPTY_PIPELINE = PipelineMetrics(
    messages={"into the topic": (), "processed": ()},
    documents={},
    lag={"lag": ()},
    batch_seconds={"p50": (), "p95": ()},
    freshness_seconds={"p50": (), "p99": ()},
    lag_by_partition={},
    sink_waits={},
    dead_letters={},
)
EMPTY_FIGURES = PipelineFigures(
    lag=None,
    batch_seconds=(None, None),
    freshness_seconds=(None, None),
    new_dead_letters=None,
    late_matches=None,
    oldest_sample=None,
)


def champion(name: str, games: int, win_rate: float) -> ChampionStatistics:
    return ChampionStatistics(name, games, games / 7200, 0.1, win_rate, 3.1, 402.4, 611.5, 6.2)


def match(number: int, champions: tuple[str, ...] = ("Aatrox", "LeeSin", "Ahri", "Jinx", "Thresh")) -> MatchSummary:
    return MatchSummary(
        id=f"EUW1_{number}",
        ended=TIME_RANGE.end - timedelta(seconds=number),
        duration=1845,
        queue="5v5 Ranked Solo",
        patch="16.4",
        remake=False,
        winner="red",
        blue=champions,
        red=("Garen", "Viego", "Syndra", "Kaisa", "Nautilus"),
        blue_kills=21,
        red_kills=33,
    )


ARENA_MATCH = replace(
    match(0),
    queue="Arena",
    winner=None,
    blue=(),
    red=(),
    blue_kills=0,
    red_kills=0,
    champions=("Sett", "Galio", "Jinx"),
)
CHAMPIONS = (
    champion(XSS, 3000, 0.61),
    champion("Jinx", 2000, 0.493),
    champion("Ahri", 1000, 0.52),
    *(champion(f"Number{n}", 900 - n, 0.5) for n in range(60)),
)
MATCHES = MatchStatistics(
    total_documents=1_234_567,
    newest_ended=TIME_RANGE.end,
    newest_arrived_at=CREATED_AT - timedelta(seconds=1),
    count=7200,
    documents=72_000,
    played=7200,
    steps=tuple(StepRate(TIME_RANGE.start + timedelta(minutes=n), 120, 1200) for n in range(STEPS)),
    recent=StepRate(TIME_RANGE.end - timedelta(minutes=5), 120, 1200),
    champions=CHAMPIONS,
    positions=tuple(PositionStatistics(name, 7000, 3.2, 180, 410) for name in (*POSITIONS, "UNKNOWN")),
    sides=(
        SideStatistics("blue", 0.52, 31, 60_000, 95_000, 900, 140),
        SideStatistics("red", 0.48, 30, 59_000, 94_000, 890, 141),
    ),
    lengths=tuple(GameLengthBucket(at_least, below, 100 + at_least) for at_least, below in GAME_LENGTHS),
    objectives=(ObjectiveStatistics("Tower", 3000, 0.71), ObjectiveStatistics("Baron", 2000, 0.84)),
    last=(
        ARENA_MATCH,
        *(match(n) for n in range(1, 9)),
        replace(match(10, (XSS,)), id=SHORT_XSS, patch=SHORT_XSS, queue=SHORT_XSS),
    ),
    arriving_per_minute=118,
    absent=None,
)
NO_MATCHES = MatchStatistics(
    0, None, None, 0, 0, 0, (), StepRate(TIME_RANGE.end - timedelta(minutes=5), 0, 0), (), (), (), (), (), (), 0, None
)

BUILDS = BuildStatistics(
    gold=tuple(GoldBucket(gold, 100 * number) for number, gold in enumerate(range(200, 700, 50), 1)),
    kill_participation=tuple(KillParticipation(name, 0.55, 3500, 0.45, 3400) for name in POSITIONS),
    items=(
        GroupStatistics(XSS, 360_000, 0.5, 0.55),
        *(GroupStatistics(f"Lord Dominik's Regards {number}", 9_000 - number, 0.12, 0.51) for number in range(9)),
    ),
    keystones=tuple(
        GroupStatistics(name, 14_400, 0.2, 0.49) for name in ("Conqueror", "Electrocute", "Grasp of the Undying")
    ),
)
NO_BUILDS = BuildStatistics((), (), (), ())

REPORT = StackReport("sample", CREATED_AT, TIME_RANGE, MATCHES, BUILDS, PIPELINE, FIGURES)
EMPTY_REPORT = StackReport(
    "sample",
    CREATED_AT,
    TIME_RANGE,
    NO_MATCHES,
    NO_BUILDS,
    EMPTY_PIPELINE,
    EMPTY_FIGURES,
    ("No document is searchable yet.",),
)
REPORT_WITHOUT_SOURCES = StackReport(
    "sample",
    CREATED_AT,
    TIME_RANGE,
    None,
    None,
    None,
    None,
    ("Elasticsearch does not answer", "Prometheus does not answer"),
)


def status(*stages: StageHealth) -> StackStatus:
    """A status with these stages after a healthy one, and one stopped service."""
    running = ("elasticsearch", "spark-job", "spark-master")
    stopped = ServiceHealth("generator", "exited", False, 0, timedelta(), 2)
    return StackStatus(
        stack="sample",
        at=TIME_RANGE.end,
        outputs={
            "imageSource": "build",
            "services": {
                "elasticsearch": {"9200": "localhost:9200"},
                "spark-job": {"4040": "localhost:4040"},
                "spark-master": {"8080": "localhost:8080"},
            },
            "leftOut": {"kibana": "no registry has it"},
        },
        health=StackHealth(
            (StageHealth("containers", "3, 1.5 GiB of memory in use"), *stages),
            (
                *(ServiceHealth(name, "healthy", True, 512 * 2**20, timedelta(hours=3), 0) for name in running),
                stopped,
            ),
        ),
        trends=PIPELINE,
    )
