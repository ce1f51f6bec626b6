"""The owners of the volumes' files: set once, by a container with few rights. Services of other users stop first."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from docker.errors import NotFound

from infra.names import STACK_LABEL
from infra.provisioning import volume_owner
from tests.support.pulumi_program import dynamic_provider

PROVIDER = dynamic_provider(volume_owner)
KAFKA, SPARK = "60710:60710", "60713:60713"
LOG_CONFIG = {"Type": "json-file", "Config": {"max-size": "10m", "max-file": "3"}}
"""As the services."""
PROPS = {"stack": "unit", "users": {"broker": KAFKA, "checkpoints": SPARK}, "image": "sha256:1"}


class FakeEngine:
    """Stands in for docker.DockerClient: containers that use the volumes, and their users."""

    def __init__(self) -> None:
        self.volume_names = {"broker", "checkpoints"}
        self.users = {"broker": {"old": "1000:1000", "new": KAFKA}}
        self.log: list[str] = []
        self.containers = SimpleNamespace(list=self._list, run=self._run, get=self._get)
        self.leftover = False
        """Whether a killed deployment has left the container that changes owners."""
        self.volumes = SimpleNamespace(get=self._volume)

    def _list(self, filters: dict[str, str], ignore_removed: bool) -> list[SimpleNamespace]:
        return [
            SimpleNamespace(attrs={"Config": {"User": user}}, stop=lambda name=name: self.log.append(f"stop {name}"))
            for name, user in self.users.get(filters["volume"], {}).items()
        ]

    def _get(self, name: str) -> SimpleNamespace:
        if not self.leftover:
            raise NotFound(name)
        return SimpleNamespace(remove=lambda force: self.log.append(f"remove {name}"))

    def _run(self, image: str, **options: Any) -> None:
        assert options["name"] == "lolstack-unit-volume-owners"
        assert options["labels"].items() >= {STACK_LABEL: "unit", "traefik.enable": "false"}.items()
        mounts = {name: mount["bind"] for name, mount in options["volumes"].items()}
        assert [each.partition("=")[2] for each in options["command"]] == list(mounts.values())
        assert options["cap_drop"] == ["ALL"]
        assert options["network_mode"] == "none"
        assert options["log_config"] == LOG_CONFIG, "the engine's default may not start, or keep no error to read"
        owners = " ".join(each.replace(f"={volume_owner.FOLDER}/", " ") for each in options["command"])
        self.log.append(f"chown {owners} by {image}")

    def _volume(self, name: str) -> None:
        if name not in self.volume_names:
            raise NotFound(name)


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> FakeEngine:
    fake = FakeEngine()
    monkeypatch.setattr(volume_owner, "connect", lambda **_: fake)
    return fake


def test_containers_of_another_user_are_stopped_before_the_owners_change(engine: FakeEngine) -> None:
    PROVIDER.create(PROPS)
    assert engine.log == ["stop old", f"chown {KAFKA} broker {SPARK} checkpoints by sha256:1"]


def test_container_that_a_killed_deployment_has_left_is_removed_first(engine: FakeEngine) -> None:
    """It has the name, and would keep the volumes in use."""
    engine.leftover = True
    PROVIDER.create(PROPS)
    assert engine.log[0] == "remove lolstack-unit-volume-owners"


def test_another_user_changes_the_owner_of_that_volume_only(engine: FakeEngine) -> None:
    other = PROPS | {"users": {"broker": KAFKA, "checkpoints": "60799:60799"}}
    assert PROVIDER.diff("changed", PROPS, other).changes
    PROVIDER.update("changed", PROPS, other)
    assert engine.log == ["chown 60799:60799 checkpoints by sha256:1"]


def test_a_volume_less_changes_no_owner(engine: FakeEngine) -> None:
    PROVIDER.update("changed", PROPS, PROPS | {"users": {"broker": KAFKA}})
    assert engine.log == []


def test_a_new_image_alone_changes_nothing() -> None:
    assert not PROVIDER.diff("changed", PROPS, PROPS | {"image": "sha256:2"}).changes


def test_owner_is_set_again_after_a_volume_was_removed(engine: FakeEngine) -> None:
    assert PROVIDER.read("changed", PROPS).outs == PROPS
    engine.volume_names.remove("checkpoints")
    found = dict(PROVIDER.read("changed", PROPS).outs or {})
    assert PROVIDER.diff("changed", found, PROPS).changes
    PROVIDER.update("changed", found, PROPS)
    assert engine.log == [f"chown {SPARK} checkpoints by sha256:1"]


def test_resource_of_one_volume_of_an_earlier_version_is_forgotten(engine: FakeEngine) -> None:
    """Pulumi reads it with this version's provider when it refreshes."""
    assert PROVIDER.read("broker", {"volume": "broker", "user": KAFKA, "image": "sha256:1"}).id is None


def test_script_changes_each_folder_and_keeps_docker_from_changing_an_empty_one(tmp_path: Path) -> None:
    """Docker gives an empty volume the owner of the image's directory when it is mounted."""
    if os.geteuid() != 0:
        pytest.skip("needs root, to change owners")
    empty, full = tmp_path / "empty", tmp_path / "full"
    (full / "below").mkdir(parents=True)
    empty.mkdir()
    (full / "link").symlink_to("/etc/passwd")
    subprocess.run(["sh", "-ec", volume_owner.SCRIPT, "sh", f"60711:0={empty}", f"60710:60710={full}"], check=True)
    owners = {path.relative_to(tmp_path): path.lstat() for path in (*empty.rglob("*"), *full.rglob("*"), empty, full)}
    assert {str(path): (found.st_uid, found.st_gid) for path, found in owners.items()} == {
        **dict.fromkeys(("empty", "empty/.owner"), (60711, 0)),
        **dict.fromkeys(("full", "full/below", "full/link"), (60710, 60710)),
    }
    assert Path("/etc/passwd").stat().st_uid == 0


def test_script_leaves_a_folder_of_the_right_owner_alone(tmp_path: Path) -> None:
    """A service may be using it: a file that vanishes while its owner is changed would be an error."""
    if os.geteuid() != 0:
        pytest.skip("needs root, to change owners")
    (tmp_path / "file").touch()
    os.chown(tmp_path, 60711, 0)
    subprocess.run(["sh", "-ec", volume_owner.SCRIPT, "sh", f"60711:0={tmp_path}"], check=True)
    assert (tmp_path / "file").stat().st_uid == os.geteuid()
