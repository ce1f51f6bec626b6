"""The benchmark programs that run in the stack's network; Kafka and Spark are replaced by their messages."""

from __future__ import annotations

import json
from datetime import date
from typing import Any

import orjson
import pyarrow as pa
import pytest

from bench.in_network import raw_bulk
from bench.in_network.consumers import Loads, bulk_actions
from bench.in_network.spark_stages import ParseMatches
from bench.in_network.workload import Timing, Workload, parse_timings, print_timing
from generator.match_factory import MatchFactory, MatchSize
from job.documents import MatchAliases, documents
from job.match import Match, PlausibleTimes, decode
from tests.support.fakes import FakeMessage
from tests.support.sample_matches import ALIASES

NOW = 1_790_000_000_123
PLAUSIBLE_TIMES = PlausibleTimes.of(date(2019, 1, 1), 300)


@pytest.fixture
def values() -> list[bytes]:
    """Three matches as they are in Kafka."""
    factory = MatchFactory(seed=1, size="compact", start_ms=NOW, now=lambda: NOW)
    return [factory.next().encode() for _ in range(3)]


def test_timings_are_read_from_between_other_log_lines(capsys: pytest.CaptureFixture[str]) -> None:
    timings = [Timing("read", 300, 1.5), Timing("parallel_bulk", 20, 0.25)]
    print("a warning")
    for timing in timings:
        print_timing(timing)
    assert parse_timings(capsys.readouterr().out) == timings


@pytest.mark.parametrize("aliases", [None, ALIASES])
def test_spark_stage_parses_every_participant(values: list[bytes], aliases: MatchAliases | None) -> None:
    batch = pa.RecordBatch.from_pydict({"value": values, "timestamp": [NOW * 1000] * len(values)})
    (counted,) = ParseMatches(PLAUSIBLE_TIMES, aliases)(iter([batch, batch]))
    assert counted.to_pydict() == {"participants": [60]}


def test_raw_bulk_requests_have_every_document(monkeypatch: pytest.MonkeyPatch, values: list[bytes]) -> None:
    def consume_batches(_workload: Workload, max_messages: int) -> Any:
        yield [FakeMessage(value=value, arrived_at=NOW) for value in values]

    monkeypatch.setattr(raw_bulk, "consume_batches", consume_batches)
    monkeypatch.setattr(raw_bulk, "DOCUMENTS_PER_REQUEST", 20)
    bodies = raw_bulk.bulk_bodies(Workload("a_topic", {0: 0}, {0: 3}, messages=3, index="an_index"))
    actions = [[orjson.loads(line) for line in body.splitlines()[::2]] for body in bodies]
    assert [len(of_request) for of_request in actions] == [20, 10]
    ids = {action["index"]["_id"] for of_request in actions for action in of_request}
    assert len(ids) == 30
    assert {action["index"]["_index"] for of_request in actions for action in of_request} == {"an_index"}


@pytest.mark.parametrize("size", ["compact", "full"])
@pytest.mark.parametrize("loads", [json.loads, orjson.loads])
def test_plain_consumer_builds_the_same_documents_as_the_job(size: MatchSize, loads: Loads) -> None:
    # With this seed FiddleSticks is played, whose name the documents have in another spelling.
    factory = MatchFactory(seed=2, size=size, start_ms=NOW, now=lambda: NOW, empty_positions=0.2)
    for number in range(20):
        value = factory.next(remake=number % 5 == 0).encode()
        match = decode(value, NOW, PLAUSIBLE_TIMES)
        assert isinstance(match, Match)
        built: dict[str, Any] = {
            action["_id"]: action["_source"]
            for action in bulk_actions(FakeMessage(value=value, arrived_at=NOW), loads, "an_index")
        }
        assert built == {f"{match.match_id}_{each['participant_id']}": each for each in documents(match, NOW)}
