"""No login is sent to a port of the stack that its own container does not publish: another program may listen there."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from elasticsearch import TransportError

from infra.clients.cassandra import ADMIN
from infra.clients.elasticsearch import ElasticsearchServer
from infra.clients.prometheus import PrometheusError
from infra.logins import PROMETHEUS_READER
from infra.names import STACK_LABEL
from infra.provisioning import cassandra_roles, index_template, kafka_users, saved_object, topic
from infra.provisioning.published_port import PortNotPublishedError, require_published_port
from tests.support.fake_docker import FakeContainer, FakeDockerEngine
from tests.support.pulumi_program import dynamic_provider
from tools import kibana_export
from tools.stack_outputs import connect_prometheus

CONTAINER = "lolstack-unit-server"


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    """A local user's program that listens on the port of a service."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setblocking(False)
        yield server


@pytest.fixture
def port(listener: socket.socket) -> int:
    return int(listener.getsockname()[1])


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> FakeDockerEngine:
    fake = FakeDockerEngine(tmp_path)
    monkeypatch.setattr("infra.clients.docker_engine.connect", lambda: fake)
    return fake


def deploy(engine: FakeDockerEngine, **container: Any) -> None:
    """Give the stack this container, as its only one."""
    engine.containers_by_label[f"{STACK_LABEL}=unit"] = [FakeContainer(**{"name": CONTAINER, **container})]


def index_template_of(port: int) -> tuple[Any, dict[str, Any]]:
    login = {"username": "admin", "password": "secret", "ca_certificate": ""}
    return index_template, {"host": f"http://127.0.0.1:{port}", "name": "a", "body": "{}", **login}


def saved_object_of(port: int) -> tuple[Any, dict[str, Any]]:
    body = json.dumps({"type": "dashboard", "id": "a", "references": [], "attributes": {}})
    login = {"username": "admin", "password": "secret"}
    return saved_object, {"url": f"http://127.0.0.1:{port}", "name": "a", "body": body, "stored": "{}", **login}


def roles_of(port: int) -> tuple[Any, dict[str, Any]]:
    login = {"passwords": {ADMIN: "secret"}, "drift": []}
    return cassandra_roles, {"host": "127.0.0.1", "port": port, "keyspace": "lol", "table": "matches", **login}


@pytest.mark.parametrize("container", [{"container": CONTAINER}, {}], ids=["by name", "of an earlier version"])
@pytest.mark.parametrize("resource", [index_template_of, saved_object_of, roles_of])
def test_provider_does_not_connect_while_the_container_is_stopped(
    engine: FakeDockerEngine,
    listener: socket.socket,
    port: int,
    resource: Callable[[int], tuple[Any, dict[str, Any]]],
    container: dict[str, str],
) -> None:
    """`pulumi up`, `refresh` and `destroy` would send it the administrator's password."""
    deploy(engine, status="exited", ports={9200: port})
    module, props = resource(port)
    provider, props = dynamic_provider(module), props | container
    found = provider.read("id", props)
    assert found.id is None or dict(found.outs or {})["drift"] == ["Cassandra does not answer"]
    changes: list[Callable[[], Any]] = [lambda: provider.create(props), lambda: provider.update("id", props, props)]
    if module is not cassandra_roles:
        changes.append(lambda: provider.delete("id", props))
    for change in changes:
        with pytest.raises(PortNotPublishedError, match=f"no login is sent to .*127.0.0.1:{port}: the port is not"):
            change()
    with pytest.raises(BlockingIOError):
        listener.accept()


def topic_of(port: int) -> tuple[Any, dict[str, Any]]:
    return topic, {"name": "lol_matches", "client": {"bootstrap.servers": f"127.0.0.1:{port}"}}


def users_of(port: int) -> tuple[Any, dict[str, Any]]:
    return kafka_users, {"client": {"bootstrap.servers": f"127.0.0.1:{port}"}, "passwords": {}}


@pytest.mark.parametrize("resource", [topic_of, users_of])
def test_refresh_does_not_wait_for_a_stopped_kafka(
    engine: FakeDockerEngine,
    listener: socket.socket,
    port: int,
    resource: Callable[[int], tuple[Any, dict[str, Any]]],
) -> None:
    """After a reboot, for example. Each of Kafka's resources would wait for half a minute."""
    deploy(engine, status="exited", ports={9092: port})
    module, props = resource(port)
    assert dynamic_provider(module).read("id", props).id is None
    with pytest.raises(BlockingIOError):
        listener.accept()


def test_port_is_the_stacks_own_only_if_this_container_publishes_it(engine: FakeDockerEngine) -> None:
    props = {"container": CONTAINER}
    deploy(engine, ports={9200: 4000})
    require_published_port(props, "https://127.0.0.1:4000")
    require_published_port({}, "https://127.0.0.1:4000")
    with pytest.raises(PortNotPublishedError):
        require_published_port(props, "https://127.0.0.1:4001")
    deploy(engine, ports={9200: 4000}, name="lolstack-other-server")
    with pytest.raises(PortNotPublishedError):
        require_published_port(props, "https://127.0.0.1:4000")


def outputs_of(port: int) -> dict[str, Any]:
    return {
        "elasticsearchUrl": f"http://127.0.0.1:{port}",
        "services": {"prometheus": {"9090": f"127.0.0.1:{port}"}},
        "credentials": {"operator": "secret", PROMETHEUS_READER: "secret"},
    }


def test_tools_send_a_login_while_a_container_publishes_the_port(
    engine: FakeDockerEngine, port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    deploy(engine, ports={9200: port})
    sent: list[requests.PreparedRequest] = []

    def send(_: requests.Session, prepared: requests.PreparedRequest, **__: object) -> None:
        sent.append(prepared)
        raise requests.ConnectionError

    monkeypatch.setattr(requests.Session, "send", send)
    with pytest.raises(PrometheusError, match="does not answer"):
        connect_prometheus(outputs_of(port)).alerts()
    assert sent[0].headers["Authorization"].startswith("Basic ")
    assert ElasticsearchServer.of_stack(outputs_of(port)).password == "secret"


@pytest.mark.parametrize("credentials", [{}, outputs_of(0)["credentials"]])
def test_tools_ask_nothing_while_no_container_publishes_the_port(
    engine: FakeDockerEngine, listener: socket.socket, port: int, credentials: dict[str, str]
) -> None:
    """`make status` and `make report` go on: they name the service that is down."""
    deploy(engine, status="exited", ports={9200: port})
    outputs = outputs_of(port) | {"credentials": credentials}
    with pytest.raises(TransportError, match="no running container publishes its port"):
        ElasticsearchServer.of_stack(outputs).client().info()
    with pytest.raises(PrometheusError, match="no running container publishes its port"):
        connect_prometheus(outputs).alerts()
    with pytest.raises(BlockingIOError):
        listener.accept()


def test_export_from_kibana_sends_no_login_while_its_container_is_stopped(
    engine: FakeDockerEngine, listener: socket.socket, port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    outputs = {"services": {"kibana": {"5601": f"127.0.0.1:{port}"}}, "credentials": {"elasticsearch.admin": "secret"}}
    monkeypatch.setattr(kibana_export, "read_stack_outputs", lambda _: outputs)
    monkeypatch.setattr("sys.argv", ["kibana_export", "--stack", "unit"])
    deploy(engine, status="exited", ports={5601: port})
    assert kibana_export.main() == 1
    with pytest.raises(BlockingIOError):
        listener.accept()
