"""Workload of a benchmark container: the messages to process, and the timings that it prints for the benchmark."""

from __future__ import annotations

import ssl
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import msgspec
from confluent_kafka import Consumer, KafkaException, TopicPartition
from elasticsearch import Elasticsearch
from msgspec import Struct

from job import settings
from job.backfill import GROUP
from job.kafka_client import client_settings

WORKLOAD_FILE = Path("/opt/job/workload.json")
SETTINGS_FILE = Path("/opt/job/bench.yaml")
"""The running job's settings, changed for the benchmark's own Spark driver."""
TIMING_PREFIX = "TIMING "

ConsumerKind = Literal["parallel_bulk", "bulk", "single_index"]
"""The plain consumers that the job is compared with, by the client method that indexes their documents."""
SparkStage = Literal["read", "parse", "build_documents"]


class Workload(Struct, frozen=True):
    """The messages of `topic` between the offsets (by partition, the end exclusive), and how to process them.

    `rounds` is for the Spark stages. `index`, `connections` (to Elasticsearch) and `consumer` are for the programs that
    index documents.
    """

    topic: str
    start_offsets: dict[int, int]
    end_offsets: dict[int, int]
    messages: int
    rounds: int = 1
    index: str = ""
    connections: int = 1
    consumer: ConsumerKind | None = None
    elasticsearch_url: str = "http://elasticsearch:9200"
    elasticsearch_password: str = ""
    """Password of the user `admin`: the job's may write to the stack's own indices only."""
    elasticsearch_authority: str = ""

    def elasticsearch(self, **options: Any) -> Elasticsearch:
        """A client; `options` are those of elasticsearch.Elasticsearch."""
        if self.elasticsearch_authority:
            options["ssl_context"] = ssl.create_default_context(cadata=self.elasticsearch_authority)
        return Elasticsearch(self.elasticsearch_url, basic_auth=("admin", self.elasticsearch_password), **options)


class Timing(Struct, frozen=True):
    """How long a stage or a consumer took for `messages`, in seconds."""

    name: SparkStage | ConsumerKind
    messages: int
    seconds: float


def load_workload() -> Workload:
    """The workload that this container was started with."""
    return msgspec.json.decode(WORKLOAD_FILE.read_bytes(), type=Workload)


def print_timing(timing: Timing) -> None:
    """Print a timing to the container's log, where the benchmark reads it."""
    sys.stdout.write(f"{TIMING_PREFIX}{msgspec.json.encode(timing).decode()}\n")
    sys.stdout.flush()


def parse_timings(log: str) -> list[Timing]:
    """The timings in a container's log."""
    return [
        msgspec.json.decode(line.removeprefix(TIMING_PREFIX), type=Timing)
        for line in log.splitlines()
        if line.startswith(TIMING_PREFIX)
    ]


def consume_batches(workload: Workload, max_messages: int) -> Iterator[list[Any]]:
    """Consume the workload with a plain Kafka consumer, in batches of at most `max_messages`."""
    client = client_settings(settings.load(SETTINGS_FILE).kafka).librdkafka()
    consumer = Consumer({**client, "group.id": GROUP, "enable.auto.commit": False})
    consumer.assign(
        [TopicPartition(workload.topic, partition, offset) for partition, offset in workload.start_offsets.items()]
    )
    left = workload.messages
    try:
        while left:
            batch = []
            for message in consumer.consume(min(max_messages, left), timeout=1):
                if message.error():
                    raise KafkaException(message.error())
                batch.append(message)
            left -= len(batch)
            if batch:
                yield batch
    finally:
        consumer.close()
