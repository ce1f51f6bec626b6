"""The dashboard with sample data: `streamlit run tests/support/sample_dashboard.py`.

The numbers of documents and of a player's games change with each refresh. In the URL, `refresh_seconds=1` shortens the
interval, and with one of OUTAGES as the patch, as in `patch=elasticsearch-fails`, a source fails after its first read.
"""

from __future__ import annotations

import runpy
import time
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import streamlit as st
from elastic_transport import ConnectionError as ElasticConnectionError

from analytics.builds import GoldBucket, GroupStatistics
from analytics.champion_details import ChampionDetails
from analytics.match_statistics import FilterValues, MatchStatistics
from analytics.pipeline_metrics import DeadLetterMetrics, PipelineFigures
from analytics.player import Player, PlayerChampion, PlayerGame, PlayerQueue
from analytics.time_range import TimeRange
from dashboard import page, sources
from dashboard.sources import DisplayedDeadLetter
from dashboard.view import View
from infra.clients.prometheus import Alert, PrometheusError
from tests.support.report_samples import CREATED_AT, DEAD_LETTERS, FIGURES, MATCHES, PIPELINE, SHORT_XSS, XSS

GROUPS = (GroupStatistics(XSS, 20, 0.2, 0.55), GroupStatistics("Infinity Edge", 10, 0.1, 0.45))
MEANS = {
    "win": 0.55,
    "kda": 3.1,
    "gold_per_minute": 402.4,
    "damage_per_minute": 611.5,
    "cs_per_minute": 6.2,
    "kill_participation": 0.51,
}


def changing() -> int:
    """A number that is another one in each second."""
    return int(time.time()) % 1_000_000


# Source and error by patch. Not a docstring, which Streamlit would show.
OUTAGES = {
    "elasticsearch-fails": ("matches", ElasticConnectionError("Connection refused")),
    "prometheus-fails": ("pipeline figures", PrometheusError(f"Prometheus does not answer: {XSS}")),
}


def fail(source: str, view: View) -> None:
    """Raise the error of the selected outage, but not at the viewer's first read."""
    failing, error = OUTAGES.get(view.filter.patch, ("", None))
    if error and failing == source:
        if st.session_state.get("was_read"):
            raise error
        st.session_state["was_read"] = True


def matches(time_range: TimeRange, view: View, _: str) -> MatchStatistics:
    """The samples, moved to the time range; with a champion selected, only its row and its number of games."""
    fail("matches", view)
    champions = [champion for champion in MATCHES.champions if view.filter.champion in ("", champion.name)]
    return replace(
        MATCHES,
        total_documents=changing(),
        count=sum(champion.games for champion in champions) if view.filter.champion else MATCHES.count,
        absent=None if champions else ("champion",),
        champions=tuple(champions),
        steps=tuple(
            replace(step, start=start) for step, start in zip(MATCHES.steps, time_range.step_times, strict=False)
        ),
        newest_arrived_at=datetime.now(UTC),
    )


def champion(time_range: TimeRange, _: View, __: str) -> ChampionDetails:
    """The same for each champion."""
    points = tuple((time, 50.0) for time in time_range.step_times[1:])
    gold = tuple(GoldBucket(gold, gold // 10) for gold in range(300, 700, 50))
    return ChampionDetails(100, MEANS, GROUPS, GROUPS, GROUPS, GROUPS, gold, points, time_range, absent=None)


def player(_: TimeRange, __: View, wanted: str) -> Player | None:
    """A player whose name is what was searched; "nobody" is none."""
    game = PlayerGame("EUW1_1", CREATED_AT, 1845, "5v5 Ranked Solo", "Ahri", "Middle", 7, 3, 9, True)
    attack = replace(game, match_id=SHORT_XSS, queue=SHORT_XSS, champion=SHORT_XSS, position=SHORT_XSS, won=None)
    games = (game, replace(game, won=False), attack)
    queues = (PlayerQueue("5v5 Ranked Solo", 2, MEANS), PlayerQueue(XSS, 1, MEANS | {"kill_participation": None}))
    champions = (PlayerChampion(XSS, SHORT_XSS, 2, 0.5, 3.2),)
    return None if wanted == "nobody" else Player("p" * 78, (wanted, XSS), changing(), queues, champions, games)


LETTER = DisplayedDeadLetter(
    "0:17", CREATED_AT, SHORT_XSS, f"\x1b[31m{XSS}", SHORT_XSS, 9, ((XSS, XSS),), f"\x00{{{XSS}", ""
)
ALERT = Alert("JobDown", "firing", "critical", "The job is down", XSS, "Look: …\nDo: …", CREATED_AT)


def figures(_: TimeRange, view: View, __: str) -> PipelineFigures:
    """The samples."""
    fail("pipeline figures", view)
    return FIGURES


def moved(lines: Any, time_range: TimeRange) -> Any:
    """The samples, moved to the time range."""
    times = time_range.step_times[1:]
    return {
        name: tuple((time, value) for time, (_, value) in zip(times, points, strict=False))
        for name, points in lines.items()
    }


def pipeline(time_range: TimeRange, _: View, __: str) -> Any:
    """The samples, moved to the time range."""
    series = ("messages", "documents", "lag", "batch_seconds", "freshness_seconds", "lag_by_partition")
    return replace(PIPELINE, **{name: moved(getattr(PIPELINE, name), time_range) for name in series})


def dead_letter_metrics(time_range: TimeRange, _: View, __: str) -> DeadLetterMetrics:
    """The samples, moved to the time range."""
    return replace(DEAD_LETTERS, rates=moved(DEAD_LETTERS.rates, time_range))


# Not sources of their own, because Streamlit runs this file at each visit: their data would be lost.
sources.matches.read = matches
sources.champion.read = champion
sources.player.read = player
sources.pipeline.read = pipeline
sources.dead_letter_metrics.read = dead_letter_metrics
sources.pipeline_figures.read = figures
sources.filter_values.read = lambda *_: FilterValues((420, 1700), ("EUW1",), ("16.4",), ("Ahri", "Jinx"))
sources.alerts.read = lambda *_: [ALERT]
sources.newest_dead_letters.read = lambda *_: [LETTER]
sources.dead_letter.read = lambda *_: LETTER
vars(sources)["lifetime"] = lambda *_: 0  # each refresh reads
vars(page)["REFRESH_SECONDS"] = float(st.query_params.get("refresh_seconds", sources.REFRESH_SECONDS))
runpy.run_path(str(Path(sources.__file__).with_name("app.py")))
