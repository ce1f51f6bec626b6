"""Indexing throughput of an index, from Elasticsearch's own counters: the same method for every writer."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from itertools import pairwise

from elasticsearch import Elasticsearch
from msgspec import Struct

from analytics.search import count
from bench.progress import BenchError

POLL_SECONDS = 0.2
SUSTAINED_RANGE = (0.1, 0.9)
"""The share of the documents that the sustained throughput covers: without the ramp-up and the smaller last batches."""
STALL_TIMEOUT_SECONDS = 90

Sample = tuple[float, int]
"""Seconds since the start, documents indexed until then."""


class Throughput(Struct, frozen=True):
    """Throughput of one round.

    `sustained`: documents a second between a tenth and nine tenths of the documents. `seconds`: from the start until
    a search found the last document.
    """

    documents: int
    seconds: float
    sustained: float

    @property
    def overall(self) -> float:
        """Documents a second: all documents over all of the time."""
        return self.documents / self.seconds


def measure_throughput(
    client: Elasticsearch,
    index: str,
    documents: int,
    start: Callable[[], object],
    check: Callable[[], object] = lambda: None,
) -> Throughput:
    """Call `start`, then poll `index` until it has `documents` more and a search finds them.

    `check` is called at each poll and may raise an error that ends the wait. Raises BenchError if no document is
    indexed for STALL_TIMEOUT_SECONDS.
    """
    indexed_before, searchable_before = indexed_count(client, index), searchable_count(client, index)
    samples: list[Sample] = [(0.0, 0)]
    last_change = started = time.perf_counter()
    start()
    while samples[-1][1] < documents or searchable_count(client, index) - searchable_before < documents:
        time.sleep(POLL_SECONDS)
        indexed = indexed_count(client, index) - indexed_before
        now = time.perf_counter()
        if indexed > samples[-1][1]:
            last_change = now
        elif now > last_change + STALL_TIMEOUT_SECONDS:
            raise BenchError(
                f"{index}: {indexed:,} of {documents:,} documents were indexed, and none for {STALL_TIMEOUT_SECONDS} s"
            )
        samples.append((now - started, indexed))
        if indexed < documents:
            check()
    return Throughput(documents, time.perf_counter() - started, sustained_throughput(samples, documents))


def sustained_throughput(samples: Sequence[Sample], documents: int) -> float:
    """Documents a second within SUSTAINED_RANGE."""
    start, end = (time_of_count(samples, share * documents) for share in SUSTAINED_RANGE)
    return (SUSTAINED_RANGE[1] - SUSTAINED_RANGE[0]) * documents / (end - start)


def time_of_count(samples: Sequence[Sample], count: float) -> float:
    """Seconds until `count` documents were indexed, by linear interpolation. Raises ValueError if they never were."""
    for (earlier, fewer), (later, more) in pairwise(samples):
        if more >= count:
            return earlier + (later - earlier) * (count - fewer) / (more - fewer)
    raise ValueError(f"there never were {count} documents")


def indexed_count(client: Elasticsearch, index: str) -> int:
    """Documents that the primary shards have indexed since they started, whether a search finds them or not."""
    stats = client.indices.stats(index=index, metric="indexing", filter_path="_all.primaries.indexing.index_total")
    return int(stats["_all"]["primaries"]["indexing"]["index_total"])


def searchable_count(client: Elasticsearch, index: str) -> int:
    """Documents that a search finds."""
    return count(client, index)
