"""Detection of containers that exceed their memory limits while the tests run."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from tempfile import TemporaryFile

from infra.names import STACK_LABEL
from tests.support.small_disk import SMALL_DISK


@contextmanager
def no_container_out_of_memory(stack: str) -> Iterator[None]:
    """Raises AssertionError at the end of the block if a container of the stack was out of memory in it.

    Docker restarts such a service, and a test that retries would pass. The container with a small disk is an exception:
    its disk is in memory.
    """
    filters = ("--filter", "event=oom", "--filter", f"label={STACK_LABEL}={stack}")
    command = ["docker", "events", *filters, "--format", "{{.Actor.Attributes.name}}"]
    with TemporaryFile("w+") as output:
        with subprocess.Popen(command, stdout=output) as events:
            try:
                yield
            finally:
                exit_code = events.poll()
                events.kill()
        assert exit_code is None, f"`docker events` has ended too early, with exit code {exit_code}"
        output.seek(0)
        names = {name for name in output.read().splitlines() if SMALL_DISK not in name}
        assert not names, f"out of memory: {', '.join(sorted(names))}"
