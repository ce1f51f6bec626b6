"""How many offsets of the topic a batch covers, from Spark's progress event."""

from __future__ import annotations

from typing import Any

import pytest

from job.driver.batch_size import AdaptiveBatchSize
from job.driver.query_listener import covered_offsets


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
