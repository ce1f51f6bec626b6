"""The index template resource: one canonical form, drift detection, and updates of live indices."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, ClassVar

import pytest
from werkzeug import Request, Response

from infra.clients import elasticsearch
from infra.clients.elasticsearch import (
    ElasticsearchServer,
    ElasticsearchUnavailableError,
    IndexTemplateClient,
    IndexTemplateError,
    canonical,
    dynamic_settings,
)
from infra.provisioning import index_template
from infra.provisioning.index_template import TEMPLATES
from job.ids import monthly_index
from job.times import to_ms
from tests.support.clock import stopped_at
from tests.support.http_server import HTTPServer
from tests.support.pulumi_program import declare, dynamic_provider

NOW = datetime(2026, 2, 28, 23, 59, 59, tzinfo=UTC)
THIS_MONTH = monthly_index("a", to_ms(NOW))


@pytest.fixture(autouse=True)
def _clock(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(elasticsearch, "datetime", stopped_at(NOW))


PROVIDER = dynamic_provider(index_template)
DECLARED: dict[str, Any] = {
    "index_patterns": ["a-*"],
    "template": {
        "settings": {"index": {"number_of_shards": 3}, "refresh_interval": "1s"},
        "mappings": {},
        "aliases": {"a": {}},
    },
}
AS_READ_BACK: dict[str, Any] = {
    "index_patterns": ["a-*"],
    "composed_of": [],
    "template": {
        "settings": {"index": {"number_of_shards": "3", "refresh_interval": "1s"}},
        "mappings": {},
        "aliases": {"a": {}},
    },
}


def test_declared_template_equals_the_one_read_back() -> None:
    assert canonical(DECLARED) == canonical(AS_READ_BACK)


def test_changed_value_is_drift() -> None:
    changed = json.loads(json.dumps(AS_READ_BACK))
    changed["template"]["settings"]["index"]["number_of_shards"] = "1"
    assert canonical(DECLARED) != canonical(changed)


def test_only_dynamic_settings_are_applied_to_an_open_index() -> None:
    fixed = {"codec": "best_compression", "sort.field": "a", "number_of_shards": 3}
    assert dynamic_settings(DECLARED["template"]["settings"] | fixed) == {"index.refresh_interval": "1s"}


@pytest.mark.parametrize("path", sorted(TEMPLATES.glob("*.json")), ids=lambda path: path.stem)
def test_template_has_a_strict_mapping_and_its_own_alias(path: Path) -> None:
    body = json.loads(path.read_text())
    assert body["index_patterns"] == [f"{path.stem}-*"]
    assert body["template"]["aliases"] == {path.stem: {}}
    assert body["template"]["mappings"]["dynamic"] == "strict"


class TestClient:
    """The client against a fake server: the requests that it sends for one alias."""

    BODY: ClassVar[dict[str, Any]] = {
        "index_patterns": ["a-*"],
        "template": {
            "settings": {"number_of_shards": 3, "refresh_interval": "1s"},
            "mappings": {"properties": {"new": {"type": "keyword"}}},
            "aliases": {"a": {}},
        },
    }

    @pytest.fixture
    def server(self) -> Iterator[HTTPServer]:
        with HTTPServer() as server:
            yield server

    @staticmethod
    def respond(server: HTTPServer, status: Mapping[str, int]) -> None:
        """Answer each method with this status, else 200, as Elasticsearch does."""

        def handler(request: Request) -> Response:
            code = status.get(request.method, 200)
            body = (
                {"error": {"type": "outer", "caused_by": {"reason": "field [new] cannot change\x1b[2J"}}}
                if code == 400
                else {}
            )
            return Response(
                json.dumps(body), code, {"X-Elastic-Product": "Elasticsearch"}, content_type="application/json"
            )

        server.expect_request(re.compile("")).respond_with_handler(handler)

    @staticmethod
    def requests(server: HTTPServer) -> list[str]:
        return [f"{request.method} {request.path}" for request, _ in server.log]

    def test_live_indices_get_new_fields_and_dynamic_settings(self, server: HTTPServer) -> None:
        self.respond(server, {})
        IndexTemplateClient(ElasticsearchServer(server.url_for(""))).put("a", self.BODY)
        assert self.requests(server) == [
            "PUT /_index_template/a",
            f"GET /{THIS_MONTH}",
            "HEAD /_alias/a",
            "PUT /a/_mapping",
            "PUT /a/_settings",
        ]
        mapping, settings = (json.loads(request.data) for request, _ in server.log[3:])
        assert mapping == self.BODY["template"]["mappings"]
        assert settings == {"index.refresh_interval": "1s"}

    def test_without_an_index_one_is_created_for_the_alias(self, server: HTTPServer) -> None:
        self.respond(server, {"HEAD": 404, "GET": 404})
        IndexTemplateClient(ElasticsearchServer(server.url_for(""))).put("a", self.BODY)
        assert re.fullmatch(r"PUT /a-\d{4}\.\d{2}", self.requests(server)[-1])

    @staticmethod
    def serve_indices(
        server: HTTPServer,
        aliases: dict[str, dict[str, Any]],
        body: Mapping[str, Any],
        settings: Mapping[str, dict[str, str]] | None = None,
    ) -> None:
        """Answer as an Elasticsearch that has these indices with their aliases, and the template with this body. An
        index has the template's settings unless it has some of its own."""
        own = settings if settings is not None else {}

        def handler(request: Request) -> Response:
            index, _, last = request.path[1:].partition("/")
            status = 200
            answer: dict[str, Any] = {}
            if request.path == "/_index_template/a" and request.method == "GET":
                answer = {"index_templates": [{"name": "a", "index_template": body}]}
            elif request.path == "/_aliases":
                for action in json.loads(request.data)["actions"]:
                    added = dict(action["add"])
                    for name in added.pop("indices"):
                        aliases[name][added["alias"]] = {key: value for key, value in added.items() if key != "alias"}
            elif request.path == "/_alias/a":
                status = 200 if any("a" in each for each in aliases.values()) else 404
            elif request.path == "/a/_settings":
                for name, each in aliases.items():
                    if "a" in each and name in own:
                        own[name].update(
                            {key.removeprefix("index."): value for key, value in json.loads(request.data).items()}
                        )
            elif request.method == "GET" and not last:
                found = {
                    name: {"aliases": each, "settings": {"index": own.get(name, body["template"]["settings"])}}
                    for name, each in aliases.items()
                    if index in (name, *each)
                }
                status, answer = (200, found) if found else (404, {"error": "no such index", "status": 404})
            elif request.method == "PUT" and not last and index in aliases:
                status, answer = 400, {"error": {"type": "resource_already_exists_exception", "reason": "exists"}}
            return Response(
                json.dumps(answer), status, {"X-Elastic-Product": "Elasticsearch"}, content_type="application/json"
            )

        server.expect_request(re.compile("")).respond_with_handler(handler)

    @pytest.mark.parametrize(
        "aliases",
        [
            {THIS_MONTH: {}},
            {"a-2026.01": {"a": {}}, THIS_MONTH: {}},
            {THIS_MONTH: {"a": {"is_write_index": False}}},
            {f"{THIS_MONTH}-copy": {THIS_MONTH: {}}},
        ],
        ids=["no index has it", "an earlier month has it", "it was changed", "an alias has this month's name"],
    )
    def test_alias_removed_by_hand_is_drift_and_added_again_to_this_months_index(
        self, server: HTTPServer, aliases: dict[str, dict[str, Any]]
    ) -> None:
        self.serve_indices(server, aliases, self.BODY)
        client = IndexTemplateClient(ElasticsearchServer(server.url_for("")))
        assert client.read("a") is None
        client.put("a", self.BODY)
        assert all(each["a"] == {} for each in aliases.values())
        assert client.read("a") == canonical(self.BODY)

    @pytest.mark.parametrize("index", [THIS_MONTH, f"{THIS_MONTH}-copy"])
    @pytest.mark.parametrize("changed", [{"refresh_interval": "-1"}, {}], ids=["other value", "removed"])
    def test_setting_of_this_months_index_changed_by_hand_is_drift_and_restored(
        self, server: HTTPServer, index: str, changed: dict[str, str]
    ) -> None:
        settings = {index: {"number_of_shards": "3", "uuid": "x", **changed}}
        self.serve_indices(server, {index: {"a": {}, THIS_MONTH: {}}}, self.BODY, settings)
        client = IndexTemplateClient(ElasticsearchServer(server.url_for("")))
        assert client.read("a") is None
        client.put("a", self.BODY)
        assert settings[index]["refresh_interval"] == "1s"
        assert client.read("a") == canonical(self.BODY)

    def test_what_put_cannot_restore_is_no_drift(self, server: HTTPServer) -> None:
        """An index of an earlier version has as many shards as it was created with; a retired month may have any
        setting."""
        settings = {
            THIS_MONTH: {"number_of_shards": "1", "refresh_interval": "1s", "codec": "best_compression"},
            "a-2026.01": {"number_of_shards": "3", "refresh_interval": "-1"},
        }
        self.serve_indices(server, {THIS_MONTH: {"a": {}}, "a-2026.01": {}}, self.BODY, settings)
        client = IndexTemplateClient(ElasticsearchServer(server.url_for("")))
        assert client.read("a") == canonical(self.BODY)

    def test_retired_month_stays_out_of_the_alias(self, server: HTTPServer) -> None:
        aliases: dict[str, dict[str, Any]] = {"a-2026.01": {}, THIS_MONTH: {"a": {}}}
        self.serve_indices(server, aliases, self.BODY)
        client = IndexTemplateClient(ElasticsearchServer(server.url_for("")))
        client.put("a", self.BODY)
        assert aliases["a-2026.01"] == {}
        assert client.read("a") == canonical(self.BODY)

    def test_alias_without_an_index_of_this_month_is_no_drift(self, server: HTTPServer) -> None:
        """As at the beginning of a month, before its first document."""
        self.serve_indices(server, {"a-2026.01": {"a": {}}}, self.BODY)
        client = IndexTemplateClient(ElasticsearchServer(server.url_for("")))
        assert client.read("a") == canonical(self.BODY)

    def test_rejected_template_is_an_error_with_elasticsearchs_reason(self, server: HTTPServer) -> None:
        """Escaped: Pulumi prints it to a terminal."""
        self.respond(server, {"PUT": 400})
        reason = r"field \[new\] cannot change\\x1b\[2J"
        with pytest.raises(IndexTemplateError, match=rf"rejects index template a: {reason}; .*reset"):
            IndexTemplateClient(ElasticsearchServer(server.url_for(""))).put("a", self.BODY)

    def test_template_without_an_index_is_drift(self, server: HTTPServer) -> None:
        self.respond(server, {"HEAD": 404, "GET": 404})
        assert IndexTemplateClient(ElasticsearchServer(server.url_for(""))).read("a") is None

    def test_refused_login_is_as_if_the_server_were_unavailable(self, server: HTTPServer) -> None:
        """Its login changed in an `up` that was interrupted: the refresh of the next one must not fail."""
        self.respond(server, {"GET": 401})
        refused = IndexTemplateClient(ElasticsearchServer(server.url_for(""), "admin", "of yesterday"))
        with pytest.raises(ElasticsearchUnavailableError, match="deploy the stack again") as error:
            refused.read("a")
        assert "of yesterday" not in str(error.value)

    def test_login_is_sent(self, server: HTTPServer) -> None:
        self.respond(server, {})
        IndexTemplateClient(ElasticsearchServer(server.url_for(""), "admin", "secret")).delete("a")
        ((request, _),) = server.log
        assert request.authorization is not None
        assert (request.authorization.username, request.authorization.password) == ("admin", "secret")

    def test_unavailable_server_is_an_error_of_its_own(self) -> None:
        with pytest.raises(
            ElasticsearchUnavailableError, match=r"Elasticsearch at http://127\.0\.0\.1:1 does not answer"
        ):
            IndexTemplateClient(ElasticsearchServer("http://127.0.0.1:1")).read("a")


class FakeIndexTemplateClient:
    """A fake client with templates by name. `down`: it does not answer."""

    def __init__(self) -> None:
        self.templates: dict[str, dict[str, Any]] = {}
        self.down = False

    def put(self, name: str, body: Mapping[str, Any]) -> None:
        self.templates[name] = dict(body)

    def read(self, name: str) -> dict[str, Any] | None:
        if self.down:
            raise ElasticsearchUnavailableError("Elasticsearch does not answer")
        found = self.templates.get(name)
        return None if found is None else canonical(found)

    def delete(self, name: str) -> None:
        self.templates.pop(name, None)


@pytest.fixture(scope="module")
def inputs() -> dict[str, Any]:
    """The template's inputs as the program declares them."""
    recorder = declare("build", elasticsearchReplicas=1)
    return dict(recorder.resources["pulumi-python:dynamic/elasticsearch:IndexTemplate"][TestResource.NAME])


@pytest.mark.usefixtures("published_ports")
class TestResource:
    """The dynamic provider's operations in the order in which Pulumi calls them."""

    NAME = "lol_matches_stream"

    @pytest.fixture
    def elasticsearch(self, monkeypatch: pytest.MonkeyPatch) -> FakeIndexTemplateClient:
        fake = FakeIndexTemplateClient()
        monkeypatch.setattr(index_template, "IndexTemplateClient", lambda host: fake)
        return fake

    def test_settings_of_the_stack_are_in_the_template(self, inputs: dict[str, Any]) -> None:
        settings = json.loads(inputs["body"])["template"]["settings"]
        assert (settings["index.number_of_replicas"], settings["index.refresh_interval"]) == ("1", "1s")

    def test_edit_by_hand_is_drift_and_update_reverts_it(
        self, elasticsearch: FakeIndexTemplateClient, inputs: dict[str, Any]
    ) -> None:
        state = PROVIDER.create(inputs).outs or {}
        refreshed = PROVIDER.read(self.NAME, state).outs or {}
        assert not PROVIDER.diff(self.NAME, refreshed, inputs).changes
        elasticsearch.templates[self.NAME]["template"]["settings"]["index.number_of_replicas"] = "2"
        drifted = PROVIDER.read(self.NAME, state).outs or {}
        change = PROVIDER.diff(self.NAME, drifted, inputs)
        assert change.changes
        assert not change.replaces
        PROVIDER.update(self.NAME, drifted, inputs)
        assert elasticsearch.templates[self.NAME]["template"]["settings"]["index.number_of_replicas"] == "1"

    @pytest.mark.parametrize("down", [False, True])
    def test_template_that_is_missing_or_unreachable_is_recreated(
        self,
        elasticsearch: FakeIndexTemplateClient,
        inputs: dict[str, Any],
        down: bool,
    ) -> None:
        state = PROVIDER.create(inputs).outs or {}
        if down:
            elasticsearch.down = True
        else:
            PROVIDER.delete(self.NAME, state)
        assert PROVIDER.read(self.NAME, state).id is None

    @pytest.mark.parametrize("key", ["host", "container", "password", "ca_certificate"])
    def test_changed_login_is_an_update(
        self, elasticsearch: FakeIndexTemplateClient, inputs: dict[str, Any], key: str
    ) -> None:
        """Otherwise the state would keep the old one, and the next refresh would be refused."""
        state = PROVIDER.create(inputs).outs or {}
        change = PROVIDER.diff(self.NAME, state, inputs | {key: "other"})
        assert (change.changes, change.replaces) == (True, [])

    def test_template_of_a_version_without_logins_is_updated(self, inputs: dict[str, Any]) -> None:
        state = {key: inputs[key] for key in ("host", "name", "body")}
        assert PROVIDER.diff(self.NAME, state, inputs).changes
        assert not PROVIDER.diff(self.NAME, state, state).changes, "a refresh compares the former inputs"

    @pytest.mark.usefixtures("elasticsearch")
    def test_changed_name_is_a_replacement(self, inputs: dict[str, Any]) -> None:
        assert PROVIDER.diff(self.NAME, inputs, inputs | {"name": "other"}).replaces == ["name"]
