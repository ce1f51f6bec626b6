"""Spark's secret, without which nobody can register a worker or an application, and the login of its pages."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from docker.models.containers import Container

from harness.stack import Stack
from harness.waiting import eventually
from infra.clients.docker_engine import execute
from infra.clients.task_container import put_files
from infra.names import stack_prefix
from infra.services import render
from infra.services.spark import PAGE_LOGINS, PAGES_NEED_LOGIN, PROPERTIES, page_logins
from tests.support.local_user import DIRECT, curl
from tests.support.own_container import own_container

NO_SECRET = "spark.authenticate false\n"
WRONG_SECRET = render("spark.conf", secret="0" * 40)
WORKER = ["/opt/spark/bin/spark-class", "org.apache.spark.deploy.worker.Worker", "--properties-file", PROPERTIES]
APPLICATION = """
import os, sys
os.environ["PYSPARK_SUBMIT_ARGS"] = f"--properties-file {sys.argv[1]} pyspark-shell"
from pyspark.sql import SparkSession
SparkSession.builder.master(sys.argv[2]).appName("intruder").config("spark.ui.enabled", "false").getOrCreate()
print("ACCEPTED")
"""
MASTER = ["/opt/spark/bin/spark-class", "org.apache.spark.deploy.master.Master", "--properties-file", PROPERTIES]
LOCAL_USER = "host"
"""The Docker host's network: the master is reached by its container's address, as every local user can."""


def registered(stack: Stack) -> dict[str, set[str]]:
    """The ids of the workers and of the applications, also the ended ones, that the master knows."""
    master = stack.get("spark-master", 8080, "/json/").json()
    return {key: {each["id"] for each in master[key]} for key in ("workers", "activeapps", "completedapps")}


@pytest.fixture(scope="module")
def intruders(stack: Stack) -> Iterator[dict[str, Container]]:
    """Containers that try to register with the stack's master without its secret."""
    by_address, by_name = f"spark://{stack.address('spark-master')}:7077", "spark://spark-master:7077"
    python = ["/opt/venv/bin/python", "-c", APPLICATION, PROPERTIES]
    attempts = {
        "worker-without-secret": (LOCAL_USER, NO_SECRET, [*WORKER, "--webui-port", "0", by_address]),
        "application-without-secret": (LOCAL_USER, NO_SECRET, [*python, by_address]),
        "application-with-wrong-secret": (stack_prefix(stack.name), WRONG_SECRET, [*python, by_name]),
    }
    image = str(stack.container("spark-job").attrs["Image"])
    containers = {}
    with ExitStack() as created:
        for name, (network, properties, command) in attempts.items():
            containers[name] = created.enter_context(
                own_container(stack, name, image, command, network=network, init=True)
            )
            put_files(containers[name], {PROPERTIES: properties.encode()})
            containers[name].start()
        yield containers


def test_worker_or_application_without_the_secret_is_not_registered(
    stack: Stack, intruders: dict[str, Container]
) -> None:
    before = registered(stack)

    def refused() -> None:
        for name, container in intruders.items():
            log = container.logs().decode(errors="replace")
            assert "Failed to connect to master" in log, f"{name} was not refused: {log[-300:]}"
            assert "ACCEPTED" not in log, name

    eventually(refused, timeout_seconds=240)
    assert registered(stack) == before
    assert len(before["workers"]) == 1
    assert len(before["activeapps"]) == 1


@pytest.mark.parametrize(("service", "port"), [("spark-master", 8080), ("spark-worker", 8081), ("spark-job", 4040)])
def test_pages_are_read_without_a_login_in_guarded(stack: Stack, service: str, port: int) -> None:
    if stack.outputs["security"] != "guarded":
        pytest.skip("in strict they need a login")
    for base in (stack.url(service, port, ""), f"http://{stack.address(service)}:{port}"):
        page = curl(base, "-fL", "/")
        assert page.returncode == 0, page.stderr
        assert "Spark" in page.stdout


def test_secret_is_in_the_environment_of_executors_only(stack: Stack) -> None:
    """Only a process of the same user can read an environment, and that one can read the properties as well. Spark has
    no other way to give the secret to an executor."""
    script = f"""
secret=$(sed -n 's/^spark.authenticate.secret //p' {PROPERTIES})
for process in /proc/[0-9]*; do
    if printf %s "$secret" | grep -qsaF -f - $process/environ; then tr '\\0' ' ' <$process/cmdline; echo; fi
done
"""
    found = {}
    for service in ("spark-master", "spark-worker", "spark-job"):
        exit_code, output = execute(stack.container_name(service), ["sh", "-c", script])
        assert exit_code == 0, output
        found[service] = [line for line in output.splitlines() if line]
    executors = found.pop("spark-worker")
    assert found == {"spark-master": [], "spark-job": []}
    assert any("CoarseGrainedExecutorBackend" in line for line in executors), "the test does not find Spark's variable"
    for line in executors:
        assert "CoarseGrainedExecutorBackend" in line or "pyspark.daemon" in line, line


def test_rpc_is_authenticated_and_encrypted(stack: Stack) -> None:
    (job,) = stack.get("spark-job", 4040, "/api/v1/applications").json()
    environment = stack.get("spark-job", 4040, f"/api/v1/applications/{job['id']}/environment").json()
    properties = dict(environment["sparkProperties"])
    assert properties["spark.authenticate"] == properties["spark.network.crypto.enabled"] == "true"
    assert properties["spark.network.crypto.saslFallback"] == "false"
    assert "redacted" in properties["spark.authenticate.secret"]


@pytest.fixture(scope="module")
def strict_master(stack: Stack) -> Iterator[str]:
    """The URL of another master's pages, with the properties of a stack whose `security` is `strict`."""
    image = str(stack.container("spark-master").attrs["Image"])
    command = [*MASTER, "--port", "7077", "--webui-port", "8080"]
    network = stack_prefix(stack.name)
    with own_container(stack, "strict-master", image, command, network=network, init=True) as container:
        files = {
            PROPERTIES: WRONG_SECRET + PAGES_NEED_LOGIN,
            PAGE_LOGINS: page_logins({"operator": "right", "monitor": "own"}),
        }
        put_files(container, {path: text.encode() for path, text in files.items()})
        container.start()
        url = f"http://{stack.address('strict-master')}:8080"
        eventually(lambda: DIRECT.get(url, timeout=10))
        yield url


@pytest.mark.parametrize(
    "path",
    ["/", "/json/", "/metrics/master/prometheus/", "/metrics/json/", "/environment/", "/logPage/", "/static/webui.css"],
)
def test_page_needs_a_login_in_strict_and_can_only_be_read(strict_master: str, path: str) -> None:
    for login in (None, ("operator", "wrong"), ("", ""), ("operator", "")):
        answer = DIRECT.get(strict_master + path, auth=login, timeout=10)
        assert answer.status_code == 401, f"{login}: {answer.status_code}"
        assert DIRECT.post(strict_master + path, auth=login, timeout=10).status_code == 401
    for login in (("operator", "right"), ("monitor", "own")):
        assert DIRECT.get(strict_master + path, auth=login, timeout=10).status_code == 200
        assert DIRECT.post(strict_master + path, auth=login, timeout=10).status_code == 405


@pytest.mark.parametrize("header", ["Basic", "Basic !", "Bearer b3BlcmF0b3I6cmlnaHQ=", "Basic b3BlcmF0b3I6cmlnaHQ=="])
def test_malformed_login_is_refused(strict_master: str, header: str) -> None:
    assert DIRECT.get(strict_master, headers={"Authorization": header}, timeout=10).status_code == 401


def test_redirect_before_the_login_shows_nothing(strict_master: str) -> None:
    """Spark redirects the path of its metrics without the last slash before it asks for a login."""
    url = f"{strict_master}/metrics/master/prometheus"
    answer = DIRECT.get(url, allow_redirects=False, timeout=10)
    assert (answer.status_code, answer.text) == (301, "")
    assert DIRECT.get(url, timeout=10).status_code == 401
