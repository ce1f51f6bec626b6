"""How every container of the stack is run: as nobody special, limited, labelled, reachable from this machine only."""

from __future__ import annotations

from typing import Any

import pytest

from harness.stack import Stack
from infra.names import SERVICE_LABEL


@pytest.fixture(scope="module")
def containers(stack: Stack) -> dict[str, dict[str, Any]]:
    """Docker's record of each of the stack's containers, by service."""
    return {service: stack.container(service).attrs for service in stack.services}


def test_nobody_is_root(containers: dict[str, dict[str, Any]]) -> None:
    assert {
        name for name, container in containers.items() if container["Config"]["User"].split(":")[0] in ("", "0")
    } == set()


def test_no_capability_is_kept_and_none_can_be_gained(containers: dict[str, dict[str, Any]]) -> None:
    for name, container in containers.items():
        assert container["HostConfig"]["CapDrop"] == ["ALL"], name
        assert "no-new-privileges" in container["HostConfig"]["SecurityOpt"], name
        assert not container["HostConfig"]["Privileged"], name


def test_memory_is_limited(containers: dict[str, dict[str, Any]]) -> None:
    assert {name for name, container in containers.items() if not container["HostConfig"]["Memory"]} == set()


def test_ports_are_open_to_this_machine_only(containers: dict[str, dict[str, Any]]) -> None:
    addresses = {
        (name, binding["HostIp"])
        for name, container in containers.items()
        for bindings in (container["HostConfig"]["PortBindings"] or {}).values()
        for binding in bindings
    }
    assert {address for _, address in addresses} == {"127.0.0.1"}, addresses


def test_logs_are_rotated_and_names_and_labels_tell_the_stack(
    stack: Stack, containers: dict[str, dict[str, Any]]
) -> None:
    for name, container in containers.items():
        assert container["HostConfig"]["LogConfig"]["Config"]["max-size"], name
        assert container["Name"] == f"/lolstack-{stack.name}-{name}"
        assert container["Config"]["Labels"][SERVICE_LABEL] == name


def test_no_container_has_died_or_been_killed_for_memory(containers: dict[str, dict[str, Any]]) -> None:
    for name, container in containers.items():
        assert not container["State"]["OOMKilled"], name
        assert container["RestartCount"] == 0 or name == "spark-job", name  # that one the tests kill
