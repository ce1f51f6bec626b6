"""Benchmark programs run in a container beside the job. The Docker engine is a fake."""

from __future__ import annotations

import io
import tarfile
from importlib.util import find_spec
from pathlib import PurePosixPath
from typing import Any, get_args
from unittest.mock import MagicMock

import msgspec
import pytest
import yaml
from docker.errors import NotFound

from bench.bench_container import Program, run_in_network, workload_of
from bench.in_network.workload import SETTINGS_FILE, WORKLOAD_FILE, Timing, Workload
from bench.progress import BenchError
from harness.load import Backlog
from infra.names import JOB_SETTINGS
from tests.support.tar_archive import tar

PROPERTIES = "/etc/lolstack/spark.conf"
JOB_FILES = {
    JOB_SETTINGS: b"""
app_name: job
driver: {host: spark-job, port: 7078}
spark_properties_file: /etc/lolstack/spark.conf
elasticsearch: {hosts: ['https://elasticsearch:9200'], ca_certificate: of the stack}
""",
    PROPERTIES: b"spark.authenticate true\n",
}
WORKLOAD = workload_of(Backlog("compact", 20, {0: 5}, {0: 25}), consumer="bulk")


def files_in(archive: bytes) -> dict[str, bytes]:
    with tarfile.open(fileobj=io.BytesIO(archive)) as files:
        return {f"/{entry.name}": (files.extractfile(entry) or io.BytesIO()).read() for entry in files.getmembers()}


@pytest.fixture
def stack() -> Any:
    """A measured stack whose engine has the job's container and creates another."""
    job = MagicMock(attrs={"Image": "sha256:job", "Config": {"User": "10001:10001"}})
    job.get_archive.side_effect = lambda path: ([tar(PurePosixPath(path).name, JOB_FILES[path])], {})

    def get(name: str) -> Any:
        if name == "lolstack-sample-spark-job":
            return job
        raise NotFound(name)

    measured = MagicMock()
    measured.deployment.name = "sample"
    measured.deployment.outputs = {"credentials": {"elasticsearch.admin": "secret"}}
    measured.deployment.engine.containers.get.side_effect = get
    created = measured.deployment.engine.containers.create.return_value
    created.name = "lolstack-sample-bench"
    created.attrs = {"State": {"Running": False, "ExitCode": 0}}
    return measured


@pytest.fixture
def container(stack: Any) -> Any:
    """The container that the engine creates."""
    return stack.deployment.engine.containers.create.return_value


def test_container_gets_the_program_the_workload_and_settings_for_its_own_driver(stack: Any, container: Any) -> None:
    with run_in_network(stack, "consumers", WORKLOAD):
        container.start.assert_called_once_with()
    (_, command), _options = stack.deployment.engine.containers.create.call_args
    assert command[1:] == ["-m", "bench.in_network.consumers"]
    _, archive = container.put_archive.call_args.args
    files = files_in(archive)
    assert {"/opt/job/bench/__init__.py", "/opt/job/bench/in_network/consumers.py"} <= files.keys()
    assert msgspec.json.decode(files[str(WORKLOAD_FILE)], type=Workload) == msgspec.structs.replace(
        WORKLOAD,
        elasticsearch_url="https://elasticsearch:9200",
        elasticsearch_password="secret",
        elasticsearch_authority="of the stack",
    )
    settings = yaml.safe_load(files[str(SETTINGS_FILE)])
    assert settings["app_name"] == "bench"
    assert settings["driver"] == {"host": "lolstack-sample-bench", "port": 7078}
    assert files[settings["spark_properties_file"]] == JOB_FILES[PROPERTIES]


def test_timings_are_read_from_the_containers_log(stack: Any, container: Any) -> None:
    container.logs.return_value = b'a warning\nTIMING {"name":"bulk","messages":20,"seconds":0.5}\n'
    with run_in_network(stack, "consumers", WORKLOAD) as running:
        assert running.wait_for_timings() == [Timing("bulk", 20, 0.5)]


def test_failed_container_is_reported_with_its_last_log_lines_and_removed(stack: Any, container: Any) -> None:
    container.attrs = {"State": {"Running": False, "ExitCode": 1}}
    container.logs.return_value = b"KeyError: 'info'\n"
    with (
        pytest.raises(BenchError, match=r"^lolstack-sample-bench exited with code 1: KeyError: 'info'$"),
        run_in_network(stack, "consumers", WORKLOAD) as running,
    ):
        running.wait_for_timings()
    container.remove.assert_called_once_with(force=True)


@pytest.mark.parametrize("program", get_args(Program))
def test_each_program_is_a_module_of_the_package(program: str) -> None:
    assert find_spec(f"bench.in_network.{program}") is not None
