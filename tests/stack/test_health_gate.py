"""The health gate's timeout error names the service and shows its last log lines."""

from __future__ import annotations

import pytest

from harness.stack import Stack
from infra.provisioning.health_gate import NotHealthyError, wait_until_healthy
from tests.support.own_container import own_container


def test_health_gate_timeout_reports_the_service_check_output_and_log(stack: Stack) -> None:
    image = stack.container("kafka").image
    assert image is not None
    name = stack.container_name("never-healthy")
    with own_container(stack, "never-healthy", image, ["bash", "-c", "echo 'the disk is full'; sleep 60"]) as container:
        container.start()
        with pytest.raises(NotHealthyError) as error:
            wait_until_healthy(name, ["bash", "-c", "echo 'no answer'; exit 1"], timeout_seconds=1)
    for part in (name, "is not healthy after ", "no answer", "the disk is full"):
        assert part in str(error.value)
