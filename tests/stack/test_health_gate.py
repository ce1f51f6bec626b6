"""A service that does not become healthy is an error that names it and shows what it said last."""

from __future__ import annotations

from contextlib import suppress

import pytest
from docker.errors import NotFound

from harness.stack import Stack
from infra.provisioning.health_gate import NotHealthyError, wait_until_healthy

NAME = "lolstack-selftest-never-healthy"


def test_the_error_names_the_service_its_complaint_and_its_last_log_lines(stack: Stack) -> None:
    image = stack.container("kafka").image
    assert image is not None
    with suppress(NotFound):
        stack.engine.containers.get(NAME).remove(force=True)
    container = stack.engine.containers.run(
        image, ["bash", "-c", "echo 'the disk is full'; sleep 60"], name=NAME, detach=True
    )
    try:
        with pytest.raises(NotHealthyError) as error:
            wait_until_healthy(NAME, ["bash", "-c", "echo 'no answer'; exit 1"], limit_seconds=2)
    finally:
        container.remove(force=True)
    for part in (NAME, "after 2 s", "no answer", "the disk is full"):
        assert part in str(error.value)


def test_a_container_that_is_gone_is_said_to_be(stack: Stack) -> None:
    assert stack.services
    with pytest.raises(NotHealthyError, match="the container is missing"):
        wait_until_healthy("lolstack-selftest-nobody", ["true"], limit_seconds=1)
