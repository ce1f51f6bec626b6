"""Repair of a stack's state, with a script in place of Pulumi. On a real stack: tests/stack/test_lifecycle.py."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import dill
import pytest
from docker.errors import APIError
from requests.exceptions import ReadTimeout

from infra.clients import docker_engine
from infra.names import IMAGE_SOURCE_LABEL
from infra.ownership import foreign_deployment
from infra.provisioning.topic import Topic
from tests.support.fake_pulumi import FakePulumi
from tools import repair

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


@pytest.fixture(autouse=True)
def engine(monkeypatch: pytest.MonkeyPatch) -> Client:
    """The Docker engine in use."""
    client = Client()
    monkeypatch.setattr(repair, "connect", lambda: client)
    return client


def write_state(
    pulumi: FakePulumi,
    *providers: bytes,
    pending: Sequence[dict[str, Any]] = (),
    resources: Sequence[dict[str, Any]] = ({"type": "docker:index/volume:Volume", "id": "volume"},),
) -> None:
    """A state with a dynamic resource for each pickled provider, as `pulumi stack export --show-secrets` prints it."""
    resources = list(resources)
    for provider in providers:
        plaintext = json.dumps(base64.b64encode(provider).decode())
        resources.append({"type": "dynamic", "outputs": {"__provider": {"plaintext": plaintext}}})
    pulumi.give_state({"resources": resources, "pending_operations": [*pending]})


def creating(kind: str, name: str) -> dict[str, Any]:
    """A pending operation."""
    resource = {"type": f"docker:index/{kind}:{kind.capitalize()}", "inputs": {"name": name}}
    return {"type": "creating", "resource": resource}


PENDING_CONTAINER = creating("container", "container")
FAILED_CONTAINER = {"type": "docker:index/container:Container", "id": "container", "initErrors": ["no space left"]}


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["repair", "--stack", "old", *arguments])
    return repair.main()


MISSING_MODULE = b"chealth_gate\nHealthGateProvider\n."
MISSING_CLASS = b"cinfra.provisioning.topic\nRenamedProvider\n."


@pytest.mark.parametrize("provider", [MISSING_MODULE, MISSING_CLASS])
def test_incompatible_state_of_an_old_layout_is_one_error_that_names_make_reset(
    pulumi: FakePulumi, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], provider: bytes
) -> None:
    write_state(pulumi, dill.dumps(Topic), provider)
    assert run(monkeypatch, "--create") == 1
    error = capsys.readouterr().err
    assert "`make reset STACK=old`, which deletes all of its data" in error
    assert error.count("\n") == 1
    assert not {"delete", "select"} & set(" ".join(pulumi.calls).split())


def test_discard_of_incompatible_state_removes_its_resources_and_empties_the_state(
    pulumi: FakePulumi, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], engine: Client
) -> None:
    write_state(pulumi, MISSING_MODULE)
    assert run(monkeypatch, "--discard") == 0
    assert engine.existing == []
    assert pulumi.calls[-1] == "state delete --all --force --yes --stack old"
    assert "removed volume: " in capsys.readouterr().out


@pytest.mark.parametrize("arguments", [(), ("--discard",)])
def test_compatible_state_is_left_unchanged(
    pulumi: FakePulumi, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...]
) -> None:
    write_state(pulumi, dill.dumps(Topic))
    assert run(monkeypatch, *arguments) == 0
    assert pulumi.calls == ["whoami --json", "stack export --show-secrets --stack old"]
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(("name", "remaining"), [("container", ["network", "volume"]), ("other", ALL)])
def test_container_of_an_interrupted_deployment_is_removed_and_the_pending_operation_cleared(
    pulumi: FakePulumi, monkeypatch: pytest.MonkeyPatch, engine: Client, name: str, remaining: list[str]
) -> None:
    write_state(pulumi, pending=[creating("container", name)])
    assert run(monkeypatch) == 0
    assert engine.existing == remaining
    assert pulumi.calls[-1] == "refresh --clear-pending-creates --yes --skip-preview --stack old"


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
    pulumi: FakePulumi,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    engine: Client,
    container: dict[str, Any],
    remaining: list[str],
) -> None:
    """`up` would only start it, without its files. The refresh of `up` drops the removed one from the state."""
    write_state(pulumi, resources=[{"type": "docker:index/container:Container", **container}])
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
    pulumi: FakePulumi,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    engine: Client,
    status: str,
    network: str,
    removed: bool,
) -> None:
    """By `docker network prune`. `up` would only start it, and Docker looks for the network by its id."""
    write_state(pulumi)
    engine.containers.status = status
    engine.containers.attrs["NetworkSettings"] = {"Networks": {"lolstack-old": {"NetworkID": network}}}
    assert run(monkeypatch) == 0
    assert engine.existing == (["network", "volume"] if removed else ALL)
    reason = "removed container: its network was removed while it was stopped\n"
    assert capsys.readouterr().out == (reason if removed else "")


def test_container_that_is_left_over_for_several_reasons_is_removed_once(
    pulumi: FakePulumi, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], engine: Client
) -> None:
    """And not connected again, although it has lost its network."""
    declared = {"networksAdvanced": [{"name": "network", "aliases": ["kafka"]}]}
    write_state(pulumi, resources=[FAILED_CONTAINER | {"outputs": declared}], pending=[PENDING_CONTAINER])
    engine.containers.status = "exited"
    engine.containers.attrs["NetworkSettings"] = {"Networks": {"another": {"NetworkID": "gone"}}}
    assert run(monkeypatch) == 0
    assert engine.existing == ["network", "volume"]
    assert engine.networks.changes == []
    assert capsys.readouterr().out == "removed container: its creation failed half-way\n"


def test_lock_of_a_deployment_that_was_killed_is_released(
    pulumi: FakePulumi, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    process = subprocess.Popen(["true"])
    process.wait()
    pulumi.lock("old", process.pid)
    write_state(pulumi)
    assert run(monkeypatch) == 0
    assert pulumi.calls[1] == "cancel --yes --stack old"
    assert capsys.readouterr().out == (f"unlocked the stack old: process {process.pid}, which held the lock, is gone\n")


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
    pulumi: FakePulumi,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    engine: Client,
    networks: dict[str, Any],
    changes: list[str],
    arguments: tuple[str, ...],
) -> None:
    declared = {"networksAdvanced": [{"name": "network", "aliases": ["kafka"]}]}
    container = {"type": "docker:index/container:Container", "id": "container", "outputs": declared}
    write_state(pulumi, resources=[container])
    engine.containers.attrs["NetworkSettings"] = {"Networks": networks}
    assert run(monkeypatch, *arguments) == 0
    assert [change for change, _ in engine.networks.changes] == changes
    connections = [options for change, options in engine.networks.changes if change == "connect"]
    assert connections == [{"aliases": ["kafka"]}] * len(connections)
    line = "connected container to the network network again\n"
    assert capsys.readouterr().out == (line if changes else "")


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
    pulumi: FakePulumi,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    engine: Client,
    running_pulumi: int,
    provider: bytes,
    state: dict[str, Any],
    begins: str,
) -> None:
    write_state(pulumi, provider, **state)
    pulumi.lock("old", running_pulumi)
    if begins != "before":
        locks, later = pulumi.locks("old"), pulumi.folder / "later"
        locks.rename(later)
        pulumi.answer("stack export", f"mv {later} {locks}; cat {pulumi.folder}/state.json")
    assert run(monkeypatch, "--discard") == 1
    assert capsys.readouterr().err == (
        f"the stack old is being deployed by process {running_pulumi}: wait for it or end it\n"
    )
    assert engine.existing == ALL
    assert "cancel" not in " ".join(pulumi.calls)


def test_container_that_a_deployment_is_creating_is_not_another_users(
    pulumi: FakePulumi, monkeypatch: pytest.MonkeyPatch, engine: Client
) -> None:
    """The state has it only once it is created; another pending resource does not make it the own one."""
    engine.containers.labels = {IMAGE_SOURCE_LABEL: "build"}
    client: Any = engine
    for name, is_foreign in (("container", False), ("other", True)):
        state = {"pending_operations": [creating("container", name)]}
        assert (foreign_deployment(state, "old", client) is not None) == is_foreign


@pytest.mark.parametrize("arguments", [(), ("--discard",)])
def test_stack_of_another_state_is_refused_by_name(
    pulumi: FakePulumi,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    engine: Client,
    arguments: tuple[str, ...],
) -> None:
    """Neither deployed nor destroyed. The own containers are those that the state contains."""
    engine.containers.labels = {IMAGE_SOURCE_LABEL: "build"}
    write_state(pulumi)
    assert run(monkeypatch, *arguments) == 1
    assert "the stack old is already deployed on this Docker engine by another user" in capsys.readouterr().err
    own = {"type": "docker:index/container:Container", "id": "container"}
    write_state(pulumi, resources=[own])
    assert run(monkeypatch, *arguments) == 0


def test_stack_of_another_state_is_refused_before_anything_of_it_is_looked_at_or_removed(
    pulumi: FakePulumi, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], engine: Client
) -> None:
    """Its owner's containers on the network are no concern of this user; nor does an interrupted deployment own it."""
    engine.containers.labels = {IMAGE_SOURCE_LABEL: "build"}
    engine.networks.attrs = {"Containers": {"0123": {"Name": "jupyter"}}}
    write_state(pulumi, MISSING_MODULE, pending=[creating("network", "network")])
    assert run(monkeypatch, "--discard") == 1
    error = capsys.readouterr().err
    assert "the stack old is already deployed on this Docker engine by another user" in error
    assert "jupyter" not in error
    assert engine.existing == ALL
    assert "delete" not in " ".join(pulumi.calls)


def test_stack_of_another_user_is_named_to_a_user_who_has_no_such_stack(
    pulumi: FakePulumi, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], engine: Client
) -> None:
    """`make down` without a `make up` before it."""
    pulumi.forget_stacks()
    engine.containers.labels = {IMAGE_SOURCE_LABEL: "build"}
    assert run(monkeypatch, "--discard") == 1
    assert "the stack old is already deployed on this Docker engine by another user" in capsys.readouterr().err
    engine.existing = []
    assert run(monkeypatch, "--discard") == 1
    assert capsys.readouterr().err.startswith("there is no stack old: ")


def test_missing_stack_is_created_only_if_no_other_user_has_deployed_it(
    pulumi: FakePulumi, monkeypatch: pytest.MonkeyPatch, engine: Client
) -> None:
    pulumi.forget_stacks()
    engine.containers.labels = {IMAGE_SOURCE_LABEL: "build"}
    assert run(monkeypatch, "--create") == 1
    assert "--create" not in " ".join(pulumi.calls)
    engine.existing = []
    assert run(monkeypatch, "--create") == 0
    assert pulumi.calls[-1] == "stack select --create old"


def test_remote_engine_is_refused_before_pulumi_is_run(
    pulumi: FakePulumi, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Pulumi's refresh would take all of the stack as deleted, and drop it from the state."""
    monkeypatch.setenv("DOCKER_HOST", "tcp://elsewhere:2375")
    monkeypatch.setattr(repair, "connect", docker_engine.connect)
    assert run(monkeypatch, "--create") == 1
    assert "the Docker engine at tcp://elsewhere:2375 is on another machine" in capsys.readouterr().err
    assert pulumi.calls == []


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
    pulumi: FakePulumi,
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
    write_state(pulumi, resources=[{"type": "pulumi:pulumi:Stack", "outputs": outputs}, own])
    assert run(monkeypatch, *arguments) == int(refused)
    error = capsys.readouterr().err
    if refused:
        assert "the stack old was deployed on another Docker engine (id other) than the selected one" in error
        advice = ("`make up STACK=other`", "`pulumi state delete --all --force --yes --stack old`", "removes nothing")
        assert [error.index(each) for each in advice] == sorted(error.index(each) for each in advice)
        assert "select" not in " ".join(pulumi.calls)


def test_stack_without_any_resource_may_be_deployed_on_another_docker_engine(
    pulumi: FakePulumi, monkeypatch: pytest.MonkeyPatch, engine: Client
) -> None:
    engine.existing = []
    stack = {"type": "pulumi:pulumi:Stack", "outputs": {"dockerEngine": "other"}}
    write_state(pulumi, resources=[stack])
    assert run(monkeypatch, "--create") == 0


@pytest.mark.parametrize(
    ("arguments", "refused"), [(("--create",), True), (("--create", "--discard"), True), (("--discard",), False)]
)
def test_checkout_without_the_settings_of_the_last_deployment_is_refused_before_pulumi_creates_the_file(
    pulumi: FakePulumi,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: tuple[str, ...],
    refused: bool,
) -> None:
    """`make up` and `make reset`, whose deployment would have the defaults; `make down` needs no settings."""
    monkeypatch.setattr("infra.configuration.ROOT", pulumi.folder)
    deployed = {"id": "0123456789ab", "settings": ["topicRetentionHours"]}
    stack = {"type": "pulumi:pulumi:Stack", "outputs": {"configuration": deployed}}
    write_state(pulumi, resources=[stack, {"type": "docker:index/volume:Volume", "id": "volume"}])
    assert run(monkeypatch, *arguments) == int(refused)
    assert ("which does not set topicRetentionHours" in capsys.readouterr().err) is refused
    assert "select" not in " ".join(pulumi.calls)


def test_renamed_stack_is_not_deployed_but_can_be_destroyed(
    pulumi: FakePulumi, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    network = {
        "type": "docker:index/network:Network",
        "urn": "urn:pulumi:unit::lolstack::docker:index/network:Network::network",
        "id": "1",
        "inputs": {"name": "lolstack-former"},
    }
    write_state(pulumi, resources=[network], pending=[creating("container", "lolstack-former-kafka")])
    assert run(monkeypatch) == 1
    assert "refresh" not in " ".join(pulumi.calls), "it would forget a container that has the former name's label"
    error = capsys.readouterr().err
    assert "the stack old was deployed as former and then renamed" in error
    assert "`pulumi stack rename former --stack old`" in error
    assert run(monkeypatch, "--discard") == 0


def test_foreign_container_on_the_network_is_named_before_anything_is_destroyed(
    pulumi: FakePulumi, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], engine: Client
) -> None:
    """Also if the state is incompatible. `up` does not remove the network."""
    engine.networks.attrs = {"Containers": {"container": {"Name": "own"}, "0123": {"Name": "jupyter"}}}
    write_state(pulumi, MISSING_MODULE)
    assert run(monkeypatch, "--discard") == 1
    error = capsys.readouterr().err
    assert "connected to the network network of the stack old" in error
    assert "jupyter" in error
    assert "own" not in error
    assert engine.existing == ALL
    write_state(pulumi)
    assert run(monkeypatch) == 0


def test_foreign_container_that_uses_a_volume_is_named_before_anything_is_destroyed(
    pulumi: FakePulumi, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], engine: Client
) -> None:
    """Also a stopped one: `docker run -v lolstack-old-broker:/x debian`. `up` does not remove the volume."""
    write_state(pulumi, MISSING_MODULE)
    engine.users_of_the_volume.append(SimpleNamespace(id="0123", name="curious_bell"))
    assert run(monkeypatch, "--discard") == 1
    error = capsys.readouterr().err
    assert "curious_bell uses volume" in error
    assert "`docker rm -f curious_bell`" in error
    assert "own" not in error
    assert engine.existing == ALL
    write_state(pulumi)
    assert run(monkeypatch) == 0


@pytest.mark.parametrize("failure", [APIError("500 Server Error"), ReadTimeout("Read timed out.")])
def test_engine_that_answers_but_does_not_work_is_one_line(
    pulumi: FakePulumi,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    engine: Client,
    failure: Exception,
) -> None:
    def fail(**_: Any) -> None:
        raise failure

    write_state(pulumi)
    monkeypatch.setattr(engine.containers, "list", fail)
    assert run(monkeypatch) == 1
    error = capsys.readouterr().err
    assert error.startswith("the Docker engine at ")
    assert f"does not work ({failure})" in error
    assert error.count("\n") == 1


def test_failure_of_pulumi_is_an_error_with_its_message(
    pulumi: FakePulumi, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pulumi.answer("whoami", "echo 'error: incorrect passphrase' >&2; exit 1")
    assert run(monkeypatch) == 1
    assert capsys.readouterr().err == "pulumi whoami --json: error: incorrect passphrase\n"
