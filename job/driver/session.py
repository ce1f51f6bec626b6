"""The Spark session: the one place with Spark's own configuration."""

import logging
import shutil
import tempfile
from pathlib import Path

from pyspark.sql import SparkSession

from job.settings import Settings

log = logging.getLogger(__name__)

_PACKAGE = Path(__file__).parents[1]

# The serial collector gives memory back and costs least on few cores; a JVM without heap left must die, not linger.
_JVM = "-XX:+UseSerialGC -Xms96m -XX:MinHeapFreeRatio=20 -XX:MaxHeapFreeRatio=40 -XX:+ExitOnOutOfMemoryError"

_FIXED = {
    # Streaming plans are planned once a batch: adaptive execution would plan them again at each stage.
    "spark.sql.adaptive.enabled": "false",
    "spark.sql.session.timeZone": "UTC",
    # The next batch closes the windows that are over: one without messages, for that alone, would double their number.
    "spark.sql.streaming.noDataMicroBatches.enabled": "false",
    # With tasks of 100 ms, waiting 3 s for a better place is never worth it.
    "spark.locality.wait": "100ms",
    # What a Python worker holds at once; a match can be 90 KB, a message 10 MB.
    "spark.sql.execution.arrow.maxRecordsPerBatch": "2000",
    "spark.sql.execution.arrow.maxBytesPerBatch": str(8 * 2**20),
    # Python remembers for each frame where it was made, for error messages that no one reads here.
    "spark.python.sql.dataFrameDebugging.enabled": "false",
    # Shuffled data is removed when the driver collects what stood for it, and an idle driver seldom collects.
    "spark.cleaner.periodicGC.interval": "5min",
    # Executors keep what they have read from Kafka for a task that reads on from there, for 5 minutes by default. None
    # does where a backlog is read in ranges, and 40,000 full-size matches in that time are more than the heap holds.
    "spark.kafka.consumer.fetchedData.cache.timeout": "1s",
    "spark.kafka.consumer.fetchedData.cache.evictorThreadRunInterval": "1s",
    # Checkpoints: enough batches to look back by hand, not a hundred of small files each.
    "spark.sql.streaming.minBatchesToRetain": "20",
    "spark.sql.streaming.stopTimeout": "10s",
    # The pages on 4040 show the recent past; two batches a second would otherwise fill the heap with history.
    "spark.ui.retainedJobs": "40",
    "spark.ui.retainedStages": "60",
    "spark.ui.retainedTasks": "400",
    "spark.ui.dagGraph.retainedRootRDDs": "20",
    "spark.sql.ui.retainedExecutions": "20",
    "spark.sql.streaming.ui.retainedProgressUpdates": "60",
    "spark.sql.streaming.numRecentProgressUpdates": "5",
    "spark.ui.showConsoleProgress": "false",
    # Spark's own metrics, under a name that stays when the application's id changes.
    "spark.ui.prometheus.enabled": "true",
    "spark.metrics.namespace": "lol_match_streaming",
}

# A checkpoint in a folder of the machine's: its files are made without a process for each (QuickLocalFileSystem says
# why). Spark reaches that class through Hadoop's older interface alone.
_LOCAL_CHECKPOINT = {
    "spark.hadoop.fs.file.impl": "lolstack.QuickLocalFileSystem",
    "spark.sql.streaming.checkpointFileManagerClass": (
        "org.apache.spark.sql.execution.streaming.checkpointing.FileSystemBasedCheckpointFileManager"
    ),
}


def start(settings: Settings) -> SparkSession:
    """Start the JVM, connect to the Spark cluster, and give this package to the executors."""
    configuration = {
        **_FIXED,
        **(_LOCAL_CHECKPOINT if settings.checkpoint_location.startswith("file:") else {}),
        "spark.app.name": settings.app_name,
        "spark.master": settings.master,
        "spark.driver.host": settings.driver.host,
        "spark.driver.bindAddress": "0.0.0.0",
        "spark.driver.memory": settings.driver.memory,
        "spark.driver.extraJavaOptions": f"{_JVM} -Dlog.format={settings.log.format}",
        "spark.ui.port": str(settings.driver.ui_port),
        "spark.executor.memory": settings.executor.memory,
        "spark.executor.cores": str(settings.executor.cores),
        "spark.executor.extraJavaOptions": _JVM,
        "spark.default.parallelism": str(settings.parallelism),
        "spark.sql.shuffle.partitions": str(settings.parallelism),
    }
    builder = SparkSession.builder
    for key, value in configuration.items():
        builder = builder.config(key, value)
    spark = builder.getOrCreate()
    # The archive stays for the life of the driver: each new executor fetches it from here.
    package = shutil.make_archive(f"{tempfile.mkdtemp()}/job", "zip", _PACKAGE.parent, _PACKAGE.name)
    spark.sparkContext.addPyFile(package)
    return spark
