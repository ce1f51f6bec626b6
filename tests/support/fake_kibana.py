"""A fake Kibana with the saved objects API of the real one, and with faults that a test can choose.

A real Kibana cannot be made to fail on demand. The responses follow its source (elastic/kibana:
src/core/packages/saved-objects/, routes and import). tests/stack/test_kibana.py tests against a real one.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from werkzeug import Request, Response

from tests.support.http_server import HTTPServer


class FakeKibana:
    """Its saved objects by type and id, as they were imported, and its faults."""

    def __init__(self) -> None:
        self.objects: dict[tuple[str, str], dict[str, Any]] = {}
        self.imports = 0
        self.not_ready_for = 0
        """Fault: the number of requests that it still answers with 503."""
        self.levels: list[str] = []
        """Fault: the levels of its core at first, in order; `available` afterwards."""
        self.plugins = "available"
        """The level of its plugins, and so of the whole where its core is available."""
        self.import_error: dict[str, Any] | None = None
        """Fault: the error of every imported object, in a response with status 200."""
        self.other_id: str | None = None
        """Fault: the id that it gives to an imported object."""
        self.forgets = False
        """Fault: it reports a successful import without storing the object."""
        self.excluded: set[tuple[str, str]] = set()
        """Fault: the objects, by type and id, that it does not export. Nor does it export those that do not exist; the
        status is 200 either way."""
        self.rejection: str | None = None
        """Fault: the text of a 422 for every request."""
        self.password: str | None = None
        """The only one that it accepts; None for any login, or none. Its status needs no login."""
        self.url = ""

    def respond(self, request: Request) -> Response:
        """The response to any request."""
        if self.not_ready_for:
            self.not_ready_for -= 1
            return Response("Kibana server is not ready yet", 503)
        if request.path != "/api/status" and not self._accepts(request):
            return Response("", 401)
        if self.rejection:
            return Response(self.rejection, 422)
        if request.method != "GET" and "kbn-xsrf" not in request.headers:
            return _json({"statusCode": 400, "message": "Request must contain a kbn-xsrf header."}, 400)
        match request.method, request.path.split("/")[2:]:
            case "GET", ["status"]:
                core = self.levels.pop(0) if self.levels else "available"
                overall = self.plugins if core == "available" else core
                return _json({"status": {"overall": {"level": overall}}}, 200 if core == "available" else 503)
            case "POST", ["saved_objects", "_import"]:
                return _json(self._import(request))
            case "POST", ["saved_objects", "_export"]:
                return self._export(request.get_json())
            case "DELETE", ["saved_objects", type_, id_]:
                return _json({}, 200 if self.objects.pop((type_, id_), None) else 404)
        return _json({}, 404)

    def _accepts(self, request: Request) -> bool:
        login = request.authorization
        return self.password is None or (login is not None and login.password == self.password)

    def _import(self, request: Request) -> dict[str, Any]:
        file = request.files["file"]
        assert str(file.filename).endswith(".ndjson")
        (line,) = file.read().decode().splitlines()
        imported = json.loads(line)
        assert all(isinstance(text, str) for key, text in imported["attributes"].items() if key.endswith("JSON"))
        self.imports += 1
        if self.import_error:
            error = {"type": imported["type"], "id": imported["id"], "error": self.import_error}
            return {"success": False, "successCount": 1, "errors": [error]}
        key = imported["type"], self.other_id or imported["id"]
        assert key not in self.objects or request.args["overwrite"] == "true"
        if not self.forgets:
            self.objects[key] = imported
        other = {"destinationId": self.other_id} if self.other_id else {}
        return {"success": True, "successCount": 1, "successResults": [{"id": imported["id"]} | other]}

    def _export(self, query: Mapping[str, Any]) -> Response:
        (wanted,) = query["objects"]
        if (wanted["type"], wanted["id"]) not in self.objects:
            objects = [wanted | {"error": {"statusCode": 404, "error": "Not Found"}}]
            message = "Error fetching objects to export"
            return _json({"statusCode": 400, "message": message, "attributes": {"objects": objects}}, 400)
        exported = {(wanted["type"], wanted["id"]): self._exported(wanted)}
        missing: list[dict[str, Any]] = []
        excluded: list[dict[str, Any]] = []
        more = list(exported.values()) if query["includeReferencesDeep"] else []
        while more:
            for reference in more.pop()["references"]:
                key = reference["type"], reference["id"]
                if key in self.excluded:
                    excluded.append({"type": key[0], "id": key[1], "reason": "excluded"})
                elif key not in self.objects:
                    missing.append({"type": key[0], "id": key[1]})
                elif key not in exported:
                    exported[key] = self._exported(reference)
                    more.append(exported[key])
        details = {"exportedCount": len(exported), "missingRefCount": len(missing), "missingReferences": missing}
        details |= {"excludedObjectsCount": len(excluded), "excludedObjects": excluded}
        return Response("\n".join(json.dumps(each, sort_keys=True) for each in (*exported.values(), details)))

    def _exported(self, wanted: Mapping[str, Any]) -> dict[str, Any]:
        """The object as a newer Kibana exports it: migrated, and with its references in another order."""
        found = self.objects[wanted["type"], wanted["id"]]
        own = {"updated_at": "2026-01-01T00:00:00Z", "version": "WzEsMV0=", "typeMigrationVersion": "10.9.0"}
        return found | own | {"references": found["references"][::-1]}


@contextmanager
def running(kibana: FakeKibana) -> Iterator[FakeKibana]:
    """Serve the fake Kibana at its `url`."""
    with HTTPServer() as server:
        server.expect_request(re.compile("")).respond_with_handler(kibana.respond)
        kibana.url = server.url_for("").rstrip("/")
        yield kibana
        server.check_assertions()


def _json(body: Mapping[str, Any], status: int = 200) -> Response:
    return Response(json.dumps(body), status)
