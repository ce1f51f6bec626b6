"""Containers that tests create beside the stack's own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from docker.errors import NotFound
from docker.models.containers import Container
from docker.models.images import Image

from harness.stack import Stack
from infra.names import STACK_LABEL


@contextmanager
def own_container(
    stack: Stack, name: str, image: Image | str, command: list[str] | None = None, **options: Any
) -> Iterator[Container]:
    """The container `lolstack-<stack>-<name>`: created, not started, with docker-py's `options`; removed at the end.

    A killed test run leaves it behind. This replaces it, and `Stack.clean_up` removes it, by its label.
    """
    full_name = stack.container_name(name)
    with suppress(NotFound):
        stack.engine.containers.get(full_name).remove(force=True, v=True)
    container = stack.engine.containers.create(
        image, command, name=full_name, labels={STACK_LABEL: stack.name}, **options
    )
    try:
        yield container
    finally:
        container.remove(force=True, v=True)
