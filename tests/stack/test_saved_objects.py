"""Lifecycle of Kibana's saved objects under Pulumi: create, drift, update, delete. Against a fake Kibana
(tests/support/fake_kibana.py says why)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pulumi
import pytest
from pulumi import automation
from pulumi.dynamic import CreateResult, Resource, ResourceProvider

from infra.names import ROOT
from infra.provisioning.saved_object import OBJECTS, declare_saved_objects
from infra.versions import MINIMUM_DOCKER_API
from tests.stack.test_lifecycle import changes
from tests.support.fake_kibana import FakeKibana, running
from tests.support.http_server import HTTPServer

pytestmark = pytest.mark.disruptive

KEY = ("dashboard", "lol-matches-live")
CONTAINER = "lolstack-selftest-kibana"


class _Provider(ResourceProvider):
    def create(self, props: dict[str, Any]) -> CreateResult:
        return CreateResult("kibana", props)


class Container(Resource):
    """Stands for Kibana's container."""

    def __init__(self) -> None:
        super().__init__(_Provider(), "container", {})


@pytest.fixture
def kibana() -> Iterator[FakeKibana]:
    with running(FakeKibana()) as fake:
        yield fake


@pytest.fixture
def engine(kibana: FakeKibana) -> Iterator[HTTPServer]:
    """A Docker engine with one running container, which publishes Kibana's port: otherwise no login would be sent."""
    published = {"IP": "127.0.0.1", "PrivatePort": 5601, "PublicPort": urlsplit(kibana.url).port, "Type": "tcp"}
    with HTTPServer() as server:
        server.expect_request("/version").respond_with_json({"ApiVersion": MINIMUM_DOCKER_API})
        server.expect_request(re.compile("/v.*/containers/json")).respond_with_json(
            [{"Names": [f"/{CONTAINER}"], "Ports": [published]}]
        )
        yield server


@pytest.fixture
def stack(kibana: FakeKibana, engine: HTTPServer, tmp_path: Path) -> automation.Stack:
    """A stack of only Kibana's container and its saved objects."""

    def program() -> None:
        container = Container()
        login: dict[str, pulumi.Input[str]] = {"username": "admin", "password": pulumi.Output.secret("of the admin")}
        options = pulumi.ResourceOptions(depends_on=[container], deleted_with=container)
        declare_saved_objects(kibana.url, CONTAINER, login, options)

    return automation.create_stack(
        "selftest-saved-objects",
        project_name="saved-objects",
        program=program,
        opts=automation.LocalWorkspaceOptions(
            project_settings=automation.ProjectSettings(
                "saved-objects", "python", backend=automation.ProjectBackend(tmp_path.as_uri())
            ),
            env_vars={
                "PULUMI_BACKEND_URL": tmp_path.as_uri(),  # the user's own would take precedence over the project's
                "PULUMI_CONFIG_PASSPHRASE": "none",
                "DOCKER_HOST": f"tcp://{engine.host}:{engine.port}",
                "PYTHONPATH": str(ROOT),
            },
        ),
    )


def test_saved_objects_are_created_repaired_after_drift_and_deleted_with_kibana(
    stack: automation.Stack, kibana: FakeKibana
) -> None:
    stack.up()
    assert {f"{type_}/{id_}.json" for type_, id_ in kibana.objects} == {
        str(path.relative_to(OBJECTS)) for path in OBJECTS.glob("*/*.json")
    }
    assert changes(stack.up(refresh=True).summary.resource_changes) == {}

    kibana.objects[KEY]["attributes"]["timeFrom"] = "now-7d"
    assert changes(stack.refresh().summary.resource_changes) == {"update": 1}
    assert changes(stack.preview().change_summary) == {"update": 1}
    stack.up()
    assert kibana.objects[KEY]["attributes"]["timeFrom"] == "now-1h"

    kibana.not_ready_for = 1_000_000
    assert changes(stack.destroy().summary.resource_changes) == {"delete": len(kibana.objects) + 2}
    assert kibana.objects, "objects were deleted one by one from a Kibana that is deleted with them"
