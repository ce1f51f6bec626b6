"""`strict`: every port needs a login, and the stack's own clients have one."""

from __future__ import annotations

import socket
import struct
import warnings
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime

import pytest
from cassandra import AuthenticationFailed
from cassandra.cluster import Cluster, NoHostAvailable
from playwright.sync_api import Browser, expect
from pulumi.automation import OpType
from urllib3.exceptions import InsecureRequestWarning

from harness.stack import Stack
from harness.waiting import eventually
from infra.logins import ALERTMANAGER_SENDER, MONITOR, OPERATOR, PROMETHEUS_READER, user_of
from infra.services.spark import PROPERTIES
from tests.support import zookeeper_request
from tests.support.local_user import DIRECT
from tests.support.open_ports import LISTENERS, SCRAPE_TARGETS

pytestmark = pytest.mark.disruptive

TIMEOUT_SECONDS = 10
PATHS = ("/", "/metrics", "/metrics/prometheus/", "/metrics/json/", "/json/", "/health", "/-/healthy", "/api/v1/query")
WRONG: tuple[tuple[str, str] | None, ...] = (None, (user_of(MONITOR), "wrong"), (OPERATOR, "wrong"))


def test_each_open_port_refuses_a_local_user_without_a_login(second_stack: Stack, browser: Browser) -> None:
    served = []
    for service in second_stack.services:
        for port in LISTENERS[service]:
            try:
                PROBES.get((service, port), http)(second_stack, service, port, browser)
            except Exception as error:  # every port is tried, and a probe's error is no refusal
                served.append(f"{service}, port {port}: {error!r}")
    assert served == []


def http(stack: Stack, service: str, port: int, _browser: Browser) -> None:
    """Every path answers 401, some of Spark's after a redirect."""
    base = f"{'https' if service == 'elasticsearch' else 'http'}://{stack.address(service)}:{port}"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", InsecureRequestWarning)  # the certificate is not for the address
        for login in WRONG:
            for path in PATHS:
                answer = DIRECT.get(base + path, auth=login, verify=False, timeout=TIMEOUT_SECONDS)
                assert answer.status_code == 401, f"{path} {login}: {answer.status_code}"


def zookeeper(stack: Stack, service: str, _port: int, _browser: Browser) -> None:
    """The first request of a session ends it."""
    error = zookeeper_request.error_of(stack.address(service), zookeeper_request.get_children("/brokers/ids"))
    assert error in zookeeper_request.REFUSED, error


def kafka(stack: Stack, service: str, port: int, _browser: Browser) -> None:
    """A request for metadata is not answered: the broker closes the connection."""
    metadata, answer = struct.pack(">ihhihi", 14, 3, 1, 1, -1, 0), b""
    with (
        socket.create_connection((stack.address(service), port), timeout=TIMEOUT_SECONDS) as connection,
        suppress(ConnectionResetError),
    ):
        connection.sendall(metadata)
        answer = connection.recv(100)
    assert answer == b"", f"{answer!r}"


def cassandra(stack: Stack, service: str, port: int, _browser: Browser) -> None:
    cluster = Cluster([stack.address(service)], port=port, connect_timeout=TIMEOUT_SECONDS)
    try:
        with pytest.raises(NoHostAvailable) as refused:
            cluster.connect()
    finally:
        cluster.shutdown()
    (error,) = refused.value.errors.values()
    assert isinstance(error, AuthenticationFailed), error


def spark_rpc(stack: Stack, service: str, _port: int, _browser: Browser) -> None:
    """The same in both securities: test_logins_spark tries to register without the secret."""
    properties = stack.host(service).run(f"cat {PROPERTIES}").stdout.splitlines()
    assert "spark.authenticate true" in properties


def dashboard(stack: Stack, service: str, port: int, browser: Browser) -> None:
    """The page has the form of the login only. By the container's address it stays empty, since Streamlit checks it."""
    with browser.new_context() as context:
        page = context.new_page()
        page.goto(stack.url(service, port))
        expect(page.get_by_role("textbox", name="Password")).to_be_visible(timeout=30_000)
        assert page.locator(".figures, .hint, .problem").count() == 0


PROBES: dict[tuple[str, int], Callable[[Stack, str, int, Browser], None]] = {
    ("zookeeper", 2181): zookeeper,
    ("kafka", 9092): kafka,
    ("kafka", 29092): kafka,
    ("cassandra", 9042): cassandra,
    ("spark-master", 7077): spark_rpc,
    ("dashboard", 8501): dashboard,
}
"""How each port of LISTENERS is tried that is not plain HTTP; every other one is tried by `http`."""


def test_prometheus_scrapes_every_service_with_its_login(second_stack: Stack) -> None:
    def all_up() -> None:
        up = second_stack.prometheus().values("up", "job")
        assert {job for job, value in up.items() if value != 1} == set()
        assert up.keys() == SCRAPE_TARGETS.keys()

    eventually(all_up)


ACCEPTED_BY = {MONITOR: "spark-job", PROMETHEUS_READER: "prometheus", ALERTMANAGER_SENDER: "alertmanager"}
"""A service that each login of the monitoring is for."""


@pytest.mark.parametrize("login", ACCEPTED_BY)
def test_login_of_the_monitoring_is_refused_by_other_services(second_stack: Stack, login: str) -> None:
    password = (user_of(login), second_stack.outputs["credentials"][login])
    pages = {"spark-job": "8000/metrics", "prometheus": "9090/api/v1/query?query=up"}
    pages |= {"alertmanager": "9093/api/v2/status", "elasticsearch": "9200/"}
    answers = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", InsecureRequestWarning)
        for service, page in pages.items():
            scheme = "https" if service == "elasticsearch" else "http"
            url = f"{scheme}://{second_stack.address(service)}:{page}"
            answers[service] = DIRECT.get(url, auth=password, verify=False, timeout=TIMEOUT_SECONDS).status_code
    assert answers == {service: 200 if service == ACCEPTED_BY[login] else 401 for service in pages}


def test_make_status_works(second_stack: Stack) -> None:
    second_stack.wait_until_healthy()


@pytest.mark.parametrize("target", ["report", "dlq", "logs", "credentials", "backfill FROM=2026-01-01T00:00"])
def test_make_target_asks_for_no_login(second_stack: Stack, target: str) -> None:
    run = second_stack.make(target, "</dev/null")
    assert run.rc == 0, run.stdout + run.stderr


def test_second_up_changes_nothing(second_stack: Stack) -> None:
    assert set(second_stack.preview().change_summary) == {OpType.SAME}


def test_expiry_of_the_certificates_is_a_metric(second_stack: Stack) -> None:
    expires_at = datetime.fromisoformat(second_stack.outputs["certificatesExpireAt"]).timestamp()

    def scraped() -> None:
        value = second_stack.prometheus().value("lolstack_certificate_expires_timestamp_seconds")
        assert value == pytest.approx(expires_at, abs=1, rel=0)

    eventually(scraped)
