"""The dashboard "Pipeline": what becomes of the messages, stage by stage from the producer to the document."""

from __future__ import annotations

from grafana_foundation_sdk.models import units
from grafana_foundation_sdk.models.dashboard import Dashboard

from infra.grafana.layout import Query, Row, above, dashboard, stat, time_series

MESSAGES_PER_SECOND = "count:messages/s"
DOCUMENTS_PER_SECOND = "count:documents/s"

# What the stack promises at its default rate.
BATCH_P95_SECONDS = 1.0
FRESHNESS_P99_SECONDS = 2.5
NO_BATCH_SECONDS = 60


def _quantile(quantile: float, histogram: str) -> str:
    return f"histogram_quantile({quantile}, sum by (le) (rate({histogram}_bucket[$__rate_interval])))"


def _quantiles(histogram: str) -> list[Query]:
    return [Query(_quantile(quantile, histogram), f"p{quantile * 100:.0f}") for quantile in (0.5, 0.95, 0.99)]


def _or_none(expression: str, label: str) -> str:
    """`expression`, or a series of zeros called `none` while nothing has happened yet that it could count."""
    return f'{expression} or on() label_replace(vector(0), "{label}", "none", "", "")'


def pipeline() -> Dashboard:
    """Expressions add up over the job's queries, whatever they are called: two may read the same messages."""
    return dashboard(
        "Pipeline",
        "From the producer to the searchable document: rates, lag, batch time, freshness and dead letters by stage.",
        [
            Row(
                "At a glance",
                [
                    stat(
                        "Into Kafka",
                        "Messages that producers write to lol_matches.",
                        MESSAGES_PER_SECOND,
                        Query('sum(rate(kafka_log_log_logendoffset{topic="lol_matches"}[$__rate_interval]))', "in"),
                    ),
                    stat(
                        "Done by the job",
                        "Messages whose fate is sealed: each participant is indexed, or the message is a dead letter.",
                        MESSAGES_PER_SECOND,
                        Query("sum(rate(lol_job_messages_total[$__rate_interval]))", "done"),
                    ),
                    stat(
                        "Lag",
                        "Messages in Kafka that the job has not processed. It is near 0 unless a backlog is drained.",
                        units.Short,
                        Query("max(sum by (query) (lol_job_kafka_lag_messages))", "messages"),
                        limits=above(10_000, warning=1_000),
                    ),
                    stat(
                        "Freshness, p99",
                        "From a message's arrival in Kafka to Elasticsearch's acknowledgement of its documents.",
                        units.Seconds,
                        Query(_quantile(0.99, "lol_job_message_age_seconds"), "p99"),
                        limits=above(4 * FRESHNESS_P99_SECONDS, warning=FRESHNESS_P99_SECONDS),
                        no_data="no message",
                    ),
                    stat(
                        "Since the last batch",
                        "Time since the query that is furthest behind finished a batch. It grows while nobody sends.",
                        units.Seconds,
                        Query("time() - min(lol_job_last_batch_timestamp_seconds)", "age"),
                        limits=above(NO_BATCH_SECONDS, warning=NO_BATCH_SECONDS / 2),
                    ),
                    stat(
                        "Dead letters in the time shown",
                        "Messages sent to lol_matches_dlq. Their headers say why.",
                        units.Short,
                        Query(
                            'sum(increase(kafka_log_log_logendoffset{topic="lol_matches_dlq"}[$__range]))', "letters"
                        ),
                        limits=above(100, warning=1),
                    ),
                ],
                width=4,
                height=4,
            ),
            Row(
                "1  Producer → Kafka",
                [
                    time_series(
                        "Messages into lol_matches, by partition",
                        "The end offsets' growth. Partitions far apart mean keys that are not spread.",
                        MESSAGES_PER_SECOND,
                        Query(
                            "sum by (partition) "
                            '(rate(kafka_log_log_logendoffset{topic="lol_matches"}[$__rate_interval]))',
                            "partition {{partition}}",
                        ),
                    ),
                    time_series(
                        "Bytes into lol_matches",
                        "As the broker takes them, after the producers' compression.",
                        units.BytesPerSecondIEC,
                        Query(
                            'sum(rate(kafka_server_brokertopicmetrics_bytesin_total{topic="lol_matches"}[$__rate_interval]))',
                            "in",
                        ),
                    ),
                ],
                width=12,
            ),
            Row(
                "2  Kafka → job",
                [
                    time_series(
                        "Messages read and done",
                        "Read: taken from Kafka, by each query of the job. Done: indexed or a dead letter.",
                        MESSAGES_PER_SECOND,
                        Query("sum by (query) (rate(lol_job_input_rows_total[$__rate_interval]))", "read by {{query}}"),
                        Query("sum(rate(lol_job_messages_total[$__rate_interval]))", "done"),
                    ),
                    time_series(
                        "Lag, by partition",
                        "Messages that are not processed, for the query that is furthest behind.",
                        units.Short,
                        Query("max by (partition) (lol_job_kafka_lag_messages)", "partition {{partition}}"),
                        limits=above(10_000, warning=1_000),
                    ),
                    time_series(
                        "Batch time",
                        "Batches that had input, of all queries. Goal: p95 below 1 s at the default rate.",
                        units.Seconds,
                        *_quantiles("lol_job_batch_duration_seconds"),
                        limits=above(10 * BATCH_P95_SECONDS, warning=BATCH_P95_SECONDS),
                        no_data="no batch with input",
                    ),
                    time_series(
                        "Messages in a batch",
                        "The mean of the batches that had input, and the bound that is set on a batch.",
                        units.Short,
                        Query(
                            "sum(rate(lol_job_input_rows_total[$__rate_interval])) / "
                            "sum(rate(lol_job_batch_duration_seconds_count[$__rate_interval]))",
                            "mean",
                        ),
                        Query("max(lol_job_batch_limit_messages)", "bound"),
                        no_data="no batch with input",
                    ),
                ],
            ),
            Row(
                "3  Job → Elasticsearch",
                [
                    time_series(
                        "Documents indexed",
                        "Documents that Elasticsearch acknowledged, by the name they are found under.",
                        DOCUMENTS_PER_SECOND,
                        Query("sum by (name) (rate(lol_job_indexed_documents_total[$__rate_interval]))", "{{name}}"),
                    ),
                    time_series(
                        "Freshness",
                        "From a message's arrival in Kafka to Elasticsearch's acknowledgement. Goal: p99 below 2.5 s.",
                        units.Seconds,
                        *_quantiles("lol_job_message_age_seconds"),
                        limits=above(4 * FRESHNESS_P99_SECONDS, warning=FRESHNESS_P99_SECONDS),
                        no_data="no message",
                    ),
                    time_series(
                        "Waits for a service",
                        "How often a sink had to wait for a service and try again, and whether one waits now (1).",
                        "count:waits/s",
                        Query(
                            _or_none("sum by (service) (rate(lol_job_sink_waits_total[$__rate_interval]))", "service"),
                            "{{service}}",
                        ),
                        Query("max(lol_job_sink_waiting)", "waiting now"),
                    ),
                ],
                width=8,
            ),
            Row(
                "4  What did not get through",
                [
                    time_series(
                        "Dead letters, by reason",
                        "Messages that the job sent to lol_matches_dlq, each minute.",
                        "count:messages/min",
                        Query(
                            _or_none(
                                "sum by (reason) (60 * rate(lol_job_dead_letters_total[$__rate_interval]))", "reason"
                            ),
                            "{{reason}}",
                        ),
                    ),
                    time_series(
                        "Refused documents",
                        "Documents that Elasticsearch refused for good, each minute; their messages are dead letters.",
                        "count:documents/min",
                        Query(
                            _or_none(
                                "sum by (name) (60 * rate(lol_job_rejected_documents_total[$__rate_interval]))", "name"
                            ),
                            "{{name}}",
                        ),
                    ),
                ],
                width=12,
            ),
            Row(
                "5  Statistics in windows",
                [
                    time_series(
                        "The watermark behind the clock",
                        "How long a window stays open for late matches; it stands still while nobody sends.",
                        units.Seconds,
                        Query("max(lol_job_watermark_delay_seconds)", "behind"),
                        no_data="no watermark yet",
                    ),
                    time_series(
                        "Too late to count",
                        "Matches and windows that came after the watermark and are in no statistic, each minute.",
                        "count:rows/min",
                        Query(
                            "sum by (operator) (60 * rate(lol_job_rows_dropped_by_watermark_total[$__rate_interval]))",
                            "{{operator}}",
                        ),
                    ),
                    time_series(
                        "Rows of state",
                        "What the operators remember: matches seen, open windows.",
                        units.Short,
                        Query("sum by (operator) (lol_job_state_rows)", "{{operator}}"),
                    ),
                    time_series(
                        "Memory of state",
                        "What the operators' state takes on the executors.",
                        units.BytesIEC,
                        Query("sum by (operator) (lol_job_state_memory_bytes)", "{{operator}}"),
                    ),
                ],
            ),
        ],
    )
