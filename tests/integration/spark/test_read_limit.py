"""The read limit of a running query, for backpressure."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pyspark.sql import SparkSession

from job.driver.batch_size import set_read_limit


def test_read_limit_of_a_running_query_applies_to_its_next_batch(spark: SparkSession, tmp_path: Path) -> None:
    """With files of one line instead of Kafka's messages. That Kafka's source keeps to the limit: tests/stack."""
    jvm: Any = spark._jvm
    source = tmp_path / "source"
    source.mkdir()

    def add_files(folder: str, count: int) -> None:
        """Add a folder with files, all at once."""
        (tmp_path / folder).mkdir()
        for number in range(count):
            (tmp_path / folder / str(number)).write_text("line")
        (tmp_path / folder).rename(source / folder)

    def batch_sizes() -> list[int]:
        return [progress["numInputRows"] for progress in query.recentProgress if progress["numInputRows"]]

    def wait_for_batches(condition: Callable[[list[int]], bool]) -> None:
        deadline = time.monotonic() + 60
        while not condition(batch_sizes()):
            assert query.isActive, query.exception()
            assert time.monotonic() < deadline, f"sizes of the batches after 60 s: {batch_sizes()}"
            time.sleep(0.05)

    add_files("first", 2)
    query = (
        spark.readStream.format("text")
        .option("maxFilesPerTrigger", 1)
        .load(f"{source}/*")
        .writeStream.format("noop")
        .option("checkpointLocation", str(tmp_path / "checkpoint"))
        .start()
    )
    try:
        wait_for_batches(lambda sizes: sizes == [1, 1])
        set_read_limit(query, jvm.org.apache.spark.sql.connector.read.streaming.ReadLimit.maxFiles(3))
        add_files("second", 4)
        # Three files in one batch. The batch that is being planned while the limit changes may still have one.
        wait_for_batches(lambda sizes: sum(sizes) == 6)
        assert sorted(batch_sizes()[2:]) == [1, 3]
    finally:
        query.stop()
