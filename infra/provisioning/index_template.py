"""An Elasticsearch index template as a Pulumi resource, with drift detection. Strict mappings (`dynamic: strict`)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pulumi
from pulumi.dynamic import CreateResult, DiffResult, ReadResult, Resource, ResourceProvider, UpdateResult

import infra.provisioning.preload  # noqa: F401
from infra.clients.elasticsearch import (
    ElasticsearchServer,
    ElasticsearchUnavailableError,
    IndexTemplateClient,
    canonical,
)
from infra.names import ROOT
from infra.provisioning.published_port import PortNotPublishedError, require_published_port
from infra.provisioning.server_object import object_diff, object_text

SERVER = ("host", "username", "password", "ca_certificate")
TEMPLATES = ROOT / "mappings" / "index_templates"


class _Provider(ResourceProvider):
    def diff(self, id_: str, old: dict[str, Any], new: dict[str, Any]) -> DiffResult:
        return object_diff(SERVER, old, new)

    def create(self, props: dict[str, Any]) -> CreateResult:
        _client(props).put(props["name"], json.loads(props["body"]))
        return CreateResult(props["name"], props)

    def read(self, id_: str, props: dict[str, Any]) -> ReadResult:
        try:
            found = _client(props).read(props["name"])
        except (ElasticsearchUnavailableError, PortNotPublishedError):
            # Its container may be gone, or have another login since an interrupted `up`: the next `up` then creates the
            # template again.
            found = None
        return ReadResult(None, {}) if found is None else ReadResult(id_, props | {"body": object_text(found)})

    def update(self, id_: str, old: dict[str, Any], new: dict[str, Any]) -> UpdateResult:
        _client(new).put(new["name"], json.loads(new["body"]))
        return UpdateResult(new)

    def delete(self, id_: str, props: dict[str, Any]) -> None:
        _client(props).delete(props["name"])


class IndexTemplate(Resource, module="elasticsearch", name="IndexTemplate"):
    """The template mappings/index_templates/`name`.json with the stack's `settings`, in the Elasticsearch at `host`.

    `login` has username, password and ca_certificate. It is sent only while `container` publishes the port of `host`.
    """

    name: pulumi.Output[str]

    def __init__(
        self,
        name: str,
        host: str,
        container: str,
        login: Mapping[str, pulumi.Input[str]],
        settings: Mapping[str, Any],
        opts: pulumi.ResourceOptions,
    ) -> None:
        body = json.loads((TEMPLATES / f"{name}.json").read_text(encoding="utf-8"))
        body["template"]["settings"] = body["template"]["settings"] | dict(settings)
        props = {"host": host, "container": container, **login, "name": name, "body": object_text(canonical(body))}
        own = pulumi.ResourceOptions(additional_secret_outputs=["password"], delete_before_replace=True)
        super().__init__(_Provider(), name, props, pulumi.ResourceOptions.merge(opts, own))


def _client(props: dict[str, Any]) -> IndexTemplateClient:
    require_published_port(props, props["host"])
    return IndexTemplateClient(ElasticsearchServer(*(props.get(key, "") for key in SERVER)))
