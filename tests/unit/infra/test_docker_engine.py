"""The Docker engine's client."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from docker.errors import APIError

from infra.clients.docker_engine import kill_containers


def test_every_container_is_killed_also_beside_one_that_does_not_run() -> None:
    killed = []

    class Container:
        def __init__(self, name: str, running: bool = True) -> None:
            self.name, self.running = name, running

        def kill(self) -> None:
            if not self.running:
                raise APIError(f"{self.name} is not running")
            killed.append(self.name)

    containers = [Container("kafka"), Container("zookeeper", running=False), Container("spark-job")]
    client: Any = SimpleNamespace(containers=SimpleNamespace(list=lambda all, filters: containers))
    kill_containers(client, "unit")
    assert sorted(killed) == ["kafka", "spark-job"]
