"""What the driver asks Elasticsearch and Kafka before it starts, and what it says when the answer is wrong. Fakes."""

import logging
import time
from collections.abc import Iterator
from concurrent.futures import Future
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException, Uuid
from confluent_kafka.admin import OffsetSpec

from job import retry, startup_checks, topic
from job.errors import JobError
from job.ids import monthly_index
from job.settings import Elasticsearch, with_overrides
from job.topic import Incarnation, RetainedRange, TopicInspector
from tests.support.job_fakes import FakeElasticsearch, fake_elasticsearch

NAMES = ("lol_matches_stream", "lol_champion_stats", "lol_position_stats")


@pytest.fixture(autouse=True)
def _no_sleep(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "sleep", lambda _: None)


@pytest.fixture
def server() -> Iterator[FakeElasticsearch]:
    with fake_elasticsearch() as fake:
        month = monthly_index("", int(time.time() * 1000))
        fake.pages["GET", "/"] = (200, {"cluster_name": "trial", "version": {"number": "8.19.21"}})
        for name in NAMES:
            fake.pages["HEAD", f"/_index_template/{name}"] = (200, {})
            fake.pages["PUT", f"/{name}{month}"] = (200, {"acknowledged": True})
        yield fake


def options(server: FakeElasticsearch) -> Elasticsearch:
    return with_overrides({"elasticsearch": {"hosts": [server.url]}}).elasticsearch


def test_elasticsearch_is_there(server: FakeElasticsearch) -> None:
    assert startup_checks.wait_for_elasticsearch(options(server)) == f"trial 8.19.21 at {server.url}"


def test_indices_of_this_month_may_be_there_already(server: FakeElasticsearch) -> None:
    for method, path in list(server.pages):
        if method == "PUT":
            server.pages[method, path] = (400, {"error": {"type": "resource_already_exists_exception"}, "status": 400})
    assert startup_checks.wait_for_elasticsearch(options(server))


def test_elasticsearch_of_another_major_version(server: FakeElasticsearch) -> None:
    server.pages["GET", "/"] = (200, {"cluster_name": "old", "version": {"number": "7.17.0"}})
    with pytest.raises(JobError, match=r"elasticsearch.hosts: .* is Elasticsearch 7.17.0; this job supports 8.x only"):
        startup_checks.wait_for_elasticsearch(options(server))


@pytest.mark.parametrize("status", [200, 302, 404, 406])
def test_something_else_than_elasticsearch(status: int) -> None:
    with fake_elasticsearch(product="") as other:
        other.pages["GET", "/"] = (status, {})
        with pytest.raises(JobError, match=r"^elasticsearch.hosts: the server at .* is not Elasticsearch; correct"):
            startup_checks.wait_for_elasticsearch(options(other))


def test_something_that_does_not_even_answer_in_json(server: FakeElasticsearch) -> None:
    server.content_type = "application/octet-stream"
    with pytest.raises(JobError, match=r"^elasticsearch.hosts: the server at .* is not Elasticsearch; correct"):
        startup_checks.wait_for_elasticsearch(options(server))


def test_elasticsearch_that_does_not_let_us_in(server: FakeElasticsearch) -> None:
    server.pages["GET", "/"] = (401, {"error": {"type": "security_exception"}, "status": 401})
    with pytest.raises(
        JobError, match=r"^elasticsearch.hosts: .* answers 401 \(security_exception\); correct the address or"
    ):
        startup_checks.wait_for_elasticsearch(options(server))


def test_a_template_that_is_missing(server: FakeElasticsearch) -> None:
    server.pages["HEAD", "/_index_template/lol_champion_stats"] = (404, {})
    with pytest.raises(JobError, match="there is no index template lol_champion_stats; create it"):
        startup_checks.wait_for_elasticsearch(options(server))


def test_elasticsearch_that_is_still_starting(server: FakeElasticsearch, caplog: pytest.LogCaptureFixture) -> None:
    right = server.pages["GET", "/"]
    server.pages["GET", "/"] = (503, {"error": {"type": "not_ready"}, "status": 503})

    class Turn(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            server.pages["GET", "/"] = right

    handler = Turn()
    retry.log.addHandler(handler)
    try:
        assert startup_checks.wait_for_elasticsearch(options(server))
    finally:
        retry.log.removeHandler(handler)
    assert "Waiting for Elasticsearch: elasticsearch.hosts: http://127.0.0.1" in caplog.text


def test_elasticsearch_that_speaks_to_other_clients(server: FakeElasticsearch) -> None:
    refusal = {"error": {"type": "media_type_header_exception", "reason": "Invalid media-type value"}, "status": 400}
    server.pages["GET", "/"] = (400, refusal)
    with pytest.raises(JobError, match=r"^elasticsearch.hosts: .* does not support clients of Elasticsearch 8.x; use"):
        startup_checks.wait_for_elasticsearch(options(server))


def test_elasticsearch_that_is_spoken_to_in_the_wrong_protocol(server: FakeElasticsearch) -> None:
    server.url = server.url.replace("http:", "https:")
    with pytest.raises(JobError, match=r"^elasticsearch.hosts: no secure connection to https://127.*; correct http or"):
        startup_checks.wait_for_elasticsearch(options(server))


@pytest.mark.parametrize(
    ("host", "cause"), [("localhost:1", "Connection refused"), ("-nobody.invalid:9200", "Failed to resolve")]
)
def test_elasticsearch_that_never_answers(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, host: str, cause: str
) -> None:
    monkeypatch.setattr(retry, "TIMEOUT_SECONDS", 0.1)
    with pytest.raises(JobError) as error:
        startup_checks.wait_for_elasticsearch(
            with_overrides({"elasticsearch": {"hosts": [f"http://{host}"]}}).elasticsearch
        )
    assert str(error.value).startswith(f"elasticsearch.hosts: http://{host} is not available (")
    assert cause in str(error.value)
    assert str(error.value).endswith("is the address right? Gave up after 0.1 s")
    assert f"Waiting for Elasticsearch: elasticsearch.hosts: http://{host} is not available (" in caplog.text


class Admin:
    """Stands in for Kafka's AdminClient: topics by name, each with its id, or an error to answer with first."""

    def __init__(self, **topics: Uuid) -> None:
        self.topics = topics
        self.errors: list[int] = []
        self.first_at = {0: (43, 7_000), 1: (-1, -1), 2: (45, 8_000)}  # of any time asked for

    def poll(self, _timeout: float) -> None:
        """There is nothing to tell."""

    def describe_cluster(self, **_: Any) -> "Future[Any]":
        return self._answer(SimpleNamespace(cluster_id="cluster"))

    def describe_topics(self, names: Any, **_: Any) -> dict[str, "Future[Any]"]:
        (name,) = names.topic_names
        if name not in self.topics:
            return {name: self._fail(KafkaError.UNKNOWN_TOPIC_OR_PART)}
        partitions = [SimpleNamespace(id=number) for number in (2, 0, 1)]
        return {name: self._answer(SimpleNamespace(topic_id=self.topics[name], partitions=partitions))}

    def list_offsets(self, wanted: Any, **_: Any) -> dict[Any, "Future[Any]"]:
        return {partition: self._answer(self._offset(partition.partition, wanted[partition])) for partition in wanted}

    def _offset(self, partition: int, asked: Any) -> SimpleNamespace:
        spec: Any = OffsetSpec
        if asked is spec.latest():
            return SimpleNamespace(offset=50 + partition, timestamp=-1)
        if asked is spec.max_timestamp():
            return SimpleNamespace(offset=49 + partition, timestamp=9_000)
        if asked is spec.earliest():
            return SimpleNamespace(offset=40 + partition, timestamp=-1)
        offset, timestamp = self.first_at[partition]
        return SimpleNamespace(offset=offset, timestamp=timestamp)

    def _answer(self, value: Any) -> "Future[Any]":
        if self.errors:
            return self._fail(self.errors.pop(0))
        future: Future[Any] = Future()
        future.set_result(value)
        return future

    def _fail(self, code: int) -> "Future[Any]":
        future: Future[Any] = Future()
        future.set_exception(KafkaException(KafkaError(code)))
        return future


def kafka(monkeypatch: pytest.MonkeyPatch, **topics: Uuid) -> tuple[TopicInspector, Admin]:
    admin = Admin(**topics)
    monkeypatch.setattr(topic, "AdminClient", lambda _: admin)
    return TopicInspector(with_overrides({}).kafka), admin


BOTH = {"lol_matches": Uuid(2**63 - 1, -1), "lol_matches_dlq": Uuid(1, 1)}


def test_the_incarnation_of_a_topic(monkeypatch: pytest.MonkeyPatch) -> None:
    there, _ = kafka(monkeypatch, **BOTH)
    found = there.connect()
    assert (found.topic, found.cluster_id, found.partitions) == ("lol_matches", "cluster", (0, 1, 2))
    assert found.topic_id.startswith("f_____")
    assert "/" not in found.topic_id
    assert there.offsets(found, "earliest") == {0: 40, 1: 41, 2: 42}
    assert there.offsets(found, "latest") == {0: 50, 1: 51, 2: 52}
    assert there.replacement_reason(found) == ""


def test_a_time_in_a_topic_is_its_first_message_from_then_on_or_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    there, _ = kafka(monkeypatch, **BOTH)
    assert there.offsets(there.connect(), datetime(2026, 11, 24, tzinfo=UTC)) == {0: 43, 1: 51, 2: 45}


def test_what_a_topic_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    there, _ = kafka(monkeypatch, **BOTH)
    assert there.retained_ranges(there.connect()) == {
        0: RetainedRange(43, 7_000, 9_000),
        2: RetainedRange(45, 8_000, 9_000),
    }


@pytest.mark.parametrize(("missing", "key"), [("lol_matches", "topic"), ("lol_matches_dlq", "dead_letter_topic")])
def test_a_topic_that_is_missing(monkeypatch: pytest.MonkeyPatch, missing: str, key: str) -> None:
    there, _ = kafka(monkeypatch, **{name: uuid for name, uuid in BOTH.items() if name != missing})
    with pytest.raises(JobError, match=rf"^kafka.{key}: there is no topic {missing} at kafka:9092; create it"):
        there.connect()


def test_kafka_that_does_not_answer_yet(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    there, admin = kafka(monkeypatch, **BOTH)
    admin.errors = [KafkaError._TRANSPORT, KafkaError._TIMED_OUT]
    assert there.connect().cluster_id == "cluster"
    assert caplog.text.count("Waiting for Kafka: kafka.bootstrap_servers: kafka:9092 is not available (") == 2


@pytest.mark.parametrize(
    ("servers", "cause"), [("localhost:1", "Connection refused"), ("-nobody.invalid:9092", "Failed to resolve")]
)
def test_kafka_that_never_answers(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, servers: str, cause: str
) -> None:
    monkeypatch.setattr(retry, "TIMEOUT_SECONDS", 0.1)
    monkeypatch.setattr(topic, "_REQUEST_TIMEOUT_SECONDS", 0.5)
    with pytest.raises(JobError) as error:
        TopicInspector(with_overrides({"kafka": {"bootstrap_servers": servers}}).kafka).connect()
    assert str(error.value).startswith(f"kafka.bootstrap_servers: {servers} is not available (")
    assert cause in str(error.value)
    assert str(error.value).endswith("is the address right? Gave up after 0.1 s")


def test_a_topic_that_is_no_longer_the_one_that_was(monkeypatch: pytest.MonkeyPatch) -> None:
    there, admin = kafka(monkeypatch, **BOTH)
    found: Incarnation = there.connect()
    admin.errors = [KafkaError._TRANSPORT]
    assert there.replacement_reason(found) == ""  # Kafka restarting is not the topic gone
    admin.topics["lol_matches"] = Uuid(7, 7)
    assert "was deleted and created again" in there.replacement_reason(found)
    del admin.topics["lol_matches"]
    assert "was deleted while" in there.replacement_reason(found)


def test_a_spark_master_that_is_there(server: FakeElasticsearch) -> None:
    """Something that takes connections is all that is asked for; the first of several may be away."""
    there = server.url.removeprefix("http://")
    startup_checks.wait_for_spark_master(f"spark://localhost:1,{there}")
    startup_checks.wait_for_spark_master("local[2]")


@pytest.mark.parametrize(
    ("address", "cause"), [("localhost:1", "Connection refused"), ("-nobody.invalid:7077", "Name or service not known")]
)
def test_a_spark_master_that_never_answers(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, address: str, cause: str
) -> None:
    monkeypatch.setattr(retry, "TIMEOUT_SECONDS", 0.1)
    with pytest.raises(
        JobError, match=rf"^master: spark://{address} is not available \({cause}\); is the Spark .* 0.1 s$"
    ):
        startup_checks.wait_for_spark_master(f"spark://{address}")
    assert f"Waiting for the Spark master: master: spark://{address} is not available" in caplog.text


@pytest.mark.parametrize("master", ["spark://", "spark://spark-master", "spark://a:0", "spark://a:7077,b"])
def test_a_spark_master_that_is_no_address(master: str) -> None:
    with pytest.raises(JobError, match=r"^master: .* is not an address; write spark://host:7077$"):
        startup_checks.wait_for_spark_master(master)
