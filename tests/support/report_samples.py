"""A report and a status made by hand."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from tools.health import ChainState, Link, ServiceState
from tools.pipeline_metrics import Pipeline, Points
from tools.report.matches import LENGTHS, POSITIONS, Champion, Length, Match, Matches, Minute, Position, Side
from tools.report.page import Report
from tools.status import Status
from tools.time_range import STEPS, Period

MADE = datetime(2026, 3, 1, 12, 0, 30, tzinfo=UTC)
PERIOD = Period.last(1, MADE)
HOSTILE = "</script><img src=https://example.com/x onerror=alert(1)>"
"""A name that a player could try."""


def points(value: float) -> Points:
    """The same value at each step."""
    return tuple((PERIOD.start + timedelta(seconds=PERIOD.step_seconds * n), value) for n in range(1, STEPS + 1))


PIPELINE = Pipeline(
    messages={"sent by the generator": points(2), "processed by the job": points(1.9)},
    documents={"champion_stats": points(31), "matches_stream": points(20)},
    lag={"behind": points(0)},
    batch_seconds={"p50": points(0.4), "p95": points(0.8)},
    message_age_seconds={"p50": points(0.9), "p99": points(1.6)},
    dead_letters={"not_json": 3, "null_value": 0},
    lag_now=0,
    batch_now=(0.4, 0.8),
    message_age_now=(0.9, 1.6),
    dead_letters_arrived=5,
    oldest=PERIOD.start - timedelta(days=3),
)
NO_PIPELINE = Pipeline(
    messages={"sent by the generator": (), "processed by the job": ()},
    documents={},
    lag={"behind": ()},
    batch_seconds={"p50": (), "p95": ()},
    message_age_seconds={"p50": (), "p99": ()},
    dead_letters={},
    lag_now=None,
    batch_now=(None, None),
    message_age_now=(None, None),
    dead_letters_arrived=None,
    oldest=None,
)


def champion(name: str, games: int, win_rate: float) -> Champion:
    return Champion(name, games, games / 7200, win_rate, 3.1, 402.4, 611.5, 6.2)


def match(number: int, champions: tuple[str, ...] = ("Aatrox", "LeeSin", "Ahri", "Jinx", "Thresh")) -> Match:
    return Match(
        id=f"EUW1_{number}",
        ended=PERIOD.end - timedelta(seconds=number),
        duration=1845,
        queue=420,
        patch="16.4",
        remake=False,
        winner="red",
        blue=champions,
        red=("Garen", "Viego", "Syndra", "Kaisa", "Nautilus"),
        blue_kills=21,
        red_kills=33,
    )


CHAMPIONS = (
    champion(HOSTILE, 3000, 0.61),
    champion("Jinx", 2000, 0.493),
    champion("Ahri", 1000, 0.52),
    *(champion(f"Number{n}", 900 - n, 0.5) for n in range(60)),
)
MATCHES = Matches(
    documents_ever=1_234_567,
    newest_ended=PERIOD.end,
    newest_arrived=MADE - timedelta(seconds=1),
    count=7200,
    documents=72_000,
    minutes=tuple(Minute(PERIOD.start + timedelta(minutes=n), 120, 1200) for n in range(STEPS)),
    champions=CHAMPIONS,
    positions=tuple(Position(name, 7000, 3.2, 180, 410) for name in (*POSITIONS, "UNKNOWN")),
    sides=(Side("blue", 0.52, 31, 60_000, 95_000, 900, 140), Side("red", 0.48, 30, 59_000, 94_000, 890, 141)),
    lengths=tuple(Length(least, below, 100 + least) for least, below in LENGTHS),
    last=(*(match(n) for n in range(9)), match(10, (HOSTILE,))),
)
NO_MATCHES = Matches(0, None, None, 0, 0, (), (), (), (), (), ())


REPORT = Report("sample", MADE, PERIOD, MATCHES, PIPELINE)
EMPTY_REPORT = Report("sample", MADE, PERIOD, NO_MATCHES, NO_PIPELINE, ("No document can be found yet.",))
SILENT_REPORT = Report("sample", MADE, PERIOD, None, None, ("Elasticsearch does not answer", "nor does Prometheus"))


def status(*links: Link) -> Status:
    """A status with these links after a healthy one, and a service that was stopped."""
    names = ("elasticsearch", "spark-job", "spark-master")
    stopped = ServiceState("generator", "exited", False, 0, timedelta(), 2)
    return Status(
        stack="sample",
        at=PERIOD.end,
        outputs={
            "imageSource": "build",
            "services": {
                "elasticsearch": {"9200": "localhost:9200"},
                "spark-job": {"4040": "localhost:4040"},
                "spark-master": {"7077": "localhost:7077", "8080": "localhost:8080"},
            },
            "leftOut": {"kibana": "no registry has it"},
        },
        chain=ChainState(
            (Link("containers", "3, 1.5 GiB of memory in use"), *links),
            (*(ServiceState(name, "healthy", True, 512 * 2**20, timedelta(hours=3), 0) for name in names), stopped),
        ),
        trends=PIPELINE,
    )
