"""Container hardening: unprivileged user, no capabilities, memory limits, log rotation, ports on localhost only, and no
port without a login that runs code, speaks a protocol between nodes, or obeys a web page."""

from __future__ import annotations

import os
import pwd
import re
import socket
import struct
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from itertools import product
from typing import Any

import pytest

from harness.stack import Stack
from harness.waiting import eventually
from infra.clients.docker_engine import execute
from infra.clients.task_container import PYTHON
from infra.names import KAFKA_PORT, SERVICE_LABEL, stack_prefix
from infra.services import kafka, zookeeper
from tests.support.local_user import DIRECT, NOBODY, curl, run_as, silent_connections
from tests.support.open_ports import JMX_EXPORTER, LISTENERS
from tests.support.own_container import own_container
from tools.pulumi_state import lock_folder

EPHEMERAL = range(32768, 61000)
"""Linux's default range for ports that a program does not choose."""
FROM_ELSEWHERE = {"Origin": "http://attacker.example"}
"""The header of a web page's request to another server."""
SPARK = ("spark-worker", "spark-job")
"""Spark's executors and its driver also listen on ports that they do not choose, for blocks and RPC."""


@pytest.fixture(scope="module")
def containers(stack: Stack) -> dict[str, dict[str, Any]]:
    """`docker inspect` of each container, by service."""
    return {service: stack.container(service).attrs for service in stack.services}


def test_no_container_runs_as_root(containers: dict[str, dict[str, Any]]) -> None:
    assert {
        name for name, container in containers.items() if container["Config"]["User"].split(":")[0] in ("", "0")
    } == set()


def test_containers_drop_all_capabilities_and_cannot_gain_privileges(containers: dict[str, dict[str, Any]]) -> None:
    for name, container in containers.items():
        assert container["HostConfig"]["CapDrop"] == ["ALL"], name
        assert "no-new-privileges" in container["HostConfig"]["SecurityOpt"], name
        assert not container["HostConfig"]["Privileged"], name


def test_each_container_has_a_memory_limit(containers: dict[str, dict[str, Any]]) -> None:
    assert {name for name, container in containers.items() if not container["HostConfig"]["Memory"]} == set()


def test_ports_are_published_on_localhost_only(containers: dict[str, dict[str, Any]]) -> None:
    addresses = {
        (name, binding["HostIp"])
        for name, container in containers.items()
        for bindings in (container["HostConfig"]["PortBindings"] or {}).values()
        for binding in bindings
    }
    assert {address for _, address in addresses} == {"127.0.0.1"}, addresses


def test_containers_have_a_limit_of_processes_and_a_user_that_no_account_has(
    containers: dict[str, dict[str, Any]],
) -> None:
    accounts = {account.pw_uid for account in pwd.getpwall()}
    for name, container in containers.items():
        (limit,) = container["HostConfig"]["Ulimits"]
        assert (limit["Name"], limit["Hard"]) == ("nproc", 16384), name
        assert int(container["Config"]["User"].partition(":")[0]) not in accounts, name


def test_local_user_can_neither_read_a_containers_files_nor_signal_its_processes(
    containers: dict[str, dict[str, Any]],
) -> None:
    """Who has the uid of a process can, through /proc."""
    if os.geteuid() != 0:
        pytest.skip("needs root, to become users of the host")
    pids = {name: each["State"]["Pid"] for name, each in containers.items()}
    for uid in (NOBODY, 999, 1000, 1001):
        for name, pid in pids.items():
            script = f"ls /proc/{pid}/root/etc/lolstack || cat /proc/{pid}/environ || kill -0 {pid}"
            run = run_as(uid, "sh", "-c", script)
            assert (run.returncode, run.stdout) == (1, ""), f"{name} as uid {uid}"


def test_containers_reach_zookeeper_and_the_generator_only_from_kafka_and_prometheus(
    stack: Stack,
) -> None:
    targets = [(other, port) for other, port in (("zookeeper", 2181), ("generator", 8000)) if other in stack.services]

    def connection_time(attempt: tuple[str, tuple[str, int]]) -> str:
        """In seconds; 0 if there was no connection: curl's exit code is that of a timeout in both cases."""
        service, (other, port) = attempt
        request = f"curl -s -m 3 --noproxy '*' -w '%{{time_connect}}' telnet://{stack.address(other)}:{port}"
        run = stack.host(service).run(request)
        assert run.rc == TIMED_OUT, f"{service} gets an answer from {other}: {run.stdout}{run.stderr}"
        return str(run.stdout)

    attempts = list(product(("spark-worker", "archive"), targets))
    with ThreadPoolExecutor(len(attempts)) as pool:
        found = dict(zip(attempts, pool.map(connection_time, attempts), strict=True))
    assert found == dict.fromkeys(attempts, "0.000000")


ANSWERS_EVERY_NAME = """
import socket
server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
server.bind(("0.0.0.0", 53))
while True:
    query, client = server.recvfrom(512)
    question = query[12 : query.index(0, 12) + 5]
    is_a = question[-4:-2] == bytes([0, 1])
    answer = bytes([0xC0, 12, 0, 1, 0, 1, 0, 0, 0, 1, 0, 4, 192, 0, 2, 1]) if is_a else b""
    counts = bytes([0, 1, 0, bool(answer), 0, 0, 0, 0])
    server.sendto(query[:2] + bytes([0x81, 0x80]) + counts + question + answer, client)
"""
"""A fake DNS server that gives every name the address 192.0.2.1, as one with a wildcard or in wrong hands."""


def test_name_of_a_stopped_service_is_not_looked_up_in_the_hosts_dns(
    stack: Stack, containers: dict[str, dict[str, Any]]
) -> None:
    """Whoever answered there would get the clients' logins and data."""
    settings = {
        (str(each["HostConfig"]["DnsOptions"]), str(each["HostConfig"]["DnsSearch"])) for each in containers.values()
    }
    assert len(settings) == 1, "one container stands for all"
    host = containers["archive"]["HostConfig"]
    image, network = containers["archive"]["Image"], stack_prefix(stack.name)
    serve = [PYTHON, "-c", ANSWERS_EVERY_NAME]
    with own_container(stack, "outer-dns", image, serve, network=network, user="0") as outer:
        outer.start()
        outer.reload()
        names = ("elasticsearch", "stopped-service", "outer.example")
        lookup = ["sh", "-c", f"for name in {' '.join(names)}; do echo $name $(getent hosts $name); done"]
        options = {"dns": [outer.attrs["NetworkSettings"]["Networks"][network]["IPAddress"]], "network": network}
        options |= {"dns_opt": host["DnsOptions"], "dns_search": host["DnsSearch"]}

        def answers() -> dict[str, str]:
            with own_container(stack, "lookup", image, lookup, **options) as client:
                client.start()
                client.wait()
                lines = client.logs().decode().splitlines()
            found = {name: answer.split(" ")[0] for name, _, answer in (line.partition(" ") for line in lines)}
            assert found["outer.example"] == "192.0.2.1", f"the DNS server does not answer yet: {found}"
            return found

        assert eventually(answers, 30) == {
            "elasticsearch": stack.address("elasticsearch"),
            "stopped-service": "",
            "outer.example": "192.0.2.1",
        }


def test_log_rotation_container_name_and_service_label(stack: Stack, containers: dict[str, dict[str, Any]]) -> None:
    for name, container in containers.items():
        assert container["HostConfig"]["LogConfig"]["Config"]["max-size"], name
        assert container["Name"] == f"/lolstack-{stack.name}-{name}"
        assert container["Config"]["Labels"][SERVICE_LABEL] == name


def test_no_container_is_out_of_memory(containers: dict[str, dict[str, Any]]) -> None:
    """Nor in any later test: the fixture of the stack fails then."""
    assert {name for name, container in containers.items() if container["State"]["OOMKilled"]} == set()


def test_no_container_was_restarted(containers: dict[str, dict[str, Any]], request: pytest.FixtureRequest) -> None:
    if request.config.getoption("--stack"):
        pytest.skip("a service that no longer served may have been restarted")
    assert {name for name, container in containers.items() if container["RestartCount"]} == set()


TIMED_OUT = 28
"""curl's exit code."""
REFUSED = 7
"""curl's exit code for a refused connection."""
STREAM_REQUEST = 6
"""A type of message of Spark's protocol between processes (org.apache.spark.network.protocol)."""


def listeners(stack: Stack, service: str) -> Iterator[tuple[str, int]]:
    """Address (in hexadecimal) and port of each TCP socket that listens in the service's container."""
    # Shell built-ins only: not every image has cat.
    script = 'while read -r line; do echo "$line"; done </proc/net/tcp; while read -r line; do echo "$line"; done'
    found = stack.host(service).run(f"{script} </proc/net/tcp6").stdout
    for address, port in re.findall(r"^\d+: (\w+):(\w{4}) \w+:0000 0A ", found, re.MULTILINE):
        yield address, int(port, 16)


def is_loopback(address: str) -> bool:
    """Whether a hexadecimal address of /proc/net/tcp is 127.0.0.0/8, ::1 or the first mapped to IPv6."""
    mapped = address.removeprefix("0000000000000000FFFF0000")
    return address == "0" * 24 + "01000000" or (len(mapped) == 8 and mapped.endswith("7F"))


def test_containers_listen_only_on_the_ports_that_are_documented(stack: Stack) -> None:
    """On other addresses than loopback. Every local user can connect to them, by the container's address."""
    found = {
        service: {
            port
            for address, port in listeners(stack, service)
            if not is_loopback(address) and not (service.startswith(SPARK) and port in EPHEMERAL)
        }
        for service in stack.services
    }
    assert found == {service: LISTENERS[re.sub(r"-\d+$", "", service)] for service in stack.services}


@pytest.mark.parametrize(
    ("service", "port", "what"),
    [
        ("spark-master", 6066, "Spark's REST server, which runs any code"),
        ("elasticsearch", 9300, "Elasticsearch's protocol between nodes"),
        ("cassandra", 7000, "Cassandra's protocol between nodes"),
        ("cassandra", 7199, "Cassandra's JMX"),
    ],
)
def test_closed_port_refuses_a_local_user_and_another_container(
    stack: Stack, service: str, port: int, what: str
) -> None:
    submission = ("-X", "POST", "-H", "Content-Type: text/plain", "-d", "{}", "/v1/submissions/create")
    assert curl(f"http://{stack.address(service)}:{port}", *submission).returncode == REFUSED, what
    inside = stack.host("spark-worker").run(f"curl -s -m 10 --noproxy '*' http://{service}:{port}/")
    assert inside.rc == REFUSED, what


MANY = 700
"""Connections: enough for what each announces to exceed a heap, few enough for the usual limit of open files."""


@pytest.mark.disruptive
@pytest.mark.parametrize(
    ("service", "port", "lengths", "health_check"),
    [
        ("zookeeper", 2181, (2**20 - 1, zookeeper.MAX_REQUEST_BYTES), zookeeper.HEALTH_CHECK),
        ("kafka", KAFKA_PORT, (2**19, 2**14), kafka.HEALTH_CHECK),
    ],
    ids=["zookeeper", "kafka"],
)
def test_connections_that_announce_long_requests_do_not_end_a_service(
    stack: Stack, service: str, port: int, lengths: tuple[int, int], health_check: str
) -> None:
    """Without a login. `lengths`: the longest that the service accepts by default, and here."""
    container = stack.container(service)
    for length in lengths:
        with silent_connections(stack.address(service), port, struct.pack(">i", length), MANY):
            for _ in range(3):
                assert execute(stack.container_name(service), ["bash", "-c", health_check])[0] == 0
    started_at = container.attrs["State"]["StartedAt"]
    container.reload()
    assert container.attrs["State"]["StartedAt"] == started_at


@pytest.mark.disruptive
def test_silent_connections_do_not_keep_metrics_from_others(stack: Stack) -> None:
    def read_metrics(service: str) -> int:
        address = stack.address(service)
        url = f"http://{address}:{JMX_EXPORTER}/metrics"
        with silent_connections(address, JMX_EXPORTER, b"G", number=20):
            return eventually(lambda: DIRECT.get(url, timeout=5)).status_code

    services = ("zookeeper", "kafka", "cassandra")
    with ThreadPoolExecutor(len(services)) as pool:
        assert dict(zip(services, pool.map(read_metrics, services), strict=True)) == dict.fromkeys(services, 200)


@pytest.mark.disruptive
def test_requests_without_a_login_do_not_fill_the_logs_of_spark(stack: Stack) -> None:
    """Each asks for a stream that does not exist, on the ports of RPC and blocks."""
    name = b"missing"
    body = struct.pack(">Bi", STREAM_REQUEST, len(name)) + name
    requests_ = (struct.pack(">q", 8 + len(body)) + body) * 10_000
    attempts = [
        (each, port) for each in stack.services if each.startswith("spark") for _, port in listeners(stack, each)
    ]

    def log_bytes() -> int:
        files = "find /opt/venv -path '*/work/app-*/std*' -exec cat {} + | wc -c"
        return sum(
            len(stack.container(each).logs()) + int(stack.host(each).check_output(files) if "worker" in each else 0)
            for each in {service for service, _ in attempts}
        )

    before = log_bytes()
    for service, port in attempts:
        with suppress(OSError), socket.create_connection((stack.address(service), port), timeout=10) as connection:
            connection.sendall(requests_)
            connection.shutdown(socket.SHUT_WR)
            while connection.recv(2**20):
                pass
    assert log_bytes() - before < 2**20


def test_spark_masters_rpc_port_is_not_published(containers: dict[str, dict[str, Any]]) -> None:
    """Whoever can connect to it can run code on the workers."""
    assert set(containers["spark-master"]["HostConfig"]["PortBindings"]) == {"8080/tcp"}


def test_sparks_pages_accept_no_kill_request(stack: Stack) -> None:
    """A web page can send them too: a form needs no permission of the server that it posts to."""
    form = ("-X", "POST", "-H", f"Origin: {FROM_ELSEWHERE['Origin']}", "-o", "/dev/null", "-w", "%{http_code}")
    for path in ("/app/kill/?id=app-1&terminate=true", "/driver/kill/?id=driver-1&terminate=true", "/workers/kill/"):
        answer = curl(f"http://{stack.address('spark-master')}:8080", *form, path).stdout
        refused = "401" if stack.outputs["security"] == "strict" else "405"
        assert answer == refused, f"{path}: {answer}; the page redirects after a kill request that it obeys"
    (job,) = stack.get("spark-job", 4040, "/api/v1/applications").json()
    environment = stack.get("spark-job", 4040, f"/api/v1/applications/{job['id']}/environment").json()
    assert dict(environment["sparkProperties"])["spark.ui.killEnabled"] == "false"
    assert curl(f"http://{stack.address('spark-worker')}:8081", *form, "/").stdout == refused


@pytest.mark.disruptive
@pytest.mark.usefixtures("stream")
def test_job_goes_on_after_requests_to_kill_its_jobs_and_stages(stack: Stack) -> None:
    """The job's page redirects after each such request, whether it obeys or not."""
    (application,) = stack.get("spark-job", 4040, "/api/v1/applications").json()
    jobs = f"/api/v1/applications/{application['id']}/jobs"
    page = f"http://{stack.address('spark-job')}:4040"

    def kill_running_job() -> int:
        (job, *_) = stack.get("spark-job", 4040, f"{jobs}?status=running").json() or [None]
        assert job, "no job of a micro-batch is running"
        kinds = (("jobs/job", [job["jobId"]]), ("stages/stage", job["stageIds"]))
        for path in (f"/{kind}/kill/?id={number}&terminate=true" for kind, numbers in kinds for number in numbers):
            answer = DIRECT.post(page + path, headers=FROM_ELSEWHERE, allow_redirects=False, timeout=10)
            assert answer.status_code == (401 if stack.outputs["security"] == "strict" else 302), path
        return int(job["jobId"])

    def succeeded(job: int) -> None:
        assert stack.get("spark-job", 4040, f"{jobs}/{job}").json()["status"] == "SUCCEEDED"

    for _ in range(5):
        job = eventually(kill_running_job, poll_seconds=0.05)
        eventually(partial(succeeded, job), poll_seconds=0.2)


def test_prometheus_lets_no_web_page_of_another_origin_read_it(stack: Stack) -> None:
    answer = DIRECT.get(
        f"http://{stack.address('prometheus')}:9090/api/v1/query?query=up",
        headers=FROM_ELSEWHERE,
        auth=stack.login("prometheus"),
        timeout=10,
    )
    assert answer.json()["status"] == "success"
    assert "access-control-allow-origin" not in answer.headers


def test_pulumis_state_is_accessible_to_its_user_only(stack: Stack) -> None:
    locks = lock_folder(stack.name)
    if locks is None or "PULUMI_BACKEND_URL" in os.environ:
        pytest.skip("the state is in a backend that the person has chosen")
    state = locks.parents[3]
    assert state.name == ".pulumi"
    assert state.stat().st_mode & 0o077 == 0
    if os.geteuid() == 0:
        assert "Permission denied" in run_as(NOBODY, "ls", str(state)).stderr
