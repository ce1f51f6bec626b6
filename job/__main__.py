"""The job's entry point: `python -m job --config FILE`. `run` has the data flow from top to bottom.

Exit codes: 0 after SIGTERM or SIGINT, 1 after an error (Docker's restart policy then restarts the job), 2 for invalid
settings.
"""

import argparse
import logging
import sys
import threading
from collections.abc import Sequence
from queue import Empty, SimpleQueue

from py4j.protocol import Py4JError
from pyspark.errors import PySparkException
from pyspark.sql.streaming.query import StreamingQuery

from job import settings, startup_checks, topic
from job.command_line import add_config_argument, load_settings, on_termination_signal
from job.documents import MatchAliases
from job.driver import session
from job.driver.checkpoints import Checkpoints
from job.driver.health import JobHealth, QueryHealth
from job.driver.http_server import pages
from job.driver.metrics import Metrics, freshness_goal
from job.driver.query import MATCHES, STATISTICS, Queries, stop_gracefully
from job.driver.starting_offsets import StartResolver
from job.errors import JobError, root_cause
from job.kafka_client import client_settings
from job.lag import ConsumerLag
from job.sinks import dead_letters, elasticsearch, sink_wait
from job.tasks.index_matches import SinkConfig
from job.topic import TopicInspector, TopicOffsets
from job.web_server import serve

log = logging.getLogger("job")

_QUERY_POLL_SECONDS = 5
_FIRST_BATCH_POLL_SECONDS = 0.5
_FAILED_GRACE_SECONDS = 3


def main() -> int:
    """Run the job until a signal or an error ends it; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m job", description=__doc__)
    add_config_argument(parser)
    options = load_settings(parser.parse_args().config)
    on_termination_signal(lambda: sys.exit(0))  # until the query runs there is nothing to shut down
    try:
        return run(options)
    except (JobError, PySparkException, Py4JError) as error:
        log.error("%s", root_cause(str(error)))
        return 1


def run(options: settings.Settings) -> int:
    """Check the dependencies, start the queries, wait until something ends the job, and shut down gracefully."""
    end_reasons: SimpleQueue[str] = SimpleQueue()  # empty text: a signal, anything else: an error
    aliases = MatchAliases.of_settings(options.elasticsearch)
    attempt_seconds = max(options.elasticsearch.request_timeout_seconds, dead_letters.ATTEMPT_SECONDS)
    metrics = Metrics(aliases)
    metrics.freshness_goal.set(freshness_goal(options.batch.interval_milliseconds / 1000))
    for alias in (*aliases, options.elasticsearch.champions, options.elasticsearch.positions):
        metrics.rejected.labels(alias)  # a counter exists before its first event, or Prometheus misses that one
    of_matches = metrics.add_query(MATCHES, ConsumerLag("lol_job_kafka_lag_messages", query=MATCHES))
    of_statistics = metrics.add_query(STATISTICS, ConsumerLag("lol_job_statistics_lag_messages"))
    health = JobHealth(
        QueryHealth(MATCHES),
        QueryHealth(STATISTICS),
        options.http.max_batch_age_seconds,
        attempt_seconds,
        on_wait=metrics.count_wait,
    )
    metrics.export_waits(health)
    serve(pages(health), options.http)
    receiver = sink_wait.Receiver(health.record_sink_wait, health.record_sink_progress)

    log.info("✓ Connected to Elasticsearch: %s", startup_checks.wait_for_elasticsearch(options.elasticsearch))
    kafka = TopicInspector(options.kafka)
    incarnation = kafka.connect()
    startup_checks.wait_for_spark_master(options.master)
    spark = session.start(options)
    log.info("✓ Initialized Spark Structured Streaming")
    checkpoints = Checkpoints(spark, options.checkpoint_location, incarnation)
    resolver = StartResolver(kafka, incarnation, checkpoints)
    start = resolver.start_of_matches(
        options.kafka.starting_offsets, lambda: startup_checks.has_indexed_matches(options.elasticsearch)
    )
    statistics_start = resolver.start_of_statistics(start, metrics.record_lost_statistics)
    of_matches.lag.set_processed_offsets(start.offsets | checkpoints.committed_offsets(MATCHES))
    of_statistics.lag.set_processed_offsets(statistics_start.offsets | checkpoints.committed_offsets(STATISTICS))

    sinks = SinkConfig(
        elasticsearch_connection=elasticsearch.Connection.of(options.elasticsearch),
        kafka=client_settings(options.kafka),
        dead_letter_topic=options.kafka.dead_letter_topic,
        driver=receiver.address(options.driver.host),
    )

    def on_topic_offsets(offsets: TopicOffsets) -> None:
        metrics.set_topic_offsets(offsets)
        health.set_topic_offsets(offsets)

    on_termination_signal(lambda: end_reasons.put(""))
    log.info("✓ Starting Spark Structured Streaming Consumer")
    queries = Queries(spark, options, sinks, checkpoints, health, metrics, end_reasons.put)
    running = [queries.start_matches(start, of_matches)]
    stopped = threading.Event()
    topic.watch(kafka, incarnation, end_reasons.put, on_topic_offsets, stopped, health.record_topic_wait)
    # The first batches take many times as long as later ones. Those of the documents come first.
    reason = wait_for_end(end_reasons, running, health.matches.first_batch)
    if reason is None:
        running.append(queries.start_statistics(statistics_start, of_statistics))
        reason = wait_for_end(end_reasons, running)
    stopped.set()
    if reason:
        log.error("The job ends: %s", root_cause(reason))
    else:
        log.info("Stopping: the current batch is finished first")
    # After an error, and without Kafka, the current batch may never finish: it gets less time.
    may_not_finish = reason or health.waits_for_topic()
    grace_seconds = _FAILED_GRACE_SECONDS if may_not_finish else options.stop_grace_seconds
    if not stop_gracefully(spark, running, grace_seconds):
        log.warning("The batch did not finish in time; it runs again at the next start")
    spark.stop()
    log.info("Stopped")
    return 1 if reason else 0


def wait_for_end(
    end_reasons: "SimpleQueue[str]", queries: Sequence[StreamingQuery], event: threading.Event | None = None
) -> str | None:
    """Wait for the first reason to end the job; empty after a signal, None if the event has been set before.

    Polls the queries as well, because a JVM that has crashed sends no event. Raises JobError in that case.
    """
    while True:
        try:
            return end_reasons.get(timeout=_FIRST_BATCH_POLL_SECONDS if event else _QUERY_POLL_SECONDS)
        except Empty:
            if event and event.is_set():
                return None
            try:
                active = all(query.isActive for query in queries)
            except (Py4JError, OSError) as error:
                raise JobError("Spark's JVM has died; see the log above, or it was killed (out of memory?)") from error
            if not active:
                return "a query ended without an error message"


if __name__ == "__main__":
    sys.exit(main())
