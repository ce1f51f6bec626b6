"""A Kibana saved object as a Pulumi resource, with drift detection."""

from __future__ import annotations

import json
from collections.abc import Mapping
from graphlib import TopologicalSorter
from typing import Any

import pulumi
from pulumi.dynamic import CreateResult, DiffResult, ReadResult, Resource, ResourceProvider, UpdateResult

import infra.provisioning.preload  # noqa: F401
from infra.clients.kibana import KibanaUnavailableError, SavedObjectClient, object_key
from infra.names import ROOT
from infra.provisioning.published_port import PortNotPublishedError, require_published_port
from infra.provisioning.server_object import object_diff, object_text

SERVER = ("url", "username", "password")
OBJECTS = ROOT / "mappings" / "kibana"


class _Provider(ResourceProvider):
    def diff(self, id_: str, old: dict[str, Any], new: dict[str, Any]) -> DiffResult:
        return object_diff(SERVER, old, new)

    def create(self, props: dict[str, Any]) -> CreateResult:
        return CreateResult(props["name"], _put(props))

    def read(self, id_: str, props: dict[str, Any]) -> ReadResult:
        declared = json.loads(props["body"])
        try:
            found = _client(props).read(declared["type"], declared["id"])
        except (KibanaUnavailableError, PortNotPublishedError):
            # Its container may be gone: the `up` that recreates it must then import again.
            found = None
        if found is None:
            return ReadResult(None, {})
        drifted = object_text(found) != props["stored"]
        return ReadResult(id_, props | ({"body": object_text(declared | found)} if drifted else {}))

    def update(self, id_: str, old: dict[str, Any], new: dict[str, Any]) -> UpdateResult:
        return UpdateResult(_put(new))

    def delete(self, id_: str, props: dict[str, Any]) -> None:
        declared = json.loads(props["body"])
        _client(props).delete(declared["type"], declared["id"])


class SavedObject(Resource, module="kibana", name="SavedObject"):
    """The object `body`, in its file's form, in the Kibana at `url`. `login` has username and password, which are sent
    only while `container` publishes the port of `url`.

    Kibana may store more than it received (a newer Kibana migrates objects), so the state keeps the object as it was
    `stored`: a later difference from that is drift, an edit by hand.
    """

    name: pulumi.Output[str]
    stored: pulumi.Output[str]

    def __init__(
        self,
        url: str,
        container: str,
        login: Mapping[str, pulumi.Input[str]],
        body: Mapping[str, Any],
        opts: pulumi.ResourceOptions,
    ) -> None:
        name = object_key(body)
        props = {"url": url, "container": container, **login, "name": name, "body": object_text(body), "stored": None}
        own = pulumi.ResourceOptions(additional_secret_outputs=["password"], delete_before_replace=True)
        super().__init__(_Provider(), name, props, pulumi.ResourceOptions.merge(opts, own))


def declare_saved_objects(
    url: str, container: str, login: Mapping[str, pulumi.Input[str]], opts: pulumi.ResourceOptions
) -> None:
    """Declare every object of mappings/kibana/ in the Kibana at `url`, each after the objects it references."""
    files = [json.loads(path.read_text(encoding="utf-8")) for path in OBJECTS.glob("*/*.json")]
    bodies = {object_key(body): body for body in files}
    needs = {name: [object_key(reference) for reference in body["references"]] for name, body in bodies.items()}
    declared: dict[str, SavedObject] = {}
    for name in TopologicalSorter(needs).static_order():
        after = pulumi.ResourceOptions(depends_on=[declared[other] for other in needs[name]])
        declared[name] = SavedObject(url, container, login, bodies[name], pulumi.ResourceOptions.merge(opts, after))


def _put(props: dict[str, Any]) -> dict[str, Any]:
    found = _client(props).put(json.loads(props["body"]))
    return props | {"stored": object_text(found)}


def _client(props: dict[str, Any]) -> SavedObjectClient:
    require_published_port(props, props["url"])
    return SavedObjectClient(*(props.get(key, "") for key in SERVER))
