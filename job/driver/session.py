"""The Spark session with its configuration, and the distribution of this package to the executors."""

import logging
import os
import re
import shlex
import shutil
import tempfile
from pathlib import Path

from py4j.protocol import Py4JJavaError
from pyspark.sql import SparkSession

from job.errors import JobError
from job.settings import Settings

log = logging.getLogger(__name__)

_PACKAGE = Path(__file__).parents[1]

# The serial garbage collector returns heap to the system and costs least on few cores. A JVM that is out of memory
# must exit instead of hanging. The class data archive of the image halves the time to start.
_JVM_OPTIONS = (
    "-XX:+UseSerialGC -Xms96m -XX:MinHeapFreeRatio=20 -XX:MaxHeapFreeRatio=40 -XX:+ExitOnOutOfMemoryError "
    "-XX:SharedArchiveFile=/opt/spark/spark.jsa"
)
# The driver plans batches. The first of the two compilers is enough for that, and the second would compete with the
# executors for minutes after each start.
_DRIVER_JVM_OPTIONS = f"{_JVM_OPTIONS} -XX:TieredStopAtLevel=1"

_FIXED = {
    # A streaming query is planned once a batch; adaptive execution would plan it again at each stage.
    "spark.sql.adaptive.enabled": "false",
    "spark.sql.session.timeZone": "UTC",
    # The next batch with messages closes windows that are over. An extra batch without data, only for that, would
    # double the number of batches.
    "spark.sql.streaming.noDataMicroBatches.enabled": "false",
    # The two queries share the cores (conf/fairscheduler.xml).
    "spark.scheduler.mode": "FAIR",
    # With tasks of 100 ms, waiting 3 s (the default) for data locality is never worth it.
    "spark.locality.wait": "100ms",
    # Limits the memory of a Python worker: a match can be 90 KB, a message 10 MB. Beyond 4 MiB, the executor's buffers
    # double, and each copy misses the processor's caches.
    "spark.sql.execution.arrow.maxRecordsPerBatch": "2000",
    "spark.sql.execution.arrow.maxBytesPerBatch": str(3 * 2**20),
    # PySpark would record the call site of each DataFrame operation, for error messages that are not used here.
    "spark.python.sql.dataFrameDebugging.enabled": "false",
    # Shuffle files are deleted when the driver garbage-collects their references, and an idle driver seldom collects.
    "spark.cleaner.periodicGC.interval": "5min",
    # Executors cache data fetched from Kafka, for 5 minutes by default, for a task that continues at that offset. There
    # is no such task when a backlog is read in ranges, and the cache acts as a memory leak: 40,000 full-size matches in
    # 5 minutes exceed the heap.
    "spark.kafka.consumer.fetchedData.cache.timeout": "1s",
    "spark.kafka.consumer.fetchedData.cache.evictorThreadRunInterval": "1s",
    # Checkpoints: enough batches to debug by hand, instead of 100 with small files each.
    "spark.sql.streaming.minBatchesToRetain": "20",
    "spark.sql.streaming.stopTimeout": "2s",
    # The Spark UI shows the recent past only; with a batch a second its history would fill the heap.
    "spark.ui.retainedJobs": "40",
    "spark.ui.retainedStages": "60",
    "spark.ui.retainedTasks": "400",
    "spark.ui.dagGraph.retainedRootRDDs": "20",
    "spark.sql.ui.retainedExecutions": "20",
    "spark.sql.streaming.ui.retainedProgressUpdates": "60",
    "spark.sql.streaming.numRecentProgressUpdates": "5",
    "spark.ui.showConsoleProgress": "false",
    # As in the properties of master and workers.
    "spark.ui.killEnabled": "false",
    "spark.ui.heapHistogramEnabled": "false",
    # Spark's own metrics, with a namespace that does not change with the application id.
    "spark.ui.prometheus.enabled": "true",
    "spark.metrics.namespace": "lol_match_streaming",
}

# A checkpoint on the local file system: QuickLocalFileSystem creates its files without starting a process for each.
# Spark uses that class only through Hadoop's older FileSystem API.
_LOCAL_CHECKPOINT = {
    "spark.hadoop.fs.file.impl": "lolstack.QuickLocalFileSystem",
    "spark.sql.streaming.checkpointFileManagerClass": (
        "org.apache.spark.sql.execution.streaming.checkpointing.FileSystemBasedCheckpointFileManager"
    ),
}


# Spark stops a driver that no master has accepted within a minute. The error does not name the cause; which one it is
# depends on what the driver was doing at that moment.
_STOPPED = re.compile(r'stopped SparkContext|return value of "org\.apache\.spark\.SparkContext\.\w+\(\)" is null')


def start(settings: Settings) -> SparkSession:
    """Start the driver's JVM, connect to the Spark cluster, and distribute this package to the executors.

    Raises JobError if the cluster's master does not accept the driver.
    """
    configuration = {
        **_FIXED,
        **(_LOCAL_CHECKPOINT if settings.checkpoint_location.startswith("file:") else {}),
        "spark.app.name": settings.app_name,
        "spark.master": settings.master,
        "spark.driver.host": settings.driver.host,
        "spark.driver.bindAddress": "0.0.0.0",
        "spark.driver.memory": settings.driver.memory,
        "spark.driver.extraJavaOptions": f"{_DRIVER_JVM_OPTIONS} -Dlog.format={settings.log.format}",
        "spark.ui.port": str(settings.driver.ui_port),
        "spark.executor.memory": settings.executor.memory,
        "spark.executor.cores": str(settings.executor.cores),
        "spark.executor.extraJavaOptions": _JVM_OPTIONS,
        "spark.default.parallelism": str(settings.parallelism),
        "spark.sql.shuffle.partitions": str(settings.parallelism),
    }
    if settings.spark_properties_file:
        # Every local user can read the JVM's command line, on which the builder's properties stand. The cluster's
        # secret must not be there.
        os.environ["PYSPARK_SUBMIT_ARGS"] = shlex.join(
            ["--properties-file", settings.spark_properties_file, "pyspark-shell"]
        )
    builder = SparkSession.builder
    for key, value in configuration.items():
        builder = builder.config(key, value)
    try:
        spark = builder.getOrCreate()
    except Py4JJavaError as error:
        if not _STOPPED.search(str(error)):
            raise
        raise JobError(
            f"spark_properties_file: the Spark master at {settings.master} does not accept this job: is it "
            "healthy (its page says ALIVE, not STANDBY), and is spark.authenticate.secret in "
            f"{settings.spark_properties_file or '(no file)'} that of the master? "
            "The warnings above have Spark's reason"
        ) from error
    # The file stays while the driver runs: each new executor downloads it.
    package = shutil.make_archive(f"{tempfile.mkdtemp()}/job", "zip", _PACKAGE.parent, _PACKAGE.name)
    spark.sparkContext.addPyFile(package)
    return spark
