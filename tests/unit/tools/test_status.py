"""`make status` on a terminal, and the health checks behind it."""

from __future__ import annotations

import io
import re
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock

import docker
import pytest
import requests
import yaml
from rich.console import Console
from werkzeug import Response

from infra.clients.kafka import TopicClient
from infra.clients.prometheus import Alert, PrometheusClient
from infra.names import DASHBOARD_PORT, IMAGE_SOURCE_LABEL, INDEX_ALIASES
from infra.services.prometheus import RULES
from job.ids import monthly_index
from job.times import now_ms
from tests.support.http_server import HTTPServer
from tests.support.report_samples import PIPELINE, TIME_RANGE, status
from tools import health
from tools.health import StackHealth, StageHealth
from tools.status import TREND_STEP_SECONDS, StackStatus, certificate_expiry, main, read_status, render, sparkline

HEALTHY = StageHealth("producer", "12 messages delivered since it started, 0 failed")
BROKEN = replace(HEALTHY, problem="nothing delivered for 0:02:00 [sic]")


def output_lines(status: StackStatus, width: int) -> list[str]:
    console = Console(file=io.StringIO(), width=width)
    console.print(render(status, console))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue().splitlines()


@pytest.mark.parametrize(("width", "lines"), [(80, 40), (120, 24), (200, 24)])
def test_status_fits_on_one_screen(width: int, lines: int) -> None:
    found = output_lines(status(HEALTHY), width)
    assert len(found) <= lines
    assert all(len(line.rstrip()) <= width for line in found)
    assert not any("…" in line for line in found), "\n".join(found)


@pytest.mark.parametrize("width", [30, 45, 60])
def test_narrow_terminal_keeps_the_health_marks(width: int) -> None:
    assert any(line.startswith("│ ✗  producer") for line in output_lines(status(BROKEN, HEALTHY), width))


def test_healthy_stages_have_no_cross() -> None:
    text = "\n".join(output_lines(status(HEALTHY), 120))
    assert "●  producer" in text
    assert "✗  " not in text
    assert "broken" not in text


@pytest.mark.parametrize("width", [80, 120])
def test_broken_stage_is_named_in_the_headline(width: int) -> None:
    found = output_lines(status(BROKEN, HEALTHY), width)
    assert found[1].strip() == "broken: producer: nothing delivered for 0:02:00 [sic]"
    assert any("✗  producer" in line for line in found)


def test_status_has_services_memory_uptime_restarts_freshness_and_lag() -> None:
    text = " ".join(" ".join(output_lines(status(HEALTHY), 120)).split())
    for words in (
        "spark-master localhost:8080 512 MiB 3h",
        "kibana left out",
        "✗ generator exited 2 restarts",
        "freshness p99 1.60 s",
        "lag 0",
        "2026-03-01 12:00:00 UTC",
    ):
        assert words in text


def test_status_without_prometheus_has_all_but_the_trends() -> None:
    text = "\n".join(output_lines(replace(status(HEALTHY), trends="Prometheus does not answer"), 120))
    assert "Prometheus does not answer" in text
    assert "●  producer" in text


@pytest.mark.parametrize(
    ("name", "state", "line"),
    [
        (
            "NotificationsFailing",
            "firing",
            "Alerts are not notified (alertmanager fails): the alert NotificationsFailing",
        ),
        ("NotificationsFailing", "pending", None),
        ("ProducerSilent", "firing", None),
    ],
)
def test_failed_notifications_are_shown(
    monkeypatch: pytest.MonkeyPatch, name: str, state: str, line: str | None
) -> None:
    """The webhook cannot report its own failure."""
    alert = Alert(name, state, "warning", "Alerts are not notified (alertmanager fails)", "", "", None)
    monkeypatch.setattr("tools.status.read_pipeline_metrics", lambda *_: PIPELINE)
    monkeypatch.setattr("tools.status.connect_prometheus", lambda _: PrometheusClient("http://localhost:1"))
    monkeypatch.setattr(PrometheusClient, "alerts", lambda _: [alert])
    sample = status(HEALTHY)
    found = read_status("sample", sample.outputs, MagicMock(check=lambda: sample.health))
    second = output_lines(found, 120)[1]
    if line:
        assert second.strip().startswith(line)
    else:
        assert "╭" in second, "the first panel, without a line before it"


def test_stale_metrics_are_not_shown_as_current() -> None:
    stale = tuple((at, value) for at, value in PIPELINE.lag["lag"] if at < TIME_RANGE.end - timedelta(minutes=3))
    trends = replace(PIPELINE, lag={"lag": stale})
    text = " ".join(" ".join(output_lines(replace(status(HEALTHY), trends=trends), 120)).split())
    assert "lag –" in text


def test_watch_of_a_broken_stack_follows_new_outputs(monkeypatch: pytest.MonkeyPatch) -> None:
    """`make up` has rotated the passwords meanwhile, or switched to `strict`."""
    outputs: list[dict[str, Any]] = [{"services": {}, "generation": number} for number in (1, 2, 2)]
    read = iter(outputs)
    checked: list[int] = []

    def read_status(_stack: str, outputs: Mapping[str, Any], checker: Mapping[str, Any]) -> StackStatus:
        assert checker == outputs
        checked.append(outputs["generation"])
        if len(checked) == 4:
            raise KeyboardInterrupt
        return status(BROKEN if outputs["generation"] == 1 else HEALTHY)

    monkeypatch.setattr("tools.status.read_status", read_status)
    monkeypatch.setattr("tools.status.read_stack_outputs", lambda _: next(read))
    monkeypatch.setattr("tools.status.HealthChecker", lambda _, outputs: outputs)
    monkeypatch.setattr("tools.status.PipedConsole", lambda: Console(file=io.StringIO(), force_terminal=True))
    monkeypatch.setattr("tools.status.REFRESH_SECONDS", 0)
    assert main(["--stack", "sample", "--watch"]) == 0
    assert checked == [1, 2, 2, 2]


@pytest.mark.parametrize(("stage", "exit_code"), [(HEALTHY, 0), (BROKEN, 1)])
def test_last_line_of_make_up_is_the_dashboards_address_and_a_broken_stage_is_an_error(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], stage: StageHealth, exit_code: int
) -> None:
    outputs = {"services": {"dashboard": {str(DASHBOARD_PORT): "127.0.0.1:8501"}}, "leftOut": {"kibana": "no image"}}
    monkeypatch.setattr("tools.status.read_stack_outputs", lambda _: outputs)
    monkeypatch.setattr("tools.status.HealthChecker", MagicMock())
    monkeypatch.setattr("tools.status.read_status", lambda *_: status(stage))
    monkeypatch.setattr("tools.status.HEALTHY_TIMEOUT_SECONDS", 0)
    assert main(["--stack", "sample", "--wait"]) == exit_code
    assert capsys.readouterr().out.splitlines()[-1] == "Dashboard: http://127.0.0.1:8501"


def test_sparkline_rises_with_its_values_and_is_blank_without_values() -> None:
    step = timedelta(seconds=TREND_STEP_SECONDS)
    rising = tuple((TIME_RANGE.start + n * step, float(n)) for n in range(31, 61))
    line = sparkline(rising, TIME_RANGE.start)
    assert line[:15].isspace()
    assert line[-1] == "█"
    assert list(line[15:]) == sorted(line[15:])
    assert sparkline((), TIME_RANGE.start).isspace()
    zeros = tuple((TIME_RANGE.start + n * step, 0.0) for n in range(1, 61))
    assert set(sparkline(zeros, TIME_RANGE.start)) == {"▁"}


@pytest.mark.parametrize(
    ("error", "containers", "job"),
    [
        (requests.ConnectionError("gone"), "gone", "gone"),  # docker-py does not wrap the errors of its HTTP library
        (docker.errors.NotFound("404 Client Error"), "404 Client Error", "spark-job has no container"),
    ],
)
def test_docker_error_is_reported_as_a_broken_stage(
    monkeypatch: pytest.MonkeyPatch, error: Exception, containers: str, job: str
) -> None:
    """The Docker engine is a fake that fails, and no server is running. Whether services are missing is not known."""
    engine = MagicMock()
    engine.containers.list.side_effect = engine.containers.get.side_effect = error
    monkeypatch.setattr(health, "connect", lambda: engine)
    monkeypatch.setattr(health, "TIMEOUT_SECONDS", 1)
    services = {"elasticsearch": {"9200": "localhost:1"}}
    found = health.HealthChecker("sample", {"bootstrapServers": "localhost:1", "services": services}).check()
    assert found.services == ()
    problems = {stage.name: stage.problem for stage in found.stages}
    assert problems["containers"] == containers
    assert problems["job"] == job
    assert problems["documents"] == "no running container publishes its port"


@pytest.mark.parametrize(
    ("security", "days", "line"),
    [
        ("strict", 61, None),
        ("strict", 59, "the stack's certificates expire on 2026-04-29: `make up STACK=sample` renews them"),
        ("strict", -1, "the stack's certificates have expired on 2026-02-28: `make up STACK=sample` renews them"),
        ("guarded", 59, None),  # no certificate is in use
    ],
)
def test_certificate_that_expires_soon_is_shown_with_the_way_to_renew_it(
    security: str, days: int, line: str | None
) -> None:
    now = datetime(2026, 3, 1, tzinfo=UTC)
    outputs = {"security": security, "certificatesExpireAt": (now + timedelta(days=days)).isoformat()}
    status = StackStatus("sample", now, outputs, StackHealth((), ()), "no trends")
    assert certificate_expiry(status) == line


GENERATOR_METRICS = """
generator_messages_delivered_total 120
generator_delivery_failures_total 3
generator_last_delivery_timestamp_seconds {last}
"""
JOB_METRICS = """
lol_job_messages_total 100
lol_job_kafka_lag_messages 20
"""


PRODUCT = {"X-Elastic-Product": "Elasticsearch"}


def set_offsets(monkeypatch: pytest.MonkeyPatch, begins: dict[int, int], ends: dict[int, int]) -> None:
    """The offsets of both topics, by partition."""
    monkeypatch.setattr(TopicClient, "beginning_offsets", lambda *_: begins)
    monkeypatch.setattr(TopicClient, "end_offsets", lambda *_: ends)


def without_kafka(client: Mapping[str, Any], _timeout_seconds: float) -> TopicClient:
    """A client that gives up at once: no Kafka is running."""
    return TopicClient(client, 0.1)


def inspected(status: str, *networks: str) -> dict[str, Any]:
    """What the engine returns about a container."""
    return {
        "State": {"Status": status, "StartedAt": "2026-03-01T11:00:00Z"},
        "RestartCount": 0,
        "NetworkSettings": {"Networks": {network: {} for network in networks}},
    }


class TestStages:
    """The responses of the containers are fakes; no other server is running."""

    def check(
        self,
        monkeypatch: pytest.MonkeyPatch,
        elasticsearch: str = "localhost:1",
        prometheus: str = "localhost:1",
        **responses: str,
    ) -> dict[str, StageHealth]:
        """All stages by name, if the containers return these metrics and this `health` of the job."""
        found = self.stack_health(monkeypatch, elasticsearch, prometheus=prometheus, **responses)
        return {stage.name: stage for stage in found.stages}

    def stack_health(
        self,
        monkeypatch: pytest.MonkeyPatch,
        elasticsearch: str,
        *containers: Any,
        prometheus: str = "localhost:1",
        **responses: str,
    ) -> StackHealth:
        """The health of a stack with these containers."""

        def execute(container: str, command: list[str]) -> tuple[int, str]:
            service = container.removeprefix("lolstack-sample-").replace("-", "_")
            return 0, responses["health" if command[-1].endswith("/health") else service]

        engine = self.running_engine(*containers)
        monkeypatch.setattr(health, "connect", lambda: engine)
        monkeypatch.setattr(health, "execute", execute)
        monkeypatch.setattr(health, "TopicClient", without_kafka)
        outputs = {
            "bootstrapServers": "localhost:1",
            "services": {
                "generator": {},
                "elasticsearch": {"9200": elasticsearch},
                "prometheus": {"9090": prometheus},
            },
            "networks": {"kafka": ["lolstack-sample", "lolstack-sample-zookeeper"]},
        }
        return health.HealthChecker("sample", outputs).check()

    def running_engine(self, *containers: Any) -> MagicMock:
        engine = MagicMock()
        engine.containers.get.return_value.status = "running"
        engine.containers.list.return_value = list(containers)
        return engine

    def test_network_from_which_a_service_was_disconnected_is_named(self, monkeypatch: pytest.MonkeyPatch) -> None:
        container = MagicMock()
        container.name = "lolstack-sample-kafka"
        container.stats.return_value = {"memory_stats": {}}
        answers = dict.fromkeys(("generator", "spark_job", "archive", "health"), "")
        missing = "kafka is not connected to the network lolstack-sample-zookeeper: `make up STACK=sample` connects it"
        for networks, named in (("lolstack-sample",), True), (("lolstack-sample", "lolstack-sample-zookeeper"), False):
            container.attrs = inspected("running", *networks)
            containers, *_ = self.stack_health(monkeypatch, "localhost:1", container, **answers).stages
            assert containers.name == "containers"
            assert (missing in str(containers.problem)) == named

    @pytest.mark.parametrize(
        ("name", "endpoint", "service"),
        [
            ("jupyter", {"Aliases": None}, None),
            ("shop-kafka-1", {"Aliases": ["kafka", "shop-kafka-1"]}, "kafka"),
            ("shop-kafka-1", {"DNSNames": ["shop-kafka-1", "kafka"]}, "kafka"),  # by its host name
            ("elasticsearch", {}, "elasticsearch"),
        ],
    )
    def test_container_of_others_is_named_and_a_problem_if_it_has_the_name_of_a_service(
        self, monkeypatch: pytest.MonkeyPatch, name: str, endpoint: dict[str, Any], service: str | None
    ) -> None:
        """Docker's DNS would return both addresses."""
        own = MagicMock(id="own", attrs=inspected("running", "lolstack-sample"))
        own.name = "lolstack-sample-kafka"
        own.stats.return_value = {"memory_stats": {}}
        network = MagicMock(attrs={"Containers": {"own": {"Name": own.name}, "0123": {"Name": name}}})
        network.name = "lolstack-sample"
        engine = self.running_engine(own)
        engine.networks.list.return_value = [network]
        engine.containers.get.return_value.attrs = {"NetworkSettings": {"Networks": {"lolstack-sample": endpoint}}}
        monkeypatch.setattr(health, "connect", lambda: engine)
        monkeypatch.setattr(health, "execute", lambda *_: (0, ""))
        monkeypatch.setattr(health, "TopicClient", without_kafka)
        networks = {"kafka": ["lolstack-sample", "lolstack-sample-zookeeper"], "elasticsearch": ["lolstack-sample"]}
        services = {"kafka": {}, "elasticsearch": {"9200": "localhost:1"}}
        outputs = {"bootstrapServers": "localhost:1", "services": services, "networks": networks}
        stage, *_ = health.HealthChecker("sample", outputs).check().stages
        assert stage.figures.endswith(f"; of others on its networks: {name}")
        problem = f"{name} of another project answers to {service} on the network lolstack-sample"
        assert (problem in (stage.problem or "")) == (service is not None)
        assert "answers to" not in (stage.problem or "").replace(problem, "")

    @pytest.mark.parametrize("cache", ["total_inactive_file", "inactive_file"], ids=["control groups v1", "v2"])
    def test_memory_of_a_service_is_without_the_page_cache(self, monkeypatch: pytest.MonkeyPatch, cache: str) -> None:
        """As in `docker stats`: the kernel would give it back."""
        container = MagicMock()
        container.name = "lolstack-sample-kafka"
        container.attrs = inspected("running")
        container.stats.return_value = {"memory_stats": {"usage": 500, "stats": {cache: 200}}}
        answers = dict.fromkeys(("generator", "spark_job", "archive", "health"), "")
        (service,) = self.stack_health(monkeypatch, "localhost:1", container, **answers).services
        assert (service.name, service.memory) == ("kafka", 300)

    @pytest.mark.parametrize(
        ("labels", "state", "counts"),
        [({}, "exited", False), ({}, "running", True), ({IMAGE_SOURCE_LABEL: "build"}, "exited", True)],
    )
    def test_container_of_a_killed_backfill_is_no_problem_of_the_stack(
        self, monkeypatch: pytest.MonkeyPatch, labels: dict[str, str], state: str, counts: bool
    ) -> None:
        """A service that has exited is one, also one that the last deployment's outputs do not contain."""
        container = MagicMock(labels=labels)
        container.name = "lolstack-sample-backfill"
        container.attrs = inspected(state)
        container.stats.return_value = {"memory_stats": {}}
        answers = dict.fromkeys(("generator", "spark_job", "archive", "health"), "")
        found = self.stack_health(monkeypatch, "localhost:1", container, **answers)
        assert [service.name for service in found.services] == ["backfill"] * counts
        assert ("backfill is exited" in str(found.stages[0].problem)) == (counts and state == "exited")

    def test_unreadable_answer_is_a_problem_of_its_stage(self, monkeypatch: pytest.MonkeyPatch) -> None:
        stages = self.check(monkeypatch, spark_job="<html>\n", archive="", generator="", health="ok")
        assert (stages["job"].problem or "").startswith("unreadable answer: ")

    @pytest.mark.usefixtures("published_ports")
    @pytest.mark.parametrize("content", ["[]", "null", "1", "{}"])
    def test_unreadable_answer_of_elasticsearch_is_a_problem_of_its_stage(
        self, monkeypatch: pytest.MonkeyPatch, content: str
    ) -> None:
        with HTTPServer() as server:
            answer = Response(content, content_type="application/json", headers=PRODUCT)
            server.expect_request(re.compile("")).respond_with_response(answer)
            address = f"localhost:{server.port}"
            stages = self.check(monkeypatch, address, spark_job="", archive="", generator="", health="ok")
        assert (stages["documents"].problem or "").startswith("unreadable answer: ")

    @pytest.mark.parametrize(
        ("silent_seconds", "problem"),
        [(5, None), (125, "nothing delivered for 0:02:05"), (None, "nothing delivered yet")],
    )
    def test_silent_generator_is_a_problem(
        self, monkeypatch: pytest.MonkeyPatch, silent_seconds: int | None, problem: str | None
    ) -> None:
        monkeypatch.setattr("tools.health.time.time", lambda: 1_000_000.5)
        last = 0 if silent_seconds is None else 1_000_000 - silent_seconds
        stages = self.check(
            monkeypatch, generator=GENERATOR_METRICS.format(last=last), spark_job="", archive="", health=""
        )
        assert stages["producer"].figures == "120 messages delivered since it started, 3 failed"
        assert stages["producer"].problem == problem

    @pytest.mark.parametrize(
        ("response", "problem"),
        [
            ("ok", None),
            *(
                (problem, f"{problem}: `make logs SERVICE=spark-job STACK=sample` has more")
                for problem in ("no batch for 61 s", "waiting for Kafka: no answer")
            ),
        ],
    )
    def test_failed_health_check_of_the_job_is_a_problem(
        self, monkeypatch: pytest.MonkeyPatch, response: str, problem: str | None
    ) -> None:
        stages = self.check(monkeypatch, spark_job=JOB_METRICS, health=response, generator="", archive="")
        assert stages["job"] == StageHealth("job", "100 messages processed since it started, lag 20", problem)

    def test_late_matches_of_the_job(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Whole matches, not the rows that Spark drops."""
        metrics = (
            f'{JOB_METRICS}lol_job_late_matches_total 3\nlol_job_rows_dropped_by_watermark_total{{operator="x"}} 12\n'
        )
        stages = self.check(monkeypatch, spark_job=metrics, health="ok", generator="", archive="")
        figures = "100 messages processed since it started, 3 matches too late for the windows, lag 20"
        assert stages["job"] == StageHealth("job", figures)

    def test_uncounted_matches_and_dropped_fields_of_the_job(self, monkeypatch: pytest.MonkeyPatch) -> None:
        metrics = JOB_METRICS + (
            'lol_job_uncounted_matches_total{reason="queue"} 1200\n'
            'lol_job_uncounted_matches_total{reason="remake"} 3\n'
            'lol_job_uncounted_matches_total{reason="no_winner"} 0\n'
            'lol_job_dropped_fields_total{field="perks"} 4\n'
        )
        stages = self.check(monkeypatch, spark_job=metrics, health="ok", generator="", archive="")
        assert stages["job"].figures == (
            "100 messages processed since it started, 1,203 messages of matches that do not count in the windows "
            "(queue 1,200, remake 3), 4 optional fields dropped (perks 4), lag 20"
        )

    def test_one_of_a_kind_is_singular(self, monkeypatch: pytest.MonkeyPatch) -> None:
        set_offsets(monkeypatch, begins={0: 0}, ends={0: 1})
        job = (
            "lol_job_messages_total 1\nlol_job_late_matches_total 1\n"
            'lol_job_uncounted_matches_total{reason="queue"} 1\nlol_job_dropped_fields_total{field="perks"} 1\n'
            'lol_job_open_transaction_messages{partition="0"} 1\nlol_job_open_transaction_seconds{partition="0"} 65\n'
        )
        generator = "generator_messages_delivered_total 1\ngenerator_delivery_failures_total 0\n"
        stages = self.check(
            monkeypatch, spark_job=job, archive="lol_archive_matches_total 1\n", generator=generator, health="ok"
        )
        assert stages["producer"].figures == "1 message delivered since it started, 0 failed"
        assert stages["topic"].figures == "1 message in 1 partition, 1 behind an open transaction in partition 0"
        assert str(stages["topic"].problem).endswith("holds back 1 message")
        assert stages["job"].figures == (
            "1 message processed since it started, 1 match too late for the windows, 1 message of matches that do not "
            "count in the windows (queue 1), 1 optional field dropped (perks 1), lag unknown"
        )
        assert stages["dead letters"].figures == "1 message"
        assert stages["archive"].figures == "1 match written since it started, lag unknown"

    def test_unknown_figures_are_not_reported_as_zero(self, monkeypatch: pytest.MonkeyPatch) -> None:
        metrics = "lol_job_messages_total 100\n"
        stages = self.check(monkeypatch, spark_job=metrics, archive="", generator="", health="ok")
        assert stages["job"].figures == "100 messages processed since it started, lag unknown"
        assert stages["archive"].figures == "unknown matches written since it started, lag unknown"
        assert stages["producer"].figures == "unknown messages delivered since it started, unknown failed"

    @pytest.mark.parametrize(
        ("seconds", "problem"),
        [
            (29, None),
            (
                65,
                "a transaction in partition 1 has been open for 0:01:05 and holds back 30 messages",
            ),
        ],
    )
    def test_open_transaction_is_named_with_its_partition(
        self, monkeypatch: pytest.MonkeyPatch, seconds: float, problem: str | None
    ) -> None:
        set_offsets(monkeypatch, begins={0: 0, 1: 0}, ends={0: 10, 1: 90})
        metrics = f"""
lol_job_open_transaction_messages{{partition="0"}} 0
lol_job_open_transaction_messages{{partition="1"}} 30
lol_job_open_transaction_seconds{{partition="0"}} 0
lol_job_open_transaction_seconds{{partition="1"}} {seconds}
"""
        stages = self.check(monkeypatch, spark_job=metrics, archive="", generator="", health="ok")
        figures = "100 messages in 2 partitions, 30 behind an open transaction in partition 1"
        assert stages["topic"] == StageHealth("topic", figures, problem)

    def test_topics_have_the_messages_that_kafka_still_retains(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Offsets continue to grow when Kafka deletes messages."""
        set_offsets(monkeypatch, begins={0: 5_000, 1: 4_000}, ends={0: 6_200, 1: 4_050})
        stages = self.check(monkeypatch, spark_job="", archive="", generator="", health="ok")
        assert stages["topic"].figures == "1,250 messages in 2 partitions"
        assert stages["dead letters"].figures == "1,250 messages"

    def test_topic_is_healthy_if_the_job_does_not_answer(self, monkeypatch: pytest.MonkeyPatch) -> None:
        set_offsets(monkeypatch, begins={0: 0}, ends={0: 10})
        engine = MagicMock()
        engine.containers.get.side_effect = docker.errors.NotFound("gone")
        engine.containers.list.return_value = []
        monkeypatch.setattr(health, "connect", lambda: engine)
        services = {"elasticsearch": {"9200": "localhost:1"}}
        checker = health.HealthChecker("sample", {"bootstrapServers": "localhost:1", "services": services})
        stages = {stage.name: stage for stage in checker.check().stages}
        assert stages["topic"] == StageHealth("topic", "10 messages in 1 partition")
        assert stages["job"].problem == "spark-job has no container"

    def test_control_characters_of_an_answer_do_not_reach_the_terminal(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """The job's health check has the reason of a service, which can quote a message."""
        response = "waiting for Elasticsearch: \x1b]0;owned\x07\u202e\x9b2J"
        stages = self.check(monkeypatch, spark_job="", archive="", generator="", health=response)
        problem = stages["job"].problem or ""
        assert problem.startswith("waiting for Elasticsearch: ")
        assert problem.isprintable()

    def test_archive_lag(self, monkeypatch: pytest.MonkeyPatch) -> None:
        metrics = "lol_archive_matches_total 7\nlol_archive_lag_messages 2\n"
        stages = self.check(monkeypatch, archive=metrics, spark_job="", generator="", health="")
        assert stages["archive"] == StageHealth("archive", "7 matches written since it started, lag 2")

    @pytest.mark.parametrize(
        ("metrics", "figures", "problem"),
        [
            (
                "lol_archive_lag_messages 2\nlol_archive_waiting 1\n",
                "7 matches written since it started, lag 2",
                "it waits for Cassandra: `make logs SERVICE=archive STACK=sample` has the reason",
            ),
            (
                "lol_archive_waiting 0\n",
                "7 matches written since it started, lag unknown",
                "its lag is unknown: it cannot read the topic",
            ),
            (
                'lol_archive_lag_messages{partition="1"} 2\nlol_archive_stalled_seconds{partition="0"} 299.9\n'
                'lol_archive_stalled_seconds{partition="1"} 312.5\n',
                "7 matches written since it started, lag 2",
                "partition 1 has made no progress for 0:05:12: `make logs SERVICE=archive STACK=sample`",
            ),
            (
                'lol_archive_lag_messages 2\nlol_archive_waiting 1\nlol_archive_stalled_seconds{partition="1"} 312.5\n',
                "7 matches written since it started, lag 2",
                "it waits for Cassandra: `make logs SERVICE=archive STACK=sample` has the reason",
            ),
            (
                "lol_archive_lag_messages 0\nlol_archive_refused_total 1\n"
                'lol_archive_unreadable_total{partition="1"} 14\n',
                "7 matches written since it started, 1 too large, 14 unreadable, lag 0",
                None,
            ),
        ],
        ids=[
            "Cassandra does not answer",
            "Kafka does not answer",
            "a partition stalls",
            "all partitions wait for Cassandra",
            "messages that are not archived",
        ],
    )
    def test_archive_that_does_not_archive_is_named(
        self, monkeypatch: pytest.MonkeyPatch, metrics: str, figures: str, problem: str | None
    ) -> None:
        metrics = f"lol_archive_matches_total 7\n{metrics}"
        stages = self.check(monkeypatch, archive=metrics, spark_job="", generator="", health="")
        assert stages["archive"] == StageHealth("archive", figures, problem)

    @pytest.mark.parametrize("has_login", [True, False], ids=["strict", "guarded, or of an earlier version"])
    def test_login_for_metrics_is_used_where_the_container_has_one(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, has_login: bool
    ) -> None:
        """Whatever the outputs say: after an interrupted deployment they can differ from the containers."""
        config = tmp_path / "monitor.curl"
        if has_login:
            config.write_text('user = "monitor:own"\n')
        with HTTPServer() as server:
            headers = {"Authorization": "Basic bW9uaXRvcjpvd24="} if has_login else {}
            server.expect_request("/metrics", headers=headers).respond_with_data("lol_archive_matches_total 7\n")
            monkeypatch.setattr(health, "CURL_CONFIG", config)
            monkeypatch.setattr(health, "METRICS_PORT", server.port)
            monkeypatch.setattr(health, "connect", self.running_engine)
            monkeypatch.setattr(health, "execute", lambda _, command: (0, subprocess.check_output(command, text=True)))
            monkeypatch.setattr(health, "TopicClient", without_kafka)
            outputs = {"bootstrapServers": "localhost:1", "elasticsearchUrl": "http://localhost:1", "services": {}}
            stage = health.HealthChecker("sample", outputs).check()
        assert {each.name: each.figures for each in stage.stages}["archive"].startswith("7 matches")

    @staticmethod
    def serve_documents(server: HTTPServer, indices: Mapping[str, Any], closed: Sequence[str] = ()) -> None:
        """Answer as an Elasticsearch with documents in each alias, these indices of this month, and closed ones.

        It rejects a search of an alias with a closed index, unless unavailable indices are ignored.
        """
        options = {"ignore_unavailable": "true", "allow_partial_search_results": "false"}
        for alias, count in (("lol_matches_stream", 3000), ("lol_champion_stats", 20), ("lol_position_stats", 5)):
            path = f"/{alias}/_search"
            response = {"hits": {"total": {"value": count, "relation": "eq"}, "hits": []}}
            ignored = server.expect_request(path, query_string=options)
            ignored.respond_with_json(response, headers=PRODUCT)
            if closed:
                error = {"error": {"type": "index_closed_exception"}}
                server.expect_request(path).respond_with_json(error, 400, headers=PRODUCT)
        for name, index in indices.items():
            server.expect_request(f"/{name}").respond_with_json({name: index}, headers=PRODUCT)
        listed = [{"index": name, "status": "open"} for name in indices]
        listed += [{"index": name, "status": "close"} for name in closed]
        server.expect_request(re.compile("/_cat/indices/.*")).respond_with_json(listed, headers=PRODUCT)
        missing = {"error": {"type": "index_not_found_exception"}, "status": 404}
        server.expect_request(re.compile("/lol_.*")).respond_with_json(missing, 404, headers=PRODUCT)

    @pytest.mark.usefixtures("published_ports")
    def test_closed_index_is_named_and_not_counted(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """An index of an earlier month. This month has none yet."""
        with HTTPServer() as server:
            self.serve_documents(server, {}, closed=["lol_matches_stream-2026.01"])
            stages = self.check(
                monkeypatch, f"localhost:{server.port}", generator="", spark_job="", archive="", health=""
            )
        figures = "3,000 participants; windows: 20 champion, 5 position; closed: lol_matches_stream-2026.01"
        assert stages["documents"] == StageHealth("documents", figures)

    @pytest.mark.usefixtures("published_ports")
    def test_shard_that_does_not_answer_is_a_problem(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Elasticsearch's count would leave its documents out. Its search can be told not to."""
        error = {"root_cause": [], "type": "search_phase_execution_exception", "reason": "Search rejected"}
        shards = {"total": 3, "successful": 2, "skipped": 0, "failed": 1}
        with HTTPServer() as server:
            count = server.expect_request("/lol_matches_stream/_count")
            count.respond_with_json({"count": 2000, "_shards": shards}, headers=PRODUCT)
            search = server.expect_request(
                "/lol_matches_stream/_search",
                query_string={"ignore_unavailable": "true", "allow_partial_search_results": "false"},
            )
            search.respond_with_json({"error": error, "status": 503}, 503, headers=PRODUCT)
            self.serve_documents(server, {})
            stages = self.check(
                monkeypatch, f"localhost:{server.port}", generator="", spark_job="", archive="", health=""
            )
        problem = (
            "ApiError(503, 'search_phase_execution_exception'); a shard is not available: it recovers, or "
            "`GET /_cluster/allocation/explain` has the reason"
        )
        assert stages["documents"] == StageHealth("documents", "–", problem)

    @pytest.mark.usefixtures("published_ports")
    @pytest.mark.parametrize("alias", INDEX_ALIASES)
    @pytest.mark.parametrize(
        ("aliases", "interval", "problem"),
        [
            ({"{alias}": {}}, "1s", None),
            ({}, "1s", "{index} is not in the alias {alias} as declared, so no search finds it"),
            (
                {"{alias}": {"filter": {"match_none": {}}}},
                "1s",
                "{index} is not in the alias {alias} as declared, so no search finds it",
            ),
            (
                {"{alias}": {}},
                "-1",
                "{index} is not refreshed (refresh_interval -1), so no search finds its new documents",
            ),
            (
                {"{alias}": {}},
                "0s",
                "{index} is not refreshed (refresh_interval 0s), so no search finds its new documents",
            ),
            ({"{alias}": {}}, "05s", None),
        ],
    )
    def test_index_of_this_month_that_no_search_finds_is_named(
        self,
        monkeypatch: pytest.MonkeyPatch,
        alias: str,
        aliases: Mapping[str, Any],
        interval: str,
        problem: str | None,
    ) -> None:
        """The documents of earlier months are still counted."""
        name = monthly_index(alias, now_ms())
        index = {
            "aliases": {each.format(alias=alias): options for each, options in aliases.items()},
            "settings": {"index": {"refresh_interval": interval, "number_of_replicas": "0"}},
        }
        with HTTPServer() as server:
            self.serve_documents(server, {name: index})
            stages = self.check(
                monkeypatch, f"localhost:{server.port}", generator="", spark_job="", archive="", health=""
            )
        repair = ": `make up STACK=sample` repairs it"
        expected = problem and problem.format(index=name, alias=alias) + repair
        figures = "3,000 participants; windows: 20 champion, 5 position"
        assert stages["documents"] == StageHealth("documents", figures, expected)

    @staticmethod
    def serve_samples(server: HTTPServer, query: str, label: str, values: Mapping[str, float]) -> None:
        """Answer as a Prometheus with these values of the query, and none of others."""
        for answered, found in ((query, values), (None, {})):
            result = [{"metric": {label: name}, "value": [1, str(value)]} for name, value in found.items()]
            request = server.expect_request("/api/v1/query", query_string=answered and {"query": answered})
            request.respond_with_json({"status": "success", "data": {"result": result}})

    @pytest.mark.usefixtures("published_ports")
    @pytest.mark.parametrize(
        ("dead_letters", "problem"),
        [
            ({}, None),
            (
                {"rejected_by_elasticsearch": 50, "not_json": 7},
                "no match was indexed within three minutes, only dead letters arrived (not_json, "
                "rejected_by_elasticsearch): `make dlq STACK=sample`",
            ),
        ],
    )
    def test_dead_letters_without_an_indexed_match_are_a_problem(
        self, monkeypatch: pytest.MonkeyPatch, dead_letters: Mapping[str, float], problem: str | None
    ) -> None:
        set_offsets(monkeypatch, begins={0: 5}, ends={0: 62})
        with HTTPServer() as server:
            self.serve_samples(server, health.DEAD_LETTERS_ONLY, "reason", dead_letters)
            address = f"localhost:{server.port}"
            stages = self.check(monkeypatch, prometheus=address, generator="", spark_job="", archive="", health="")
        assert stages["dead letters"] == StageHealth("dead letters", "57 messages", problem)

    @pytest.mark.usefixtures("published_ports")
    @pytest.mark.parametrize(
        ("scraped", "figures", "problem"),
        [
            ({"alertmanager": 1, "prometheus": 1}, "2 of 2 scrape jobs answer", None),
            ({"alertmanager": 1, "kafka": 0, "prometheus": 1}, "2 of 3 scrape jobs answer, not kafka", None),
            (
                {},
                "0 of 0 scrape jobs answer",
                "Prometheus has stored no sample within a minute, so no alert can fire: "
                "`make logs SERVICE=prometheus STACK=sample`",
            ),
            (
                {"alertmanager": 0, "prometheus": 1},
                "1 of 2 scrape jobs answer, not alertmanager",
                "Alertmanager does not answer Prometheus, so nobody is notified of alerts: "
                "`make logs SERVICE=alertmanager STACK=sample`",
            ),
        ],
        ids=["healthy", "a service is down", "disk full", "no Alertmanager"],
    )
    def test_monitoring_without_samples_or_alertmanager_is_named(
        self, monkeypatch: pytest.MonkeyPatch, scraped: Mapping[str, float], figures: str, problem: str | None
    ) -> None:
        """A Prometheus that cannot write its samples answers queries."""
        with HTTPServer() as server:
            self.serve_samples(server, health.SCRAPED, "job", scraped)
            address = f"localhost:{server.port}"
            stages = self.check(monkeypatch, prometheus=address, generator="", spark_job="", archive="", health="")
        assert stages["monitoring"] == StageHealth("monitoring", figures, problem)

    @pytest.mark.usefixtures("published_ports")
    def test_prometheus_that_does_not_answer_breaks_monitoring_alone(self, monkeypatch: pytest.MonkeyPatch) -> None:
        set_offsets(monkeypatch, begins={0: 5}, ends={0: 62})
        stages = self.check(monkeypatch, generator="", spark_job="", archive="", health="")
        assert (stages["monitoring"].problem or "").startswith("Prometheus does not answer at http://localhost:1: ")
        assert stages["dead letters"] == StageHealth("dead letters", "57 messages")


@pytest.mark.parametrize("query", [health.DEAD_LETTERS_ONLY, health.SCRAPED])
def test_promtool_evaluates_the_query(query: str) -> None:
    """In tests/stack."""
    cases = yaml.safe_load(RULES.with_name("alert_rules_test.yml").read_text())["tests"]
    assert query in {case["expr"] for test in cases for case in test["promql_expr_test"]}
