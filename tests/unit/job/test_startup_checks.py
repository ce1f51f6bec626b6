"""Start-up checks of Elasticsearch and the Spark master: retries, timeout, and errors that name the setting."""

import logging
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from job import retry, startup_checks
from job.errors import JobError
from job.ids import monthly_index
from job.settings import Elasticsearch, with_overrides
from job.startup_checks import has_indexed_matches, wait_for_elasticsearch, wait_for_spark_master
from job.times import now_ms
from tests.support.fakes import FakeElasticsearch, fake_elasticsearch
from tests.support.tls import tls_server

NOW = now_ms()
ALIASES = ("lol_matches_stream", "lol_teams_stream", "lol_champion_stats", "lol_position_stats")


@pytest.fixture(autouse=True)
def _no_sleep(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "sleep", lambda _: None)


@pytest.fixture
def elasticsearch(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeElasticsearch]:
    monkeypatch.setattr(startup_checks, "now_ms", lambda: NOW)
    with fake_elasticsearch() as fake:
        month = monthly_index("", NOW)
        fake.pages["GET", "/"] = (200, {"cluster_name": "trial", "version": {"number": "8.19.21"}})
        for alias in ALIASES:
            fake.pages["HEAD", f"/_index_template/{alias}"] = (200, {})
            fake.pages["PUT", f"/{alias}{month}"] = (200, {"acknowledged": True})
        yield fake


def options(elasticsearch: FakeElasticsearch) -> Elasticsearch:
    return with_overrides({"elasticsearch": {"hosts": [elasticsearch.url]}}).elasticsearch


def test_available_elasticsearch_is_described_by_cluster_version_and_address(elasticsearch: FakeElasticsearch) -> None:
    assert wait_for_elasticsearch(options(elasticsearch)) == f"trial 8.19.21 at {elasticsearch.url}"


def test_existing_index_of_this_month_is_accepted(elasticsearch: FakeElasticsearch) -> None:
    for method, path in list(elasticsearch.pages):
        if method == "PUT":
            elasticsearch.pages[method, path] = (
                400,
                {"error": {"type": "resource_already_exists_exception"}, "status": 400},
            )
    assert wait_for_elasticsearch(options(elasticsearch))


def test_alias_with_the_name_of_this_months_index_is_accepted(elasticsearch: FakeElasticsearch) -> None:
    """As after a reindex. Elasticsearch then answers the creation of the index with invalid_index_name_exception."""
    for method, path in list(elasticsearch.pages):
        if method == "PUT":
            elasticsearch.pages["HEAD", path] = (200, {})
            elasticsearch.pages["PUT", path] = (400, {"error": {"type": "invalid_index_name_exception"}})
    assert wait_for_elasticsearch(options(elasticsearch))


@pytest.mark.parametrize("in_alias", [True, False])
def test_index_of_this_month_that_is_not_in_its_alias_is_reported(
    elasticsearch: FakeElasticsearch, caplog: pytest.LogCaptureFixture, in_alias: bool
) -> None:
    for path in [path for method, path in elasticsearch.pages if method == "PUT"]:
        elasticsearch.pages["HEAD", path] = (200, {})
        alias = path[1:].partition("-")[0]
        if in_alias or alias != ALIASES[1]:
            elasticsearch.pages["HEAD", f"{path}/_alias/{alias}"] = (200, {})
    assert wait_for_elasticsearch(options(elasticsearch))
    warnings = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    if in_alias:
        assert warnings == []
    else:
        [warning] = warnings
        index = monthly_index(ALIASES[1], NOW)
        assert warning.startswith(f"The index {index} is not in the alias {ALIASES[1]}, ")


@pytest.mark.parametrize(
    ("status", "error_type", "reason"),
    [
        (400, "validation_exception", "this cluster currently has [9]/[9] maximum normal shards open;"),
        (403, "cluster_block_exception", "blocked by: [FORBIDDEN/6/cluster read-only (api)];"),
    ],
)
def test_waits_until_this_months_index_can_be_created(
    elasticsearch: FakeElasticsearch, monkeypatch: pytest.MonkeyPatch, status: int, error_type: str, reason: str
) -> None:
    (path,) = [path for method, path in elasticsearch.pages if path.startswith(f"/{ALIASES[1]}-")]
    elasticsearch.pages["PUT", path] = (status, {"error": {"type": error_type, "reason": reason}, "status": status})
    waits: list[str] = []

    def let_create(line: str, *arguments: str) -> None:
        waits.append(line % arguments)
        elasticsearch.pages["PUT", path] = (200, {})

    monkeypatch.setattr(retry.log, "warning", let_create)
    assert wait_for_elasticsearch(options(elasticsearch))
    (wait,) = waits
    assert wait.startswith(f"Waiting for Elasticsearch: elasticsearch.hosts: {elasticsearch.url} answers {status}")
    assert f"({error_type}: {reason})" in wait


def test_other_major_version_of_elasticsearch_is_rejected(elasticsearch: FakeElasticsearch) -> None:
    elasticsearch.pages["GET", "/"] = (200, {"cluster_name": "old", "version": {"number": "7.17.0"}})
    with pytest.raises(JobError, match=r"elasticsearch.hosts: .* is Elasticsearch 7.17.0; this job supports 8.x only"):
        wait_for_elasticsearch(options(elasticsearch))


@pytest.mark.parametrize("status", [200, 302, 404, 406])
def test_server_that_is_not_elasticsearch_is_rejected(status: int) -> None:
    with fake_elasticsearch(product="") as other:
        other.pages["GET", "/"] = (status, {})
        with pytest.raises(JobError, match=r"^elasticsearch.hosts: the server at .* is not Elasticsearch; correct"):
            wait_for_elasticsearch(options(other))


def test_server_without_json_responses_is_rejected(elasticsearch: FakeElasticsearch) -> None:
    elasticsearch.content_type = "application/octet-stream"
    with pytest.raises(JobError, match=r"^elasticsearch.hosts: the server at .* is not Elasticsearch; correct"):
        wait_for_elasticsearch(options(elasticsearch))


def test_authentication_error_is_not_retried(elasticsearch: FakeElasticsearch) -> None:
    elasticsearch.pages["GET", "/"] = (401, {"error": {"type": "security_exception"}, "status": 401})
    with pytest.raises(JobError, match=r"answers 401 \(security_exception\); correct elasticsearch.username and elast"):
        wait_for_elasticsearch(options(elasticsearch))


def test_missing_privilege_is_not_retried(elasticsearch: FakeElasticsearch) -> None:
    elasticsearch.pages["GET", "/"] = (403, {"error": {"type": "security_exception"}, "status": 403})
    with pytest.raises(JobError, match=r"answers 403 \(security_exception\); elasticsearch.username needs a role"):
        wait_for_elasticsearch(options(elasticsearch))


def test_missing_index_template_is_reported(elasticsearch: FakeElasticsearch) -> None:
    elasticsearch.pages["HEAD", "/_index_template/lol_champion_stats"] = (404, {})
    with pytest.raises(JobError, match="there is no index template lol_champion_stats; create it"):
        wait_for_elasticsearch(options(elasticsearch))


def test_retries_until_elasticsearch_is_available(
    elasticsearch: FakeElasticsearch, caplog: pytest.LogCaptureFixture
) -> None:
    available = elasticsearch.pages["GET", "/"]
    elasticsearch.pages["GET", "/"] = (503, {"error": {"type": "not_ready"}, "status": 503})

    class BecomeAvailable(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            elasticsearch.pages["GET", "/"] = available

    handler = BecomeAvailable()
    retry.log.addHandler(handler)
    try:
        assert wait_for_elasticsearch(options(elasticsearch))
    finally:
        retry.log.removeHandler(handler)
    assert "Waiting for Elasticsearch: elasticsearch.hosts: http://127.0.0.1" in caplog.text


def test_elasticsearch_without_support_for_this_client_is_rejected(elasticsearch: FakeElasticsearch) -> None:
    refusal = {"error": {"type": "media_type_header_exception", "reason": "Invalid media-type value"}, "status": 400}
    elasticsearch.pages["GET", "/"] = (400, refusal)
    with pytest.raises(JobError, match=r"^elasticsearch.hosts: .* does not support clients of Elasticsearch 8.x; use"):
        wait_for_elasticsearch(options(elasticsearch))


SEARCH = ("POST", f"/{ALIASES[0]}/_search")


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (200, {"hits": {"total": {"value": 1, "relation": "gte"}}}, True),
        (200, {"hits": {"total": {"value": 0, "relation": "eq"}}}, False),
        (404, {"error": {"type": "index_not_found_exception"}, "status": 404}, False),
        (400, {"error": {"type": "index_closed_exception"}, "status": 400}, True),
    ],
    ids=["documents", "an empty alias", "no index", "a closed index"],
)
def test_indexed_matches_are_those_of_the_alias(
    elasticsearch: FakeElasticsearch, status: int, body: object, expected: bool
) -> None:
    elasticsearch.pages[SEARCH] = (status, body)
    assert has_indexed_matches(options(elasticsearch)) == expected


def test_search_for_indexed_matches_waits_for_an_unassigned_shard(
    elasticsearch: FakeElasticsearch, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By default, Elasticsearch searches the other shards only."""
    of_all_shards = SEARCH[0], f"{SEARCH[1]}?allow_partial_search_results=false"
    elasticsearch.pages[SEARCH] = (200, {"hits": {"total": {"value": 0}}})
    elasticsearch.pages[of_all_shards] = (503, {"error": {"type": "search_phase_execution_exception"}, "status": 503})

    def assign(*_: object) -> None:
        elasticsearch.pages[of_all_shards] = (200, {"hits": {"total": {"value": 1}}})

    monkeypatch.setattr(retry.log, "warning", assign)
    assert has_indexed_matches(options(elasticsearch))


def test_search_for_indexed_matches_reports_a_missing_privilege(elasticsearch: FakeElasticsearch) -> None:
    elasticsearch.pages[SEARCH] = (403, {"error": {"type": "security_exception"}, "status": 403})
    with pytest.raises(JobError, match=r"answers 403 \(security_exception\); elasticsearch.username needs a role"):
        has_indexed_matches(options(elasticsearch))


@pytest.mark.parametrize(
    ("validity", "known", "advice"),
    [
        ("valid", False, "set elasticsearch.ca_certificate to the authority that has signed its certificate"),
        ("expired", True, "its certificate has expired: a deployment of the stack renews it"),
    ],
)
def test_refused_certificate_is_reported_with_what_to_do(
    tmp_path: Path, validity: str, known: bool, advice: str
) -> None:
    authority, context = tls_server(tmp_path, validity)
    with fake_elasticsearch(ssl_context=context) as server:
        changes = {"hosts": [server.url], "ca_certificate": authority if known else ""}
        with pytest.raises(JobError) as error:
            wait_for_elasticsearch(with_overrides({"elasticsearch": changes}).elasticsearch)
    assert str(error.value).startswith(f"elasticsearch.hosts: no secure connection to {server.url} (")
    assert str(error.value).endswith(f"; {advice}")


def test_waits_while_the_clock_is_behind_the_certificates_beginning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retry, "TIMEOUT_SECONDS", 0.1)
    authority, context = tls_server(tmp_path, "not yet valid")
    with fake_elasticsearch(ssl_context=context) as server:
        changes = {"hosts": [server.url], "ca_certificate": authority}
        with pytest.raises(JobError) as error:
            wait_for_elasticsearch(with_overrides({"elasticsearch": changes}).elasticsearch)
    advice = (
        "this machine's clock is behind the beginning of its certificate: correct the clock, or it was issued while "
        "the clock was ahead: deploy the stack again"
    )
    assert str(error.value).startswith(f"elasticsearch.hosts: {server.url} is not available (")
    assert str(error.value).endswith(f"; {advice}. Gave up after 0.1 s")


def test_text_that_is_no_certificate_is_reported(elasticsearch: FakeElasticsearch) -> None:
    broken = "-----BEGIN CERTIFICATE-----\nnonsense\n-----END CERTIFICATE-----\n"
    changes = {"hosts": [elasticsearch.url], "ca_certificate": broken}
    with pytest.raises(JobError, match=r"^elasticsearch.ca_certificate: is not a certificate \("):
        wait_for_elasticsearch(with_overrides({"elasticsearch": changes}).elasticsearch)


def test_tls_error_is_reported(elasticsearch: FakeElasticsearch) -> None:
    elasticsearch.url = elasticsearch.url.replace("http:", "https:")
    with pytest.raises(JobError, match=r"^elasticsearch.hosts: no secure connection to https://127.*; correct http or"):
        wait_for_elasticsearch(options(elasticsearch))


@pytest.mark.parametrize(
    ("host", "cause"), [("localhost:1", "Connection refused"), ("-nobody.invalid:9200", "Failed to resolve")]
)
def test_timeout_for_elasticsearch_names_setting_and_cause(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, host: str, cause: str
) -> None:
    monkeypatch.setattr(retry, "TIMEOUT_SECONDS", 0.1)
    with pytest.raises(JobError) as error:
        wait_for_elasticsearch(with_overrides({"elasticsearch": {"hosts": [f"http://{host}"]}}).elasticsearch)
    assert str(error.value).startswith(f"elasticsearch.hosts: http://{host} is not available (")
    assert cause in str(error.value)
    assert str(error.value).endswith("is the address right? Gave up after 0.1 s")
    assert f"Waiting for Elasticsearch: elasticsearch.hosts: http://{host} is not available (" in caplog.text


def test_spark_master_is_available_if_any_address_accepts_connections(elasticsearch: FakeElasticsearch) -> None:
    address = elasticsearch.url.removeprefix("http://")
    wait_for_spark_master(f"spark://localhost:1,{address}")


@pytest.mark.parametrize(
    ("address", "cause"), [("localhost:1", "Connection refused"), ("-nobody.invalid:7077", "Name or service not known")]
)
def test_timeout_for_spark_master_names_setting_and_cause(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, address: str, cause: str
) -> None:
    monkeypatch.setattr(retry, "TIMEOUT_SECONDS", 0.1)
    with pytest.raises(
        JobError, match=rf"^master: spark://{address} is not available \({cause}\); is the Spark .* 0.1 s$"
    ):
        wait_for_spark_master(f"spark://{address}")
    assert f"Waiting for the Spark master: master: spark://{address} is not available" in caplog.text


@pytest.mark.parametrize("master", ["spark://", "spark://spark-master", "spark://a:0", "spark://a:7077,b"])
def test_invalid_address_of_spark_master_is_rejected(master: str) -> None:
    with pytest.raises(JobError, match=r"^master: .* is not an address; write spark://host:7077$"):
        wait_for_spark_master(master)


def test_other_kinds_of_spark_master_are_not_checked() -> None:
    wait_for_spark_master("local[2]")
