"""The pipeline in a period, as Prometheus has it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from infra.clients.prometheus import PrometheusClient
from tools.time_range import STEPS, Period

Points = tuple[tuple[datetime, float], ...]

BATCH, AGE = "lol_job_batch_duration_seconds", "lol_job_message_age_seconds"
LAG = "sum(lol_job_kafka_lag_messages)"
LEAST_RATE_SECONDS = 60
"""A rate needs some scrapes, which are 10 s apart, and batches between them."""
NOW_SECONDS = 300
"""Over which `now` figures are taken."""


@dataclass(frozen=True)
class Pipeline:
    """Each chart's lines by their names, and the figures of the last minutes (None: no value)."""

    messages: Mapping[str, Points]
    """Messages a second."""
    documents: Mapping[str, Points]
    """Documents a second that Elasticsearch acknowledged, by index without its `lol_`."""
    lag: Mapping[str, Points]
    """Messages that the job has not processed."""
    batch_seconds: Mapping[str, Points]
    message_age_seconds: Mapping[str, Points]
    """From Kafka to acknowledged by Elasticsearch."""
    dead_letters: Mapping[str, float]
    """Messages since the job last started, by reason; a reason without any may be missing."""
    lag_now: float | None
    batch_now: tuple[float | None, float | None]
    """Median and p95 in seconds."""
    message_age_now: tuple[float | None, float | None]
    """Median and p99 in seconds."""
    dead_letters_arrived: float | None
    """Messages in a time as long as the period, until now."""
    oldest: datetime | None
    """Before this Prometheus has nothing."""


def read(prometheus: PrometheusClient, period: Period) -> Pipeline:
    """The pipeline in `period`. Raises PrometheusError."""
    ends = f'kafka_log_log_logendoffset{{topic="lol_matches_dlq"}}[{STEPS * period.step_seconds}s]'
    window = f"{max(period.step_seconds, LEAST_RATE_SECONDS)}s"

    def lines(query: str, name: str = "") -> dict[str, Points]:
        """The query's series by their label `name`, or the only one as "" where it has none."""
        found = prometheus.range(query, period.start, period.end, period.step_seconds)
        return dict(sorted((series.labels.get(name, ""), series.points) for series in found))

    def line(query: str) -> Points:
        """The query's only series; no points where it has none."""
        return next(iter(lines(query).values()), ())

    def quantiles(metric: str, *wanted: float) -> dict[str, Points]:
        return {f"p{quantile * 100:.0f}": line(_quantile(quantile, metric, window)) for quantile in wanted}

    def now(quantile: float, metric: str) -> float | None:
        return prometheus.value(_quantile(quantile, metric, f"{NOW_SECONDS}s"))

    oldest = prometheus.value("prometheus_tsdb_lowest_timestamp_seconds < time()")  # beyond any time while it is empty
    indexed = lines(f"sum by (name) (rate(lol_job_indexed_documents_total[{window}]))", "name")
    return Pipeline(
        messages={
            "sent by the generator": line(f"sum(rate(generator_messages_delivered_total[{window}]))"),
            "processed by the job": line(f"sum(rate(lol_job_messages_total[{window}]))"),
        },
        documents={name.removeprefix("lol_"): points for name, points in indexed.items()},
        lag={"behind": line(LAG)},
        batch_seconds=quantiles(BATCH, 0.5, 0.95),
        message_age_seconds=quantiles(AGE, 0.5, 0.99),
        dead_letters=prometheus.values("sum by (reason) (lol_job_dead_letters_total)", "reason"),
        lag_now=prometheus.value(LAG),
        batch_now=(now(0.5, BATCH), now(0.95, BATCH)),
        message_age_now=(now(0.5, AGE), now(0.99, AGE)),
        # The topic's end outlives the job, whose counters do not. `increase` would extrapolate it to fractions.
        dead_letters_arrived=prometheus.value(f"sum(max_over_time({ends}) - min_over_time({ends}))"),
        oldest=None if oldest is None else datetime.fromtimestamp(oldest, UTC),
    )


def _quantile(quantile: float, metric: str, window: str) -> str:
    return f"histogram_quantile({quantile}, sum by (le) (rate({metric}_bucket[{window}])))"
