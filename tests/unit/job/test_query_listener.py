"""The streaming query's listener: health and metrics from Spark's events, and how many offsets a batch covers."""

from __future__ import annotations

import json
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from job.driver.batch_size import AdaptiveBatchSize
from job.driver.health import JobHealth
from job.driver.metrics import QueryMetrics
from job.driver.query_listener import QueryListener, covered_offsets
from job.sinks.sink_wait import SinkWait


def progress(start: dict[str, int] | None, end: dict[str, int], messages: int) -> dict[str, Any]:
    source: dict[str, Any] = {"startOffset": start and {"lol_matches": start}, "endOffset": {"lol_matches": end}}
    return {"numInputRows": messages, "sources": [source]}


@pytest.mark.parametrize(
    ("start", "end", "messages", "covered"),
    [
        ({"0": 5, "1": 7}, {"0": 8, "1": 7}, 3, 3),
        ({"0": 5, "1": 7}, {"0": 105, "1": 107}, 0, 200),  # an aborted transaction
        ({"0": 5}, {"0": 6, "1": 4}, 5, 5),  # partition 1 was added
        (None, {"0": 5_000_000}, 9, 9),  # the first batch of a query that began at the topic's end
    ],
)
def test_batch_covers_offsets_without_messages_too(
    start: dict[str, int] | None, end: dict[str, int], messages: int, covered: int
) -> None:
    assert covered_offsets(progress(start, end, messages)) == covered


def test_batches_grow_over_an_aborted_transaction() -> None:
    """Spark's limit counts offsets: by messages, each batch would seem to be nearly empty, and none would be larger."""
    size = AdaptiveBatchSize(first=300, max_seconds=5)
    aborted = progress({"0": 0}, {"0": 300}, messages=0)
    assert size.observe(covered_offsets(aborted), seconds=0.4)
    assert size.messages == 1_200


def finish_batch(listener: QueryListener) -> None:
    event = {
        **progress({"0": 5}, {"0": 8}, messages=3),
        "batchId": 7,
        "durationMs": {"triggerExecution": 250},
        "stateOperators": [],
    }
    listener.onQueryProgress(SimpleNamespace(progress=lambda: SimpleNamespace(json=lambda: json.dumps(event))))


def become_idle(listener: QueryListener) -> None:
    listener.onQueryIdle(SimpleNamespace())


@pytest.mark.parametrize("activity", [finish_batch, become_idle])
def test_query_is_healthy_and_waits_for_no_service_after_a_batch_or_while_it_is_idle(
    activity: Callable[[QueryListener], None], health: JobHealth, query: QueryMetrics, registry: CollectorRegistry
) -> None:
    def active() -> float | None:
        return registry.get_sample_value("lol_job_query_active", {"query": "matches"})

    ends: list[str] = []
    listener = QueryListener(health.matches, query, lambda _: None, ends.append)
    listener.onQueryStarted(SimpleNamespace())
    health.record_sink_wait(SinkWait("Elasticsearch", "closed", seconds=5, query="matches"))
    assert health.unhealthy_reason() == (
        "query matches has not finished its first batch; waiting for Elasticsearch: closed"
    )
    assert active() == 1
    activity(listener)
    assert (health.unhealthy_reason(), health.wait_reason()) == ("", "")
    listener.onQueryTerminated(SimpleNamespace(exception=lambda: SimpleNamespace(isDefined=lambda: False)))
    assert health.unhealthy_reason() == "query matches is not running"
    assert active() == 0
    assert ends == ["a query was stopped unexpectedly"]  # without a reason, the job would end as after a signal
