"""The key figures: the numbers at the top of the report and of the dashboard."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from analytics.match_statistics import RECENT_MINUTES, MatchStatistics
from analytics.pipeline_metrics import LARGEST_BATCH_SECONDS, LARGEST_FRESHNESS_SECONDS, PipelineFigures
from analytics.time_range import TimeRange
from infra.names import make_command

STALE_SECONDS = 60
"""Data older than this is marked as bad."""


@dataclass(frozen=True)
class KeyFigure:
    """A number at the top of the page."""

    name: str
    value: str
    note: str
    bad: bool = False


def key_figures(
    matches: MatchStatistics | None, pipeline: PipelineFigures | None, time_range: TimeRange, now: datetime
) -> list[KeyFigure]:
    """The numbers at the top of the page, of the sources that are there."""
    found: list[KeyFigure] = []
    if matches:
        found += _match_figures(matches, time_range, now)
    if pipeline:
        found += _pipeline_figures(pipeline, time_range)
    return found


def explain_no_matches(
    matches: MatchStatistics, time_range: TimeRange, now: datetime, stack: str, advice: str
) -> list[str]:
    """Why the time range has no matches, and what to do; empty if it has some. `advice`: how to choose a longer one."""
    if matches.count:
        return []
    if matches.absent is not None:
        return [explain_absent(matches.absent)]
    if matches.newest_ended is None:
        if matches.total_documents:
            return ["No game in the index that these filters select has ended yet. Look again later."]
        status = make_command("status", stack)
        return [f"No document is searchable yet: `{status}` shows which stage of the pipeline is broken."]
    newest = f"the newest ended {matches.newest_ended:%Y-%m-%d %H:%M}"
    if matches.newest_ended >= time_range.end:
        do = "Look again later" if time_range.is_last else advice
        return [f"No game ended in this time range; {newest}. {do}."]
    # Messages of games that ended long ago may still be arriving.
    arrived = matches.newest_arrived_at
    is_silent = arrived is not None and (now - arrived).total_seconds() > STALE_SECONDS
    silent = f" No message has arrived since {arrived:%Y-%m-%d %H:%M}." if is_silent else ""
    return [f"No game ended in this time range; {newest}.{silent} {advice}."]


def explain_absent(filters: Sequence[str]) -> str:
    """That no document has the values of these filters; without any, that none matches all selected ones at once."""
    if not filters:
        return "No document matches all of these filters at once: remove one of them."
    names = " or ".join(f"this {name}" for name in filters)
    return f"No document has {names}: check the spelling, or choose another."


def explain_missing_metrics(oldest_sample: datetime | None, time_range: TimeRange) -> list[str]:
    """Which part of the time range Prometheus has no data of; empty if it has all."""
    oldest = _oldest_in(time_range, oldest_sample)
    if not oldest:
        return []
    return [f"Prometheus has no data from before {oldest}; the setting prometheusRetentionDays is its retention."]


def _oldest_in(time_range: TimeRange, oldest_sample: datetime | None) -> str:
    """The time of Prometheus's oldest sample if a part of the time range is before it, else empty."""
    if oldest_sample is None or oldest_sample <= time_range.start:
        return ""
    return f"{oldest_sample:%Y-%m-%d %H:%M}"


def _match_figures(matches: MatchStatistics, time_range: TimeRange, now: datetime) -> list[KeyFigure]:
    recent = matches.recent
    minutes = min(RECENT_MINUTES, (time_range.end - time_range.start) // timedelta(minutes=1))
    span = "a minute" if minutes == 1 else f"{minutes} minutes"
    last = "" if time_range.is_last else "the last "
    figures = [
        KeyFigure("Matches", compact(matches.count), time_range.words),
        KeyFigure(
            "Ended per minute",
            rate(recent.matches),
            f"{rate(recent.documents)} documents; mean of {last}{span}",
        ),
    ]
    if matches.arriving_per_minute is not None:
        note = f"matches, by arrival in Kafka; mean of {RECENT_MINUTES} minutes"
        figures.append(KeyFigure("Arriving per minute", rate(matches.arriving_per_minute), note))
    documents = f"in the index; {compact(matches.documents)} selected {time_range.words}"
    figures.append(KeyFigure("Documents", compact(matches.total_documents), documents))
    if matches.newest_arrived_at:
        # Its message may have arrived after `now` was read.
        age = max((now - matches.newest_arrived_at).total_seconds(), 0)
        figures.append(
            KeyFigure("Newest document", duration(age), "since its message arrived in Kafka", bad=age > STALE_SECONDS)
        )
    return figures


def _pipeline_figures(figures: PipelineFigures, time_range: TimeRange) -> list[KeyFigure]:
    (batch_p50, batch_p95), (freshness_p50, freshness_p99) = figures.batch_seconds, figures.freshness_seconds
    lag, dead_letters, late_matches = figures.lag, figures.new_dead_letters, figures.late_matches
    # In a time range that ends now, the dead letters are those up to now, of which there may be metrics since its end.
    is_before = not time_range.is_last and figures.oldest_sample and figures.oldest_sample >= time_range.end
    oldest = _oldest_in(time_range, figures.oldest_sample)
    since = f"since {oldest}; no older metrics" if oldest else time_range.words
    return [
        KeyFigure(
            "Freshness",
            _seconds(freshness_p50, LARGEST_FRESHNESS_SECONDS),
            f"p99 {_seconds(freshness_p99, LARGEST_FRESHNESS_SECONDS)}; from Kafka to indexed",
        ),
        KeyFigure(
            "Batch time",
            _seconds(batch_p50, LARGEST_BATCH_SECONDS),
            f"p95 {_seconds(batch_p95, LARGEST_BATCH_SECONDS)}",
        ),
        KeyFigure("Lag", "–" if lag is None else compact(lag), "messages not processed yet"),
        KeyFigure(
            "Dead letters",
            "–" if dead_letters is None else compact(dead_letters),
            "no metrics of this time range" if is_before else since,
            bad=bool(dead_letters),
        ),
        KeyFigure(
            "Late matches",
            "–" if late_matches is None else compact(late_matches),
            "too late for the windows, since the job started",
            bad=bool(late_matches),
        ),
    ]


def compact(number: float) -> str:
    """The number in few characters: 999,999, then 1.00 M, 12.3 M, 123 M, 1.00 G."""
    if round(number) < 10**6:
        return f"{number:,.0f}"
    if round(number / 10**6) < 1000:
        return f"{_three_digits(number / 10**6)} M"
    return f"{_three_digits(number / 10**9)} G"


def counted(number: float | None, noun: str) -> str:
    """The number with its noun: 1 game, 1,234 games, unknown games (None)."""
    text = "unknown" if number is None else f"{number:,.0f}"
    plural = "es" if noun.endswith("ch") else "s"
    return f"{text} {noun}{'' if text == '1' else plural}"


def rate(number: float) -> str:
    """A number per minute in few characters: 1,234, then 12.3, then 0.12 and 0.0012. Only 0 is "0"."""
    if round(number, 1) >= 1000:
        return f"{number:,.0f}"
    two_digits = f"{number:.2g}"
    return f"{number:.1f}" if float(two_digits) >= 1 else two_digits


def _seconds(value: float | None, bound: float) -> str:
    """Seconds with about three digits. At the last bound of its histogram, a percentile is that or more."""
    if value is None:
        return "–"
    if value >= bound:
        return f"> {bound / 3600:.0f} h" if bound >= 3600 else f"> {bound / 60:.0f} min"
    return f"{_three_digits(value)} s"


def duration(seconds: float) -> str:
    """Seconds, minutes, hours or days."""
    if round(seconds, 1) < 120:
        return f"{seconds:.1f} s"
    if round(seconds / 60) < 120:
        return f"{seconds / 60:.0f} min"
    if round(seconds / 3600) < 48:
        return f"{seconds / 3600:.0f} h"
    return f"{seconds / 86400:,.0f} d"


def _three_digits(value: float) -> str:
    """At most two decimals, and three digits: 0.05, 1.00, 12.3, 1,234. Counted after rounding: 9.996 is 10.0."""
    decimals = 2 if round(value, 2) < 10 else 1 if round(value, 1) < 100 else 0
    return f"{value:,.{decimals}f}"
