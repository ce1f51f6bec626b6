"""Detection of containers that exceed their memory limits."""

from __future__ import annotations

import threading
from types import SimpleNamespace
from typing import Any

import pytest

from tests.support.out_of_memory import no_container_out_of_memory


class FakeEvents:
    """The engine's stream of events: one for each container's name, then none until it is closed."""

    def __init__(self, *names: str) -> None:
        self._names = list(names)
        self.is_read, self._closed = threading.Event(), threading.Event()

    def __iter__(self) -> FakeEvents:
        return self

    def __next__(self) -> dict[str, Any]:
        if self._names:
            return {"Action": "oom", "Actor": {"Attributes": {"name": self._names.pop(0)}}}
        self.is_read.set()
        self._closed.wait()
        raise StopIteration

    def close(self) -> None:
        self._closed.set()


def run(events: FakeEvents) -> dict[str, Any]:
    """Receive all events in the block. Returns their filters."""
    asked: dict[str, Any] = {}
    engine: Any = SimpleNamespace(events=lambda decode, filters: asked.update(filters) or events)
    with no_container_out_of_memory(engine, "unit"):
        assert events.is_read.wait(30)
    return asked


def test_container_that_was_out_of_memory_is_named_at_the_end() -> None:
    with pytest.raises(AssertionError, match=r"^out of memory: lolstack-unit-archive, lolstack-unit-kafka$"):
        run(FakeEvents("lolstack-unit-kafka", "lolstack-unit-archive", "lolstack-unit-kafka"))


def test_small_disk_in_memory_may_be_full() -> None:
    filters = run(FakeEvents("lolstack-unit-small-disk-cassandra"))
    assert filters == {"event": "oom", "label": "lolstack.stack=unit"}
