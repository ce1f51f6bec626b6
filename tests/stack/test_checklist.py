"""The verification checklist: health and data flow of each service. Read-only: `make verify` runs it on any stack."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import pytest
import requests
from confluent_kafka.admin import AdminClient, ConfigResource, ResourceType
from elasticsearch import Elasticsearch

from harness.stack import Stack
from harness.waiting import eventually
from tests.support.pulumi_program import SCHEMA
from tests.support.recent_matches import has_generator

pytestmark = pytest.mark.usefixtures("generator_has_started")


def sending_seconds(stack: Stack, matches: int) -> float:
    """How long the generator may need for this number of matches until they are processed."""
    return 30 + 2 * matches / float(stack.setting("generatorRate"))


@pytest.fixture
def job_logs_events(stack: Stack) -> None:
    """Skips the test if the job logs warnings and errors only."""
    if (level := stack.job_settings().log.level) not in ("DEBUG", "INFO"):
        pytest.skip(f"job.log.level is {level}")


@pytest.fixture
def job_log(stack: Stack, request: pytest.FixtureRequest) -> str:
    """The job's log. That of a running stack only since the job's last start: it can have errors of an outage that is
    over."""
    return stack.log("spark-job", since_start=bool(request.config.getoption("--stack")))


@pytest.fixture
def admin(stack: Stack) -> AdminClient:
    return AdminClient(stack.kafka_settings())


@pytest.fixture
def elasticsearch(stack: Stack) -> Elasticsearch:
    return stack.elasticsearch()


class TestServices:
    def test_each_topic_partition_has_a_leader(self, stack: Stack, admin: AdminClient) -> None:
        partitions = admin.list_topics("lol_matches", timeout=10).topics["lol_matches"].partitions
        assert len(partitions) == int(stack.setting("topicPartitions"))
        assert all(partition.leader >= 0 and len(partition.replicas) == 1 for partition in partitions.values())

    def test_kafka_syncs_each_message_before_it_acknowledges_it(self, admin: AdminClient) -> None:
        """Those of internal topics too, by the broker's setting."""
        names = ("lol_matches", "lol_matches_dlq", "__consumer_offsets")
        topics = [ConfigResource(ResourceType.TOPIC, name) for name in names]
        found = [future.result()["flush.messages"].value for future in admin.describe_configs(topics).values()]
        assert found == ["1"] * len(topics)

    def test_elasticsearch_is_green_or_yellow(self, elasticsearch: Elasticsearch) -> None:
        assert elasticsearch.cluster.health()["status"] in ("green", "yellow")


@pytest.mark.usefixtures("has_generator")
class TestDataFlow:
    def test_generator_logs_what_it_sends(self, stack: Stack) -> None:
        assert re.search(r"Sent: \w+_(win|lose) vs\. \w+_(win|lose) \| Duration: \d+s", stack.log("generator"))

    def test_messages_arrive_in_kafka(self, stack: Stack) -> None:
        before = stack.message_count()

        def more() -> None:
            assert stack.message_count() > before, f"lol_matches stays at {before} messages"

        eventually(more, sending_seconds(stack, 1))

    def test_job_indexes_documents(self, stack: Stack) -> None:
        before = stack.document_count()

        def more() -> None:
            assert stack.document_count() > before, f"lol_matches_stream stays at {before} documents"

        eventually(more, sending_seconds(stack, 1))

    def test_input_rate_and_processing_rate_are_above_zero(self, stack: Stack) -> None:
        def above_zero() -> None:
            for rate in ("input", "processed"):
                value = stack.prometheus().value(f'lol_job_{rate}_rows_per_second{{job="job", query="matches"}}')
                assert value is not None
                assert value > 0, f"the {rate} rate stays at {value}"

        eventually(above_zero, sending_seconds(stack, 20))  # a scrape can be of a moment between two matches


class TestSpark:
    def test_spark_master_lists_the_running_application_with_its_cores(self, stack: Stack) -> None:
        applications = stack.get("spark-master", 8080, "/json/").json()["activeapps"]
        found = [app for app in applications if app["name"] == stack.job_settings().app_name]
        assert [app["state"] for app in found] == ["RUNNING"]
        assert found[0]["cores"] > 0

    def test_spark_ui_lists_the_active_streaming_queries(self, stack: Stack) -> None:
        page = stack.get("spark-job", 4040, "/StreamingQuery/").text
        assert re.search(r"Active Streaming Queries \(2\)", page), page

    @pytest.mark.parametrize("service", ["spark-master", "spark-worker", "spark-job"])
    def test_spark_jvms_use_the_class_data_archive(self, stack: Stack, service: str) -> None:
        """A JVM ignores an archive that was made with another class path."""
        memory_maps = stack.host(service).check_output(
            "for process in $(pgrep -x java); do grep -c spark.jsa /proc/$process/maps; done"
        )
        assert memory_maps.split()
        assert "0" not in memory_maps.split()

    def test_no_spark_job_has_failed(self, stack: Stack) -> None:
        application = stack.get("spark-job", 4040, "/api/v1/applications").json()[0]["id"]
        assert stack.get("spark-job", 4040, f"/api/v1/applications/{application}/jobs?status=failed").json() == []

    def test_executors_shuffle_on_disk_not_in_tmpfs(self, stack: Stack) -> None:
        folders = "find %s -name 'blockmgr-*'"
        worker = stack.host("spark-worker")
        assert worker.check_output(folders % "/home/spark/local"), "no executor has its block manager's folder there"
        assert not worker.check_output(folders % "/tmp")


class TestElasticsearch:
    @pytest.mark.usefixtures("has_documents")
    def test_index_has_3_shards(self, elasticsearch: Elasticsearch) -> None:
        indices = elasticsearch.indices.get_settings(index="lol_matches_stream")
        assert {index["settings"]["index"]["number_of_shards"] for index in indices.values()} == {"3"}

    @pytest.mark.usefixtures("has_generator")
    def test_document_count_grows_with_the_messages_sent(self, stack: Stack) -> None:
        """Ten documents per match; the tolerance allows for the default shares of duplicates, remakes and other
        modes."""
        for key in (
            "generatorModes",
            "generatorDuplicatesPercent",
            "generatorRemakesPercent",
            "generatorPoisonPercent",
        ):
            if stack.setting(key) != str(SCHEMA[key]["default"]):
                pytest.skip(f"{key} is set: another share of the messages makes ten documents")
        sent_before, documents_before = stack.message_count(), stack.document_count()

        def ten_matches() -> int:
            sent = stack.message_count() - sent_before
            assert sent >= 10, f"only {sent} messages were sent"
            return sent

        sent = eventually(ten_matches, sending_seconds(stack, 10))

        def indexed() -> None:
            assert stack.document_count() - documents_before >= sent * 10 * 0.7

        eventually(indexed)


class TestHealth:
    @pytest.mark.parametrize("sign", ["ERROR", "Traceback", "Exception", "offset was changed", "Connection refused"])
    def test_job_log_has_no_error(self, job_log: str, sign: str) -> None:
        assert [line for line in job_log.splitlines() if sign in line] == []

    @pytest.mark.parametrize(
        "line",
        [
            "Initialized Spark Structured Streaming",  # without its check mark, which JSON writes as \\u2713
            "Connected to Elasticsearch: ",
            "Starting Spark Structured Streaming Consumer",
        ],
    )
    @pytest.mark.usefixtures("job_logs_events")
    def test_job_log_has_startup_line(self, stack: Stack, line: str) -> None:
        job = stack.container("spark-job")
        log = job.logs(timestamps=True).decode(errors="replace")
        begin = datetime.fromisoformat(log.partition(" ")[0])
        if begin > datetime.fromisoformat(job.attrs["State"]["StartedAt"]) + timedelta(minutes=1):
            pytest.skip(f"Docker has rotated the log, which begins at {begin:%Y-%m-%d %H:%M}")
        assert line in log

    @pytest.mark.usefixtures("has_documents", "job_logs_events")
    def test_batches_report_no_failed_document(self, stack: Stack, job_log: str) -> None:
        batches = re.findall(r"Batch \d+: (\d+) participants, (\d+) indexed, (\d+) failed", job_log)
        assert batches or not has_generator(stack)  # the job may have restarted since the last match
        assert {failed for _, _, failed in batches} <= {"0"}

    @pytest.mark.usefixtures("has_generator")
    def test_checkpoint_commits_are_written(self, stack: Stack) -> None:
        def newest() -> datetime:
            seconds = stack.host("spark-job").check_output(
                "find /var/lib/lolstack/checkpoints -path '*/commits/*' -type f -printf '%T@\\n' | sort -n | tail -1"
            )
            return datetime.fromtimestamp(float(seconds), UTC)

        before = newest()

        def newer() -> None:
            assert newest() > before, f"the newest checkpoint commit is still from {before}"

        eventually(newer, sending_seconds(stack, 1))


@pytest.mark.usefixtures("needs_kibana")
class TestKibana:
    def test_kibana_is_available(self, stack: Stack) -> None:
        def available() -> None:
            assert stack.get("kibana", 5601, "/api/status").json()["status"]["overall"]["level"] == "available"

        eventually(available)


class TestPrometheus:
    def test_every_scrape_target_is_up(self, stack: Stack) -> None:
        def all_up() -> None:
            targets = stack.get("prometheus", 9090, "/api/v1/targets").json()["data"]["activeTargets"]
            assert targets
            down = {target["scrapeUrl"]: target["lastError"] for target in targets if target["health"] != "up"}
            assert not down

        eventually(all_up)


class TestGrafana:
    @pytest.fixture(autouse=True)
    def _grafana(self, stack: Stack) -> None:
        if reason := stack.outputs["leftOut"].get("grafana"):
            pytest.skip(f"Grafana is not deployed: {reason}")

    def test_grafana_has_the_prometheus_data_source(self, stack: Stack) -> None:
        response = requests.get(
            stack.url("grafana", 3000, "/api/datasources/uid/prometheus"),
            auth=("admin", stack.outputs["grafanaAdminPassword"]),
            timeout=10,
        )
        assert response.json()["url"] == "http://prometheus:9090"


class TestContainers:
    """Last: by then Docker, which runs a health check every half minute only, has run one of each service."""

    def test_all_containers_are_running_and_healthy(self, stack: Stack) -> None:
        def healthy() -> None:
            states = {service: stack.container(service).attrs["State"] for service in stack.services}
            unhealthy = {
                name: state for name, state in states.items() if state.get("Health", {}).get("Status") != "healthy"
            }
            assert not unhealthy

        eventually(healthy)
