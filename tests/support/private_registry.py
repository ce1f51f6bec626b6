"""A private image registry with authentication, holding the built images under the official images' names."""

from __future__ import annotations

import base64
import json
from contextlib import suppress
from pathlib import Path

import docker
import requests
from docker.errors import NotFound

from harness.waiting import eventually
from infra import versions
from infra.images import network_arguments, reference
from infra.images.source import Source, mirrored
from infra.names import PROJECT, STACK_LABEL
from infra.settings import Settings
from tests.support.pulumi_program import raw_config

PORT = 25000
ADDRESS = f"localhost:{PORT}"
USER = PASSWORD = "selftest"
DOCKERFILE_FOLDER = Path(__file__).parents[1] / "stack" / "registry"


class PrivateRegistry:
    """The registry's container. It belongs to the stack `stack_name`, and is removed by `remove`."""

    def __init__(self, stack_name: str) -> None:
        self.container_name = f"{PROJECT}-{stack_name}-registry"
        self._stack_name = stack_name
        self._engine = docker.from_env()

    def start(self) -> None:
        """Build the registry, run it, wait until it answers, and push the images."""
        built = Source("build", "", Settings.load(raw_config(), self._stack_name))
        image, _ = self._engine.images.build(
            path=str(DOCKERFILE_FOLDER),
            tag="lolstack.invalid/selftest-registry",
            rm=True,  # intermediate containers
            buildargs={"BASE_IMAGE": reference("base", built), **network_arguments()},
        )
        self.remove()
        self._engine.containers.run(
            image,
            name=self.container_name,
            detach=True,
            ports={"5000/tcp": ("127.0.0.1", PORT)},
            labels={STACK_LABEL: self._stack_name},
        )

        def answers() -> None:
            response = requests.get(f"http://{ADDRESS}/v2/", timeout=5)
            assert response.status_code == requests.codes.unauthorized

        eventually(answers)
        for service in ("base", *versions.BUILT_IMAGES):
            official = mirrored(versions.OFFICIAL_IMAGES[service], ADDRESS)
            self._engine.images.get(reference(service, built)).tag(official)
            for line in self._engine.images.push(
                official, stream=True, decode=True, auth_config={"username": USER, "password": PASSWORD}
            ):
                assert "error" not in line, line
            self._engine.images.remove(official)

    def remove(self) -> None:
        """Remove the registry's container, if it exists."""
        with suppress(NotFound):
            self._engine.containers.get(self.container_name).remove(force=True, v=True)

    @staticmethod
    def write_login(folder: Path) -> None:
        """Write the configuration that `docker login` leaves: DOCKER_CONFIG is set to `folder` to use it."""
        login = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        (folder / "config.json").write_text(json.dumps({"auths": {ADDRESS: {"auth": login}}}))
