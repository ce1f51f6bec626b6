"""Fixtures for stack tests: the stack under test, deployed once for all tests or already running, and a second stack.

Read-only tests run first, so that they see the stack as `up` left it; of them, those marked `many_matches` last. Tests
marked `disruptive` change it, and are skipped with `--stack`. During them the generator runs only if they use `stream`.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import pytest
from docker.errors import NotFound

from harness.stack import Stack
from harness.waiting import eventually
from infra import versions
from infra.clients.docker_engine import DockerUnavailableError, stack_containers
from infra.images.source import mirrored
from infra.names import SERVICE_LABEL
from tests.support import private_registry
from tests.support.out_of_memory import no_container_out_of_memory
from tests.support.private_registry import PrivateRegistry
from tools.repair import RepairError
from tools.stack_outputs import NotDeployedError

WEBHOOK = "webhook"
"""Host name, on the stack's network, of the container that receives alert notifications in test_monitoring."""
WEBHOOK_TOKEN = "token-of-the-webhook"
"""Part of the webhook's URL, as of many real ones."""
OWN_STACK = "selftest"
OWN_CONFIG = {
    "alertWebhookUrl": f"http://{WEBHOOK}:8000/{WEBHOOK_TOKEN}",
    "generatorEnabled": "true",
    "job.archive.messages_per_second": "2000",  # so that no test waits for the backlog of another one
    "job.window.update_seconds": "3",  # so that no test waits long for the next batch of the statistics
    "portOffset": "3350",  # no port of a stack whose offset is derived from its name
}
SECOND_STACK = "selftest-beside"
SECOND_CONFIG = {
    "imageSource": "registry",
    "registryMirror": private_registry.ADDRESS,
    # The built version under the official name: it lacks a flag that only the pinned version gets.
    "images.alertmanager": mirrored(versions.OFFICIAL_IMAGES["alertmanager"], private_registry.ADDRESS),
    "portOffset": "3660",
    "generatorEnabled": "true",
    "generatorSize": "compact",
    "security": "strict",
}


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--stack", help="verify this running stack without changing it")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: [item.get_closest_marker(name) is not None for name in ("disruptive", "many_matches")])
    for item in [each for each in items if each.get_closest_marker("last_of_second_stack")]:
        last = max(number for number, each in enumerate(items) if uses_second_stack(each))
        items.remove(item)
        items.insert(last, item)
    if config.getoption("--stack"):
        skip = pytest.mark.skip(reason="changes the stack; --stack verifies a running one")
        for item in items:
            if item.get_closest_marker("disruptive"):
                item.add_marker(skip)


def uses_second_stack(item: pytest.Item) -> bool:
    """Whether the test uses the second stack, itself or as a parameter of a fixture."""
    parameters = item.callspec.params.values() if hasattr(item, "callspec") else ()
    return "second_stack" in (*getattr(item, "fixturenames", ()), *parameters)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Any:
    """Add the logs of the failed containers to the report of a failed test, as they are when it fails."""
    report = yield
    stack = getattr(item, "funcargs", {}).get("stack")
    if report.failed and isinstance(stack, Stack):
        report.sections += [(f"log of {container}", log) for container, log in stack.failed_container_logs()]
    return report


@pytest.fixture(scope="session")
def stack(request: pytest.FixtureRequest) -> Iterator[Stack]:
    """The stack under test, deployed. Ends the test run if the deployment fails: every other test would fail too."""
    name = request.config.getoption("--stack")
    try:
        if name:
            yield Stack.deployed(name)
            return
        own = Stack(OWN_STACK, OWN_CONFIG)
        own.clean_up()
    except (NotDeployedError, RepairError, DockerUnavailableError) as error:
        pytest.exit(str(error), returncode=1)
    try:
        own.up()
    except Exception as error:
        logs = "".join(f"\n=== {container}\n{log}" for container, log in own.failed_container_logs())
        own.remove()
        pytest.exit(f"the stack {OWN_STACK} could not be deployed: {error}{logs}", returncode=1)
    except BaseException:  # interrupted
        own.remove()
        raise
    try:
        with no_container_out_of_memory(own.engine, own.name):
            yield own
    finally:
        own.remove()
    assert own.leftovers() == []


@pytest.fixture
def needs_kibana(stack: Stack) -> None:
    """Skips the test if Kibana is not deployed."""
    if reason := stack.outputs["leftOut"].get("kibana"):
        pytest.skip(f"Kibana is not deployed: {reason}")


@pytest.fixture(scope="session")
def generator_has_started(stack: Stack) -> None:
    """Waits until the stack has indexed documents, if it has a generator."""
    if "generator" not in stack.services:
        return

    def documents() -> None:
        assert stack.document_count() > 0, "no document is indexed"

    eventually(documents)


@pytest.fixture(autouse=True)
def _services_run_again(request: pytest.FixtureRequest) -> Iterator[None]:
    """Stops the generator before a disruptive test, and starts after it what a failed one left stopped or paused."""
    stack = request.getfixturevalue("stack") if "stack" in request.fixturenames else None
    if not request.node.get_closest_marker("disruptive") or not isinstance(stack, Stack):
        yield
        return
    try:
        stack.container("generator").stop()
    except NotFound:  # a test of a deployment has failed
        stack.up()
        stack.container("generator").stop()
    yield
    others = set(stack.services) - {"generator"}
    started = []
    for container in stack_containers(stack.engine, stack.name):
        if container.labels.get(SERVICE_LABEL) not in others or container.status == "running":
            continue
        if container.status == "paused":
            container.unpause()
        container.start()
        started.append(container)

    def healthy() -> None:
        for container in started:
            container.reload()
            assert container.health == "healthy", f"{container.name} is {container.status}, {container.health}"

    eventually(healthy)


@pytest.fixture
def stream(stack: Stack) -> None:
    """The generator runs: a disruptive test that needs matches beside its own."""
    stack.container("generator").start()


@pytest.fixture
def has_documents(stack: Stack, generator_has_started: None) -> None:
    """Skips the test if nobody has sent a match yet: such a stack is healthy, too."""
    if not stack.document_count():
        pytest.skip("the stack has no documents yet")


@pytest.fixture
def has_generator(stack: Stack) -> None:
    """Skips the test if the stack has no generator: then perhaps nobody sends matches."""
    if "generator" not in stack.services:
        pytest.skip("the stack has no generator")


@pytest.fixture(scope="session")
def second_stack_deployment(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Future[Stack]]:
    """The second stack's deployment, running in the background. Its images come from a private registry."""
    folder = tmp_path_factory.mktemp("docker")
    PrivateRegistry.write_login(folder)
    registry = PrivateRegistry(SECOND_STACK)
    second = Stack(SECOND_STACK, SECOND_CONFIG)

    def deploy() -> Stack:
        second.clean_up()
        registry.start()
        second.up()
        return second

    with pytest.MonkeyPatch.context() as patch, ThreadPoolExecutor(1) as pool:
        patch.setenv("DOCKER_CONFIG", str(folder))
        deployment = pool.submit(deploy)
        try:
            yield deployment
        finally:
            # Waits for its end. What `clean_up` has refused to destroy may be another user's.
            if not isinstance(deployment.exception(), RepairError):
                second.remove()
                registry.remove()


@pytest.fixture(scope="session")
def second_stack(stack: Stack, request: pytest.FixtureRequest) -> Stack:
    """A second stack beside the one under test, deployed with images from a private registry."""
    if stack.outputs["imageSource"] != "build":
        pytest.skip("the official images are in use already")
    deployment: Future[Stack] = request.getfixturevalue("second_stack_deployment")
    stack.container("generator").stop()  # two cores are too few for a stack under load and another one that starts
    return deployment.result()
