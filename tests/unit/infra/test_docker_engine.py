"""The Docker engine's client."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from docker.errors import APIError
from requests.exceptions import ReadTimeout

from infra.clients.docker_engine import kill_containers


def test_every_container_is_killed_also_beside_one_that_does_not_run_and_a_slow_one() -> None:
    killed = []

    class Container:
        def __init__(self, name: str, failure: Exception | None = None) -> None:
            self.name, self.failure = name, failure

        def kill(self) -> None:
            if self.failure:
                raise self.failure
            killed.append(self.name)

    failures = (APIError("zookeeper is not running"), ReadTimeout("Read timed out."))
    containers = [Container("kafka"), *(Container("other", failure) for failure in failures), Container("spark-job")]
    client: Any = SimpleNamespace(containers=SimpleNamespace(list=lambda all, filters, ignore_removed: containers))
    kill_containers(client, "unit")
    assert sorted(killed) == ["kafka", "spark-job"]
