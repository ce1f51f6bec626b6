"""Logins by HTTP Basic: the hashes, the health check's request, and who has which in `guarded` and `strict`."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any

import bcrypt
import pytest
import yaml

from infra.logins import sha256
from infra.names import CURL_CONFIG, JOB_SETTINGS
from infra.services.alertmanager import CONFIG as ALERTMANAGER_CONFIG
from infra.services.generator import METRICS_LOGIN
from infra.services.grafana import PROVISIONING
from infra.services.prometheus import CONFIG as PROMETHEUS_CONFIG
from infra.services.spark import PAGE_LOGINS, PROPERTIES
from infra.services.web_login import READY_REQUEST, WEB_CONFIG, bcrypt_hash
from tests.support.pulumi_program import Recorder, declare


def uploads(container: Mapping[str, Any]) -> dict[str, str]:
    """The container's files by path."""
    found = container["uploads"]
    files = found if isinstance(found, list) else found["value"]  # of a secret
    return {each["file"]: each.get("content", "") for each in files}


@pytest.fixture(scope="module")
def guarded() -> Recorder:
    return declare("registry", generatorEnabled=True)


@pytest.fixture(scope="module")
def strict() -> Recorder:
    return declare("registry", generatorEnabled=True, security="strict")


def test_hash_is_that_of_the_password_and_does_not_change() -> None:
    """With a random salt every `up` would replace the containers."""
    found = bcrypt_hash("prometheus.reader", "a password")
    assert bcrypt.checkpw(b"a password", found.encode())
    assert found == bcrypt_hash("prometheus.reader", "a password")
    assert found != bcrypt_hash("alertmanager.prometheus", "a password")
    assert not bcrypt.checkpw(b"another", found.encode())


def users(container: Mapping[str, Any]) -> dict[str, str]:
    return dict(yaml.safe_load(uploads(container)[WEB_CONFIG]).get("basic_auth_users", {}))


def test_alertmanager_needs_a_login_in_both_and_prometheus_in_strict(guarded: Recorder, strict: Recorder) -> None:
    for recorder in (guarded, strict):
        logins = users(recorder.containers["alertmanager"])
        assert bcrypt.checkpw(b"password of operator", logins.pop("operator").encode())
        assert bcrypt.checkpw(b"password of alertmanager.prometheus", logins.pop("prometheus").encode())
        assert logins == {}
    assert users(guarded.containers["prometheus"]) == {}
    assert set(users(strict.containers["prometheus"])) == {"operator", "reader"}


def test_health_check_logs_in_from_a_file(strict: Recorder) -> None:
    request = uploads(strict.containers["alertmanager"])[READY_REQUEST]
    login = base64.b64encode(b"prometheus:password of alertmanager.prometheus").decode()
    assert f"\r\nAuthorization: Basic {login}\r\n\r\n" in request
    for container in strict.containers.values():
        assert "password of" not in " ".join(container["healthcheck"]["tests"])


def test_prometheus_reads_its_passwords_from_files(guarded: Recorder, strict: Recorder) -> None:
    for recorder in (guarded, strict):
        files = uploads(recorder.containers["prometheus"])
        config = yaml.safe_load(files[PROMETHEUS_CONFIG])
        logins = {each["job_name"]: each["basic_auth"] for each in config["scrape_configs"] if "basic_auth" in each}
        all_jobs = {each["job_name"] for each in config["scrape_configs"]}
        assert set(logins) == ({"alertmanager"} if recorder is guarded else all_jobs)
        (alertmanager,) = config["alerting"]["alertmanagers"]
        assert alertmanager["basic_auth"] == logins["alertmanager"]
        assert files[alertmanager["basic_auth"]["password_file"]] == "password of alertmanager.prometheus"
        for login in logins.values():
            assert files[login["password_file"]].startswith("password of ")
        assert "password of" not in files[PROMETHEUS_CONFIG]
    assert set(users(strict.containers["prometheus"])) >= {"reader"}


def test_grafana_and_the_dashboard_query_prometheus_with_a_login_in_strict(guarded: Recorder, strict: Recorder) -> None:
    for recorder, needed in ((guarded, False), (strict, True)):
        dashboard = yaml.safe_load(uploads(recorder.containers["dashboard"])["/etc/lolstack/dashboard.yaml"])
        assert dashboard["prometheus"].get("password") == ("password of prometheus.reader" if needed else None)
        files = uploads(recorder.containers["grafana"])
        (source,) = [
            each
            for each in yaml.safe_load(files[f"{PROVISIONING}/datasources/lolstack.yaml"])["datasources"]
            if each["name"] == "Prometheus"
        ]
        assert source.get("basicAuth", False) is needed
        if needed:
            assert source["basicAuthUser"] == "reader"
            assert source["secureJsonData"]["basicAuthPassword"] == "password of prometheus.reader"


def test_dashboard_asks_for_the_operators_login_in_strict(guarded: Recorder, strict: Recorder) -> None:
    for recorder, expected in ((guarded, ""), (strict, sha256("operator", "password of operator"))):
        text = uploads(recorder.containers["dashboard"])["/etc/lolstack/dashboard.yaml"]
        assert yaml.safe_load(text).get("login_sha256", "") == expected
        assert "password of operator" not in text, "a hash is enough"


def test_sparks_processes_share_a_secret_and_their_pages_need_a_login_in_strict(
    guarded: Recorder, strict: Recorder
) -> None:
    for recorder, needed in ((guarded, False), (strict, True)):
        for service in ("spark-master", "spark-worker", "spark-job"):
            files = uploads(recorder.containers[service])
            lines = files[PROPERTIES].splitlines()
            assert "spark.authenticate.secret password of spark.cluster" in lines
            assert ("spark.ui.filters lolstack.PageLogin" in lines) is needed
            assert (PAGE_LOGINS in files) is needed
            assert ("password of metrics.monitor" in files[CURL_CONFIG]) is needed
            assert "password of operator" not in str(files), "a hash is enough"


def test_metrics_need_the_monitors_login_in_strict(guarded: Recorder, strict: Recorder) -> None:
    for recorder, needed in ((guarded, False), (strict, True)):
        for service in ("zookeeper", "kafka", "cassandra"):
            basic = yaml.safe_load(uploads(recorder.containers[service])["/etc/lolstack/jmx.yml"]).get("httpServer")
            if needed:
                login = {"username": "monitor", "password": "password of metrics.monitor"}
                assert basic == {"authentication": {"basic": login}}
            else:
                assert basic is None
        for service in ("elasticsearch-exporter", "node-exporter"):
            container = recorder.containers[service]
            assert f"--web.config.file={WEB_CONFIG}" in container["command"]
            assert set(users(container)) == ({"monitor"} if needed else set())
            assert ("Authorization: Basic" in uploads(container)[READY_REQUEST]) is needed
        for service in ("spark-job", "archive"):
            http = yaml.safe_load(uploads(recorder.containers[service])[JOB_SETTINGS])["http"]
            assert http == ({"username": "monitor", "password": "password of metrics.monitor"} if needed else {})
        generator = uploads(recorder.containers["generator"])
        assert generator.get(METRICS_LOGIN) == ("monitor:password of metrics.monitor\n" if needed else None)


def test_files_with_passwords_are_secret(strict: Recorder) -> None:
    for name, container in strict.containers.items():
        if any("password of" in content or "$2b$" in content for content in uploads(container).values()):
            assert not isinstance(container["uploads"], list), f"{name}: in clear text in the state"


def test_no_password_is_in_a_command_or_environment(strict: Recorder) -> None:
    for name, container in strict.containers.items():
        shown = f"{container.get('command')} {container['envs']} {container['labels']}"
        assert "password of" not in shown, name


def test_alertmanagers_configuration_stays_free_of_logins(guarded: Recorder) -> None:
    assert "password of" not in uploads(guarded.containers["alertmanager"])[ALERTMANAGER_CONFIG]
