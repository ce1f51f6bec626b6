"""Writes the list of the classes that Spark's JVMs load: `load_classes.py FILE`. Runs while the image is built.

The class data archive is made from the list (Dockerfile). The program does what the job does, without other services:
a stateful streaming query with a Python function, on a driver, a master, a worker and an executor, and a query that
tries to read from Kafka. A class that is missing in the list is loaded from its jar.
"""

import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pyarrow as pa
from py4j.java_collections import ListConverter, MapConverter
from pyspark.errors import PySparkException
from pyspark.sql import SparkSession
from pyspark.sql import functions as F  # noqa: N812 - the usual name

_TIMEOUT_SECONDS = 300
_BATCHES = 2
_ROWS = "timestamp timestamp, value long"
_SCRAM_LOGIN_MODULE = "org.apache.kafka.common.security.scram.ScramLoginModule"
_DESERIALIZER = "org.apache.kafka.common.serialization.ByteArrayDeserializer"


def main() -> None:
    """Run the queries in JVMs that record their classes, and merge their lists."""
    folder = Path(tempfile.mkdtemp())
    options = f"-XX:+UseSerialGC -XX:DumpLoadedClassList={folder}/"
    spark = (
        SparkSession.builder.master("local-cluster[1,2,512]")
        .config("spark.driver.host", "127.0.0.1")
        .config("spark.driver.memory", "512m")
        .config("spark.executor.memory", "512m")
        .config("spark.driver.extraJavaOptions", f"{options}driver")
        .config("spark.executor.extraJavaOptions", f"{options}executor")
        .config("spark.sql.shuffle.partitions", "2")
        .config("spark.sql.adaptive.enabled", "false")
        .config("spark.ui.prometheus.enabled", "true")
        # Encrypted, as between the stack's processes.
        .config("spark.authenticate", "true")
        .config("spark.authenticate.secret", "of this program only")
        .config("spark.network.crypto.enabled", "true")
        .config("spark.network.crypto.authEngineVersion", "2")
        .config("spark.network.crypto.saslFallback", "false")
        .config("spark.network.crypto.cipher", "AES/GCM/NoPadding")
        .config("spark.ui.showConsoleProgress", "false")
        .getOrCreate()
    )
    run_stateful_query(spark)
    read_from_kafka(spark)
    poll_kafka(spark)
    read_metrics(spark)
    spark.stop()
    classes = {line for name in ("driver", "executor") for line in (folder / name).read_text().splitlines()}
    Path(sys.argv[1]).write_text("".join(f"{line}\n" for line in sorted(classes)))


def run_stateful_query(spark: SparkSession) -> None:
    """Run micro-batches with the operators of the job's queries."""
    query = (
        spark.readStream.format("rate-micro-batch")
        .option("rowsPerBatch", 20)
        .load()
        .mapInArrow(same, _ROWS)
        .withWatermark("timestamp", "600 seconds")
        .dropDuplicatesWithinWatermark(["value"])
        .groupBy(F.window("timestamp", "300 seconds", "60 seconds"), "value")
        .agg(F.count(F.lit(1)), F.round(F.avg("value"), 2))
        .writeStream.format("noop")
        .outputMode("update")
        .trigger(processingTime="1 second")
        .option("checkpointLocation", tempfile.mkdtemp())
        .start()
    )
    deadline = time.monotonic() + _TIMEOUT_SECONDS
    while not query.lastProgress or query.lastProgress["batchId"] < _BATCHES:
        if time.monotonic() > deadline or not query.isActive:
            sys.exit(f"the query has not run {_BATCHES} batches within {_TIMEOUT_SECONDS} s: {query.exception()}")
        time.sleep(0.2)
    query.stop()


def same(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """A function for `mapInArrow` that changes nothing."""
    return batches


def read_from_kafka(spark: SparkSession) -> None:
    """Fail to read a topic of a broker that does not exist."""
    query = (
        spark.readStream.format("kafka")
        .option("kafka.bootstrap.servers", "127.0.0.1:9")
        .option("kafka.default.api.timeout.ms", 2000)
        .option("kafka.request.timeout.ms", 1500)
        .option("fetchOffset.numRetries", 1)
        .option("subscribe", "none")
        .load()
        .writeStream.format("noop")
        .option("checkpointLocation", tempfile.mkdtemp())
        .start()
    )
    try:
        query.awaitTermination(_TIMEOUT_SECONDS)
    except PySparkException:
        return
    sys.exit("the query has read from a broker that does not exist")


def poll_kafka(spark: SparkSession) -> None:
    """Load what a consumer needs once it is connected: all requests and errors, batches of records, and the login."""
    context: Any = spark.sparkContext
    gateway, java = context._gateway, context._jvm.java
    kafka = context._jvm.org.apache.kafka
    kafka.common.protocol.ApiKeys.values()
    kafka.common.protocol.Errors.values()
    records = gateway.new_array(kafka.common.record.SimpleRecord, 1)
    records[0] = kafka.common.record.SimpleRecord(b"value")
    for kind in kafka.common.record.CompressionType.values():
        compression = kafka.common.compress.Compression.of(kind).build()
        kafka.common.record.MemoryRecords.withRecords(compression, records).records().iterator().next()
    settings = {
        "bootstrap.servers": "127.0.0.1:9",
        "security.protocol": "SASL_PLAINTEXT",
        "sasl.mechanism": "SCRAM-SHA-512",
        "sasl.jaas.config": f"{_SCRAM_LOGIN_MODULE} required username=of password=this;",
        "key.deserializer": _DESERIALIZER,
        "value.deserializer": _DESERIALIZER,
        "group.id": "none",
    }
    consumer = kafka.clients.consumer.KafkaConsumer(MapConverter().convert(settings, gateway._gateway_client))
    partition = kafka.common.TopicPartition("none", 0)
    consumer.assign(ListConverter().convert([partition], gateway._gateway_client))
    consumer.seek(partition, 0)
    consumer.poll(java.time.Duration.ofMillis(500))
    consumer.close(java.time.Duration.ofMillis(0))


def read_metrics(spark: SparkSession) -> None:
    """Load the server of the metrics that Prometheus reads from the driver."""
    for path in ("prometheus/", "executors/prometheus"):
        urlopen(f"{spark.sparkContext.uiWebUrl}/metrics/{path}", timeout=_TIMEOUT_SECONDS).read()


if __name__ == "__main__":
    main()
