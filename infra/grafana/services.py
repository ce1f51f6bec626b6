"""The dashboard "Services": health, throughput, latency and memory of each service, one row each."""

from __future__ import annotations

from grafana_foundation_sdk.models import units
from grafana_foundation_sdk.models.dashboard import Dashboard

from infra.grafana.layout import Panel, Query, Row, above, below, dashboard, stat, time_series

REQUESTS_PER_SECOND = "count:requests/s"
MATCHES_PER_SECOND = "count:matches/s"


def _heap(job: str, used: str = "jvm_memory_used_bytes", most: str = "jvm_memory_max_bytes") -> Panel:
    selector = f'{{job="{job}", area="heap"}}'
    return time_series(
        "Heap",
        "The JVM's heap and its limit. A memory leak raises the level after each garbage collection.",
        units.BytesIEC,
        Query(f"sum({used}{selector})", "used"),
        Query(f"sum({most}{selector})", "limit"),
    )


def services(generator: bool) -> Dashboard:
    """The dashboard. `generator`: whether the stack has a generator; its row is the last."""
    rows = [
        _overview(),
        _zookeeper(),
        _kafka(),
        _spark_master(),
        _spark_workers(),
        _spark_driver(),
        _spark_executors(),
        _elasticsearch(),
        _cassandra(),
        _archive(),
        _prometheus(),
        _host(),
    ]
    return dashboard(
        "Services", "Each service of the stack, one row each.", [*rows, _generator()] if generator else rows
    )


def _overview() -> Row:
    return Row(
        "All services",
        [
            stat(
                "Scraped",
                "Whether Prometheus can scrape every instance of a scrape job.",
                units.Short,
                Query("min by (job) (up)", "{{job}}"),
                limits=below(1),
                words={0: "down", 1: "up"},
            )
        ],
        width=24,
        height=4,
    )


def _zookeeper() -> Row:
    return Row(
        "ZooKeeper",
        [
            time_series(
                "Packets",
                "Packets received and sent.",
                "count:packets/s",
                Query("sum(rate(zookeeper_packetsreceived_total[$__rate_interval]))", "received"),
                Query("sum(rate(zookeeper_packetssent_total[$__rate_interval]))", "sent"),
            ),
            time_series(
                "Request latency",
                "Mean and maximum since the server's start.",
                units.Milliseconds,
                Query("max(zookeeper_avgrequestlatency)", "mean"),
                Query("max(zookeeper_maxrequestlatency)", "highest"),
            ),
            time_series(
                "Connections",
                "Connected clients (Kafka is one), and outstanding requests.",
                units.Short,
                Query("sum(zookeeper_numaliveconnections)", "connections"),
                Query("sum(zookeeper_outstandingrequests)", "outstanding requests"),
            ),
            _heap("zookeeper"),
        ],
    )


def _kafka() -> Row:
    return Row(
        "Kafka",
        [
            time_series(
                "Bytes in and out",
                "All topics.",
                units.BytesPerSecondIEC,
                Query("sum(rate(kafka_server_brokertopicmetrics_bytesin_total[$__rate_interval]))", "in"),
                Query("sum(rate(kafka_server_brokertopicmetrics_bytesout_total[$__rate_interval]))", "out"),
            ),
            time_series(
                "Request latency, p99",
                "A fetch waits for new data by design, a produce request does not.",
                units.Seconds,
                Query(
                    'max by (request) (kafka_network_requestmetrics_totaltime_seconds{quantile="0.99"})', "{{request}}"
                ),
            ),
            time_series(
                "Unhealthy partitions",
                "Partitions without a leader (offline) or with too few in-sync replicas. Healthy: 0.",
                units.Short,
                Query("sum(kafka_controller_kafkacontroller_offlinepartitionscount)", "offline"),
                Query("sum(kafka_server_replicamanager_underreplicatedpartitions)", "under-replicated"),
                limits=above(1),
            ),
            time_series(
                "Idle request handlers",
                "The share of time that the broker's request handlers are idle. Near 0 the broker is overloaded.",
                units.PercentUnit,
                Query("avg(kafka_server_requesthandler_idle_ratio)", "idle"),
                limits=below(0.1, warning=0.3),
            ),
            time_series(
                "Log on disk",
                "Disk space of each topic's messages.",
                units.BytesIEC,
                Query("sum by (topic) (kafka_log_log_size)", "{{topic}}"),
            ),
            _heap("kafka"),
        ],
        width=8,
    )


def _spark_master() -> Row:
    return Row(
        "Spark master",
        [
            time_series(
                "Workers",
                "Workers that are alive, and all registered workers.",
                units.Short,
                Query("sum(metrics_master_aliveWorkers_Value)", "alive"),
                Query("sum(metrics_master_workers_Value)", "registered"),
            ),
            time_series(
                "Applications",
                "Running and waiting applications (the job is one). One waits if no worker has enough free resources.",
                units.Short,
                Query("sum(metrics_master_apps_Value)", "all"),
                Query("sum(metrics_master_waitingApps_Value)", "waiting"),
            ),
        ],
        width=12,
    )


def _spark_workers() -> Row:
    return Row(
        "Spark workers",
        [
            time_series(
                "Cores",
                "Allocated to executors, and free.",
                units.Short,
                Query("sum by (instance) (metrics_worker_coresUsed_Value)", "{{instance}} allocated"),
                Query("sum by (instance) (metrics_worker_coresFree_Value)", "{{instance}} free"),
            ),
            time_series(
                "Memory",
                "Allocated to executors, and free.",
                units.Mebibytes,
                Query("sum by (instance) (metrics_worker_memUsed_MB_Value)", "{{instance}} allocated"),
                Query("sum by (instance) (metrics_worker_memFree_MB_Value)", "{{instance}} free"),
            ),
            time_series(
                "Executors",
                "Executors that run on each worker.",
                units.Short,
                Query("sum by (instance) (metrics_worker_executors_Value)", "{{instance}}"),
            ),
        ],
        width=8,
    )


def _spark_driver() -> Row:
    driver = "metrics_lol_match_streaming_driver"  # spark.metrics.namespace in job/driver/session.py
    return Row(
        "Spark driver",
        [
            time_series(
                "Memory",
                "Used heap of the JVM, and memory of the Python process that starts it.",
                units.BytesIEC,
                Query(f"sum({driver}_ExecutorMetrics_JVMHeapMemory_Value)", "JVM heap"),
                Query('sum(process_resident_memory_bytes{job="job"})', "Python"),
            ),
            time_series(
                "CPU",
                "CPU cores in use by the JVM and the Python process.",
                "count:cores",
                Query(f"sum(rate({driver}_JVMCPU_jvmCpuTime_Value[$__rate_interval])) / 1e9", "JVM"),
                Query('sum(rate(process_cpu_seconds_total{job="job"}[$__rate_interval]))', "Python"),
            ),
            time_series(
                "Jobs and stages",
                "Running or waiting at the time of the scrape.",
                units.Short,
                Query(f"sum({driver}_DAGScheduler_job_activeJobs_Value)", "jobs"),
                Query(f"sum({driver}_DAGScheduler_stage_runningStages_Value)", "running stages"),
                Query(f"sum({driver}_DAGScheduler_stage_waitingStages_Value)", "waiting stages"),
            ),
            time_series(
                "Failures",
                "Failed jobs and stages, and dropped listener events, which cause gaps in the job's own metrics.",
                "count:failures/s",
                Query(f"sum(rate({driver}_appStatus_jobs_failedJobs_Count[$__rate_interval]))", "jobs"),
                Query(f"sum(rate({driver}_appStatus_stages_failedStages_Count[$__rate_interval]))", "stages"),
                Query(
                    f"sum(rate({driver}_LiveListenerBus_queue_streams_numDroppedEvents_Count[$__rate_interval]))",
                    "dropped events",
                ),
            ),
        ],
    )


def _spark_executors() -> Row:
    executors = '{executor_id!="driver"}'
    return Row(
        "Spark executors",
        [
            time_series(
                "Active tasks",
                "Running tasks at the time of the scrape, and the maximum.",
                units.Short,
                Query(f"sum(metrics_executor_activeTasks{executors})", "running"),
                Query(f"sum(metrics_executor_maxTasks{executors})", "maximum"),
            ),
            time_series(
                "Finished tasks",
                "Completed tasks, and failed tasks, which Spark retries.",
                "count:tasks/s",
                Query(f"sum(rate(metrics_executor_completedTasks_total{executors}[$__rate_interval]))", "completed"),
                Query(f"sum(rate(metrics_executor_failedTasks_total{executors}[$__rate_interval]))", "failed"),
            ),
            time_series(
                "Heap",
                "Used heap of the JVM, and the memory that is available to Spark's memory manager.",
                units.BytesIEC,
                Query(
                    f"sum by (executor_id) (metrics_executor_JVMHeapMemory_bytes{executors})", "{{executor_id}} used"
                ),
                Query(
                    f"sum by (executor_id) (metrics_executor_maxMemory_bytes{executors})",
                    "{{executor_id}} available to Spark",
                ),
            ),
            time_series(
                "Garbage collection",
                "The share of the tasks' time that the executor's JVM spent on it.",
                units.PercentUnit,
                Query(
                    f"sum(rate(metrics_executor_totalGCTime_seconds_total{executors}[$__rate_interval])) / "
                    f"sum(rate(metrics_executor_totalDuration_seconds_total{executors}[$__rate_interval]))",
                    "collecting",
                ),
                limits=above(0.3, warning=0.1),
            ),
        ],
    )


def _elasticsearch() -> Row:
    return Row(
        "Elasticsearch",
        [
            stat(
                "Health",
                "Cluster health. Yellow: replicas are missing. Red: primary shards are missing.",
                units.Short,
                Query(
                    'max(elasticsearch_cluster_health_status{color="yellow"}) + '
                    '2 * max(elasticsearch_cluster_health_status{color="red"})',
                    "health",
                ),
                limits=above(2, warning=1),
                words={0: "green", 1: "yellow", 2: "red"},
            ),
            time_series(
                "Documents indexed and searches",
                "Counted by Elasticsearch, including replicas and every client.",
                "count:operations/s",
                Query("sum(rate(elasticsearch_indices_indexing_index_total[$__rate_interval]))", "indexed"),
                Query("sum(rate(elasticsearch_indices_search_query_total[$__rate_interval]))", "shard searches"),
            ),
            time_series(
                "Operation latency",
                "Mean time in Elasticsearch to index a document, and to search a shard.",
                units.Seconds,
                Query(
                    "sum(rate(elasticsearch_indices_indexing_index_time_seconds_total[$__rate_interval])) / "
                    "sum(rate(elasticsearch_indices_indexing_index_total[$__rate_interval]))",
                    "document",
                ),
                Query(
                    "sum(rate(elasticsearch_indices_search_query_time_seconds[$__rate_interval])) / "
                    "sum(rate(elasticsearch_indices_search_query_total[$__rate_interval]))",
                    "search",
                ),
            ),
            time_series(
                "Rejected requests",
                "Requests that a full thread pool queue rejected (backpressure). The job retries them.",
                REQUESTS_PER_SECOND,
                Query(
                    "sum by (type) "
                    '(rate(elasticsearch_thread_pool_rejected_count{type=~"write|search"}[$__rate_interval]))',
                    "{{type}}",
                ),
            ),
            time_series(
                "Index size and free disk space",
                "Size of the indices, and free space on their disk.",
                units.BytesIEC,
                Query("sum(elasticsearch_indices_store_size_bytes)", "indices"),
                Query("min(elasticsearch_filesystem_data_available_bytes)", "free"),
            ),
            _heap("elasticsearch", "elasticsearch_jvm_memory_used_bytes", "elasticsearch_jvm_memory_max_bytes"),
        ],
        width=8,
    )


def _cassandra() -> Row:
    return Row(
        "Cassandra",
        [
            time_series(
                "Requests",
                "Read and write requests of clients.",
                REQUESTS_PER_SECOND,
                Query(
                    "sum by (operation) (rate(cassandra_clientrequest_requests_total[$__rate_interval]))",
                    "{{operation}}",
                ),
            ),
            time_series(
                "Latency, p99",
                "Latency of client requests.",
                units.Seconds,
                Query('max by (operation) (cassandra_clientrequest_latency_seconds{quantile="0.99"})', "{{operation}}"),
            ),
            time_series(
                "Failed requests",
                "Timeouts, unavailable replicas, failures.",
                REQUESTS_PER_SECOND,
                Query("sum(rate(cassandra_clientrequest_timeouts_total[$__rate_interval]))", "timeouts"),
                Query("sum(rate(cassandra_clientrequest_unavailables_total[$__rate_interval]))", "unavailable"),
                Query("sum(rate(cassandra_clientrequest_failures_total[$__rate_interval]))", "failures"),
            ),
            time_series(
                "Data on disk",
                "Disk space of the node's data.",
                units.BytesIEC,
                Query("sum(cassandra_storage_load_bytes)", "data"),
            ),
            time_series(
                "Pending compactions",
                "A growing number means that the disk cannot keep up with the writes.",
                units.Short,
                Query("sum(cassandra_compaction_pendingtasks)", "compactions"),
            ),
            _heap("cassandra"),
        ],
        width=8,
    )


def _archive() -> Row:
    return Row(
        "Archive",
        [
            time_series(
                "Matches",
                "Raw matches written to Cassandra, matches too large for it, and messages that cannot be read.",
                MATCHES_PER_SECOND,
                Query("sum(rate(lol_archive_matches_total[$__rate_interval]))", "written"),
                Query("sum(rate(lol_archive_refused_total[$__rate_interval]))", "too large"),
                Query("sum(rate(lol_archive_unreadable_total[$__rate_interval])) or vector(0)", "unreadable"),
            ),
            time_series(
                "Lag",
                "Messages in the topic that are not archived yet.",
                units.Short,
                Query("sum(lol_archive_lag_messages)", "messages"),
            ),
        ],
        width=12,
    )


def _prometheus() -> Row:
    return Row(
        "Prometheus",
        [
            time_series(
                "Alerts",
                "Alerts in Alertmanager: active and silenced.",
                units.Short,
                Query("sum by (state) (alertmanager_alerts)", "{{state}}"),
            ),
            time_series(
                "Notifications",
                "Notifications that Alertmanager sent, and failed ones.",
                "count:notifications/s",
                Query("sum(rate(alertmanager_notifications_total[$__rate_interval]))", "sent"),
                Query("sum(rate(alertmanager_notifications_failed_total[$__rate_interval]))", "failed"),
            ),
            time_series(
                "Scrape duration",
                "A scrape has a timeout of 10 s.",
                units.Seconds,
                Query("max by (job) (scrape_duration_seconds)", "{{job}}"),
                limits=above(10, warning=5),
            ),
            time_series(
                "Ingested samples",
                "Samples of all scrapes.",
                "count:samples/s",
                Query("sum(rate(prometheus_tsdb_head_samples_appended_total[$__rate_interval]))", "samples"),
            ),
            time_series(
                "Series in memory",
                "Active series, which determine Prometheus's memory.",
                units.Short,
                Query("sum(prometheus_tsdb_head_series)", "series"),
            ),
            time_series(
                "Memory",
                "Resident memory of the process.",
                units.BytesIEC,
                Query('sum(process_resident_memory_bytes{job="prometheus"})', "used"),
            ),
        ],
        width=8,
    )


def _host() -> Row:
    disks = '{device!~"(dm-|md).*"}'
    return Row(
        "Host",
        [
            time_series(
                "CPU",
                "CPU usage as a share of all cores, by mode.",
                units.PercentUnit,
                Query(
                    'sum by (mode) (rate(node_cpu_seconds_total{mode!="idle"}[$__rate_interval])) / '
                    'scalar(count(node_cpu_seconds_total{mode="idle"}))',
                    "{{mode}}",
                ),
            ),
            time_series(
                "Memory",
                "Total memory, and memory available without swapping.",
                units.BytesIEC,
                Query("max(node_memory_MemTotal_bytes)", "total"),
                Query("min(node_memory_MemAvailable_bytes)", "available"),
            ),
            time_series(
                "Disk traffic",
                "All physical disks. LVM, encrypted and RAID devices are left out: they would count twice.",
                units.BytesPerSecondIEC,
                Query(f"sum(rate(node_disk_read_bytes_total{disks}[$__rate_interval]))", "read"),
                Query(f"sum(rate(node_disk_written_bytes_total{disks}[$__rate_interval]))", "written"),
            ),
            time_series(
                "Disk space",
                "The disk with Docker's images and containers, and the one with its volumes: usually the same.",
                units.BytesIEC,
                Query('min(node_filesystem_avail_bytes{mountpoint="/"})', "free (images)"),
                Query('max(node_filesystem_size_bytes{mountpoint="/"})', "total (images)"),
                Query("min(elasticsearch_filesystem_data_available_bytes)", "free (volumes)"),
                Query("max(elasticsearch_filesystem_data_size_bytes)", "total (volumes)"),
            ),
        ],
    )


def _generator() -> Row:
    return Row(
        "Generator",
        [
            time_series(
                "Messages acknowledged by Kafka",
                "By kind: new matches, duplicates, remakes, poison messages.",
                "count:messages/s",
                Query("sum by (kind) (rate(generator_messages_delivered_total[$__rate_interval]))", "{{kind}}"),
            ),
            time_series(
                "Failed deliveries",
                "Messages that Kafka did not acknowledge after all retries.",
                "count:messages/s",
                Query("sum(rate(generator_delivery_failures_total[$__rate_interval]))", "failed"),
            ),
            time_series(
                "Since the last acknowledged message",
                "If it grows, Kafka or the generator has a problem.",
                units.Seconds,
                Query("time() - (max(generator_last_delivery_timestamp_seconds) > 0)", "age"),
                limits=above(60, warning=30),
            ),
        ],
        width=8,
    )
