"""How fast an index takes documents: seen from Elasticsearch's own counters, the same for whoever sends them."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from itertools import pairwise

from elasticsearch import Elasticsearch
from msgspec import Struct

from bench.progress import BenchError

SAMPLE_SECONDS = 0.2
WARM = (0.1, 0.9)
"""The middle part of the documents, whose speed is the sustained one: without the way to full speed and the last,
smaller batches."""
STILL_SECONDS = 90

Point = tuple[float, int]
"""Seconds since the beginning, documents indexed until then."""


class Speed(Struct, frozen=True):
    """What was measured. `sustained`: documents a second between a tenth and nine tenths of them. `seconds`: from the
    beginning until the last document was found by search."""

    documents: int
    seconds: float
    sustained: float

    @property
    def whole(self) -> float:
        """Documents a second, all of them over all of the time."""
        return self.documents / self.seconds


def measure(
    client: Elasticsearch,
    index: str,
    documents: int,
    begin: Callable[[], object],
    check: Callable[[], object] = lambda: None,
) -> Speed:
    """Call `begin`, and watch until `index` has so many documents more, and finds them.

    `check` is called between two looks, to raise an error that makes waiting useless. Raises BenchError where nothing
    has changed for STILL_SECONDS.
    """
    indexed_before, found_before = indexed(client, index), found(client, index)
    points: list[Point] = [(0.0, 0)]
    moved = begun = time.perf_counter()
    begin()
    while points[-1][1] < documents or found(client, index) - found_before < documents:
        time.sleep(SAMPLE_SECONDS)
        done = indexed(client, index) - indexed_before
        now = time.perf_counter()
        if done > points[-1][1]:
            moved = now
        elif now > moved + STILL_SECONDS:
            raise BenchError(f"{index}: {done:,} of {documents:,} documents came, and none for {STILL_SECONDS} s")
        points.append((now - begun, done))
        if done < documents:
            check()
    return Speed(documents, time.perf_counter() - begun, sustained(points, documents))


def sustained(points: Sequence[Point], documents: int) -> float:
    """Documents a second in the warm part."""
    first, last = (reached(points, share * documents) for share in WARM)
    return (WARM[1] - WARM[0]) * documents / (last - first)


def reached(points: Sequence[Point], count: float) -> float:
    """When there were `count` documents, in a straight line between two looks."""
    for (before, fewer), (after, more) in pairwise(points):
        if more >= count:
            return before + (after - before) * (count - fewer) / (more - fewer)
    raise ValueError(f"there never were {count} documents")


def indexed(client: Elasticsearch, index: str) -> int:
    """How many documents the index's primary shards have taken, found by search or not yet."""
    stats = client.indices.stats(index=index, metric="indexing", filter_path="_all.primaries.indexing.index_total")
    return int(stats["_all"]["primaries"]["indexing"]["index_total"])


def found(client: Elasticsearch, index: str) -> int:
    """How many documents a search finds."""
    return int(client.count(index=index)["count"])
