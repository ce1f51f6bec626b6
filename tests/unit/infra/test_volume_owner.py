"""The owner of a volume's files: changed once, by a container with few rights; services of another user stop first."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from docker.errors import NotFound

from infra.provisioning import volume_owner
from tests.support.pulumi_program import dynamic_provider

PROVIDER = dynamic_provider(volume_owner)
PROPS = {"volume": "data", "user": "60710:60710", "image": "sha256:1"}


class FakeEngine:
    """Stands in for docker.DockerClient: containers that use the volume, by name and user."""

    def __init__(self, users: dict[str, str]) -> None:
        self.volume_names = {"data"}
        self.log: list[str] = []
        containers = [
            SimpleNamespace(attrs={"Config": {"User": user}}, stop=lambda name=name: self.log.append(f"stop {name}"))
            for name, user in users.items()
        ]
        self.containers = SimpleNamespace(list=lambda filters: containers, run=self._run)
        self.volumes = SimpleNamespace(get=self._volume)

    def _run(self, image: str, **options: Any) -> None:
        assert options["volumes"] == {"data": {"bind": volume_owner.FOLDER, "mode": "rw"}}
        assert options["cap_drop"] == ["ALL"]
        assert options["network_mode"] == "none"
        self.log.append(f"chown {' '.join(options['command'])} by {image}")

    def _volume(self, name: str) -> None:
        if name not in self.volume_names:
            raise NotFound(name)


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> FakeEngine:
    fake = FakeEngine({"old": "1000:1000", "new": "60710:60710"})
    monkeypatch.setattr(volume_owner, "connect", lambda **_: fake)
    return fake


def test_container_of_another_user_is_stopped_before_the_owner_changes(engine: FakeEngine) -> None:
    PROVIDER.create(PROPS)
    assert engine.log == ["stop old", "chown 60710:60710 by sha256:1"]


def test_another_user_changes_the_owner_in_place(engine: FakeEngine) -> None:
    other = PROPS | {"user": "60799:60799"}
    found = PROVIDER.diff("data", PROPS, other)
    assert found.changes
    assert not found.replaces
    PROVIDER.update("data", PROPS, other)
    assert "chown 60799:60799 by sha256:1" in engine.log


def test_a_new_image_alone_changes_nothing() -> None:
    assert not PROVIDER.diff("data", PROPS, PROPS | {"image": "sha256:2"}).changes


def test_owner_is_set_again_after_the_volume_was_removed(engine: FakeEngine) -> None:
    assert PROVIDER.read("data", PROPS).id == "data"
    engine.volume_names.clear()
    assert PROVIDER.read("data", PROPS).id is None
