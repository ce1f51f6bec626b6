"""The plain consumers that the job is compared with index the same documents as the job."""

from __future__ import annotations

import json
from datetime import date
from typing import Any

import orjson
import pytest

from bench.in_network.consumers import Loads, bulk_actions
from generator.match import MatchFactory, Size
from job.documents import documents
from job.match import Match, PlausibleTimes, decode

NOW = 1_790_000_000_123


class FakeMessage:
    """A Kafka message: its value and timestamp."""

    def __init__(self, value: bytes) -> None:
        self._value = value

    def value(self) -> bytes:
        return self._value

    def timestamp(self) -> tuple[int, int]:
        return 1, NOW


@pytest.mark.parametrize("size", ["compact", "full"])
@pytest.mark.parametrize("loads", [json.loads, orjson.loads])
def test_plain_consumer_builds_the_same_documents_as_the_job(size: Size, loads: Loads) -> None:
    factory = MatchFactory(seed=1, size=size, start_ms=NOW, now=lambda: NOW, empty_positions=0.2)
    for number in range(20):
        value = factory.next(remake=number % 5 == 0).encode()
        match = decode(value, NOW, PlausibleTimes.of(date(2019, 1, 1), 300))
        assert isinstance(match, Match)
        built: dict[str, Any] = {
            action["_id"]: action["_source"] for action in bulk_actions(FakeMessage(value), loads, "an_index")
        }
        assert built == {f"{match.match_id}_{each['participant_id']}": each for each in documents(match, NOW)}
