"""Freshness: from a message in Kafka to its documents in the answer of a search."""

from __future__ import annotations

import statistics
import time
from typing import Any

from confluent_kafka import KafkaError
from msgspec import Struct

from bench.measured_stack import MATCHES, Target
from bench.profiles import Plan
from bench.progress import BenchError, say
from generator.match import MatchFactory, Size
from harness.load import DOCUMENTS_A_MATCH, TOPIC, producer

WARM_UP_SECONDS = 20
LOOK_SECONDS = 0.04
"""Between two searches: what a figure can be too high by, with the time a search takes."""
LIMIT_SECONDS = 60


class Freshness(Struct, frozen=True):
    """Seconds from Kafka's timestamp of a match to the first search that finds its ten documents, at `rate` matches a
    second. `curve` has the 1st to the 99th percentile of all rounds together, `rounds` p50, p95 and p99 of each."""

    size: Size
    rate: int
    matches: int
    curve: list[float]
    highest: float
    rounds: list[tuple[float, float, float]]

    def percentile(self, number: int) -> float:
        return self.curve[number - 1]


class Sight:
    """Sends matches at a steady rate and looks for them."""

    def __init__(self, target: Target, size: Size) -> None:
        self._target = target
        self._producer = producer(target.bootstrap_servers)
        begun = _now_ms()
        self._factory = MatchFactory(seed=begun, size=size, start_ms=begun, now=_now_ms)
        self._arrived: dict[str, float] = {}
        """When Kafka got each match that was not found yet."""
        self._ages: list[float] = []

    def ages(self, rate: int, seconds: float) -> list[float]:
        """Send for so many seconds; return the age at which each match was found. BenchError where one never is."""
        self._ages = []
        begun = look_at = time.monotonic()
        sent = 0
        while sent < rate * seconds:
            now = time.monotonic()
            while sent < rate * seconds and now >= begun + sent / rate:
                self._send()
                sent += 1
            if now >= look_at:
                self._look()
                look_at = now + LOOK_SECONDS
            self._producer.poll(max(0.0, min(begun + sent / rate, look_at) - time.monotonic()))
        ends = time.monotonic() + LIMIT_SECONDS
        while len(self._ages) < sent:
            if time.monotonic() > ends:
                raise BenchError(f"{sent - len(self._ages)} of {sent} matches were not found {LIMIT_SECONDS} s later")
            self._producer.poll(LOOK_SECONDS)
            self._look()
        return self._ages

    def _send(self) -> None:
        match = self._factory.next()

        def delivered(error: KafkaError | None, message: Any) -> None:
            if error is not None:
                raise BenchError(f"Kafka did not take a match: {error.str()}")
            self._arrived[match.id] = message.timestamp()[1] / 1000

        self._producer.produce(TOPIC, match.encode(), match.id.encode(), on_delivery=delivered)

    def _look(self) -> None:
        if not self._arrived:
            return
        answer = self._target.elasticsearch.search(
            index=MATCHES,
            size=0,
            query={"terms": {"match_id": list(self._arrived)}},
            aggs={"found": {"terms": {"field": "match_id", "size": len(self._arrived)}}},
        )
        now = time.time()
        for bucket in answer["aggregations"]["found"]["buckets"]:
            if bucket["doc_count"] == DOCUMENTS_A_MATCH:
                self._ages.append(now - self._arrived.pop(bucket["key"]))


def measure(target: Target, plan: Plan) -> list[Freshness]:
    """Each size at each rate."""
    target.settle()
    figures = []
    for size in plan.sizes:
        sight = Sight(target, size)
        for rate, seconds in plan.freshness_seconds.items():
            sight.ages(rate, min(seconds, WARM_UP_SECONDS))
            rounds = []
            for number in range(plan.rounds):
                rounds.append(sight.ages(rate, seconds))
                p50, p95, p99 = _three(rounds[-1])
                say(
                    f"freshness, {size}, {rate}/s, round {number + 1} of {plan.rounds}: "
                    f"p50 {p50:.2f} s, p95 {p95:.2f} s, p99 {p99:.2f} s"
                )
            together = [age for ages in rounds for age in ages]
            figures.append(
                Freshness(
                    size=size,
                    rate=rate,
                    matches=len(together),
                    curve=_percentiles(together),
                    highest=max(together),
                    rounds=[_three(ages) for ages in rounds],
                )
            )
    return figures


def _percentiles(ages: list[float]) -> list[float]:
    return statistics.quantiles(ages, n=100, method="inclusive")


def _three(ages: list[float]) -> tuple[float, float, float]:
    percentiles = _percentiles(ages)
    return percentiles[49], percentiles[94], percentiles[98]


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
