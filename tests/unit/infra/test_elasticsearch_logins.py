"""Elasticsearch's logins and TLS: the files of its node, and what each client gets, in both values of `security`."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import pytest
import yaml
from elasticsearch import ApiError, TransportError

from infra.clients.elasticsearch import ElasticsearchServer, describe_failure
from infra.logins import ELASTICSEARCH_ROLES
from infra.services import FILES
from infra.services.elasticsearch import users_file, users_roles_file
from tests.support.fakes import fake_elasticsearch
from tests.support.pulumi_program import Recorder, declare
from tests.support.tls import tls_server

CONFIG = "/usr/share/elasticsearch/config"


@pytest.fixture(scope="module", params=["guarded", "strict"])
def stack(request: pytest.FixtureRequest) -> tuple[str, Recorder]:
    """A value of `security`, and what the program declares with it."""
    return request.param, declare("registry", security=request.param)


def uploads(container: Mapping[str, Any]) -> dict[str, str]:
    """The content of the container's configuration files, by path."""
    found = container["uploads"]
    return {each["file"]: each["content"] for each in (found["value"] if isinstance(found, dict) else found)}


def environment(container: Mapping[str, Any]) -> dict[str, str]:
    return dict(each.split("=", 1) for each in container["envs"])


class TestFileRealm:
    def test_password_hash_is_elasticsearchs_pbkdf2(self) -> None:
        (line,) = users_file({"job": "secret"}).splitlines()
        user, _, hashed = line.partition(":")
        head, salt, digest = hashed.split("$")
        assert (user, head) == ("job", "{PBKDF2}10000")
        computed = hashlib.pbkdf2_hmac("sha512", b"secret", base64.b64decode(salt), 10_000, 32)
        assert base64.b64decode(digest) == computed

    def test_file_is_the_same_at_each_up_and_has_no_two_equal_hashes(self) -> None:
        """A difference would replace the container; an equal hash would show that two passwords are equal."""
        passwords = {"job": "secret", "exporter": "secret"}
        assert users_file(passwords) == users_file(dict(reversed(passwords.items())))
        first, second = users_file(passwords).splitlines()
        assert first.partition(":")[2] != second.partition(":")[2]

    def test_each_user_has_one_role_that_exists(self) -> None:
        defined = yaml.safe_load((FILES / "roles.yml").read_text())
        assigned = [line.partition(":") for line in users_roles_file().splitlines()]
        assert sorted(user for _, _, each in assigned for user in each.split(",")) == sorted(ELASTICSEARCH_ROLES)
        assert {role for role, _, _ in assigned} == defined.keys() | {"superuser", "kibana_system"}

    def test_no_role_has_a_privilege_that_includes_sql_or_points_in_time(self) -> None:
        """The effect of each role: tests/stack/test_logins_elasticsearch.py."""
        harmless = {"create_index", "index", "view_index_metadata", "monitor"}
        for role, defined in yaml.safe_load((FILES / "roles.yml").read_text()).items():
            granted = [each for part in defined.get("indices", []) for each in part["privileges"]]
            assert {each for each in granted if not each.startswith("indices:")} <= harmless, role
            for action in ("sql", "sql/async", "eql", "esql", "open_point_in_time"):
                assert not any(fnmatch(f"indices:data/read/{action}", each) for each in granted), role


class TestNode:
    def test_reading_needs_a_login_only_in_strict(self, stack: tuple[str, Recorder]) -> None:
        security, recorder = stack
        settings = environment(recorder.containers["elasticsearch"])
        assert settings["xpack.security.enabled"] == "true"
        assert settings.get("xpack.security.authc.anonymous.roles") == ("lol_reader" if security == "guarded" else None)
        assert settings["xpack.security.http.ssl.enabled"] == ("true" if security == "strict" else "false")
        # Elasticsearch refuses to start with an option of TLS between nodes, and without that switch.
        assert not [key for key in settings if key.startswith("xpack.security.transport.ssl")]

    def test_health_check_has_its_login_and_certificate_from_a_file(self, stack: tuple[str, Recorder]) -> None:
        security, recorder = stack
        container = recorder.containers["elasticsearch"]
        assert f"-K {CONFIG}/health.curl" in container["healthcheck"]["tests"][-1]
        lines = uploads(container)[f"{CONFIG}/health.curl"].splitlines()
        assert lines[0].startswith(f'url = "{"https" if security == "strict" else "http"}://127.0.0.1:9200/')
        user = "exporter:password of elasticsearch.exporter"
        assert lines[1:] == [f'user = "{user}"', f'cacert = "{CONFIG}/authority.crt"']

    def test_files_with_secrets_are_readable_for_the_node_only(self, stack: tuple[str, Recorder]) -> None:
        container = stack[1].containers["elasticsearch"]
        modes = {each["file"]: each.get("permissions") for each in container["uploads"]["value"]}
        assert container["user"].endswith(":0"), "the group that may read them"
        for name in ("users", "health.curl", "elasticsearch.key"):
            assert modes[f"{CONFIG}/{name}"] == "0640", name


class TestClients:
    def test_job_has_its_login_and_the_authority(self, stack: tuple[str, Recorder]) -> None:
        security, recorder = stack
        settings = yaml.safe_load(uploads(recorder.containers["spark-job"])["/etc/lolstack/job.yaml"])
        assert settings["elasticsearch"] == {
            "hosts": [f"{'https' if security == 'strict' else 'http'}://elasticsearch:9200"],
            "username": "job",
            "password": "password of elasticsearch.job",
            "ca_certificate": "certificate of the authority\n" if security == "strict" else "",
        }

    def test_exporter_reads_its_password_from_a_file(self, stack: tuple[str, Recorder]) -> None:
        security, recorder = stack
        container = recorder.containers["elasticsearch-exporter"]
        files = uploads(container)
        assert environment(container) == {"ES_USERNAME": "exporter"}
        assert files["/etc/lolstack/elasticsearch-password"] == "password of elasticsearch.exporter"
        assert "$(cat /etc/lolstack/elasticsearch-password)" in container["entrypoints"][2]
        authority = [each for each in container["command"] if each.startswith("--es.ca=")]
        assert [files[each.partition("=")[2]] for each in authority] == (
            ["certificate of the authority\n"] if security == "strict" else []
        )

    def test_dashboard_has_its_login_and_the_authority(self, stack: tuple[str, Recorder]) -> None:
        security, recorder = stack
        files = uploads(recorder.containers["dashboard"])
        source = yaml.safe_load(files["/etc/lolstack/dashboard.yaml"])["elasticsearch"]
        assert (source["username"], source["password"]) == ("dashboard", "password of elasticsearch.dashboard")
        assert source["url"].startswith("https:" if security == "strict" else "http:")
        authority = source["ca_certificates"]
        assert (files[authority] if authority else "") == (
            "certificate of the authority\n" if security == "strict" else ""
        )

    def test_kibana_has_its_login_and_reading_without_one_only_in_guarded(self, stack: tuple[str, Recorder]) -> None:
        security, recorder = stack
        files = uploads(recorder.containers["kibana"])
        config = yaml.safe_load(files["/usr/share/kibana/config/kibana.yml"])
        assert config["elasticsearch.username"] == "lol_kibana", "`kibana` is reserved"
        assert config["elasticsearch.password"] == "password of elasticsearch.lol_kibana"
        providers = config["xpack.security.authc.providers"]
        assert ("anonymous" in providers) is (security == "guarded")
        assert "basic" in providers, "for people, and for the login of the saved objects' requests"
        assert "xpack.security.authc.selector.enabled" not in config, "by default on if there are two providers"
        choices = [choice for provider in providers.values() for choice in provider.values()]
        assert all(choice["description"] and choice["hint"] for choice in choices)
        authorities = config.get("elasticsearch.ssl.certificateAuthorities", [])
        assert [files[path] for path in authorities] == (
            ["certificate of the authority\n"] if security == "strict" else []
        )

    def test_kibana_asks_no_server_of_elastic(self, stack: tuple[str, Recorder]) -> None:
        _, recorder = stack
        config = yaml.safe_load(uploads(recorder.containers["kibana"])["/usr/share/kibana/config/kibana.yml"])
        outbound = ("telemetry.optIn", "newsfeed.enabled", "map.includeElasticMapsService")
        assert [config.get(key) for key in outbound] == [False] * 3
        assert config.get("xpack.fleet.isAirGapped") is True

    def test_guests_session_in_kibana_ends_a_day_after_its_last_use(self) -> None:
        config = yaml.safe_load(
            uploads(declare("registry").containers["kibana"])["/usr/share/kibana/config/kibana.yml"]
        )
        guest = config["xpack.security.authc.providers"]["anonymous"]["reading"]
        assert guest.get("session") == {"idleTimeout": "1d"}

    def test_kibanas_keys_outlive_a_restart(self, stack: tuple[str, Recorder]) -> None:
        """Otherwise it makes some at each start, and what it encrypted with the others, such as sessions, is lost."""
        _, recorder = stack
        config = yaml.safe_load(uploads(recorder.containers["kibana"])["/usr/share/kibana/config/kibana.yml"])
        assert {key: value for key, value in config.items() if key.endswith("encryptionKey")} == {
            "xpack.security.encryptionKey": "password of kibana.security",
            "xpack.encryptedSavedObjects.encryptionKey": "password of kibana.encryptedSavedObjects",
            "xpack.reporting.encryptionKey": "password of kibana.reporting",
        }

    def test_cookies_of_kibana_and_grafana_are_those_of_the_stack(self, stack: tuple[str, Recorder]) -> None:
        """A browser sends a cookie to all ports of a host: a login to a second stack would end that to the first."""
        _, recorder = stack
        config = yaml.safe_load(uploads(recorder.containers["kibana"])["/usr/share/kibana/config/kibana.yml"])
        assert config["xpack.security.cookieName"] == "lolstack-unit-kibana"
        assert environment(recorder.containers["grafana"])["GF_AUTH_LOGIN_COOKIE_NAME"] == "lolstack-unit-grafana"

    def test_grafana_lets_people_look_without_a_login_only_in_guarded(self, stack: tuple[str, Recorder]) -> None:
        security, recorder = stack
        container = recorder.containers["grafana"]
        assert environment(container)["GF_AUTH_ANONYMOUS_ENABLED"] == ("true" if security == "guarded" else "false")
        assert environment(container)["GF_AUTH_ANONYMOUS_ORG_ROLE"] == "Viewer"
        assert uploads(container)["/etc/lolstack/grafana-admin-password"] == "password of grafana.admin"
        file = uploads(container)["/etc/grafana/provisioning/datasources/lolstack.yaml"]
        source = yaml.safe_load(file)["datasources"][1]
        assert source["jsonData"]["tlsAuthWithCACert"] is (security == "strict")
        assert source["secureJsonData"]["tlsCACert"] == (
            "certificate of the authority\n" if security == "strict" else ""
        )

    @pytest.mark.parametrize("kind", ["elasticsearch:IndexTemplate", "kibana:SavedObject"])
    def test_contents_are_provisioned_with_the_admins_login(self, stack: tuple[str, Recorder], kind: str) -> None:
        _, recorder = stack
        for name, inputs in recorder.resources[f"pulumi-python:dynamic/{kind}"].items():
            assert inputs["username"] == "admin", name
            assert inputs["password"]["value"] == "password of elasticsearch.admin", name
            assert recorder.options[name].secret_outputs == {"password"}, name


class TestServer:
    """The client of tools, tests and benchmarks."""

    @pytest.mark.usefixtures("published_ports")
    def test_old_stack_has_no_login(self) -> None:
        """`make status` of a stack of a version before the logins, before `make up`."""
        outputs = {"services": {"elasticsearch": {"9200": "localhost:9200"}}}
        assert ElasticsearchServer.of_stack(outputs) == ElasticsearchServer("http://localhost:9200")

    @pytest.mark.usefixtures("published_ports")
    def test_operators_password_is_the_same_for_all_services(self) -> None:
        outputs = {"elasticsearchUrl": "http://a:1", "credentials": {"operator": "x", "elasticsearch.job": "y"}}
        assert ElasticsearchServer.of_stack(outputs).password == "x"
        assert ElasticsearchServer.of_stack(outputs, "job").password == "y"

    def test_password_is_in_no_text(self) -> None:
        assert "secret" not in repr(ElasticsearchServer("http://a:1", "admin", "secret"))

    def test_wrong_password_says_what_to_do(self) -> None:
        with fake_elasticsearch() as server, ElasticsearchServer(server.url, "job", "secret").client() as client:
            server.pages["GET", "/"] = (401, {"error": {"type": "security_exception"}, "status": 401})
            with pytest.raises(ApiError) as error:
                client.info()
        assert describe_failure(error.value).endswith(
            "it has other passwords than the stack's state: deploy the stack again"
        )

    @pytest.mark.parametrize(
        ("validity", "known", "advice"),
        [
            ("valid", False, "it has another certificate than the stack: deploy the stack again"),
            ("expired", True, "a deployment of the stack renews it"),
            ("not yet valid", True, "or it was issued while the clock was ahead: deploy the stack again"),
        ],
    )
    def test_refused_certificate_says_what_to_do(self, tmp_path: Path, validity: str, known: bool, advice: str) -> None:
        authority, context = tls_server(tmp_path, validity)
        other, _ = tls_server(tmp_path)
        with fake_elasticsearch(ssl_context=context) as server:
            trusting = ElasticsearchServer(server.url, ca_certificate=authority if known else other)
            with trusting.client(max_retries=0) as client, pytest.raises(TransportError) as error:
                client.info()
        assert describe_failure(error.value).endswith(advice)

    def test_trusted_certificate_is_accepted(self, tmp_path: Path) -> None:
        authority, context = tls_server(tmp_path)
        with fake_elasticsearch(ssl_context=context) as server:
            server.pages["GET", "/"] = (200, {"cluster_name": "trial"})
            with ElasticsearchServer(server.url, ca_certificate=authority).client() as client:
                assert client.info()["cluster_name"] == "trial"
