"""The `registry` source, and two stacks side by side: a second stack pulls the official names from a private registry.

No registry of the vendors need be in reach: the images in it are the built ones under the official images' names, which
keep their contract. Kibana and Grafana are not among them.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import docker
import pytest
import requests
from docker.errors import NotFound

from harness.stack import Stack
from harness.waiting import eventually
from infra import versions
from infra.images import network_arguments, reference
from infra.images.source import Source, mirrored
from infra.settings import Settings
from tests.support.pulumi_program import raw_config

pytestmark = pytest.mark.disruptive

NAME = "selftest-beside"
CONTAINER = f"lolstack-{NAME}-registry"
PORT = 25000
MIRROR = f"localhost:{PORT}"
USER = PASSWORD = "selftest"


@pytest.fixture(scope="module")
def logged_in(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """What `docker login` would have left, for this process and what it starts."""
    folder = tmp_path_factory.mktemp("docker")
    login = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
    (folder / "config.json").write_text(json.dumps({"auths": {MIRROR: {"auth": login}}}))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DOCKER_CONFIG", str(folder))
        yield


@pytest.fixture(scope="module")
def mirror(stack: Stack, logged_in: None) -> Iterator[str]:
    """A registry with the built images under the official names, for who is logged in."""
    if stack.outputs["imageSource"] != "build":
        pytest.skip("the official images themselves are in use")
    engine = docker.from_env()
    built = Source("build", "", Settings.load(raw_config(), NAME))
    image, _ = engine.images.build(
        path=str(Path(__file__).parent / "registry"),
        tag="lolstack/selftest-registry",
        rm=True,  # the containers of its steps
        buildargs={"BASE_IMAGE": reference("base", built), **network_arguments()},
    )
    remove(engine)
    engine.containers.run(
        image, name=CONTAINER, detach=True, ports={"5000/tcp": ("127.0.0.1", PORT)}, labels={"lolstack.stack": NAME}
    )

    def answers() -> None:
        assert requests.get(f"http://{MIRROR}/v2/", timeout=5).status_code == requests.codes.unauthorized

    try:
        eventually(answers, limit_seconds=30)
        for service in ("base", *versions.BUILT_IMAGES):
            official = mirrored(versions.OFFICIAL_IMAGES[service], MIRROR)
            engine.images.get(reference(service, built)).tag(official)
            for line in engine.images.push(official, stream=True, decode=True):
                assert "error" not in line, line
            engine.images.remove(official)
        yield MIRROR
    finally:
        remove(engine)


def remove(engine: docker.DockerClient) -> None:
    """End the registry, if it is there."""
    with suppress(NotFound):
        engine.containers.get(CONTAINER).remove(force=True, v=True)


@pytest.fixture(scope="module")
def beside(stack: Stack, mirror: str) -> Iterator[Stack]:
    """A second stack, its images from the registry, beside the one under test."""
    second = Stack(
        NAME,
        {
            "imageSource": "registry",
            "registryMirror": mirror,
            "portOffset": "3300",
            "generatorEnabled": "true",
            "generatorSize": "compact",
        },
    )
    second.clear()
    generator = stack.container("generator")
    generator.stop()  # two cores are few for one stack at work and another that starts
    try:
        try:
            second.up()
        finally:
            generator.start()
        yield second
    finally:
        second.remove()


def test_the_second_stack_pulled_its_images(beside: Stack) -> None:
    assert beside.outputs["imageSource"] == "registry"
    image = beside.container("elasticsearch").image
    assert image is not None
    assert mirrored(versions.OFFICIAL_IMAGES["elasticsearch"], MIRROR) in image.tags


def test_what_the_registry_does_not_have_is_left_out_and_said(beside: Stack) -> None:
    assert set(beside.outputs["leftOut"]) == {"kibana", "grafana"}
    assert "is not available" in beside.outputs["leftOut"]["kibana"]


def test_both_stacks_find_documents(stack: Stack, beside: Stack) -> None:
    for each in (stack, beside):

        def documents(each: Stack = each) -> None:
            assert each.documents() > 0, f"{each.name} finds no document"

        eventually(documents, limit_seconds=120)


def test_the_stacks_share_nothing(stack: Stack, beside: Stack) -> None:
    def ports(each: Stack) -> set[str]:
        return {address for addresses in each.outputs["services"].values() for address in addresses.values()}

    assert not ports(stack) & ports(beside)
    assert not set(stack.leftovers()) & set(beside.leftovers())


def test_destroying_one_leaves_the_other(stack: Stack, beside: Stack) -> None:
    beside.destroy()
    assert [thing for thing in beside.leftovers() if thing != f"/{CONTAINER}"] == []
    before = stack.documents()

    def more() -> None:
        assert stack.documents() > before

    eventually(more, limit_seconds=60)
