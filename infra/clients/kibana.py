"""Saved objects of Kibana (data views, Lens panels, dashboards), as files and as a plain client sees them.

A file holds one object as Kibana exports it, but for this: where Kibana keeps JSON as text inside JSON, the file has
the JSON itself, so that people can read it and a diff shows what has changed.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

import requests
from tenacity import RetryError, Retrying, retry_if_result, stop_after_delay, wait_fixed

TIMEOUT_SECONDS = 30
START_SECONDS = 180
"""How long Kibana may take from its first answer until all of its plugins are there."""

JSON_TEXTS = {
    "index-pattern": {"fieldAttrs", "fieldFormatMap", "fields", "runtimeFieldMap", "sourceFilters", "typeMeta"},
    "dashboard": {"ignoreParentSettingsJSON", "optionsJSON", "panelsJSON", "searchSourceJSON"},
}
"""The attributes, at any depth, that Kibana keeps as text with JSON in it, by the object's type."""


class SavedObjectError(Exception):
    """Kibana refused a saved object, or did not do what it said."""


class KibanaUnavailableError(SavedObjectError):
    """Kibana does not answer, or not yet."""


class SavedObjectClient:
    """Puts, reads and deletes saved objects of one Kibana, in its default space."""

    def __init__(self, url: str) -> None:
        self._url = url

    def put(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """Import the object, over one that is there, and return it as Kibana then has it.

        Waits for a Kibana that is still starting. Raises SavedObjectError with Kibana's reason.
        """
        self._wait_until_available()
        line = json.dumps(encode_json_attributes(body))
        answer = self._ask(
            "POST",
            "/api/saved_objects/_import",
            params={"overwrite": "true"},
            files={"file": ("objects.ndjson", line, "application/x-ndjson")},
        )
        if complaint := _complaint_of_import(body["id"], self._success(answer).json()):
            raise SavedObjectError(f"Kibana at {self._url} did not import {object_key(body)}: {complaint}")
        found = self.read(body["type"], body["id"])
        if found is None:
            raise SavedObjectError(
                f"Kibana at {self._url} says that it imported {object_key(body)}, but does not have it"
            )
        return found

    def read(self, type_: str, id_: str) -> dict[str, Any] | None:
        """The object as Kibana has it, in canonical form; None where it is not there. Raises SavedObjectError."""
        exported = self.export(type_, id_, with_references=False)
        return canonical(exported[0]) if exported else None

    def export(self, type_: str, id_: str, with_references: bool) -> list[dict[str, Any]]:
        """The object, and all that it refers to if asked for, as Kibana exports them; nothing where it is not there.

        Raises SavedObjectError.
        """
        answer = self._ask(
            "POST",
            "/api/saved_objects/_export",
            json={
                "objects": [{"type": type_, "id": id_}],
                "includeReferencesDeep": with_references,
                "excludeExportDetails": True,
            },
        )
        if answer.status_code == 400 and _not_found(answer):
            return []
        return [json.loads(line) for line in self._success(answer).text.splitlines()]

    def delete(self, type_: str, id_: str) -> None:
        """Delete the object; one that is not there is no error. Raises SavedObjectError."""
        answer = self._ask("DELETE", f"/api/saved_objects/{type_}/{id_}", params={"force": "true"})
        if answer.status_code != 404:
            self._success(answer)

    def _wait_until_available(self) -> None:
        try:
            Retrying(
                retry=retry_if_result(lambda complaint: complaint is not None),
                stop=stop_after_delay(START_SECONDS),
                wait=wait_fixed(1),
            )(self._complaint)
        except RetryError as error:
            raise KibanaUnavailableError(
                f"Kibana at {self._url} is not available after {START_SECONDS} s: {error.last_attempt.result()}"
            ) from None

    def _complaint(self) -> str | None:
        """What keeps Kibana from being available; None where nothing does."""
        try:
            # While it starts it answers 503 with plain text; then with JSON, whose level is behind the plugins'.
            level = self._success(self._ask("GET", "/api/status")).json()["status"]["overall"]["level"]
        except SavedObjectError as error:
            return str(error)
        return None if level == "available" else f"its status is {level}"

    def _ask(self, method: str, path: str, **what: Any) -> requests.Response:
        try:
            answer = requests.request(
                method,
                self._url + path,
                headers={"kbn-xsrf": "lolstack"},  # Kibana wants the header; any value does
                timeout=TIMEOUT_SECONDS,
                **what,
            )
        except requests.RequestException as error:
            raise KibanaUnavailableError(f"Kibana at {self._url} does not answer: {error}") from error
        if answer.status_code == 503:
            raise KibanaUnavailableError(f"Kibana at {self._url} is not ready: {answer.text}")
        return answer

    def _success(self, answer: requests.Response) -> requests.Response:
        if not answer.ok:
            raise SavedObjectError(
                f"Kibana at {self._url} answers {answer.status_code} to {answer.request.method} "
                f"{answer.request.path_url}: {answer.text}"
            )
        return answer


def object_key(body: Mapping[str, Any]) -> str:
    """What people and references call the object: its type and id."""
    return f"{body['type']}/{body['id']}"


def canonical(body: Mapping[str, Any]) -> dict[str, Any]:
    """What two forms of one object are compared by, unfolded: Kibana's times, versions and order say nothing."""
    plain = decode_json_attributes(body)
    references = sorted(plain["references"], key=lambda reference: str(reference["name"]))
    return {"type": plain["type"], "id": plain["id"], "attributes": plain["attributes"], "references": references}


def file_text(body: Mapping[str, Any]) -> str:
    """The object's file: its canonical form, and the versions that tell Kibana whether it has to migrate it."""
    versions = {key: body[key] for key in ("coreMigrationVersion", "typeMigrationVersion", "managed")}
    return json.dumps(canonical(body) | versions, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def encode_json_attributes(body: Mapping[str, Any]) -> dict[str, Any]:
    """The object as Kibana takes it: JSON as text where Kibana wants text."""
    return _each_text(body, lambda value: value if isinstance(value, str) else json.dumps(value))


def decode_json_attributes(body: Mapping[str, Any]) -> dict[str, Any]:
    """The object as its file has it: no JSON as text."""
    return _each_text(body, lambda value: json.loads(value) if isinstance(value, str) else value)


def _each_text(body: Mapping[str, Any], change: Callable[[Any], Any]) -> dict[str, Any]:
    texts = JSON_TEXTS.get(body["type"], set())

    def walk(value: Any) -> Any:
        if isinstance(value, Mapping):
            return {key: change(part) if key in texts else walk(part) for key, part in value.items()}
        return [walk(part) for part in value] if isinstance(value, list) else value

    return {**body, "attributes": walk(body["attributes"])}


def _complaint_of_import(id_: str, outcome: Mapping[str, Any]) -> str | None:
    """What an import's answer, which is 200 either way, has against it."""
    if not outcome["success"]:
        # `successCount` counts healthy objects that were not written either: `success` alone says it.
        return "; ".join(json.dumps(error["error"]) for error in outcome.get("errors", [])) or "it does not say why"
    others = [
        result["destinationId"] for result in outcome["successResults"] if result.get("destinationId", id_) != id_
    ]
    if others:
        return f"its id is taken in another space, and it became {others[0]}; delete the other one and try again"
    return None


def _not_found(answer: requests.Response) -> bool:
    """Whether an export failed because what it should export is not there."""
    objects = answer.json().get("attributes", {}).get("objects", [])
    return bool(objects) and all(entry.get("error", {}).get("statusCode") == 404 for entry in objects)
