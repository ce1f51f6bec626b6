"""The dashboard "Pipeline": throughput, lag, latency and dead letters by stage, from producer to document."""

from __future__ import annotations

from grafana_foundation_sdk.models import units
from grafana_foundation_sdk.models.dashboard import Dashboard

from infra.clients.prometheus import offsets_growth
from infra.grafana.layout import Query, Row, above, dashboard, stat, time_series
from infra.names import DEAD_LETTER_TOPIC, MATCHES_TOPIC

MESSAGES_PER_SECOND = "count:messages/s"
DOCUMENTS_PER_SECOND = "count:documents/s"

# The stack's goals at its default rate.
BATCH_P95_SECONDS = 1.0
FRESHNESS_P99_SECONDS = 2.5
NO_BATCH_SECONDS = 60


def _quantile(quantile: float, histogram: str) -> str:
    return f"histogram_quantile({quantile}, sum by (le) (rate({histogram}_bucket[$__rate_interval])))"


def _quantiles(histogram: str) -> list[Query]:
    return [Query(_quantile(quantile, histogram), f"p{quantile * 100:.0f}") for quantile in (0.5, 0.95, 0.99)]


def _quantiles_by_query(histogram: str) -> list[Query]:
    rate = f"sum by (le, query) (rate({histogram}_bucket[$__rate_interval]))"
    return [
        Query(f"histogram_quantile({quantile}, {rate})", f"p{quantile * 100:.0f} of {{{{query}}}}")
        for quantile in (0.5, 0.95)
    ]


def _or_none(expression: str, label: str) -> str:
    """The series of `expression` that are not zero, or one of zeros with the label value `none`."""
    return f'{expression} > 0 or on() label_replace(vector(0), "{label}", "none", "", "")'


def pipeline() -> Dashboard:
    """The dashboard. Expressions aggregate over all queries of the job: two may read the same messages."""
    return dashboard(
        "Pipeline",
        "From the producer to the searchable document: rates, lag, batch time, freshness and dead letters by stage.",
        [_overview(), _ingest(), _job_input(), _job_output(), _dead_letters(), _statistics()],
    )


def _overview() -> Row:
    return Row(
        "At a glance",
        [
            stat(
                "Into Kafka",
                "Messages that producers write to lol_matches.",
                MESSAGES_PER_SECOND,
                Query(f'sum(rate(kafka_log_log_logendoffset{{topic="{MATCHES_TOPIC}"}}[$__rate_interval]))', "in"),
            ),
            stat(
                "Processed by the job",
                "Messages with an outcome: every participant is indexed, or the message is a dead letter.",
                MESSAGES_PER_SECOND,
                Query("sum(rate(lol_job_messages_total[$__rate_interval]))", "processed"),
            ),
            stat(
                "Lag",
                "Messages in Kafka that the job has not processed yet. Near 0 unless a backlog is drained.",
                units.Short,
                Query("max(sum by (query) (lol_job_kafka_lag_messages))", "messages"),
                limits=above(10_000, warning=1_000),
            ),
            stat(
                "Freshness, p99",
                "Latency from a message's arrival in Kafka to Elasticsearch's acknowledgement.",
                units.Seconds,
                Query(_quantile(0.99, "lol_job_message_age_seconds"), "p99"),
                limits=above(4 * FRESHNESS_P99_SECONDS, warning=FRESHNESS_P99_SECONDS),
                no_data="no message",
            ),
            stat(
                "Since the last batch",
                "Time since the slowest query finished a micro-batch. It grows while no messages arrive.",
                units.Seconds,
                Query("time() - min(lol_job_last_batch_timestamp_seconds)", "age"),
                limits=above(NO_BATCH_SECONDS, warning=NO_BATCH_SECONDS / 2),
            ),
            stat(
                "Dead letters in the time shown",
                "Messages sent to lol_matches_dlq. Their headers contain the reason.",
                units.Short,
                Query(offsets_growth(DEAD_LETTER_TOPIC, "$__range"), "letters"),
                limits=above(100, warning=1),
            ),
        ],
        width=4,
        height=4,
    )


def _ingest() -> Row:
    return Row(
        "1  Producer → Kafka",
        [
            time_series(
                "Messages into lol_matches, by partition",
                "Growth of the end offsets. Very different partitions mean unevenly distributed keys (skew).",
                MESSAGES_PER_SECOND,
                Query(
                    "sum by (partition) "
                    f'(rate(kafka_log_log_logendoffset{{topic="{MATCHES_TOPIC}"}}[$__rate_interval]))',
                    "partition {{partition}}",
                ),
            ),
            time_series(
                "Bytes into lol_matches",
                "Bytes that the broker receives, after the producers' compression.",
                units.BytesPerSecondIEC,
                Query(
                    "sum(rate("
                    f'kafka_server_brokertopicmetrics_bytesin_total{{topic="{MATCHES_TOPIC}"}}[$__rate_interval]))',
                    "in",
                ),
            ),
        ],
        width=12,
    )


def _job_input() -> Row:
    return Row(
        "2  Kafka → job",
        [
            time_series(
                "Messages read and processed",
                "Read: by each query of the job, from Kafka. Processed: indexed or a dead letter.",
                MESSAGES_PER_SECOND,
                Query("sum by (query) (rate(lol_job_input_rows_total[$__rate_interval]))", "read by {{query}}"),
                Query("sum(rate(lol_job_messages_total[$__rate_interval]))", "processed"),
            ),
            time_series(
                "Lag, by partition",
                "Messages that are not indexed yet. Statistics are updated every few seconds only.",
                units.Short,
                Query("max by (partition) (lol_job_kafka_lag_messages)", "partition {{partition}}"),
                Query("sum(lol_job_statistics_lag_messages)", "statistics, all partitions"),
                limits=above(10_000, warning=1_000),
            ),
            time_series(
                "Batch duration",
                "Micro-batches with input, by query.",
                units.Seconds,
                *_quantiles_by_query("lol_job_batch_duration_seconds"),
                limits=above(10 * BATCH_P95_SECONDS, warning=BATCH_P95_SECONDS),
                no_data="no batch with input",
            ),
            time_series(
                "Batch size",
                "Messages in a micro-batch with input (mean), and the limit for the documents' next one.",
                units.Short,
                Query(
                    "sum by (query) (rate(lol_job_input_rows_total[$__rate_interval])) / "
                    "sum by (query) (rate(lol_job_batch_duration_seconds_count[$__rate_interval]))",
                    "mean of {{query}}",
                ),
                Query("max(lol_job_batch_limit_messages)", "limit"),
                no_data="no batch with input",
            ),
        ],
    )


def _job_output() -> Row:
    return Row(
        "3  Job → Elasticsearch",
        [
            time_series(
                "Documents indexed",
                "Documents that Elasticsearch acknowledged, by index alias.",
                DOCUMENTS_PER_SECOND,
                Query("sum by (name) (rate(lol_job_indexed_documents_total[$__rate_interval]))", "{{name}}"),
            ),
            time_series(
                "Freshness",
                "Latency from arrival in Kafka to Elasticsearch's acknowledgement. Alert: p99 above 2.5 s by default.",
                units.Seconds,
                *_quantiles("lol_job_message_age_seconds"),
                limits=above(4 * FRESHNESS_P99_SECONDS, warning=FRESHNESS_P99_SECONDS),
                no_data="no message",
            ),
            time_series(
                "Retries of the sinks",
                "How often a sink waited for a service and retried (backpressure); 1 while one waits.",
                "count:waits/s",
                Query(
                    _or_none("sum by (service) (rate(lol_job_sink_waits_total[$__rate_interval]))", "service"),
                    "{{service}}",
                ),
                Query("max(lol_job_sink_waiting)", "waiting now"),
            ),
        ],
        width=8,
    )


def _dead_letters() -> Row:
    return Row(
        "4  Dead letters, dropped fields and rejected documents",
        [
            time_series(
                "Dead letters, by reason",
                "Messages that the job sent to lol_matches_dlq, per minute.",
                "count:messages/min",
                Query(
                    _or_none("sum by (reason) (60 * rate(lol_job_dead_letters_total[$__rate_interval]))", "reason"),
                    "{{reason}}",
                ),
            ),
            time_series(
                "Dropped fields",
                "Invalid optional fields, which documents lack, per minute. Their matches are indexed.",
                "count:fields/min",
                Query(
                    _or_none("sum by (field) (60 * rate(lol_job_dropped_fields_total[$__rate_interval]))", "field"),
                    "{{field}}",
                ),
            ),
            time_series(
                "Rejected documents",
                "Documents that Elasticsearch rejected for good, per minute. Their messages are dead letters.",
                "count:documents/min",
                Query(
                    _or_none("sum by (name) (60 * rate(lol_job_rejected_documents_total[$__rate_interval]))", "name"),
                    "{{name}}",
                ),
            ),
        ],
        width=8,
    )


def _statistics() -> Row:
    return Row(
        "5  Windowed statistics",
        [
            time_series(
                "Watermark delay",
                "How far the watermark is behind the clock. It does not advance while no messages arrive.",
                units.Seconds,
                Query("max(lol_job_watermark_delay_seconds)", "behind"),
                no_data="no watermark yet",
            ),
            time_series(
                "Late matches, and messages of matches that do not count",
                "In no window, per minute: matches older than the watermark, each once, with the rows that "
                "Spark drops for them, one for each message; and messages of matches of other queues than "
                "statistics.queue_ids, of remakes, of matches without a winner and of those with more than 18 "
                "participants.",
                "count:/min",
                Query("sum(60 * rate(lol_job_late_matches_total[$__rate_interval]))", "late matches"),
                Query(
                    "sum by (operator) (60 * rate(lol_job_rows_dropped_by_watermark_total[$__rate_interval]))",
                    "rows of {{operator}}",
                ),
                Query(
                    "sum by (reason) (60 * rate(lol_job_uncounted_matches_total[$__rate_interval]))",
                    "do not count: {{reason}}",
                ),
            ),
            time_series(
                "State rows",
                "State of the operators: matches for deduplication, open windows.",
                units.Short,
                Query("sum by (operator) (lol_job_state_rows)", "{{operator}}"),
            ),
            time_series(
                "State memory",
                "Memory of the operators' state on the executors.",
                units.BytesIEC,
                Query("sum by (operator) (lol_job_state_memory_bytes)", "{{operator}}"),
            ),
        ],
    )
