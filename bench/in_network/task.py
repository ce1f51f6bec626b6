"""What a module of this package is told to do, and how it reports."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
from confluent_kafka import Consumer, KafkaException, TopicPartition
from msgspec import Struct

TASK = Path("/opt/job/task.json")
REPORT = "REPORT "


class Task(Struct, frozen=True):
    """To take the messages of `topic` from `starts` to `ends` (by partition): in Spark `rounds` times, or to write
    their documents to `index` over so many `connections`, the `way` its name says."""

    topic: str
    starts: dict[int, int]
    ends: dict[int, int]
    messages: int
    rounds: int
    index: str
    way: str
    connections: int
    bootstrap_servers: str = "kafka:9092"
    elasticsearch: str = "http://elasticsearch:9200"


class Report(Struct, frozen=True):
    """How long something took with so many messages, in seconds."""

    name: str
    messages: int
    seconds: float


def given() -> Task:
    """The task that this process was started for."""
    return msgspec.json.decode(TASK.read_bytes(), type=Task)


def report(name: str, messages: int, seconds: float) -> None:
    """Tell the benchmark outside."""
    sys.stdout.write(f"{REPORT}{msgspec.json.encode(Report(name, messages, seconds)).decode()}\n")
    sys.stdout.flush()


def batches(task: Task, most: int) -> Iterator[list[Any]]:
    """The task's messages as a plain consumer gets them, at most so many at once."""
    consumer = Consumer(
        {"bootstrap.servers": task.bootstrap_servers, "group.id": "bench-inside", "enable.auto.commit": False}
    )
    consumer.assign([TopicPartition(task.topic, partition, start) for partition, start in task.starts.items()])
    left = task.messages
    try:
        while left:
            batch = []
            for message in consumer.consume(min(most, left), timeout=1):
                if message.error():
                    raise KafkaException(message.error())
                batch.append(message)
            left -= len(batch)
            if batch:
                yield batch
    finally:
        consumer.close()
