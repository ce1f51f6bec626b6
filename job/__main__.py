"""The job's entry point: `python -m job --config FILE`. Top to bottom, this is the way of the data.

Exit codes: 0 after SIGTERM or SIGINT, 1 when something failed (the supervisor starts the job again), 2 for settings
that cannot be used.
"""

import argparse
import logging
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from queue import Empty, SimpleQueue

from py4j.protocol import Py4JError
from pyspark.errors import PySparkException
from pyspark.sql.streaming.query import StreamingQuery

from job import logs, settings, startup_checks, topic
from job.driver import session
from job.driver.batch_size import AdaptiveBatchSize, set_max_offsets
from job.driver.checkpoints import Checkpoints, StartingOffsets
from job.driver.metrics import Metrics, QueryListener, serve
from job.driver.query import MATCHES, MatchQuery, ShutdownGate, stop
from job.errors import JobError, root_cause
from job.sinks import sink_wait
from job.tasks.index_matches import SinkConfig
from job.topic import Incarnation, Offsets, TopicInspector

log = logging.getLogger("job")

_LOOK_SECONDS = 5
_FAILED_GRACE_SECONDS = 3
_EARLIEST = -2
"""Spark's offset for the beginning of a partition."""


def main() -> int:
    """Run the job until it is told to stop or something fails; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m job", description=__doc__)
    parser.add_argument("--config", type=Path, help="YAML file whose keys override those of config.yaml")
    try:
        options = settings.load(parser.parse_args().config)
    except settings.SettingsError as error:
        return error.print_errors()
    logs.configure(options.log)
    on_signal(lambda: sys.exit(0))  # before the queries run there is nothing to finish
    try:
        return run(options)
    except (JobError, PySparkException, Py4JError) as error:
        log.error("%s", root_cause(str(error)))
        return 1


def run(options: settings.Settings) -> int:
    """Connect to everything, start the query, and wait for the first reason to end."""
    ends: SimpleQueue[str] = SimpleQueue()  # why the job ends; empty text: it was told to
    metrics = Metrics(MATCHES, options.elasticsearch.matches, options.http.max_batch_age_seconds)
    serve(metrics, options.http.port)
    receiver = sink_wait.Receiver(metrics.wait)

    log.info("✓ Connected to Elasticsearch: %s", startup_checks.wait_for_elasticsearch(options.elasticsearch))
    kafka = TopicInspector(options.kafka)
    incarnation = kafka.connect()
    startup_checks.wait_for_spark_master(options.master)
    spark = session.start(options)
    log.info("✓ Initialized Spark Structured Streaming")
    checkpoints = Checkpoints(spark, options.checkpoint_location, incarnation)
    start = resolve_starting_offsets(options.kafka.starting_offsets, kafka, incarnation, checkpoints)

    bound = AdaptiveBatchSize(options.batch.initial_size(len(start.offsets)), options.batch.max_seconds)
    metrics.batch_limit.set(bound.messages)
    sinks = SinkConfig(
        elasticsearch_hosts=tuple(options.elasticsearch.hosts),
        elasticsearch_timeout=options.elasticsearch.request_timeout_seconds,
        bootstrap_servers=options.kafka.bootstrap_servers,
        dead_letter_topic=options.kafka.dead_letter_topic,
        driver=sink_wait.Address(options.driver.host, receiver.port),
    )
    flow = MatchQuery(spark, options, sinks, checkpoints, metrics, ShutdownGate())

    def adjust(messages: int, seconds: float) -> None:
        if bound.measured(messages, seconds):
            set_max_offsets(spark, query, bound.messages)
            metrics.batch_limit.set(bound.messages)

    QueryListener(metrics, adjust, lambda error: ends.put(error or "the query was stopped")).listen(spark)
    on_signal(lambda: ends.put(""))
    log.info("✓ Starting Spark Structured Streaming Consumer")
    query = flow.start(start)

    stopped = threading.Event()
    topic.watch(kafka, incarnation, ends.put, metrics.lag.set_end_offsets, stopped)
    reason = first_end(ends, query)
    stopped.set()
    if reason:
        log.error("The job ends: %s", root_cause(reason))
    else:
        log.info("Stopping: the batch in hand is finished first")
    # After a failure the batch in hand may be the very thing that cannot finish.
    if not stop(query, flow.gate, _FAILED_GRACE_SECONDS if reason else options.stop_grace_seconds):
        log.warning("The batch did not finish in time; it is done again at the next start")
    spark.stop()
    log.info("Stopped")
    return 1 if reason else 0


def on_signal(act: Callable[[], object]) -> None:
    """What SIGTERM (the supervisor's) and SIGINT (the keyboard's) do from now on."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: act())


def resolve_starting_offsets(
    position: settings.Position, kafka: TopicInspector, incarnation: Incarnation, checkpoints: Checkpoints
) -> StartingOffsets:
    """Where in the topic the queries begin: decided at the first start over an incarnation, kept from then on.

    A topic that was made anew is read from its beginning, whatever the settings say: what came in while the job was
    on its way would be skipped otherwise. The checkpoints of what it was before are removed.
    """
    checkpoints.check_writable()
    start = checkpoints.starting_offsets()
    if start is not None:
        _check_data_loss(start.offsets | checkpoints.committed_offsets(MATCHES), kafka, incarnation, checkpoints)
        log.info("Going on in topic %s, id %s", incarnation.topic, incarnation.topic_id)
    else:
        if checkpoints.has_other_incarnation():
            log.info("Topic %s was created again: reading it from its beginning", incarnation.topic)
            position = "earliest"
        start = StartingOffsets(incarnation.topic, str(position), kafka.offsets(incarnation, position))
        checkpoints.save(start)
        log.info("Beginning in topic %s, id %s, at %s", incarnation.topic, incarnation.topic_id, position)
    checkpoints.remove_replaced()
    # Spark wants to know of all partitions; one that was added since then is read from its beginning.
    added = dict.fromkeys(set(incarnation.partitions) - set(start.offsets), _EARLIEST)
    return StartingOffsets(start.topic, start.position, start.offsets | added)


def _check_data_loss(
    reached: Offsets, kafka: TopicInspector, incarnation: Incarnation, checkpoints: Checkpoints
) -> None:
    """Raises JobError where Kafka has deleted messages behind what was reached, or no longer has what was: Spark would
    say so in riddles."""
    begins, ends = kafka.offsets(incarnation, "earliest"), kafka.offsets(incarnation, "latest")
    lost = []
    for partition, offset in sorted(reached.items()):
        begin, end = begins.get(partition, offset), ends.get(partition, offset)
        if offset < begin:
            lost.append(f"{offset:,}-{begin - 1:,} of partition {partition} before they were read, by its retention")
        if offset > end:
            lost.append(f"{end:,}-{offset - 1:,} of partition {partition}, which were read (did its machine crash?)")
    if lost:
        raise JobError(
            f"kafka.topic: {incarnation.topic} has lost messages: {', '.join(lost)}; to go on with what is left, set "
            f"kafka.starting_offsets to earliest and remove the folder {checkpoints.folder}"
        )


def first_end(ends: "SimpleQueue[str]", query: StreamingQuery) -> str:
    """Wait for a reason to end. Looks after the query as well: from a JVM that died no event comes."""
    while True:
        try:
            return ends.get(timeout=_LOOK_SECONDS)
        except Empty:
            try:
                active = query.isActive
            except (Py4JError, OSError) as error:
                raise JobError("Spark's JVM has died; the log above may say why, else it was killed") from error
            if not active:
                return "the query ended without a word"


if __name__ == "__main__":
    sys.exit(main())
