"""The logins of Prometheus and Alertmanager: alerts and silences need one, reading Prometheus does not in `guarded`."""

from __future__ import annotations

import time

import pytest

from harness.stack import Stack
from harness.waiting import eventually
from infra.logins import OPERATOR
from infra.names import ALERTMANAGER_PORT, PROMETHEUS_PORT
from tests.stack.conftest import WEBHOOK_TOKEN
from tests.support.local_user import DIRECT

SILENCE = {
    "matchers": [{"name": "alertname", "value": ".+", "isRegex": True}],
    "startsAt": "2026-01-01T00:00:00Z",
    "endsAt": "2036-01-01T00:00:00Z",
    "createdBy": "intruder",
    "comment": "everything",
}
NO_LOGIN, WRONG_PASSWORD = None, (OPERATOR, "wrong")


def urls(stack: Stack, service: str, port: int) -> list[str]:
    """The service's address as published on loopback, and in the stack's network, which every local user reaches."""
    return [stack.url(service, port, ""), f"http://{stack.address(service)}:{port}"]


@pytest.mark.parametrize("login", [NO_LOGIN, WRONG_PASSWORD], ids=["no login", "wrong password"])
def test_alertmanager_refuses_everything_without_a_login(stack: Stack, login: tuple[str, str] | None) -> None:
    for url in urls(stack, "alertmanager", ALERTMANAGER_PORT):
        for path in ("/", "/metrics", "/-/ready", "/api/v2/alerts", "/api/v2/silences", "/api/v2/status"):
            assert DIRECT.get(url + path, auth=login, timeout=10).status_code == 401, path
        answer = DIRECT.post(f"{url}/api/v2/silences", json=SILENCE, auth=login, timeout=10)
        assert answer.status_code == 401
        assert DIRECT.post(f"{url}/api/v2/alerts", json=[], auth=login, timeout=10).status_code == 401
        assert DIRECT.post(f"{url}/-/reload", auth=login, timeout=10).status_code == 401
    silences = stack.get("alertmanager", ALERTMANAGER_PORT, "/api/v2/silences").json()
    assert [silence for silence in silences if silence["createdBy"] == "intruder"] == []


def test_operator_looks_at_alertmanager(stack: Stack) -> None:
    assert isinstance(stack.get("alertmanager", ALERTMANAGER_PORT, "/api/v2/alerts").json(), list)


def test_silence_is_limited_in_size(stack: Stack) -> None:
    """Silences that fill Alertmanager's memory would be loaded again at each restart."""
    long = SILENCE | {"comment": "x" * 70_000, "createdBy": "a test"}
    url = stack.url("alertmanager", ALERTMANAGER_PORT, "/api/v2/silences")
    answer = DIRECT.post(url, json=long, auth=stack.login("alertmanager"), timeout=10)
    assert (answer.status_code, "maximum" in answer.text) == (400, True), answer.text


def test_prometheus_scrapes_alertmanager_with_its_own_login(stack: Stack) -> None:
    client = stack.prometheus()
    assert client.value("sum(prometheus_notifications_alertmanagers_discovered)") == 1
    eventually(lambda: is_up(stack, "alertmanager"))


def is_up(stack: Stack, job: str) -> None:
    assert stack.prometheus().value(f'up{{job="{job}"}}') == 1, f"Prometheus cannot scrape {job}"


def test_prometheus_can_be_read_but_not_changed(stack: Stack) -> None:
    for url in urls(stack, "prometheus", PROMETHEUS_PORT):
        if stack.outputs["security"] == "guarded":
            assert DIRECT.get(f"{url}/api/v1/query?query=up", timeout=10).json()["status"] == "success"
        changes = ("/-/quit", "/-/reload", "/api/v1/write", "/api/v1/admin/tsdb/delete_series?match[]=up")
        for path in changes:
            for login in (NO_LOGIN, WRONG_PASSWORD, stack.login("prometheus")):
                for headers in ({}, {"Host": "attacker.example"}):  # of a web page after DNS rebinding
                    answer = DIRECT.post(url + path, headers=headers, auth=login, timeout=10)
                    assert answer.status_code in (401, 403, 404, 500), f"{path}: {answer.status_code} {answer.text}"
    eventually(lambda: is_up(stack, "prometheus"))


@pytest.mark.disruptive
def test_query_of_everything_is_refused_and_does_not_end_prometheus(stack: Stack) -> None:
    """A link on a web page can make it in `guarded`. Each series has a value at each of the 10,000 steps: in the next
    minutes its last one."""
    container = stack.container("prometheus")
    now = time.time()
    every: dict[str, str | float] = {"query": '{__name__=~".+"}', "start": now, "end": now + 200, "step": 0.02}
    url = stack.url("prometheus", PROMETHEUS_PORT, "/api/v1/query_range")
    answer = DIRECT.get(url, params=every, auth=stack.login("prometheus"), timeout=30)
    assert answer.status_code == 422
    assert "too many samples" in answer.json()["error"]
    started_at = container.attrs["State"]["StartedAt"]
    container.reload()
    assert container.attrs["State"]["StartedAt"] == started_at


def test_configuration_pages_hide_passwords_and_the_webhooks_token(stack: Stack) -> None:
    config = stack.get("prometheus", PROMETHEUS_PORT, "/api/v1/status/config").text
    config += stack.get("alertmanager", ALERTMANAGER_PORT, "/api/v2/status").text
    assert "basic_auth" in config
    assert WEBHOOK_TOKEN not in config
    assert [login for login, password in stack.outputs["credentials"].items() if password in config] == []
