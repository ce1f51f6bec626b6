"""A service that runs but no longer serves is restarted by its own health check (infra/services/files/health_check.sh).

Docker restarts a container only when its main process ends; an unhealthy one it leaves as it is.

Fault injection: SIGSTOP to all processes, a full disk.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from functools import partial
from typing import Any

import pytest
from docker.models.containers import Container

from harness.stack import Stack
from harness.waiting import eventually
from infra.clients.docker_engine import execute
from infra.clients.task_container import put_files
from infra.provisioning.health_gate import wait_until_healthy
from infra.services import FILES
from infra.services.base import FAILED_CHECKS, HEALTH_CHECK_SCRIPT
from tests.support.own_container import own_container
from tests.support.small_disk import CassandraOnSmallDisk

pytestmark = pytest.mark.disruptive

SECOND = 10**9  # in the nanoseconds of Docker's API
FAILURES, START_FAILURES = 3, 4
SERVICES = {
    "healthy first": "echo 0 >/tmp/code; exec sleep 1000",
    "ignores SIGTERM": "trap '' TERM; echo 0 >/tmp/code; while true; do sleep 1; done",
    "waits for another service": "echo 0 >/tmp/code; exec sleep 1000",
    "never healthy": "echo 1 >/tmp/code; exec sleep 1000",
    "healthy every other time": "echo 0 >/tmp/code; echo 1 >/tmp/next; exec sleep 1000",
    "waits every other time": "echo 75 >/tmp/code; echo 1 >/tmp/next; exec sleep 1000",
}
"""Services whose health check exits with the code in /tmp/code, or in turn with that and the one in /tmp/next."""
CHECK = """
echo >>/tmp/checks
[ ! -e /tmp/next ] || { mv /tmp/code /tmp/last; mv /tmp/next /tmp/code; mv /tmp/last /tmp/next; }
exit $(cat /tmp/code)
"""


def state(container: Container) -> Any:
    """The container's current state, as in `docker inspect`."""
    container.reload()
    return container.attrs["State"]


@pytest.fixture
def services(stack: Stack) -> Iterator[dict[str, Container]]:
    """A container for each of SERVICES, with a health check every second and without privileges."""
    image = stack.container("generator").image
    assert image is not None
    check = ["sh", "/files/health_check.sh", "2", "1", str(FAILURES), str(START_FAILURES)]
    containers: dict[str, Container] = {}
    with ExitStack() as created:
        for service, script in SERVICES.items():
            containers[service] = created.enter_context(
                own_container(
                    stack,
                    service.replace(" ", "-"),
                    image,
                    entrypoint=["sh", "-c", script],
                    init=True,
                    user="1234:1234",
                    cap_drop=["ALL"],
                    security_opt=["no-new-privileges"],
                    restart_policy={"Name": "always", "MaximumRetryCount": 0},
                    healthcheck={
                        "test": ["CMD", *check, "sh", "-c", CHECK],
                        "interval": SECOND,
                        "timeout": 5 * SECOND,
                        "retries": 2,
                    },
                )
            )
        for container in containers.values():
            put_files(container, {"/files/health_check.sh": (FILES / "health_check.sh").read_bytes()})
            container.start()
        yield containers


def test_service_whose_health_check_fails_is_restarted_unless_it_is_alive(services: dict[str, Container]) -> None:
    def restarts(service: str, expected: int) -> None:
        assert state(services[service])["Status"] == "running"
        assert services[service].attrs["RestartCount"] == expected, service

    def is_healthy(service: str) -> None:
        assert state(services[service])["Health"]["Status"] == "healthy", service

    def set_exit_code(service: str, code: int) -> None:
        eventually(partial(is_healthy, service))
        assert execute(str(services[service].name), ["sh", "-c", f"echo {code} >/tmp/code"])[0] == 0

    set_exit_code("healthy first", 1)
    set_exit_code("ignores SIGTERM", 1)
    set_exit_code("waits for another service", 75)
    for service in ("healthy first", "ignores SIGTERM"):
        eventually(partial(restarts, service, 1))
        eventually(partial(is_healthy, service))
        log = services[service].logs().decode()
        assert f"health check: {FAILURES} checks in a row have failed" in log, f"no reason in its log: {log}"

    def has_failed_for_longer_than_the_limit() -> None:
        health = state(services["waits for another service"])["Health"]
        assert health["Status"] == "unhealthy"
        assert health["FailingStreak"] > 2 * FAILURES

    def has_had_more_failures_than_the_limit(service: str) -> None:
        checks = execute(str(services[service].name), ["wc", "-l", "/tmp/checks"])[1]
        assert int(checks.split()[0]) > 4 * START_FAILURES, checks

    eventually(has_failed_for_longer_than_the_limit)
    restarts("waits for another service", 0)

    def restarts_again() -> None:
        services["never healthy"].reload()
        assert services["never healthy"].attrs["RestartCount"] >= 2

    for service in ("healthy every other time", "waits every other time"):
        eventually(partial(has_had_more_failures_than_the_limit, service))
        restarts(service, 0)

    # Again after the first restart: nothing of the earlier count is left.
    eventually(restarts_again)
    assert f"health check: {START_FAILURES} checks in a row have failed" in services["never healthy"].logs().decode()


@pytest.fixture(scope="module")
def small_disk(stack: Stack) -> Iterator[Future[None]]:
    """The test of a full disk, running in the background: the test of the hanging services mostly waits."""
    cassandra = CassandraOnSmallDisk(stack)
    try:
        with ThreadPoolExecutor(1) as pool:
            yield pool.submit(cassandra.lose_no_row_when_the_disk_is_full)
    finally:
        cassandra.remove()


def each_is_healthy(stack: Stack) -> None:
    states = {service: stack.container(service).health for service in stack.services}
    assert set(states.values()) == {"healthy"}, states


@pytest.mark.usefixtures("small_disk", "stream")
def test_every_service_that_hangs_is_restarted_and_serves_again(stack: Stack) -> None:
    """All processes of all services are stopped (SIGSTOP) at once: they live, their ports are open, and none answers.

    The test runs Docker's own health checks, one right after the other, instead of waiting for their intervals. Timeout
    and grace period are shorter, but longer than the 3 s that the checks themselves wait for an answer.
    """
    # A service whose check has never succeeded may still be starting, and is given longer.
    eventually(partial(each_is_healthy, stack))
    containers = {service: stack.container(service) for service in stack.services}
    started_at = {service: state(container)["StartedAt"] for service, container in containers.items()}

    def hang(service: str) -> tuple[int, str]:
        return execute(stack.container_name(service), ["sh", "-c", "kill -STOP -1"])

    def is_restarted(service: str) -> None:
        assert state(containers[service])["StartedAt"] != started_at[service], f"{service} is not restarted"

    def heal(service: str) -> None:
        _cmd, *check = containers[service].attrs["Config"]["Healthcheck"]["Test"]
        numbers = check.index(HEALTH_CHECK_SCRIPT) + 1
        check[numbers : numbers + 2] = ["4", "5"]
        for _ in range(FAILED_CHECKS):
            execute(stack.container_name(service), check)
        eventually(partial(is_restarted, service))
        without_restart = check[numbers + 4 :]
        wait_until_healthy(stack.container_name(service), without_restart, timeout_seconds=300)

    with ThreadPoolExecutor(len(containers)) as pool:
        results = dict(zip(stack.services, pool.map(hang, stack.services), strict=True))
        assert {service: result for service, result in results.items() if result[0] != 0} == {}
        list(pool.map(heal, stack.services))
    stack.wait_for_new_documents()


def test_cassandra_serves_again_after_a_full_disk_and_loses_no_acknowledged_row(small_disk: Future[None]) -> None:
    small_disk.result()
