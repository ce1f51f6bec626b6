"""The pipeline's metrics over a time range, from Prometheus: throughput, lag, batch time, freshness (latency)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial

from analytics.time_range import TimeRange
from infra.clients.prometheus import PrometheusClient, offsets_growth
from infra.names import DEAD_LETTER_TOPIC, MATCHES_TOPIC, SCRAPE_SECONDS

Points = tuple[tuple[datetime, float], ...]
"""A time series."""

BATCH_METRIC, FRESHNESS_METRIC = "lol_job_batch_duration_seconds", "lol_job_message_age_seconds"
LABELS = {BATCH_METRIC: 'query="matches"'}
"""The labels of the series that a metric is read from: batches of the documents. All series without an entry."""
LARGEST_BATCH_SECONDS, LARGEST_FRESHNESS_SECONDS = 300, 3600
"""The last bounds of the two histograms. A percentile above it is the bound itself."""
LAG = "sum(lol_job_kafka_lag_messages)"
MIN_RATE_WINDOW_SECONDS = 60
"""A rate needs several scrapes, with batches between them."""
NOW_SECONDS = 300
"""The window of the figures of now."""


@dataclass(frozen=True)
class PipelineMetrics:
    """Time series by the name of their line in a chart."""

    messages: Mapping[str, Points]
    """Throughput: messages per second, into the topic by any producer, and processed by the job."""
    documents: Mapping[str, Points]
    """Throughput: documents per second that Elasticsearch acknowledged, by index alias without its `lol_`."""
    lag: Mapping[str, Points]
    """Messages in the topic that the job has not processed."""
    batch_seconds: Mapping[str, Points]
    freshness_seconds: Mapping[str, Points]
    """Latency from Kafka's arrival time until Elasticsearch has acknowledged the documents."""
    lag_by_partition: Mapping[str, Points]
    sink_waits: Mapping[str, Points]
    """Retries a minute of writes to a service that does not answer, by service."""
    dead_letters: Mapping[str, float]
    """Messages since the job last started, by reason; empty if the job is down or not scraped."""


@dataclass(frozen=True)
class DeadLetterMetrics:
    """Dead letters by reason."""

    rates: Mapping[str, Points]
    """A minute, over time; empty if the job was down or not scraped."""
    counts: Mapping[str, float]
    """Since the job last started; empty if the job is down or not scraped."""
    oldest_sample: datetime | None
    """Prometheus has no data from before this time."""


@dataclass(frozen=True)
class PipelineFigures:
    """The figures of the last minutes (None: no value): those before now, or before the end of a time range that is
    over."""

    lag: float | None
    batch_seconds: tuple[float | None, float | None]
    """Median and p95."""
    freshness_seconds: tuple[float | None, float | None]
    """Median and p99."""
    new_dead_letters: float | None
    """Messages that became dead letters in the time range, or in as much time before now, as far as Prometheus has
    data of it."""
    late_matches: float | None
    """Matches that came too late for the windows of the statistics, since the job last started."""
    oldest_sample: datetime | None
    """Prometheus has no data from before this time."""


def read_pipeline_metrics(prometheus: PrometheusClient, time_range: TimeRange) -> PipelineMetrics:
    """Query the time series in `time_range`. Raises PrometheusError."""
    window = _window(time_range)
    series_by_label = partial(_series_by_label, prometheus, time_range)

    def single_series(query: str) -> Points:
        """The query's only series; no points if it has none."""
        return next(iter(series_by_label(query).values()), ())

    def quantiles(metric: str, *wanted: float) -> dict[str, Points]:
        return {f"p{quantile * 100:.0f}": single_series(_quantile(quantile, metric, window)) for quantile in wanted}

    indexed = series_by_label(f"sum by (name) (rate(lol_job_indexed_documents_total[{window}]))", "name")
    return PipelineMetrics(
        messages={
            "into the topic": single_series(
                f'sum(rate(kafka_log_log_logendoffset{{topic="{MATCHES_TOPIC}"}}[{window}]))'
            ),
            "processed": single_series(f"sum(rate(lol_job_messages_total[{window}]))"),
        },
        documents={name.removeprefix("lol_"): points for name, points in indexed.items()},
        lag={"lag": single_series(LAG)},
        batch_seconds=quantiles(BATCH_METRIC, 0.5, 0.95),
        freshness_seconds=quantiles(FRESHNESS_METRIC, 0.5, 0.99),
        lag_by_partition={
            f"partition {partition}": points
            for partition, points in series_by_label(
                "max by (partition) (lol_job_kafka_lag_messages)", "partition"
            ).items()
        },
        sink_waits=series_by_label(f"sum by (service) (rate(lol_job_sink_waits_total[{window}])) * 60 > 0", "service"),
        dead_letters=_read_dead_letters(prometheus),
    )


def read_dead_letter_metrics(prometheus: PrometheusClient, time_range: TimeRange) -> DeadLetterMetrics:
    """Query the dead letters in `time_range`. Raises PrometheusError."""
    rates = f"sum by (reason) (rate(lol_job_dead_letters_total[{_window(time_range)}])) * 60"
    return DeadLetterMetrics(
        rates=_series_by_label(prometheus, time_range, rates, "reason"),
        counts=_read_dead_letters(prometheus),
        oldest_sample=_read_oldest_sample(prometheus),
    )


def read_pipeline_figures(prometheus: PrometheusClient, time_range: TimeRange) -> PipelineFigures:
    """Query the figures of now, or of the end of `time_range` if that is earlier. Raises PrometheusError."""
    value = partial(prometheus.value, at=None if time_range.is_last else time_range.end)

    def quantiles(metric: str, lower: float, upper: float) -> tuple[float | None, float | None]:
        window = f"{NOW_SECONDS}s"
        return value(_quantile(lower, metric, window)), value(_quantile(upper, metric, window))

    return PipelineFigures(
        lag=value(LAG),
        batch_seconds=quantiles(BATCH_METRIC, 0.5, 0.95),
        freshness_seconds=quantiles(FRESHNESS_METRIC, 0.5, 0.99),
        # From the topic, because the job's counters restart with it.
        new_dead_letters=value(offsets_growth(DEAD_LETTER_TOPIC, f"{time_range.steps * time_range.step_seconds}s")),
        # Not within the time range: `increase` would extrapolate to another number.
        late_matches=value("sum(lol_job_late_matches_total)"),
        oldest_sample=_read_oldest_sample(prometheus),
    )


def _window(time_range: TimeRange) -> str:
    """The window of rates over time.

    One scrape longer than the step, so that neighbouring windows share a sample. Otherwise an increase between the last
    sample of a window and the first of the next would be in neither. A rate is per second of the samples, so that each
    increase counts once, not more.
    """
    return f"{max(time_range.step_seconds, MIN_RATE_WINDOW_SECONDS) + SCRAPE_SECONDS}s"


def _series_by_label(
    prometheus: PrometheusClient, time_range: TimeRange, query: str, label: str = ""
) -> dict[str, Points]:
    """The query's series by the value of `label`; a series without the label is under ""."""
    found = prometheus.range(query, time_range.start, time_range.end, time_range.step_seconds)
    return dict(sorted((series.labels.get(label, ""), series.points) for series in found))


def _read_dead_letters(prometheus: PrometheusClient) -> dict[str, float]:
    """The dead letters since the job last started, by reason."""
    return prometheus.values("sum by (reason) (lol_job_dead_letters_total)", "reason")


def _read_oldest_sample(prometheus: PrometheusClient) -> datetime | None:
    # An empty Prometheus reports a time in the far future.
    oldest = prometheus.value("prometheus_tsdb_lowest_timestamp_seconds < time()")
    return None if oldest is None else datetime.fromtimestamp(oldest, UTC)


def _quantile(quantile: float, metric: str, window: str) -> str:
    series = f"{metric}_bucket{{{LABELS.get(metric, '')}}}"
    return f"histogram_quantile({quantile}, sum by (le) (rate({series}[{window}])))"
