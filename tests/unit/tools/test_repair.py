"""Repair of a stack's state, with a script in place of Pulumi. On a real stack: tests/stack/test_lifecycle.py."""

from __future__ import annotations

import base64
import json
import os
import pwd
import shutil
import socket
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import dill
import pytest
from docker.errors import APIError
from requests.exceptions import ReadTimeout

from infra.clients import docker_engine
from infra.home import home_folder
from infra.names import IMAGE_SOURCE_LABEL
from infra.ownership import foreign_deployment
from infra.provisioning.topic import Topic
from tools import repair
from tools.repair import RepairError, check_locks


def write_lock(folder: Path, pid: int, host: str = socket.gethostname()) -> None:
    """A lock file in Pulumi's format."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{pid}-{host}.json").write_text(json.dumps({"pid": pid, "username": "me", "hostname": host}))


def finished_process() -> int:
    """The id of a process that has ended."""
    process = subprocess.Popen(["true"])
    process.wait()
    return process.pid


@pytest.fixture
def locks(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The folder of the stack's locks, which does not exist yet."""
    monkeypatch.setattr(repair, "lock_folder", lambda _stack: tmp_path / "locks")
    return tmp_path / "locks"


def test_lock_of_finished_process_is_stale(locks: Path) -> None:
    pid = finished_process()
    write_lock(locks, pid)
    assert check_locks("old") == [pid]


def test_lock_of_running_pulumi_is_an_error_also_beside_a_stale_one(locks: Path, running_pulumi: int) -> None:
    write_lock(locks, running_pulumi)
    write_lock(locks, finished_process())
    with pytest.raises(RepairError, match=f"^the stack old is being deployed by process {running_pulumi}: wait for it"):
        check_locks("old")


def test_lock_whose_process_id_was_reused_by_another_program_is_stale(locks: Path) -> None:
    write_lock(locks, os.getpid())
    assert check_locks("old") == [os.getpid()]


def test_lock_of_another_machine_is_an_error_that_says_how_to_release_it(locks: Path) -> None:
    write_lock(locks, finished_process(), "elsewhere")
    with pytest.raises(RepairError, match=r"on the machine elsewhere: .*`pulumi cancel --stack old`"):
        check_locks("old")


@pytest.mark.parametrize("content", ["", "{", "[]", '{"pid": 1}'])
def test_unreadable_lock_is_an_error_that_says_how_to_release_it(locks: Path, content: str) -> None:
    """A full disk leaves an empty file."""
    locks.mkdir()
    (locks / "1.json").write_text(content)
    with pytest.raises(RepairError, match=rf"^the lock {locks}/1.json .* cannot be read .*: if nobody .*, delete"):
        check_locks("old")


def test_no_lock_file_and_no_lock_folder(locks: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert check_locks("old") == []
    locks.mkdir()
    assert check_locks("old") == []
    monkeypatch.setattr(repair, "lock_folder", lambda _stack: None)
    assert check_locks("old") == []


ALL = ["container", "network", "volume"]


class Client:
    """A Docker engine with one container, one network and one volume, of the stack `old`."""

    def __init__(self) -> None:
        self.existing = list(ALL)
        self.users_of_the_volume: list[Any] = [SimpleNamespace(id="container", name="own")]
        self.info = lambda: {"ID": "this"}
        self.containers, self.networks, self.volumes = (Kind(self, name) for name in list(self.existing))


class Kind:
    """The engine's resources of one kind."""

    def __init__(self, client: Client, name: str) -> None:
        self._client = client
        self.id = self.name = name
        self.labels: dict[str, str] = {}
        self.status = "running"
        self.changes: list[tuple[str, dict[str, Any]]] = []
        """What was done to this network."""
        self.attrs: dict[str, Any] = {
            "Containers": {"container": {"Name": "container"}},
            "NetworkSettings": {"Networks": {"lolstack-old": {"NetworkID": "network"}}},
        }

    def reload(self) -> None:
        pass

    def list(self, filters: dict[str, str] | None = None, **_: Any) -> list[Any]:
        if filters is None:  # all of the engine's
            filters = {"label": "lolstack.stack=old"}
        if filters == {"volume": "volume"}:
            return self._client.users_of_the_volume
        assert filters == {"label": "lolstack.stack=old"}
        return [self] if self.name in self._client.existing else []

    def remove(self) -> None:
        self._client.existing.remove(self.name)

    def connect(self, container: Any, **options: Any) -> None:
        assert container is self._client.containers
        self.changes.append(("connect", options))

    def disconnect(self, container: Any) -> None:
        assert container is self._client.containers
        self.changes.append(("disconnect", {}))


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> Client:
    """The Docker engine in use."""
    client = Client()
    monkeypatch.setattr(repair, "connect", lambda: client)
    return client


@pytest.fixture
def calls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, engine: Client) -> Path:
    """A `pulumi` on PATH that appends its arguments to this file and exports `state.json`."""
    (tmp_path / "pulumi").write_text(
        f"""#!/bin/sh
echo "$@" >> {tmp_path}/calls
case "$1 $2" in
  whoami*) echo '{{"url": "file://{tmp_path}"}}' ;;
  'stack export') cat {tmp_path}/state.json ;;
esac
"""
    )
    (tmp_path / "pulumi").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    return tmp_path / "calls"


def write_state(
    folder: Path,
    *providers: bytes,
    pending: Sequence[dict[str, Any]] = (),
    resources: Sequence[dict[str, Any]] = ({"type": "docker:index/volume:Volume", "id": "volume"},),
) -> None:
    """A state with a dynamic resource for each pickled provider, as `pulumi stack export --show-secrets` prints it."""
    resources = list(resources)
    for provider in providers:
        plaintext = json.dumps(base64.b64encode(provider).decode())
        resources.append({"type": "dynamic", "outputs": {"__provider": {"plaintext": plaintext}}})
    (folder / "state.json").write_text(
        json.dumps({"deployment": {"resources": resources, "pending_operations": pending}})
    )


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["repair", "--stack", "old", *arguments])
    return repair.main()


MISSING_MODULE = b"chealth_gate\nHealthGateProvider\n."
MISSING_CLASS = b"cinfra.provisioning.topic\nRenamedProvider\n."


@pytest.mark.parametrize("provider", [MISSING_MODULE, MISSING_CLASS])
def test_incompatible_state_of_an_old_layout_is_one_error_that_names_make_reset(
    calls: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], provider: bytes
) -> None:
    write_state(calls.parent, dill.dumps(Topic), provider)
    assert run(monkeypatch) == 1
    error = capsys.readouterr().err
    assert "`make reset STACK=old`, which deletes all of its data" in error
    assert error.count("\n") == 1
    assert "delete" not in calls.read_text()


def test_discard_of_incompatible_state_removes_its_resources_and_empties_the_state(
    calls: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], engine: Client
) -> None:
    write_state(calls.parent, MISSING_MODULE)
    assert run(monkeypatch, "--discard") == 0
    assert engine.existing == []
    assert calls.read_text().splitlines()[-1] == "state delete --all --force --yes --stack old"
    assert "removed volume: " in capsys.readouterr().out


@pytest.mark.parametrize("arguments", [(), ("--discard",)])
def test_compatible_state_is_left_unchanged(
    calls: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...]
) -> None:
    write_state(calls.parent, dill.dumps(Topic))
    assert run(monkeypatch, *arguments) == 0
    assert calls.read_text().splitlines() == ["whoami --json", "stack export --show-secrets --stack old"]
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(("name", "remaining"), [("container", ["network", "volume"]), ("other", ALL)])
def test_container_of_an_interrupted_deployment_is_removed_and_the_pending_operation_cleared(
    calls: Path, monkeypatch: pytest.MonkeyPatch, engine: Client, name: str, remaining: list[str]
) -> None:
    resource = {"type": "docker:index/container:Container", "inputs": {"name": name}}
    write_state(calls.parent, pending=[{"type": "creating", "resource": resource}])
    assert run(monkeypatch) == 0
    assert engine.existing == remaining
    assert calls.read_text().splitlines()[-1] == "refresh --clear-pending-creates --yes --skip-preview --stack old"


@pytest.mark.parametrize(
    ("container", "remaining"),
    [
        ({"id": "container", "initErrors": ["no space left on device"]}, ["network", "volume"]),
        ({"id": "container", "initErrors": []}, ALL),
        ({"id": "container"}, ALL),
        ({"id": "of another stack", "initErrors": ["no space left on device"]}, ALL),
    ],
)
def test_container_whose_creation_failed_half_way_is_removed_before_a_refresh_forgets_that(
    calls: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    engine: Client,
    container: dict[str, Any],
    remaining: list[str],
) -> None:
    """`up` would only start it, without its files. The refresh of `up` drops the removed one from the state."""
    write_state(calls.parent, resources=[{"type": "docker:index/container:Container", **container}])
    assert run(monkeypatch) == 0
    assert engine.existing == remaining
    removed = remaining != ALL
    assert capsys.readouterr().out == ("removed container: its creation failed half-way\n" if removed else "")


@pytest.mark.parametrize(
    ("status", "network", "removed"),
    [
        ("exited", "gone", True),
        ("exited", "network", False),
        ("exited", "", False),  # it was never started
        ("running", "gone", False),
    ],
)
def test_stopped_container_whose_network_was_removed_is_removed(
    calls: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    engine: Client,
    status: str,
    network: str,
    removed: bool,
) -> None:
    """By `docker network prune`. `up` would only start it, and Docker looks for the network by its id."""
    write_state(calls.parent)
    engine.containers.status = status
    engine.containers.attrs["NetworkSettings"] = {"Networks": {"lolstack-old": {"NetworkID": network}}}
    assert run(monkeypatch) == 0
    assert engine.existing == (["network", "volume"] if removed else ALL)
    reason = "removed container: its network was removed while it was stopped\n"
    assert capsys.readouterr().out == (reason if removed else "")


def connected(*aliases: str) -> dict[str, Any]:
    return {"NetworkID": "network", "Aliases": [*aliases, "0123456789ab"]}


@pytest.mark.parametrize(
    ("networks", "changes", "arguments"),
    [
        ({"network": connected("kafka"), "another": connected()}, [], ()),
        ({"another": connected()}, ["connect"], ()),
        ({}, ["connect"], ()),
        ({"network": connected()}, ["disconnect", "connect"], ()),
        ({"network": {"NetworkID": "network", "Aliases": None}}, ["disconnect", "connect"], ()),
        ({}, [], ("--discard",)),
    ],
    ids=["connected", "not connected", "to none", "without its alias", "without any alias", "to be destroyed"],
)
def test_container_that_was_disconnected_by_hand_is_connected_again_under_its_alias(
    calls: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    engine: Client,
    networks: dict[str, Any],
    changes: list[str],
    arguments: tuple[str, ...],
) -> None:
    declared = {"networksAdvanced": [{"name": "network", "aliases": ["kafka"]}]}
    container = {"type": "docker:index/container:Container", "id": "container", "outputs": declared}
    write_state(calls.parent, resources=[container])
    engine.containers.attrs["NetworkSettings"] = {"Networks": networks}
    assert run(monkeypatch, *arguments) == 0
    assert [change for change, _ in engine.networks.changes] == changes
    connections = [options for change, options in engine.networks.changes if change == "connect"]
    assert connections == [{"aliases": ["kafka"]}] * len(connections)
    line = "connected container to the network network again\n"
    assert capsys.readouterr().out == (line if changes else "")


PENDING_CONTAINER = {
    "type": "creating",
    "resource": {"type": "docker:index/container:Container", "inputs": {"name": "container"}},
}


FAILED_CONTAINER = {"type": "docker:index/container:Container", "id": "container", "initErrors": ["no space left"]}


@pytest.mark.parametrize(
    ("provider", "state"),
    [
        (dill.dumps(Topic), {"pending": [PENDING_CONTAINER]}),
        (MISSING_MODULE, {"pending": [PENDING_CONTAINER]}),
        (dill.dumps(Topic), {"resources": [FAILED_CONTAINER]}),
    ],
    ids=["pending", "incompatible", "failed"],
)
@pytest.mark.parametrize("begins", ["before", "while its state is read"])
def test_nothing_of_a_running_deployment_is_removed(
    calls: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    engine: Client,
    locks: Path,
    running_pulumi: int,
    provider: bytes,
    state: dict[str, Any],
    begins: str,
) -> None:
    write_state(calls.parent, provider, **state)
    write_lock(locks, running_pulumi)
    if begins != "before":
        locks.rename(calls.parent / "later")
        pulumi = calls.parent / "pulumi"
        pulumi.write_text(pulumi.read_text().replace("export')", f"export') mv {calls.parent}/later {locks};"))
    assert run(monkeypatch, "--discard") == 1
    assert capsys.readouterr().err == (
        f"the stack old is being deployed by process {running_pulumi}: wait for it or end it\n"
    )
    assert engine.existing == ALL
    assert "cancel" not in (calls.read_text() if calls.exists() else "")


def test_container_that_a_deployment_is_creating_is_not_another_users(
    calls: Path, monkeypatch: pytest.MonkeyPatch, engine: Client
) -> None:
    """The state has it only once it is created; another pending resource does not make it the own one."""
    engine.containers.labels = {IMAGE_SOURCE_LABEL: "build"}
    client: Any = engine
    for name, is_foreign in (("container", False), ("other", True)):
        resource = {"type": "docker:index/container:Container", "inputs": {"name": name}}
        state = {"pending_operations": [{"type": "creating", "resource": resource}]}
        assert (foreign_deployment(state, "old", client) is not None) == is_foreign


def test_interrupted_deployment_beside_a_stack_of_another_state_is_refused_before_anything_is_removed(
    calls: Path, monkeypatch: pytest.MonkeyPatch, engine: Client
) -> None:
    engine.containers.labels = {IMAGE_SOURCE_LABEL: "build"}
    resource = {"type": "docker:index/network:Network", "inputs": {"name": "network"}}
    write_state(calls.parent, MISSING_MODULE, pending=[{"type": "creating", "resource": resource}])
    assert run(monkeypatch, "--discard") == 1
    assert engine.existing == ALL
    assert "delete" not in calls.read_text()


@pytest.mark.parametrize("arguments", [(), ("--discard",)])
def test_stack_of_another_state_is_refused_by_name(
    calls: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    engine: Client,
    arguments: tuple[str, ...],
) -> None:
    """Neither deployed nor destroyed. The own containers are those that the state contains."""
    engine.containers.labels = {IMAGE_SOURCE_LABEL: "build"}
    write_state(calls.parent)
    assert run(monkeypatch, *arguments) == 1
    assert "the stack old is already deployed on this Docker engine by another user" in capsys.readouterr().err
    own = {"type": "docker:index/container:Container", "id": "container"}
    write_state(calls.parent, resources=[own])
    assert run(monkeypatch, *arguments) == 0


def test_stack_of_another_state_is_refused_before_anything_else_of_it_is_looked_at(
    calls: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], engine: Client
) -> None:
    """Containers that its owner has connected are no concern of this user; and nothing of it is removed."""
    engine.containers.labels = {IMAGE_SOURCE_LABEL: "build"}
    engine.networks.attrs = {"Containers": {"0123": {"Name": "jupyter"}}}
    write_state(calls.parent, MISSING_MODULE)
    assert run(monkeypatch, "--discard") == 1
    error = capsys.readouterr().err
    assert "the stack old is already deployed on this Docker engine by another user" in error
    assert "jupyter" not in error
    assert engine.existing == ALL


def forget_stack(calls: Path) -> None:
    """Pulumi has no stack `old`."""
    pulumi = calls.parent / "pulumi"
    failure = "echo \"error: no stack named 'old' found\" >&2; exit 6"
    pulumi.write_text(pulumi.read_text().replace(f"cat {calls.parent}/state.json", failure))


def test_stack_of_another_user_is_named_to_a_user_who_has_no_such_stack(
    calls: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], engine: Client
) -> None:
    """`make down` without a `make up` before it."""
    forget_stack(calls)
    engine.containers.labels = {IMAGE_SOURCE_LABEL: "build"}
    assert run(monkeypatch, "--discard") == 1
    assert "the stack old is already deployed on this Docker engine by another user" in capsys.readouterr().err
    engine.existing = []
    assert run(monkeypatch, "--discard") == 1
    assert capsys.readouterr().err.startswith("there is no stack old: ")


def test_missing_stack_is_created_only_if_no_other_user_has_deployed_it(
    calls: Path, monkeypatch: pytest.MonkeyPatch, engine: Client
) -> None:
    forget_stack(calls)
    engine.containers.labels = {IMAGE_SOURCE_LABEL: "build"}
    assert run(monkeypatch, "--create") == 1
    assert "--create" not in calls.read_text()
    engine.existing = []
    assert run(monkeypatch, "--create") == 0
    assert calls.read_text().splitlines()[-1] == "stack select --create old"


@pytest.mark.parametrize(
    ("command", "problem"),
    [
        ("stack select", "the line `encryptionsalt` of {root}/Pulumi.old.yaml is of another passphrase than yours"),
        ("stack export", "the secrets of the stack old are encrypted with another passphrase than the one in use"),
    ],
)
def test_wrong_passphrase_is_one_line_that_says_what_to_do(
    calls: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], command: str, problem: str
) -> None:
    write_state(calls.parent)
    pulumi = calls.parent / "pulumi"
    pulumi.write_text(
        pulumi.read_text().replace("in\n", f"in\n'{command}') echo 'error: incorrect passphrase' >&2; exit 1 ;;\n", 1)
    )
    assert run(monkeypatch, "--create") == 1
    error = capsys.readouterr().err
    assert problem.format(root=repair.ROOT) in error
    assert error.count("\n") == 1


def test_damaged_state_is_one_line_that_names_its_backups(
    calls: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A full disk or a power failure can leave an empty file."""
    pulumi = calls.parent / "pulumi"
    failure = "error: failed to load checkpoint: place 1: unexpected end of JSON input"
    pulumi.write_text(pulumi.read_text().replace(f"cat {calls.parent}/state.json", f"echo '{failure}' >&2; exit 255"))
    assert run(monkeypatch, "--create") == 1
    error = capsys.readouterr().err
    file = calls.parent / ".pulumi/stacks/lolstack/old.json"
    assert "unexpected end of JSON input" in error
    assert f"`cp {file}.bak {file}`" in error
    assert f"{calls.parent}/.pulumi/backups/lolstack/old;" in error
    assert error.count("\n") == 1


@pytest.mark.parametrize("content", [b"", bytes(200), b'{"user.cache'])
def test_damaged_attributes_of_the_state_are_named(
    calls: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], content: bytes
) -> None:
    """The state itself is whole: the one before would be a step back."""
    pulumi = calls.parent / "pulumi"
    failure = "error: failed to load checkpoint: EOF"
    pulumi.write_text(pulumi.read_text().replace(f"cat {calls.parent}/state.json", f"echo '{failure}' >&2; exit 255"))
    file = calls.parent / ".pulumi/stacks/lolstack/old.json.attrs"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content)
    assert run(monkeypatch, "--create") == 1
    error = capsys.readouterr().err
    assert error.startswith(f"{file}, of the state of the stack old, is damaged, ")
    assert error.endswith(": delete it, then start again\n")


def test_remote_engine_is_refused_before_pulumi_is_run(
    calls: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Pulumi's refresh would take all of the stack as deleted, and drop it from the state."""
    monkeypatch.setenv("DOCKER_HOST", "tcp://elsewhere:2375")
    monkeypatch.setattr(repair, "connect", docker_engine.connect)
    assert run(monkeypatch, "--create") == 1
    assert "the Docker engine at tcp://elsewhere:2375 is on another machine" in capsys.readouterr().err
    assert not calls.exists()


@pytest.mark.parametrize("arguments", [("--create",), ("--discard",)])
@pytest.mark.parametrize(
    ("recorded", "containers", "refused"),
    [
        ("other", [], True),
        ("this", [], False),
        ("other", ["container"], False),  # the engine has got a new id, for example with a new key.json
        (None, [], False),  # an earlier version deployed the stack
    ],
)
def test_stack_that_was_deployed_on_another_docker_engine_is_refused(
    calls: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    engine: Client,
    arguments: tuple[str, ...],
    recorded: str | None,
    containers: list[str],
    refused: bool,
) -> None:
    """Its containers are all missing there, so that Pulumi's refresh would drop them from the state."""
    engine.existing = containers
    outputs = {} if recorded is None else {"dockerEngine": recorded}
    own = {"type": "docker:index/container:Container", "id": "container"}
    write_state(calls.parent, resources=[{"type": "pulumi:pulumi:Stack", "outputs": outputs}, own])
    assert run(monkeypatch, *arguments) == int(refused)
    error = capsys.readouterr().err
    if refused:
        assert "the stack old was deployed on another Docker engine (id other) than the selected one" in error
        advice = ("`make up STACK=other`", "`pulumi state delete --all --force --yes --stack old`", "removes nothing")
        assert [error.index(each) for each in advice] == sorted(error.index(each) for each in advice)
        assert "select" not in calls.read_text()


def test_stack_without_any_resource_may_be_deployed_on_another_docker_engine(
    calls: Path, monkeypatch: pytest.MonkeyPatch, engine: Client
) -> None:
    engine.existing = []
    stack = {"type": "pulumi:pulumi:Stack", "outputs": {"dockerEngine": "other"}}
    write_state(calls.parent, resources=[stack])
    assert run(monkeypatch, "--create") == 0


@pytest.mark.parametrize(
    ("arguments", "refused"), [(("--create",), True), (("--create", "--discard"), True), (("--discard",), False)]
)
def test_checkout_without_the_settings_of_the_last_deployment_is_refused_before_pulumi_creates_the_file(
    calls: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: tuple[str, ...],
    refused: bool,
) -> None:
    """`make up` and `make reset`, whose deployment would have the defaults; `make down` needs no settings."""
    monkeypatch.setattr("infra.configuration.ROOT", calls.parent)
    deployed = {"id": "0123456789ab", "settings": ["topicRetentionHours"]}
    stack = {"type": "pulumi:pulumi:Stack", "outputs": {"configuration": deployed}}
    write_state(calls.parent, resources=[stack, {"type": "docker:index/volume:Volume", "id": "volume"}])
    assert run(monkeypatch, *arguments) == int(refused)
    assert ("which does not set topicRetentionHours" in capsys.readouterr().err) is refused
    assert "select" not in calls.read_text()


def test_renamed_stack_is_not_deployed_but_can_be_destroyed(
    calls: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    network = {
        "type": "docker:index/network:Network",
        "urn": "urn:pulumi:unit::lolstack::docker:index/network:Network::network",
        "id": "1",
        "inputs": {"name": "lolstack-former"},
    }
    write_state(calls.parent, resources=[network])
    assert run(monkeypatch) == 1
    error = capsys.readouterr().err
    assert "the stack old was deployed as former and then renamed" in error
    assert "`pulumi stack rename former --stack old`" in error
    assert run(monkeypatch, "--discard") == 0


def test_foreign_container_on_the_network_is_named_before_anything_is_destroyed(
    calls: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], engine: Client
) -> None:
    """Also if the state is incompatible. `up` does not remove the network."""
    engine.networks.attrs = {"Containers": {"container": {"Name": "own"}, "0123": {"Name": "jupyter"}}}
    write_state(calls.parent, MISSING_MODULE)
    assert run(monkeypatch, "--discard") == 1
    error = capsys.readouterr().err
    assert "connected to the network network of the stack old" in error
    assert "jupyter" in error
    assert "own" not in error
    assert engine.existing == ALL
    write_state(calls.parent)
    assert run(monkeypatch) == 0


def test_foreign_container_that_uses_a_volume_is_named_before_anything_is_destroyed(
    calls: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], engine: Client
) -> None:
    """Also a stopped one: `docker run -v lolstack-old-broker:/x debian`. `up` does not remove the volume."""
    write_state(calls.parent, MISSING_MODULE)
    engine.users_of_the_volume.append(SimpleNamespace(id="0123", name="curious_bell"))
    assert run(monkeypatch, "--discard") == 1
    error = capsys.readouterr().err
    assert "curious_bell uses volume" in error
    assert "`docker rm -f curious_bell`" in error
    assert "own" not in error
    assert engine.existing == ALL
    write_state(calls.parent)
    assert run(monkeypatch) == 0


@pytest.mark.parametrize("failure", [APIError("500 Server Error"), ReadTimeout("Read timed out.")])
def test_engine_that_answers_but_does_not_work_is_one_line(
    calls: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    engine: Client,
    failure: Exception,
) -> None:
    def fail(**_: Any) -> None:
        raise failure

    write_state(calls.parent)
    monkeypatch.setattr(engine.containers, "list", fail)
    assert run(monkeypatch) == 1
    error = capsys.readouterr().err
    assert error.startswith("the Docker engine at ")
    assert f"does not work ({failure})" in error
    assert error.count("\n") == 1


@pytest.fixture
def passwd_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The home folder of the passwd entry. HOME is another one."""
    entry = SimpleNamespace(pw_dir=str(tmp_path / "passwd"))
    monkeypatch.setattr(pwd, "getpwuid", lambda uid: entry if uid == os.getuid() else None)
    monkeypatch.setenv("HOME", str(tmp_path / "other"))
    return tmp_path / "passwd"


@pytest.mark.parametrize(
    ("url", "folder"),
    [
        ("file://~", "{home}"),
        ("file://~/states", "{home}/states"),
        ("file:///srv/state", "/srv/state"),
        ("file:///srv/state?no_tmp_dir=true", "/srv/state"),
        ("file://./state", f"{repair.ROOT}/state"),
    ],
)
def test_locks_are_in_the_folder_that_pulumi_uses(calls: Path, passwd_home: Path, url: str, folder: str) -> None:
    """The home folder of the passwd entry, whatever HOME is; a relative folder below the project."""
    script = (calls.parent / "pulumi").read_text().replace(f"file://{calls.parent}", url)
    (calls.parent / "pulumi").write_text(script)
    expected = Path(folder.format(home=passwd_home)) / ".pulumi/locks/organization/lolstack/old"
    assert repair.lock_folder("old") == expected


def test_home_folder_without_a_passwd_entry_is_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def no_entry(_uid: int) -> None:
        raise KeyError

    monkeypatch.setattr(pwd, "getpwuid", no_entry)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert home_folder() == tmp_path


@pytest.mark.skipif(shutil.which("pulumi") is None, reason="needs Pulumi")
def test_pulumi_itself_ignores_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The lock folder that the tests above expect is Pulumi's: it writes nothing below HOME."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("PULUMI_BACKEND_URL", raising=False)
    subprocess.run(["pulumi", "stack", "ls"], cwd=repair.ROOT, check=True, capture_output=True)
    assert list(tmp_path.rglob("*")) == []


def test_failure_of_pulumi_is_an_error_with_its_message(
    calls: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (calls.parent / "pulumi").write_text("#!/bin/sh\necho 'error: incorrect passphrase' >&2\nexit 1\n")
    assert run(monkeypatch) == 1
    assert capsys.readouterr().err == "pulumi whoami --json: error: incorrect passphrase\n"
