"""Container hardening: unprivileged user, no capabilities, memory limits, log rotation, ports on localhost only."""

from __future__ import annotations

from typing import Any

import pytest

from harness.stack import Stack
from infra.names import SERVICE_LABEL


@pytest.fixture(scope="module")
def containers(stack: Stack) -> dict[str, dict[str, Any]]:
    """`docker inspect` of each container, by service."""
    return {service: stack.container(service).attrs for service in stack.services}


def test_no_container_runs_as_root(containers: dict[str, dict[str, Any]]) -> None:
    assert {
        name for name, container in containers.items() if container["Config"]["User"].split(":")[0] in ("", "0")
    } == set()


def test_containers_drop_all_capabilities_and_cannot_gain_privileges(containers: dict[str, dict[str, Any]]) -> None:
    for name, container in containers.items():
        assert container["HostConfig"]["CapDrop"] == ["ALL"], name
        assert "no-new-privileges" in container["HostConfig"]["SecurityOpt"], name
        assert not container["HostConfig"]["Privileged"], name


def test_each_container_has_a_memory_limit(containers: dict[str, dict[str, Any]]) -> None:
    assert {name for name, container in containers.items() if not container["HostConfig"]["Memory"]} == set()


def test_ports_are_published_on_localhost_only(containers: dict[str, dict[str, Any]]) -> None:
    addresses = {
        (name, binding["HostIp"])
        for name, container in containers.items()
        for bindings in (container["HostConfig"]["PortBindings"] or {}).values()
        for binding in bindings
    }
    assert {address for _, address in addresses} == {"127.0.0.1"}, addresses


def test_log_rotation_container_name_and_service_label(stack: Stack, containers: dict[str, dict[str, Any]]) -> None:
    for name, container in containers.items():
        assert container["HostConfig"]["LogConfig"]["Config"]["max-size"], name
        assert container["Name"] == f"/lolstack-{stack.name}-{name}"
        assert container["Config"]["Labels"][SERVICE_LABEL] == name


def test_no_container_was_out_of_memory_or_restarted(containers: dict[str, dict[str, Any]]) -> None:
    for name, container in containers.items():
        assert not container["State"]["OOMKilled"], name
        assert container["RestartCount"] == 0 or name == "spark-job", name  # tests kill the job's driver
