"""The pipeline's metrics over a time range, from Prometheus: throughput, lag, batch time, freshness (latency)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial

from analytics.time_range import STEPS, TimeRange
from infra.clients.prometheus import PrometheusClient
from infra.names import DEAD_LETTER_TOPIC

Points = tuple[tuple[datetime, float], ...]
"""A time series."""

BATCH_METRIC, FRESHNESS_METRIC = "lol_job_batch_duration_seconds", "lol_job_message_age_seconds"
LABELS = {BATCH_METRIC: 'query="matches"'}
"""The labels of the series that a metric is read from: batches of the documents. All series without an entry."""
LAG = "sum(lol_job_kafka_lag_messages)"
MIN_RATE_WINDOW_SECONDS = 60
"""A rate needs several scrapes, which are 10 s apart, with batches between them."""
NOW_SECONDS = 300
"""The window of the `…_now` figures."""


@dataclass(frozen=True)
class PipelineMetrics:
    """Time series by the name of their line in a chart, and the figures of the last minutes (None: no value): those
    before now, or before the end of a time range that is over."""

    messages: Mapping[str, Points]
    """Throughput: messages per second, sent and processed."""
    documents: Mapping[str, Points]
    """Throughput: documents per second that Elasticsearch acknowledged, by index alias without its `lol_`."""
    lag: Mapping[str, Points]
    """Messages in the topic that the job has not processed."""
    batch_seconds: Mapping[str, Points]
    freshness_seconds: Mapping[str, Points]
    """Latency from Kafka's arrival time until Elasticsearch has acknowledged the documents."""
    dead_letter_rates: Mapping[str, Points]
    """Dead letters a minute, by reason."""
    lag_by_partition: Mapping[str, Points]
    sink_waits: Mapping[str, Points]
    """Retries a minute of writes to a service that does not answer, by service."""
    dead_letters: Mapping[str, float]
    """Messages since the job last started, by reason; a reason without messages may be missing."""
    lag_now: float | None
    batch_seconds_now: tuple[float | None, float | None]
    """Median and p95."""
    freshness_seconds_now: tuple[float | None, float | None]
    """Median and p99."""
    new_dead_letters: float | None
    """Messages that became dead letters in the time range, or in as much time before now."""
    late_matches: float | None
    """Matches that came too late for the windows of the statistics, since the job last started."""
    oldest_sample: datetime | None
    """Prometheus has no data from before this time."""


def read_pipeline_metrics(prometheus: PrometheusClient, time_range: TimeRange) -> PipelineMetrics:
    """Query the metrics in `time_range`. Raises PrometheusError."""
    ends = f'kafka_log_log_logendoffset{{topic="{DEAD_LETTER_TOPIC}"}}[{STEPS * time_range.step_seconds}s]'
    window = f"{max(time_range.step_seconds, MIN_RATE_WINDOW_SECONDS)}s"

    def series_by_label(query: str, label: str = "") -> dict[str, Points]:
        """The query's series by the value of `label`; a series without the label is under ""."""
        found = prometheus.range(query, time_range.start, time_range.end, time_range.step_seconds)
        return dict(sorted((series.labels.get(label, ""), series.points) for series in found))

    def single_series(query: str) -> Points:
        """The query's only series; no points if it has none."""
        return next(iter(series_by_label(query).values()), ())

    def quantiles(metric: str, *wanted: float) -> dict[str, Points]:
        return {f"p{quantile * 100:.0f}": single_series(_quantile(quantile, metric, window)) for quantile in wanted}

    # Of now, or of the time range's end if that is earlier.
    value = partial(prometheus.value, at=None if time_range.is_last else time_range.end)

    def now(quantile: float, metric: str) -> float | None:
        return value(_quantile(quantile, metric, f"{NOW_SECONDS}s"))

    # An empty Prometheus reports a time in the far future.
    oldest = prometheus.value("prometheus_tsdb_lowest_timestamp_seconds < time()")
    indexed = series_by_label(f"sum by (name) (rate(lol_job_indexed_documents_total[{window}]))", "name")
    return PipelineMetrics(
        messages={
            "sent by the generator": single_series(f"sum(rate(generator_messages_delivered_total[{window}]))"),
            "processed by the job": single_series(f"sum(rate(lol_job_messages_total[{window}]))"),
        },
        documents={name.removeprefix("lol_"): points for name, points in indexed.items()},
        lag={"lag": single_series(LAG)},
        batch_seconds=quantiles(BATCH_METRIC, 0.5, 0.95),
        freshness_seconds=quantiles(FRESHNESS_METRIC, 0.5, 0.99),
        dead_letter_rates=series_by_label(
            f"sum by (reason) (rate(lol_job_dead_letters_total[{window}])) * 60 > 0", "reason"
        ),
        lag_by_partition={
            f"partition {partition}": points
            for partition, points in series_by_label(
                "max by (partition) (lol_job_kafka_lag_messages)", "partition"
            ).items()
        },
        sink_waits=series_by_label(f"sum by (service) (rate(lol_job_sink_waits_total[{window}])) * 60 > 0", "service"),
        dead_letters=prometheus.values("sum by (reason) (lol_job_dead_letters_total)", "reason"),
        lag_now=value(LAG),
        batch_seconds_now=(now(0.5, BATCH_METRIC), now(0.95, BATCH_METRIC)),
        freshness_seconds_now=(now(0.5, FRESHNESS_METRIC), now(0.99, FRESHNESS_METRIC)),
        # From the topic's end offsets, because the job's counters restart with it. `increase` would extrapolate to
        # fractions.
        new_dead_letters=value(f"sum(max_over_time({ends}) - min_over_time({ends}))"),
        # Not within the time range: `increase` would extrapolate to another number.
        late_matches=value("sum(lol_job_late_matches_total)"),
        oldest_sample=None if oldest is None else datetime.fromtimestamp(oldest, UTC),
    )


def _quantile(quantile: float, metric: str, window: str) -> str:
    series = f"{metric}_bucket{{{LABELS.get(metric, '')}}}"
    return f"histogram_quantile({quantile}, sum by (le) (rate({series}[{window}])))"
