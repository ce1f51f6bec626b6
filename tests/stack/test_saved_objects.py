"""The saved objects' life under Pulumi itself, against a fake Kibana (tests/unit/infra/kibana.py says why)."""

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
    """Stands for Kibana's."""

    def __init__(self) -> None:
        super().__init__(_Provider(), "container", {})


@pytest.fixture
def kibana() -> Iterator[FakeKibana]:
    with running(FakeKibana()) as fake:
        yield fake


@pytest.fixture
def stack(kibana: FakeKibana, tmp_path: Path) -> automation.Stack:
    """A stack of nothing but Kibana's container and what is in it."""

    def program() -> None:
        container = Container()
        declare_saved_objects(kibana.url, pulumi.ResourceOptions(depends_on=[container], deleted_with=container))

    return automation.create_stack(
        "selftest-saved-objects",
        project_name="saved-objects",
        program=program,
        opts=automation.LocalWorkspaceOptions(
            project_settings=automation.ProjectSettings(
                "saved-objects", "python", backend=automation.ProjectBackend(tmp_path.as_uri())
            ),
            env_vars={
                "PULUMI_BACKEND_URL": tmp_path.as_uri(),  # the user's own would come before the project's
                "PULUMI_CONFIG_PASSPHRASE": "none",
                "PYTHONPATH": f"{ROOT}:{ROOT}/infra",
            },
        ),
    )


def test_the_saved_objects_live_and_end_with_their_kibana(stack: automation.Stack, kibana: FakeKibana) -> None:
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
    assert kibana.objects, "a Kibana that goes with its objects was asked to delete them"
