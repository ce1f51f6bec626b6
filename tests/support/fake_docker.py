"""A fake Docker engine for tests of what the program reads from the real one: version, memory, disk, containers."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import requests
from docker.errors import APIError, DockerException, ImageNotFound

from infra.names import STACK_LABEL

GIB = 2**30


class FakeContainer:
    """A container with labels, a status, and published ports (container port → host port)."""

    def __init__(
        self,
        labels: Mapping[str, str] | None = None,
        status: str = "running",
        ports: Mapping[int, int] | None = None,
        name: str = "",
    ) -> None:
        self.name = name
        self.id = f"id of {name}"
        self.labels = dict(labels or {})
        self.status = status
        self.published = [{"PrivatePort": 1, "Type": "tcp"}]  # the image's own port, which is not published
        self.published += [
            {"IP": "127.0.0.1", "PrivatePort": inside, "PublicPort": port, "Type": "tcp"}
            for inside, port in (ports or {}).items()
        ]


class FakeDockerEngine:
    """Stands in for docker.DockerClient. Only what the program calls."""

    def __init__(self, docker_root: Path) -> None:
        self.docker_root = docker_root
        self.api_version = "1.48"
        self.memory_bytes = 64 * GIB
        self.limits = {"MemoryLimit": True, "SwapLimit": True, "CPUShares": True}
        """The limits of containers that the engine can enforce."""
        self.security_options: list[str] | None = ["name=seccomp,profile=default"]
        self.driver_status = [["Backing Filesystem", "extfs"]]
        self.docker_version = "1.2.3-test"
        self.components = ["Engine", "containerd", "runc", "docker-init"]
        self.id = "id of the engine"
        self.containers_by_label: dict[str, list[FakeContainer]] = {}
        """The containers by `label=value` filter."""
        self.volume_names: list[str] = []
        """Volumes with the label of each stack."""
        self.unlabelled_volumes: list[str] = []
        self.volumes = SimpleNamespace(list=self._list_volumes)
        self.network_ids: list[str] = []
        """Networks with the label of each stack."""
        self.networks = SimpleNamespace(list=self._list_networks)
        self.state: dict[str, Any] = {}
        """The `deployment` of the stack's Pulumi state."""
        self.local_images: set[str] = set()
        self.registry: set[str] = set()
        """The references that a registry has."""
        self.answer = (500, "dial tcp: lookup registry-1.docker.io: no such host")
        """Status and text of the engine's answer about a reference that no registry has."""
        self.credentials_error: DockerException | None = None
        """What docker-py raises if it cannot read the login of a registry."""
        self.containers = SimpleNamespace(list=self._list)
        self.api = SimpleNamespace(containers=self._list_running)
        self.images = SimpleNamespace(get=self._local_image, get_registry_data=self._registry_data)

    def version(self) -> dict[str, Any]:
        components = [{"Name": name} for name in self.components]
        return {"Version": self.docker_version, "ApiVersion": self.api_version, "Components": components}

    def info(self) -> dict[str, Any]:
        return {
            "ID": self.id,
            "MemTotal": self.memory_bytes,
            "DockerRootDir": str(self.docker_root),
            "DriverStatus": self.driver_status,
            "SecurityOptions": self.security_options,
            **self.limits,
        }

    def _list(self, all: bool, filters: Mapping[str, str], **_: bool) -> list[FakeContainer]:
        assert all, "a stopped container also holds its ports"
        return self.containers_by_label.get(filters["label"], [])

    def _list_volumes(self, filters: Mapping[str, str] | None = None) -> list[SimpleNamespace]:
        labelled = [SimpleNamespace(name=each, attrs={"Labels": {STACK_LABEL: ""}}) for each in self.volume_names]
        others = [SimpleNamespace(name=each, attrs={"Labels": None}) for each in self.unlabelled_volumes]
        return labelled if filters else [*labelled, *others]

    def _list_networks(self, filters: Mapping[str, str], greedy: bool = False) -> list[SimpleNamespace]:
        return [SimpleNamespace(id=each, name=each, attrs={"Containers": {}}) for each in self.network_ids]

    def _list_running(self, filters: Mapping[str, Any]) -> list[dict[str, Any]]:
        """As the engine's own API answers, which has a container's ports only while it runs."""
        label = filters["label"]
        found = self.containers_by_label.items()
        return [
            {"Names": [f"/{each.name}"], "Ports": each.published}
            for key, containers in found
            if key == label or key.startswith(f"{label}=")
            for each in containers
            if each.status in filters["status"]
        ]

    def _local_image(self, reference: str) -> None:
        if reference not in self.local_images:
            raise ImageNotFound(reference)

    def _registry_data(self, reference: str) -> None:
        if self.credentials_error:
            raise self.credentials_error
        if reference not in self.registry:
            status, explanation = self.answer
            response = requests.Response()
            response.status_code = status
            raise APIError(f"{status} Server Error", response, explanation)
