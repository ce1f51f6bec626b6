"""The streaming queries: the refresh after a small batch, and graceful shutdown."""

import time
from typing import Any

import pytest
from py4j.protocol import Py4JError

from job.driver.query import refresh_small_batch, stop_gracefully
from job.sinks.elasticsearch import Connection
from tests.support.fakes import fake_elasticsearch
from tests.unit.conftest import Clock

pytestmark = pytest.mark.usefixtures("clock")


class FakeQuery:
    """A streaming query over a backlog: a micro-batch of `seconds` follows the other while its read limit is not 0."""

    def __init__(self, seconds: float, adapts: bool = False) -> None:
        self.adapts = adapts
        self._seconds = seconds
        self._ends_at = float("inf")
        self.isActive = True
        self.stop_error: Exception | None = None
        self.name = "a query"

    def set_limit(self, messages: int) -> None:
        if messages:
            self._ends_at = float("inf")
        elif self._ends_at == float("inf"):
            self._ends_at = time.monotonic() + self._seconds

    @property
    def status(self) -> dict[str, Any]:
        is_active = time.monotonic() < self._ends_at
        if self.adapts and is_active:  # its last batch has changed the size of the next one
            self.adapts = False
            self.set_limit(1000)
        return {"isTriggerActive": is_active}

    def stop(self) -> None:
        self.isActive = False
        if self.stop_error:
            raise self.stop_error


@pytest.mark.parametrize(
    ("offsets", "indices", "refreshed"),
    [
        (200, {"lol_teams_stream-2026.10", "lol_matches_stream-2026.10", "lol_matches_stream-2026.11"}, True),
        (201, {"lol_matches_stream-2026.11"}, False),
        (200, set(), False),
    ],
    ids=["small batch", "batch of a backlog", "dead letters only"],
)
def test_indices_that_a_small_batch_has_written_are_refreshed(offsets: int, indices: set[str], refreshed: bool) -> None:
    with fake_elasticsearch() as server:
        refresh_small_batch(Connection((server.url,), 5), offsets, indices)
    assert server.paths == ([f"/{','.join(sorted(indices))}/_refresh"] if refreshed else [])


@pytest.mark.parametrize(
    ("batch_seconds", "in_time"), [((0.0, 0.0), True), ((0.0, 20.0), True), ((20.0, 0.0), True), ((0.0, 60.0), False)]
)
def test_graceful_shutdown_waits_for_the_current_batches_and_starts_no_other(
    monkeypatch: pytest.MonkeyPatch, clock: Clock, batch_seconds: tuple[float, float], in_time: bool
) -> None:
    """That Kafka's source keeps to a limit of 0: tests/stack."""
    queries: Any = [FakeQuery(batch_seconds[0]), FakeQuery(batch_seconds[1], adapts=batch_seconds[1] > 0)]
    monkeypatch.setattr("job.driver.query.set_max_offsets", lambda _, query, messages: query.set_limit(messages))
    spark: Any = None
    started_at = clock.now
    assert stop_gracefully(spark, queries, grace_seconds=50) == in_time
    assert min(max(batch_seconds), 50) <= clock.now - started_at <= min(max(batch_seconds), 50) + 1
    assert not any(query.isActive for query in queries)


def test_query_that_does_not_stop_does_not_keep_the_others_from_stopping(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Its thread waits for Kafka."""
    queries: Any = [FakeQuery(60.0), FakeQuery(0.0)]
    queries[0].stop_error = Py4JError("a timeout")
    monkeypatch.setattr("job.driver.query.set_max_offsets", lambda _, query, messages: query.set_limit(messages))
    spark: Any = None
    assert not stop_gracefully(spark, queries, grace_seconds=50)
    assert caplog.messages == ["The query a query does not stop: a timeout"]
    assert not queries[1].isActive
