"""Freshness: end-to-end latency from a message's Kafka timestamp until a search finds its documents."""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence
from typing import Any

from confluent_kafka import KafkaError
from msgspec import Struct

from bench.measured_stack import MeasuredStack
from bench.profiles import Profile
from bench.progress import BenchError, print_progress
from generator.match_factory import MatchFactory, MatchSize
from harness.load import DOCUMENTS_PER_MATCH, create_producer
from infra.names import MATCHES_ALIAS, MATCHES_TOPIC
from job.times import now_ms

WARM_UP_SECONDS = 20
SEARCH_INTERVAL_SECONDS = 0.04
"""Between two searches. A latency can be too high by this interval plus the duration of a search."""
SEARCH_TIMEOUT_SECONDS = 60
"""How long after the last message a match may still be missing in the search."""

Percentiles = tuple[float, float, float]
"""p50, p95, p99."""


class Freshness(Struct, frozen=True):
    """Seconds from a match's Kafka timestamp to the first search that finds its ten documents.

    `rate`: matches sent a second. `percentiles`: the 1st to the 99th of all rounds together. `rounds`: p50, p95 and p99
    of each.
    """

    size: MatchSize
    rate: int
    matches: int
    percentiles: list[float]
    maximum: float
    rounds: list[Percentiles]

    def percentile(self, number: int) -> float:
        """The percentile `number`, 1 to 99, in seconds."""
        return self.percentiles[number - 1]


class FreshnessProbe:
    """Sends matches at a constant rate and measures the latency until a search finds each."""

    def __init__(self, stack: MeasuredStack, size: MatchSize) -> None:
        self._elasticsearch = stack.elasticsearch
        self._producer = create_producer(stack.kafka_settings)
        started_ms = now_ms()
        self._factory = MatchFactory(seed=started_ms, size=size, start_ms=started_ms, now=now_ms)
        self._arrived_at: dict[str, float] = {}
        """Kafka timestamp, in seconds, of each match that no search has found yet."""
        self._latencies: list[float] = []

    def latencies(self, rate: int, seconds: float) -> list[float]:
        """Send `rate` matches a second for `seconds`; return the latency of each match in seconds.

        Raises BenchError if a match is not found within SEARCH_TIMEOUT_SECONDS after the last was sent.
        """
        self._latencies = []
        started = next_search = time.monotonic()
        sent = 0
        while sent < rate * seconds:
            now = time.monotonic()
            while sent < rate * seconds and now >= started + sent / rate:
                self._send()
                sent += 1
            if now >= next_search:
                self._search()
                next_search = now + SEARCH_INTERVAL_SECONDS
            self._producer.poll(max(0.0, min(started + sent / rate, next_search) - time.monotonic()))
        deadline = time.monotonic() + SEARCH_TIMEOUT_SECONDS
        while len(self._latencies) < sent:
            if time.monotonic() > deadline:
                missing = sent - len(self._latencies)
                raise BenchError(f"{missing} of {sent} matches were not found within {SEARCH_TIMEOUT_SECONDS} s")
            self._producer.poll(SEARCH_INTERVAL_SECONDS)
            self._search()
        return self._latencies

    def _send(self) -> None:
        match = self._factory.next()

        def on_delivery(error: KafkaError | None, message: Any) -> None:
            if error is not None:
                raise BenchError(f"Kafka did not accept a match: {error.str()}")
            self._arrived_at[match.id] = message.timestamp()[1] / 1000

        self._producer.produce(MATCHES_TOPIC, match.encode(), match.id.encode(), on_delivery=on_delivery)

    def _search(self) -> None:
        if not self._arrived_at:
            return
        response = self._elasticsearch.search(
            index=MATCHES_ALIAS,
            size=0,
            query={"terms": {"match_id": list(self._arrived_at)}},
            aggs={"found": {"terms": {"field": "match_id", "size": len(self._arrived_at)}}},
        )
        now = time.time()
        for bucket in response["aggregations"]["found"]["buckets"]:
            if bucket["doc_count"] == DOCUMENTS_PER_MATCH:
                self._latencies.append(now - self._arrived_at.pop(bucket["key"]))


def measure_freshness(stack: MeasuredStack, profile: Profile) -> list[Freshness]:
    """Each match size at each rate."""
    stack.wait_until_idle()
    figures = []
    for size in profile.sizes:
        probe = FreshnessProbe(stack, size)
        for rate, seconds in profile.freshness_seconds.items():
            probe.latencies(rate, min(seconds, WARM_UP_SECONDS))
            rounds = []
            for number in range(1, profile.rounds + 1):
                rounds.append(probe.latencies(rate, seconds))
                p50, p95, p99 = p50_p95_p99(rounds[-1])
                print_progress(
                    f"freshness, {size}, {rate}/s, round {number} of {profile.rounds}: "
                    f"p50 {p50:.2f} s, p95 {p95:.2f} s, p99 {p99:.2f} s"
                )
            combined = [latency for latencies in rounds for latency in latencies]
            figures.append(
                Freshness(
                    size=size,
                    rate=rate,
                    matches=len(combined),
                    percentiles=all_percentiles(combined),
                    maximum=max(combined),
                    rounds=[p50_p95_p99(latencies) for latencies in rounds],
                )
            )
    return figures


def all_percentiles(latencies: Sequence[float]) -> list[float]:
    """The 1st to the 99th percentile."""
    return statistics.quantiles(latencies, n=100, method="inclusive")


def p50_p95_p99(latencies: Sequence[float]) -> Percentiles:
    """Three of the percentiles."""
    percentiles = all_percentiles(latencies)
    return percentiles[49], percentiles[94], percentiles[98]
