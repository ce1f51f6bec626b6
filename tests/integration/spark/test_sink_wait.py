"""A sink's wait names its streaming query, on the executors of a real Spark."""

from collections.abc import Iterator
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import pyarrow as pa
from pyspark.sql import SparkSession

from job.kafka_client import KafkaClientSettings
from job.sinks.elasticsearch import Connection
from job.sinks.sink_wait import Receiver, SinkProgress, SinkWait
from job.tasks.index_matches import NO_ROWS, QUERY_PROPERTY, SinkConfig


class Wait:
    """A function for `mapInArrow` whose sink waits once."""

    def __init__(self, sinks: SinkConfig) -> None:
        self._sinks = sinks

    def __call__(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        self._sinks._on_wait("Elasticsearch", "closed", 5)
        return iter(())


def test_sink_wait_has_the_name_of_its_query(spark: SparkSession, tmp_path: Path) -> None:
    """Also after the next query has set its own."""
    received: SimpleQueue[SinkWait | SinkProgress] = SimpleQueue()
    receiver = Receiver(received.put, received.put)
    kafka: Any = KafkaClientSettings
    sinks = SinkConfig(Connection((), 1), kafka, "dead_letters", receiver.address("127.0.0.1"))
    (tmp_path / "source").mkdir()
    session = spark.newSession()
    queries = []
    try:
        for name in ("matches", "statistics"):
            session.sparkContext.setLocalProperty(QUERY_PROPERTY, name)
            lines = session.readStream.format("text").load(str(tmp_path / "source"))
            stream = lines.mapInArrow(Wait(sinks), NO_ROWS).writeStream.queryName(name).format("noop")
            queries.append(stream.option("checkpointLocation", str(tmp_path / name)).start())
        (tmp_path / "source" / "file").write_text("line")
        waits = [received.get(timeout=60) for _ in queries]
    finally:
        for query in queries:
            query.stop()
        session.sparkContext.setLocalProperty(QUERY_PROPERTY, None)  # type: ignore[arg-type]
        receiver.close()
    assert {wait.query for wait in waits} == {"matches", "statistics"}
