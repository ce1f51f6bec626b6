"""The stack under test: one of its own, made before the first test and destroyed after the last, or a running one."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from harness.stack import WEBHOOK, Stack

OWN_STACK = "selftest"
OWN_CONFIG = {
    "alertWebhookUrl": f"http://{WEBHOOK}:8000/",
    "generatorEnabled": "true",
    "generatorRate": "5",
    "portOffset": "2300",  # whose ports no stack has by its name
}


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--stack", help="verify this running stack, and change nothing in it")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    # What looks at a stack comes before what changes it, and sees it as it is after `up`.
    items.sort(key=lambda item: item.get_closest_marker("disruptive") is not None)
    if config.getoption("--stack"):
        skip = pytest.mark.skip(reason="it changes the stack, and --stack asks to verify a running one")
        for item in items:
            if item.get_closest_marker("disruptive"):
                item.add_marker(skip)


@pytest.fixture(scope="session")
def stack(request: pytest.FixtureRequest) -> Iterator[Stack]:
    """The stack under test, up."""
    name = request.config.getoption("--stack")
    if name:
        yield Stack(name)
        return
    own = Stack(OWN_STACK, OWN_CONFIG)
    own.clear()
    try:
        own.up()
    except BaseException:
        own.print_logs()
        own.remove()
        raise
    yield own
    if request.session.testsfailed:
        own.print_logs()
    own.remove()
    assert own.leftovers() == []
