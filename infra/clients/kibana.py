"""Client for Kibana's saved objects (data views, Lens panels, dashboards), and the format of their files.

A file holds one object as Kibana exports it, with one difference: attributes that Kibana keeps as JSON text inside JSON
are decoded, so that people can read them and a diff shows what has changed.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from typing import Any

import requests
from tenacity import RetryError, Retrying, retry_if_result, stop_after_delay, wait_fixed

from infra.clients.http import Answer, readable, request
from job.errors import first_line

TIMEOUT_SECONDS = 30
START_SECONDS = 180
"""Timeout for Kibana's start: from the first response until its core is available."""

POLL_SECONDS = 1

JSON_TEXTS = {
    "index-pattern": {"fieldAttrs", "fieldFormatMap", "fields", "runtimeFieldMap", "sourceFilters", "typeMeta"},
    "dashboard": {"ignoreParentSettingsJSON", "optionsJSON", "panelsJSON", "searchSourceJSON"},
}
"""The attributes, at any depth, that Kibana keeps as JSON text, by the object's type."""


class SavedObjectError(Exception):
    """Kibana rejected a request about a saved object, or did not do what its response claims."""


class KibanaUnavailableError(SavedObjectError):
    """Kibana does not answer, is still starting, or refuses the login: that of another deployment."""


class SavedObjectClient:
    """Imports, exports, reads and deletes saved objects in Kibana's default space."""

    def __init__(self, url: str, username: str = "", password: str = "") -> None:
        self._url = url
        self._session = requests.Session()
        # Kibana requires the header, with any value.
        self._session.headers["kbn-xsrf"] = "lolstack"
        if username:
            self._session.auth = (username, password)

    def put(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """Import the object, overwriting an existing one, and return it as Kibana stores it, in canonical form.

        Waits until Kibana is available. Raises SavedObjectError with Kibana's reason.
        """
        self._wait_until_available()
        line = json.dumps(encode_json_attributes(body))
        answer = self._request(
            "POST",
            "/api/saved_objects/_import",
            params={"overwrite": "true"},
            files={"file": ("objects.ndjson", line, "application/x-ndjson")},
        )
        with self._readable():
            reason = _import_failure(body["id"], self._success(answer).json())
        if reason:
            raise SavedObjectError(f"Kibana at {self._url} did not import {object_key(body)}: {reason}")
        found = self.read(body["type"], body["id"])
        if found is None:
            raise SavedObjectError(
                f"Kibana at {self._url} reports that it imported {object_key(body)}, but does not have it"
            )
        return found

    def read(self, type_: str, id_: str) -> dict[str, Any] | None:
        """The object as Kibana stores it, in canonical form; None if it does not exist. Raises SavedObjectError."""
        exported = self.export(type_, id_, with_references=False)
        with self._readable():
            return canonical(exported[0]) if exported else None

    def export(self, type_: str, id_: str, with_references: bool) -> list[dict[str, Any]]:
        """The object as Kibana exports it, optionally with everything it refers to; empty if it does not exist.

        Raises SavedObjectError, also if Kibana leaves out some of it: its response has status 200, and names it in the
        last line only.
        """
        answer = self._request(
            "POST",
            "/api/saved_objects/_export",
            json={"objects": [{"type": type_, "id": id_}], "includeReferencesDeep": with_references},
        )
        with self._readable():
            if answer.status == 400 and _not_found(answer):
                return []
            *objects, details = [json.loads(line) for line in self._success(answer).text.splitlines()]
            left_out = [object_key(each) for each in (*details["missingReferences"], *details["excludedObjects"])]
        if left_out:
            raise SavedObjectError(
                f"Kibana at {self._url} does not export all of {type_}/{id_}: {', '.join(sorted(set(left_out)))}"
            )
        return objects

    def delete(self, type_: str, id_: str) -> None:
        """Delete the object, if it exists. Raises SavedObjectError."""
        answer = self._request("DELETE", f"/api/saved_objects/{type_}/{id_}", params={"force": "true"})
        if answer.status != 404:
            self._success(answer)

    def _wait_until_available(self) -> None:
        try:
            Retrying(
                retry=retry_if_result(lambda reason: reason is not None),
                stop=stop_after_delay(START_SECONDS),
                wait=wait_fixed(POLL_SECONDS),
            )(self._unavailable_reason)
        except RetryError as error:
            raise KibanaUnavailableError(
                f"Kibana at {self._url} is not available after {START_SECONDS} s: {error.last_attempt.result()}"
            ) from None

    def _unavailable_reason(self) -> str | None:
        """Why Kibana is not available; None if it is."""
        try:
            # 503 until its core is up. The level in the answer is also that of its plugins, which can stay degraded.
            self._success(self._request("GET", "/api/status"))
        except SavedObjectError as error:
            return str(error)
        return None

    def _request(self, method: str, path: str, **what: Any) -> Answer:
        try:
            answer = request(self._session, method, self._url + path, TIMEOUT_SECONDS, **what)
        except requests.RequestException as error:
            raise KibanaUnavailableError(f"Kibana at {self._url} does not answer: {error}") from error
        if answer.status == 503:
            raise KibanaUnavailableError(f"Kibana at {self._url} is not ready: {first_line(answer.text)}")
        if answer.status == 401:
            raise KibanaUnavailableError(f"Kibana at {self._url} refuses the login: deploy the stack again")
        return answer

    def _success(self, answer: Answer) -> Answer:
        if answer.status >= 300:
            raise SavedObjectError(
                f"Kibana at {self._url} answers {answer.status} to {answer.request}: {first_line(answer.text)}"
            )
        return answer

    def _readable(self) -> AbstractContextManager[None]:
        return readable(SavedObjectError, f"Kibana at {self._url}")


def object_key(body: Mapping[str, Any]) -> str:
    """The object's key, `type/id`: its file's path, and its name in references and errors."""
    return f"{body['type']}/{body['id']}"


def canonical(body: Mapping[str, Any]) -> dict[str, Any]:
    """The object in one canonical form, decoded, so that only a difference in meaning is drift.

    Kibana's timestamps, versions, the order of references, and what its use writes are left out.
    """
    plain = decode_json_attributes(body)
    attributes = _without_traces_of_use(plain["type"], plain["attributes"])
    references = sorted(plain["references"], key=lambda reference: str(reference["name"]))
    return {"type": plain["type"], "id": plain["id"], "attributes": attributes, "references": references}


def file_text(body: Mapping[str, Any]) -> str:
    """The content of the object's file: canonical form, and the versions by which Kibana decides about migrations."""
    versions = {key: body[key] for key in ("coreMigrationVersion", "typeMigrationVersion", "managed")}
    return json.dumps(canonical(body) | versions, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def encode_json_attributes(body: Mapping[str, Any]) -> dict[str, Any]:
    """The object in Kibana's form: attributes that Kibana keeps as JSON text are serialized."""
    return _map_json_texts(body, lambda value: value if isinstance(value, str) else json.dumps(value))


def decode_json_attributes(body: Mapping[str, Any]) -> dict[str, Any]:
    """The object in its file's form: attributes that Kibana keeps as JSON text are parsed."""
    return _map_json_texts(body, lambda value: json.loads(value) if isinstance(value, str) else value)


def _without_traces_of_use(type_: str, attributes: Mapping[str, Any]) -> dict[str, Any]:
    """The attributes without those that Kibana adds of itself and that change nothing."""
    kept = dict(attributes)
    if type_ == "index-pattern":
        if kept.get("allowHidden") is False:  # the default
            del kept["allowHidden"]
        if "fieldAttrs" in kept:
            # Discover counts how often each field was chosen.
            fields = {
                field: {key: value for key, value in attrs.items() if key != "count"}
                for field, attrs in kept["fieldAttrs"].items()
            }
            kept["fieldAttrs"] = {field: attrs for field, attrs in fields.items() if attrs}
    if type_ == "lens" and "state" in kept:
        # The editor of panels also writes the sources that the panel does not use.
        sources = kept["state"]["datasourceStates"]
        used = {name: source for name, source in sources.items() if source.get("layers")}
        kept["state"] = kept["state"] | {"datasourceStates": used}
    return kept


def _map_json_texts(body: Mapping[str, Any], change: Callable[[Any], Any]) -> dict[str, Any]:
    texts = JSON_TEXTS.get(body["type"], set())

    def walk(value: Any) -> Any:
        if isinstance(value, Mapping):
            return {key: change(part) if key in texts else walk(part) for key, part in value.items()}
        return [walk(part) for part in value] if isinstance(value, list) else value

    return {**body, "attributes": walk(body["attributes"])}


def _import_failure(id_: str, outcome: Mapping[str, Any]) -> str | None:
    """Why an import failed, from its response, whose status is 200 either way; None if it succeeded."""
    if not outcome["success"]:
        # Only `success` is reliable: `successCount` also counts valid objects that were not written.
        return "; ".join(json.dumps(error["error"]) for error in outcome.get("errors", [])) or "without a reason"
    others = [
        result["destinationId"] for result in outcome["successResults"] if result.get("destinationId", id_) != id_
    ]
    if others:
        return f"its id is taken in another space, and it became {others[0]}; delete the other one and try again"
    return None


def _not_found(answer: Answer) -> bool:
    """Whether an export failed because the object does not exist."""
    objects = answer.json().get("attributes", {}).get("objects", [])
    return bool(objects) and all(entry.get("error", {}).get("statusCode") == 404 for entry in objects)
