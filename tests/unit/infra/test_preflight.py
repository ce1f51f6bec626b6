"""Preflight checks: every problem of the Docker host is reported before any resource is created."""

from __future__ import annotations

import errno
import json
import re
import socket
import subprocess
from collections import namedtuple
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from docker.errors import APIError
from requests.exceptions import ReadTimeout

from infra import ownership, preflight
from infra.names import IMAGE_SOURCE_LABEL, ROOT, STACK_LABEL
from infra.settings import SettingsError
from infra.users import MAX_PROCESSES
from tests.support.fake_docker import GIB, FakeContainer, FakeDockerEngine
from tests.support.pulumi_program import settings

STACK = "unit"
OPERATIONS = ROOT / "docs" / "operations.md"
DiskUsage = namedtuple("DiskUsage", "total used free")


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> FakeDockerEngine:
    """A Docker engine without any problem."""
    monkeypatch.delenv("DOCKER_HOST", raising=False)
    fake = FakeDockerEngine(docker_root=tmp_path)
    monkeypatch.setattr(preflight, "connect", lambda: fake)
    monkeypatch.setattr("infra.ownership.read_state", lambda _stack: fake.state)
    monkeypatch.setattr("pulumi.get_organization", lambda: "organization")  # of a backend in files
    disk(monkeypatch, free_gib=100)
    return fake


def disk(monkeypatch: pytest.MonkeyPatch, free_gib: float) -> None:
    """Give every disk this much free space, and inodes."""
    inodes(monkeypatch, total=1_000_000, free=900_000)
    usage = DiskUsage(1000 * GIB, 0, free_gib * GIB)
    monkeypatch.setattr("infra.preflight.shutil.disk_usage", lambda _path: usage)


def inodes(monkeypatch: pytest.MonkeyPatch, total: int, free: int) -> None:
    """Give every disk these inodes."""
    found = SimpleNamespace(f_files=total, f_favail=free)
    monkeypatch.setattr("infra.preflight.os.statvfs", lambda _path: found)


@pytest.fixture
def free_ports(used_port: int) -> dict[str, int]:
    """A free host port for every port setting, none of them `used_port`."""
    wanted = settings().host_ports(STACK)
    assert used_port
    probes = [socket.create_server(("127.0.0.1", 0)) for _ in wanted]
    ports = {port.setting: probe.getsockname()[1] for port, probe in zip(wanted, probes, strict=True)}
    for probe in probes:
        probe.close()
    return ports | {"portOffset": 0}


@pytest.fixture
def used_port() -> Iterator[int]:
    """A port that another program listens on."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def problems(config: dict[str, Any], in_use: Mapping[str, str] | None = None) -> list[str]:
    """The lines that `check` reports; none if the host fits. `in_use`: Pulumi's whole configuration."""
    try:
        preflight.check(settings(STACK, **config), STACK, in_use or {})
    except SettingsError as error:
        return str(error).splitlines()
    return []


def conflicts(config: dict[str, Any], left_out: Collection[str] = ()) -> list[str]:
    """The lines that `check_ports` reports for a stack without the services `left_out`."""
    try:
        preflight.check_ports(settings(STACK, **config), STACK, left_out)
    except SettingsError as error:
        return str(error).splitlines()
    return []


@pytest.mark.usefixtures("engine")
def test_a_fitting_host_has_no_problem(free_ports: dict[str, int]) -> None:
    assert problems({}) == []
    assert conflicts(free_ports) == []


def test_id_of_the_engine_is_returned_for_the_stacks_outputs(
    engine: FakeDockerEngine, free_ports: dict[str, int]
) -> None:
    assert preflight.check(settings(STACK), STACK, {}) == engine.id


@pytest.mark.usefixtures("engine")
def test_port_conflict_is_reported_with_its_setting(free_ports: dict[str, int], used_port: int) -> None:
    (problem,) = conflicts(free_ports | {"kafkaPort": used_port})
    assert problem.startswith(f"lolstack:kafkaPort: port conflict: another program uses port {used_port}")


def test_listener_on_the_ipv6_loopback_is_a_port_conflict(engine: FakeDockerEngine, free_ports: dict[str, int]) -> None:
    """`localhost` is ::1 first on many machines: that program would get the requests, with their logins."""
    try:
        server = socket.create_server(("::1", 0), family=socket.AF_INET6)
    except OSError:
        pytest.skip("needs IPv6")
    with server:
        port = server.getsockname()[1]
        (problem,) = conflicts(free_ports | {"kafkaPort": port})
        engine.containers_by_label[f"{STACK_LABEL}={STACK}"] = [
            FakeContainer(ports={29092: port}, name="lolstack-unit-kafka")
        ]
        assert conflicts(free_ports | {"kafkaPort": port}) == [problem], "the stack itself listens on 127.0.0.1 only"
    assert problem.startswith(f"lolstack:kafkaPort: port conflict: another program uses port {port}")


@pytest.mark.usefixtures("engine")
def test_machine_without_ipv6_has_no_port_conflict(free_ports: dict[str, int], monkeypatch: pytest.MonkeyPatch) -> None:
    class Ipv4Socket(socket.socket):
        def __init__(self, family: int = socket.AF_INET) -> None:
            if family == socket.AF_INET6:
                raise OSError(errno.EAFNOSUPPORT, "Address family not supported by protocol")
            super().__init__(family)

    monkeypatch.setattr(socket, "socket", Ipv4Socket)
    assert conflicts(free_ports) == []


@pytest.mark.usefixtures("engine")
def test_port_that_only_the_engine_may_bind_is_a_conflict_only_if_something_listens(
    free_ports: dict[str, int], used_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A port below 1024, for an ordinary user."""

    class OrdinaryUsersSocket(socket.socket):
        def bind(self, address: Any) -> None:
            raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(socket, "socket", OrdinaryUsersSocket)
    assert conflicts(free_ports) == []
    (problem,) = conflicts(free_ports | {"kafkaPort": used_port})
    assert f"another program uses port {used_port}" in problem


@pytest.mark.usefixtures("engine")
def test_port_conflict_is_checked_on_the_port_with_the_offset_added(free_ports: dict[str, int], used_port: int) -> None:
    shifted = {key: port - 100 for key, port in free_ports.items() if key != "portOffset"}
    (problem,) = conflicts(shifted | {"kafkaPort": used_port - 100, "portOffset": 100})
    assert f"port {used_port} " in problem


@pytest.mark.parametrize("status", ["running", "paused"])
def test_ports_of_the_stacks_own_running_containers_are_no_conflict(
    engine: FakeDockerEngine, free_ports: dict[str, int], used_port: int, status: str
) -> None:
    own = [FakeContainer(), FakeContainer(status=status, ports={29092: used_port}, name="lolstack-unit-kafka")]
    engine.containers_by_label[f"{STACK_LABEL}={STACK}"] = own
    assert conflicts(free_ports | {"kafkaPort": used_port}) == []


@pytest.mark.parametrize(
    ("setting", "holder"),
    [("kafkaPort", "spark-worker"), ("sparkMasterUiPort", "dashboard"), ("sparkWorkerUiPort", "spark-worker-2")],
)
def test_port_that_another_service_of_the_stack_still_has_is_a_conflict_until_that_is_stopped(
    engine: FakeDockerEngine, free_ports: dict[str, int], used_port: int, setting: str, holder: str
) -> None:
    """Docker refuses the new container at each `up`: the old one of the other service is replaced or deleted later."""
    container = FakeContainer(ports={8000: used_port}, name=f"lolstack-unit-{holder}")
    engine.containers_by_label[f"{STACK_LABEL}={STACK}"] = [container]
    assert conflicts(free_ports | {setting: used_port, "dashboardEnabled": False}) == [
        f"lolstack:{setting}: port conflict: lolstack-unit-{holder}, another container of this stack, still has port "
        f"{used_port}: `docker stop lolstack-unit-{holder}` and start again, or choose another port"
    ]


@pytest.mark.usefixtures("engine")
@pytest.mark.parametrize("service", ["grafana", "kibana", "dashboard"])
def test_port_of_a_service_that_is_not_deployed_is_no_conflict(
    free_ports: dict[str, int], used_port: int, service: str
) -> None:
    config = free_ports | {f"{service}Port": used_port}
    assert len(conflicts(config)) == 1
    if service == "dashboard":
        assert conflicts(config | {"dashboardEnabled": False}) == []
    else:
        assert conflicts(config, left_out=[service]) == []


def test_stack_of_another_engine_is_the_only_problem(engine: FakeDockerEngine) -> None:
    """For plain `pulumi up`."""
    container = {"type": ownership.CONTAINER, "id": "not here"}
    engine.state = {"resources": [{"type": ownership.STACK, "outputs": {"dockerEngine": "other"}}, container]}
    (problem,) = problems({})
    assert problem.startswith("the stack unit was deployed on another Docker engine (id other)")
    assert "see 'On another machine' in docs/operations.md" in problem
    assert "makes Pulumi forget the stack and its passwords" in problem
    engine.state["resources"][0]["outputs"]["dockerEngine"] = engine.id
    assert problems({}) == []


def test_copied_stack_is_accepted_on_another_engine_once_its_state_has_the_id(engine: FakeDockerEngine) -> None:
    """docs/operations.md, 'On another machine': the engine has its volumes, and no container or network of it."""
    resources = [
        {"type": ownership.STACK, "outputs": {"dockerEngine": "former"}},
        {"type": ownership.CONTAINER, "id": "not here", "inputs": {"name": "lolstack-unit-kafka"}},
        {"type": ownership.NETWORK, "id": "not here", "urn": "::zookeeper-network"},
        {"type": ownership.VOLUME, "id": "lolstack-unit-broker"},
    ]
    engine.volume_names, engine.state = ["lolstack-unit-broker"], {"resources": resources}
    export = json.dumps({"version": 3, "deployment": engine.state}, indent=4)
    (command,) = re.findall(r"^sed -i .*?state\.json$", OPERATIONS.read_text(), re.MULTILINE | re.DOTALL)
    script = f'docker() {{ echo "$@" | grep -qF "info --format {{{{.ID}}}}" && echo {engine.id}; }}\n{command}'
    edited = subprocess.run(
        ["bash", "-euc", script.replace("-i ", "").replace("$copy/state.json", "")],
        input=export,
        capture_output=True,
        text=True,
        check=True,
    )
    assert len(problems({})) == 1
    engine.state = json.loads(edited.stdout)["deployment"]
    assert problems({}) == []


@pytest.mark.parametrize("status", ["exited", "created", "restarting"])
def test_port_of_a_stopped_container_that_another_program_has_is_a_conflict(
    engine: FakeDockerEngine, free_ports: dict[str, int], used_port: int, status: str
) -> None:
    """While the stack is down, a local user can listen there, and would get the logins of its clients."""
    stopped = FakeContainer(status=status, ports={29092: used_port})
    engine.containers_by_label[f"{STACK_LABEL}={STACK}"] = [stopped]
    (problem,) = conflicts(free_ports | {"kafkaPort": used_port})
    assert problem.startswith(f"lolstack:kafkaPort: port conflict: another program uses port {used_port}")
    assert conflicts(free_ports) == []


def test_stack_that_another_state_deployed_is_the_only_problem(engine: FakeDockerEngine) -> None:
    """A second user of the machine has another state. A backfill's container is in no state."""
    kafka = FakeContainer({IMAGE_SOURCE_LABEL: "build"}, name="lolstack-unit-kafka")
    engine.containers_by_label[f"{STACK_LABEL}={STACK}"] = [kafka, FakeContainer(name="lolstack-unit-backfill")]
    (problem,) = problems({})
    assert problem.startswith("the stack unit is already deployed on this Docker engine by another user")
    assert "lolstack-unit-kafka" in problem
    assert "have its owner run `make down STACK=unit`" in problem
    assert "backfill" not in problem
    engine.state = {"resources": [{"type": "docker:index/container:Container", "id": kafka.id}]}
    assert problems({}) == []


@pytest.mark.parametrize(
    ("network_id", "name", "is_own"),
    [
        ("own", "lolstack-unit-kafka", True),  # another tool has recreated it, or the state was restored
        ("own", "lolstack-unit-other", True),  # a killed deployment has left it, and the state has lost it since
        ("another", "lolstack-unit-kafka", False),  # both users have deployed the same services
    ],
)
def test_container_that_the_state_has_lost_is_not_another_users(
    engine: FakeDockerEngine, network_id: str, name: str, is_own: bool
) -> None:
    """Networks keep their ids."""
    kafka = FakeContainer({IMAGE_SOURCE_LABEL: "build"}, name="lolstack-unit-kafka")
    engine.containers_by_label[f"{STACK_LABEL}={STACK}"] = [kafka]
    engine.network_ids, engine.volume_names = [network_id], ["lolstack-unit-broker"]
    engine.state = {
        "resources": [
            {"type": ownership.NETWORK, "id": "own", "urn": "::zookeeper-network"},
            {"type": ownership.VOLUME, "id": "lolstack-unit-broker"},
            {"type": ownership.CONTAINER, "id": "former", "inputs": {"name": name}},
        ]
    }
    (problem,) = problems({})
    advice = "`docker rm -f lolstack-unit-kafka`, then `make up STACK=unit` or `make down STACK=unit` again"
    assert (advice in problem) is is_own
    assert ("by another user" in problem) is not is_own


@pytest.mark.parametrize(("organization", "reference"), [("organization", STACK), ("team", f"team/lolstack/{STACK}")])
@pytest.mark.usefixtures("engine")
def test_state_of_an_organizations_stack_is_read_by_its_qualified_name(
    monkeypatch: pytest.MonkeyPatch, organization: str, reference: str
) -> None:
    """By the short name it would be the user's own stack. Backends in files have the organization `organization`."""
    another_engine = {
        "resources": [{"type": ownership.STACK, "outputs": {"dockerEngine": "other"}}, {"type": ownership.NETWORK}]
    }
    monkeypatch.setattr("pulumi.get_organization", lambda: organization)
    monkeypatch.setattr("infra.ownership.read_state", lambda stack: another_engine if stack == reference else {})
    assert len(problems({})) == 1


@pytest.mark.parametrize(
    "name", ["context", "host", "sshOpts", "certPath", "caMaterial", "certMaterial", "keyMaterial"]
)
@pytest.mark.usefixtures("engine")
def test_engine_that_only_the_docker_provider_would_use_is_refused(name: str) -> None:
    """Preflight and health gates would use the one of DOCKER_HOST."""
    (problem,) = problems({}, {f"docker:{name}": "hush"})
    assert problem.startswith(f"docker:{name}: Pulumi's Docker provider uses this in place of DOCKER_HOST")
    assert f"`pulumi config rm docker:{name} --stack unit`, and set DOCKER_HOST to the address" in problem
    assert "hush" not in problem


@pytest.mark.usefixtures("engine")
def test_engine_of_the_docker_providers_settings_may_be_that_of_docker_host(monkeypatch: pytest.MonkeyPatch) -> None:
    assert problems({}, {"docker:host": "unix:///var/run/docker.sock"}) == []
    monkeypatch.setenv("DOCKER_HOST", "unix:///run/user/1000/docker.sock")
    assert problems({}, {"docker:host": "unix:///run/user/1000/docker.sock"}) == []
    assert len(problems({}, {"docker:host": "unix:///var/run/docker.sock"})) == 1


READ_STATE = ownership.read_state


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        (None, "pulumi is not on the PATH: `source tools/env.sh`"),
        ("printf 'warning: old\\nerror: access denied\\n' >&2; exit 255", "error: access denied"),
    ],
    ids=["no pulumi", "pulumi fails"],
)
def test_unreadable_state_does_not_make_the_own_stack_another_users(
    engine: FakeDockerEngine,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    script: str | None,
    reason: str,
) -> None:
    """Pulumi may have been started by its path, with nothing on PATH."""
    own = FakeContainer({IMAGE_SOURCE_LABEL: "build"}, name="lolstack-unit-kafka")
    engine.containers_by_label[f"{STACK_LABEL}={STACK}"] = [own]
    if script is not None:
        (tmp_path / "pulumi").write_text(f"#!/bin/sh\n{script}\n")
        (tmp_path / "pulumi").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(ownership, "read_state", READ_STATE)
    assert problems({}) == [f"the state of the stack {STACK} cannot be read: {reason}"]


def test_volumes_of_another_state_are_not_adopted(engine: FakeDockerEngine) -> None:
    """Its containers may be gone. A killed deployment of this state may have created a volume without recording it."""
    engine.volume_names = ["lolstack-unit-broker"]
    (problem,) = problems({})
    assert problem.startswith("the stack unit is already deployed on this Docker engine by another user")
    assert "lolstack-unit-broker" in problem
    resource = {"type": "docker:index/volume:Volume", "inputs": {"name": "lolstack-unit-broker"}}
    engine.state = {"pending_operations": [{"type": "creating", "resource": resource}]}
    assert problems({}) == []
    engine.state = {"resources": [{"type": "docker:index/volume:Volume", "id": "lolstack-unit-checkpoints"}]}
    assert problems({}) == []


def test_volume_that_no_deployment_created_is_not_adopted(engine: FakeDockerEngine) -> None:
    engine.unlabelled_volumes = ["lolstack-unit-2-broker", "somebody-elses", "lolstack-unit-cassandra"]
    (problem,) = problems({})
    assert problem.startswith("the stack unit would take over volumes that it did not create")
    assert problem.endswith("`docker volume rm lolstack-unit-cassandra`")
    # Somebody has created it again, under a stack that goes on.
    engine.state = {"resources": [{"type": "docker:index/volume:Volume", "id": "lolstack-unit-cassandra"}]}
    assert problems({}) == []


def test_renamed_stack_is_refused_with_both_names(engine: FakeDockerEngine) -> None:
    """`pulumi stack rename` changes the state only; a deployment would replace the volumes."""
    network: dict[str, Any] = {
        "type": "docker:index/network:Network",
        "urn": "urn:pulumi:unit::lolstack::docker:index/network:Network::network",
        "id": "1",
        "inputs": {"name": "lolstack-former"},
    }
    engine.state = {"resources": [network]}
    (problem,) = problems({})
    assert problem.startswith("the stack unit was deployed as former and then renamed")
    network["inputs"] = {"name": "lolstack-unit"}
    of_zookeeper = {"inputs": {"name": "lolstack-unit-zookeeper"}, "urn": "urn:pulumi:unit::zookeeper-network"}
    engine.state = {"resources": [network, network | of_zookeeper]}
    assert problems({}) == []


def test_checkout_without_the_settings_of_the_last_deployment_is_the_only_problem(
    engine: FakeDockerEngine, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """For plain `pulumi up` and `pulumi preview`: the defaults would be deployed."""
    monkeypatch.setattr("infra.configuration.ROOT", tmp_path)
    deployed = {"id": "0123456789ab", "settings": ["security"]}
    engine.state = {"resources": [{"type": ownership.STACK, "outputs": {"configuration": deployed}}]}
    engine.api_version = "1.40"
    (problem,) = problems({})
    assert problem.startswith("the stack unit was deployed with another configuration than this Pulumi.unit.yaml")
    assert "too old" in problems({}, {"lolstack:security": "strict"})[0]


def test_ports_of_another_stack_are_a_conflict(
    engine: FakeDockerEngine, free_ports: dict[str, int], used_port: int
) -> None:
    engine.containers_by_label[f"{STACK_LABEL}=other"] = [FakeContainer(ports={29092: used_port})]
    assert len(conflicts(free_ports | {"kafkaPort": used_port})) == 1


@pytest.mark.parametrize(("api_version", "accepted"), [("1.40", False), ("1.41", True), ("1.100", True)])
def test_outdated_docker_version_is_reported(engine: FakeDockerEngine, api_version: str, accepted: bool) -> None:
    engine.api_version = api_version
    expected = [] if accepted else ["Docker Engine 1.2.3-test is too old: 20.10 or newer is needed"]
    assert problems({}) == expected


def test_podmans_engine_is_the_only_problem(engine: FakeDockerEngine) -> None:
    """Its version is Podman's own, and its API has the version of a Docker engine that fits."""
    engine.docker_version, engine.memory_bytes = "5.4.2", GIB
    engine.components = ["Podman Engine", "Conmon", "OCI Runtime (crun)"]
    (problem,) = problems({})
    assert problem.startswith(
        "the engine of DOCKER_HOST or the Docker context is Podman's, with which the stack does not"
    )


@pytest.mark.parametrize(("version", "warned"), [("20.10.24+dfsg1", True), ("27.5.1", True), ("28.0.0-rc.1", False)])
def test_engine_that_exposes_ports_to_the_local_network_is_a_warning(
    engine: FakeDockerEngine,
    monkeypatch: pytest.MonkeyPatch,
    version: str,
    warned: bool,
) -> None:
    warnings: list[str] = []
    monkeypatch.setattr("pulumi.log.warn", warnings.append)
    engine.docker_version = version
    assert problems({}) == []
    assert [warning.partition(":")[0] for warning in warnings] == ([f"Docker Engine {version}"] if warned else [])


@pytest.mark.parametrize("encrypted", [False, True])
def test_webhook_that_is_not_encrypted_is_a_warning_with_the_command(
    engine: FakeDockerEngine, monkeypatch: pytest.MonkeyPatch, encrypted: bool
) -> None:
    warnings: list[str] = []
    monkeypatch.setattr("pulumi.log.warn", warnings.append)
    monkeypatch.setattr("pulumi.runtime.is_config_secret", lambda key: encrypted and key == "lolstack:alertWebhookUrl")
    engine.docker_version = "28.0.0"
    assert problems({"alertWebhookUrl": "https://hooks.example.com/hush"}) == []
    expected = (
        []
        if encrypted
        else [
            "lolstack:alertWebhookUrl is not encrypted, and its URL often has a token: "
            "`pulumi config set --secret alertWebhookUrl URL --stack unit`"
        ]
    )
    assert warnings == expected


@pytest.mark.parametrize(
    ("url", "warned"),
    [("http://hooks/x", True), ("http://hooks.example.com", False), ("http://[::1]:80", False), ("", False)],
)
def test_webhook_that_only_the_hosts_dns_knows_is_a_warning(
    engine: FakeDockerEngine, monkeypatch: pytest.MonkeyPatch, url: str, warned: bool
) -> None:
    """Or a container on the stack's network, which is well."""
    warnings: list[str] = []
    monkeypatch.setattr("pulumi.log.warn", warnings.append)
    monkeypatch.setattr("pulumi.runtime.is_config_secret", lambda _: True)
    engine.docker_version = "28.0.0"
    assert problems({"alertWebhookUrl": url}) == []
    assert ["hooks must be a container on the stack's network" in warning for warning in warnings] == [True] * warned


def test_memory_limit_above_the_hosts_memory_is_reported_with_its_setting(engine: FakeDockerEngine) -> None:
    engine.memory_bytes = 7 * GIB // 2
    assert problems({}) == [], "the limits of all containers together may exceed the memory"
    (problem,) = problems({"kafkaMemory": 4096})
    assert problem.startswith("lolstack:kafkaMemory: 4096 MiB is more than the 3584 MiB of memory")


@pytest.mark.parametrize(
    ("missing", "expected"),
    [
        ([], []),
        (["MemoryLimit"], ["the Docker engine discards memory limits"]),
        (["SwapLimit"], ["the Docker engine discards swap limits"]),
        (
            ["MemoryLimit", "SwapLimit", "CPUShares"],
            ["the Docker engine discards memory limits, swap limits, CPU shares"],
        ),
    ],
)
def test_engine_that_discards_memory_limits_is_a_warning(
    engine: FakeDockerEngine, monkeypatch: pytest.MonkeyPatch, missing: list[str], expected: list[str]
) -> None:
    """Without the kernel's cgroup controllers. What the provider then reads differs from the program at each `up`."""
    warnings: list[str] = []
    monkeypatch.setattr("pulumi.log.warn", warnings.append)
    engine.docker_version = "28.0.0"
    engine.limits |= dict.fromkeys(missing, False)
    assert problems({}) == []
    assert [warning.partition(" (")[0] for warning in warnings] == expected


@pytest.mark.parametrize(
    ("options", "limit", "warned"),
    [
        (["name=seccomp,profile=builtin", "name=rootless", "name=cgroupns"], MAX_PROCESSES - 1, True),
        (["name=rootless"], MAX_PROCESSES, False),
        (["name=rootless"], None, False),
        (["name=seccomp,profile=builtin"], 1000, False),  # root may exceed its own limit
        (None, 1000, False),
    ],
)
def test_rootless_engine_with_a_low_nproc_limit_is_a_warning(
    engine: FakeDockerEngine,
    monkeypatch: pytest.MonkeyPatch,
    options: list[str] | None,
    limit: int | None,
    warned: bool,
) -> None:
    warnings: list[str] = []
    monkeypatch.setattr("pulumi.log.warn", warnings.append)
    monkeypatch.setattr("infra.preflight.engine_process_limit", lambda: limit)
    engine.docker_version, engine.security_options = "28.0.0", options
    assert problems({}) == []
    assert [f"the rootless Docker engine has a hard limit of {limit} processes" in each for each in warnings] == (
        [True] if warned else []
    )


def test_low_disk_space_is_reported_for_a_new_stack(engine: FakeDockerEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    disk(monkeypatch, free_gib=4.9)
    (problem,) = problems({})
    assert problem == f"not enough disk space: {engine.docker_root} has 4.9 GiB free, at least 5 GiB are needed"


@pytest.mark.parametrize(
    ("total", "free", "shown"),
    [(1_300_000, 0, "0"), (1_300_000, 199_999, "199,999"), (1_300_000, 200_000, None), (0, 0, None)],
)
def test_too_few_free_inodes_are_reported_for_a_new_stack(
    engine: FakeDockerEngine, monkeypatch: pytest.MonkeyPatch, total: int, free: int, shown: str | None
) -> None:
    """Then nothing can be written, on a disk with free space. btrfs has no limit, and shows a total of 0."""
    inodes(monkeypatch, total, free)
    line = f"not enough inodes: {engine.docker_root} has {shown} free, at least 200,000 are needed (`df -i`)"
    assert problems({}) == ([line] if shown else [])


def test_disk_with_containerds_images_is_checked_too(
    engine: FakeDockerEngine, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """With containerd's image store, images are outside of the Docker engine's folder."""
    containerd = tmp_path / "containerd"
    containerd.mkdir()
    monkeypatch.setattr(preflight, "CONTAINERD_ROOT", containerd)
    free = {engine.docker_root: 100 * GIB, containerd: 4 * GIB}
    monkeypatch.setattr("infra.preflight.shutil.disk_usage", lambda path: DiskUsage(1000 * GIB, 0, free[path]))
    assert problems({}) == []
    engine.driver_status = [["driver-type", "io.containerd.snapshotter.v1"]]
    assert problems({}) == [f"not enough disk space: {containerd} has 4.0 GiB free, at least 5 GiB are needed"]
    containerd.rmdir()
    assert problems({}) == []


def test_low_disk_space_does_not_block_an_existing_stack(
    engine: FakeDockerEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk(monkeypatch, free_gib=0)
    engine.containers_by_label[f"{STACK_LABEL}={STACK}"] = [FakeContainer()]
    assert problems({}) == []


def test_disk_space_is_not_checked_where_docker_runs_in_a_virtual_machine(
    engine: FakeDockerEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk(monkeypatch, free_gib=0)
    engine.docker_root /= "only-in-the-machine"
    assert problems({}) == []


@pytest.mark.usefixtures("engine")
def test_disk_space_is_not_checked_in_a_folder_that_the_user_may_not_enter(monkeypatch: pytest.MonkeyPatch) -> None:
    """The data root is below a folder of root, with the mode 0700."""

    def exists(_path: Path) -> bool:
        raise PermissionError(errno.EACCES, "Permission denied")

    disk(monkeypatch, free_gib=0)
    monkeypatch.setattr(Path, "exists", exists)
    assert problems({}) == []


def test_all_problems_are_reported_at_once(engine: FakeDockerEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    engine.api_version, engine.memory_bytes = "1.40", GIB
    disk(monkeypatch, free_gib=0)
    text = "\n".join(problems({}))
    for word in ("too old", "MiB of memory", "disk space"):
        assert word in text


FAILURES = [APIError("500 Server Error", explanation="containerd is not\nrunning"), ReadTimeout("Read timed out.")]


@pytest.mark.parametrize("failure", FAILURES)
@pytest.mark.parametrize("request_", ["_list", "info"])
def test_engine_that_answers_but_does_not_work_is_one_line(
    engine: FakeDockerEngine,
    monkeypatch: pytest.MonkeyPatch,
    failure: Exception,
    request_: str,
) -> None:
    def fail(**_: Any) -> None:
        raise failure

    monkeypatch.setattr(engine.containers if request_ == "_list" else engine, request_.removeprefix("_"), fail)
    (problem,) = problems({})
    reason = "containerd is not running" if isinstance(failure, APIError) else "Read timed out."
    assert problem == f"the Docker engine at unix:///var/run/docker.sock does not work ({reason}): restart it"


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("unix:///nowhere/docker.sock", "no Docker engine answers at unix:///nowhere/docker.sock"),
        ("tcp://docker:2375", "the Docker engine at tcp://docker:2375 is on another machine: "),
    ],
)
def test_unavailable_docker_engine_is_reported_with_its_url(
    monkeypatch: pytest.MonkeyPatch, url: str, expected: str
) -> None:
    monkeypatch.setenv("DOCKER_HOST", url)
    (problem,) = problems({})
    assert problem.startswith(expected)
