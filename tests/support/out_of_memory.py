"""Detection of containers that exceed their memory limits while the tests run."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

from docker import DockerClient

from infra.clients.docker_engine import stack_filter
from tests.support.small_disk import SMALL_DISK


@contextmanager
def no_container_out_of_memory(engine: DockerClient, stack: str) -> Iterator[None]:
    """Raises AssertionError at the end of the block if a container of the stack was out of memory in it.

    Docker restarts such a service, and a test that retries would pass. The container with a small disk is an exception:
    its disk is in memory.
    """
    events: Any = engine.events(decode=True, filters={"event": "oom", **stack_filter(stack)})
    with ThreadPoolExecutor(1) as pool:
        received = pool.submit(list, events)
        try:
            yield
        finally:
            has_ended = received.done()
            events.close()
    assert not has_ended, "the engine has ended the stream of its events: it was restarted"
    names = {event["Actor"]["Attributes"]["name"] for event in received.result()}
    names = {name for name in names if SMALL_DISK not in name}
    assert not names, f"out of memory: {', '.join(sorted(names))}"
