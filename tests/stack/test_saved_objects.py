"""Lifecycle of Kibana's saved objects under Pulumi: create, drift, update, delete. Against a fake Kibana
(tests/support/fake_kibana.py says why)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pulumi
import pytest
from pulumi import automation
from pulumi.dynamic import CreateResult, Resource, ResourceProvider

from harness.stack import ROOT
from infra.provisioning.saved_object import OBJECTS, declare_saved_objects
from tests.stack.test_lifecycle import changes
from tests.support.fake_kibana import FakeKibana, running

pytestmark = pytest.mark.disruptive

KEY = ("dashboard", "lol-matches-live")


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
def stack(kibana: FakeKibana, tmp_path: Path) -> automation.Stack:
    """A stack of only Kibana's container and its saved objects."""

    def program() -> None:
        container = Container()
        login: dict[str, pulumi.Input[str]] = {"username": "admin", "password": pulumi.Output.secret("of the admin")}
        declare_saved_objects(kibana.url, login, pulumi.ResourceOptions(depends_on=[container], deleted_with=container))

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
