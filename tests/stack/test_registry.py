"""The image source `registry`, and two stacks on one Docker host: a second stack pulls its images from a private
registry.

The registry holds the built images under the official images' names, which have the same contract, so that no public
registry is needed. Kibana and Grafana are missing in it.
"""

from __future__ import annotations

import pytest

from harness.stack import Stack
from harness.waiting import eventually
from infra import versions
from infra.images.source import mirrored
from tests.support import private_registry
from tests.support.private_registry import PrivateRegistry

pytestmark = pytest.mark.disruptive


def test_second_stack_pulls_images_from_private_registry(second_stack: Stack) -> None:
    assert second_stack.outputs["imageSource"] == "registry"
    image = second_stack.container("elasticsearch").image
    assert image is not None
    assert mirrored(versions.OFFICIAL_IMAGES["elasticsearch"], private_registry.ADDRESS) in image.tags


def test_service_without_image_is_left_out_and_reported(second_stack: Stack) -> None:
    assert set(second_stack.outputs["leftOut"]) == {"kibana", "grafana"}
    assert "is not available" in second_stack.outputs["leftOut"]["kibana"]


@pytest.mark.usefixtures("stream")
def test_both_stacks_index_documents(stack: Stack, second_stack: Stack) -> None:
    for each in (stack, second_stack):
        each.wait_for_new_documents()


def test_stacks_share_no_port_container_volume_or_network(stack: Stack, second_stack: Stack) -> None:
    def ports(each: Stack) -> set[str]:
        return {address for addresses in each.outputs["services"].values() for address in addresses.values()}

    assert not ports(stack) & ports(second_stack)
    assert not set(stack.leftovers()) & set(second_stack.leftovers())


@pytest.mark.destroys_second_stack
@pytest.mark.usefixtures("stream")
def test_destroying_one_stack_leaves_the_other_running(stack: Stack, second_stack: Stack) -> None:
    second_stack.destroy()
    registry = f"/{PrivateRegistry(second_stack.name).container_name}"
    assert [name for name in second_stack.leftovers() if name != registry] == []
    before = stack.document_count()

    def more() -> None:
        assert stack.document_count() > before

    eventually(more, timeout_seconds=60)
