"""The health gate's timeout error names the service and shows its last log lines."""

from __future__ import annotations

from contextlib import suppress

import pytest
from docker.errors import NotFound

from harness.stack import Stack
from infra.provisioning.health_gate import NotHealthyError, wait_until_healthy

NAME = "lolstack-selftest-never-healthy"


def test_health_gate_timeout_reports_the_service_check_output_and_log(stack: Stack) -> None:
    image = stack.container("kafka").image
    assert image is not None
    with suppress(NotFound):
        stack.engine.containers.get(NAME).remove(force=True)
    container = stack.engine.containers.run(
        image, ["bash", "-c", "echo 'the disk is full'; sleep 60"], name=NAME, detach=True
    )
    try:
        with pytest.raises(NotHealthyError) as error:
            wait_until_healthy(NAME, ["bash", "-c", "echo 'no answer'; exit 1"], timeout_seconds=2)
    finally:
        container.remove(force=True)
    for part in (NAME, "after 2 s", "no answer", "the disk is full"):
        assert part in str(error.value)


def test_health_gate_reports_a_missing_container(stack: Stack) -> None:
    assert stack.services
    with pytest.raises(NotHealthyError, match="the container is missing"):
        wait_until_healthy("lolstack-selftest-nobody", ["true"], timeout_seconds=1)
