"""A fake Kibana: as much of its saved objects' API as the client uses, and the faults that a real one has on bad days.

A real one cannot be made to have them when a test wants them; what it answers then was read in its source
(elastic/kibana: src/core/packages/saved-objects/, routes and import). A real one is met in tests/stack/test_kibana.py.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from email.message import Message
from email.parser import BytesParser
from email.policy import HTTP
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any
from urllib.parse import parse_qs, urlsplit


class FakeKibana:
    """Its objects by type and id, as they were imported; and what is wrong with it."""

    def __init__(self) -> None:
        self.objects: dict[tuple[str, str], dict[str, Any]] = {}
        self.imports = 0
        self.not_ready_for = 0
        """How many requests it still answers with 503."""
        self.levels: list[str] = []
        """What its status says at first, one after the other; `available` afterwards."""
        self.import_error: dict[str, Any] | None = None
        """What it has against every object, in a body that comes with 200."""
        self.other_id: str | None = None
        """The id it gives to what is imported."""
        self.forgets = False
        """Whether it says that it imported, and did not."""
        self.url = ""

    def answer(self, method: str, path: str, headers: Message, body: bytes) -> tuple[int, str]:
        url = urlsplit(path)
        if self.not_ready_for:
            self.not_ready_for -= 1
            return 503, "Kibana server is not ready yet"
        if method != "GET" and "kbn-xsrf" not in headers:
            return 400, json.dumps({"statusCode": 400, "message": "Request must contain a kbn-xsrf header."})
        match method, url.path.split("/")[2:]:
            case "GET", ["status"]:
                level = self.levels.pop(0) if self.levels else "available"
                return 200, json.dumps({"status": {"overall": {"level": level}}})
            case "POST", ["saved_objects", "_import"]:
                return 200, json.dumps(self._import(parse_qs(url.query), headers, body))
            case "POST", ["saved_objects", "_export"]:
                return self._export(json.loads(body))
            case "DELETE", ["saved_objects", type_, id_]:
                return (200, "{}") if self.objects.pop((type_, id_), None) else (404, "{}")
        return 404, "{}"

    def _import(self, query: dict[str, list[str]], headers: Message, body: bytes) -> dict[str, Any]:
        content_type = f"Content-Type: {headers['Content-Type']}\r\n\r\n".encode()
        (part,) = BytesParser(policy=HTTP).parsebytes(content_type + body).iter_parts()
        assert str(part.get_filename()).endswith(".ndjson")
        (line,) = part.get_content().decode().splitlines()
        imported = json.loads(line)
        assert all(isinstance(text, str) for key, text in imported["attributes"].items() if key.endswith("JSON"))
        self.imports += 1
        if self.import_error:
            error = {"type": imported["type"], "id": imported["id"], "error": self.import_error}
            return {"success": False, "successCount": 1, "errors": [error]}
        key = imported["type"], self.other_id or imported["id"]
        assert key not in self.objects or query["overwrite"] == ["true"]
        if not self.forgets:
            self.objects[key] = imported
        other = {"destinationId": self.other_id} if self.other_id else {}
        return {"success": True, "successCount": 1, "successResults": [{"id": imported["id"]} | other]}

    def _export(self, asked: dict[str, Any]) -> tuple[int, str]:
        assert asked["excludeExportDetails"]
        (wanted,) = asked["objects"]
        if (wanted["type"], wanted["id"]) not in self.objects:
            objects = [wanted | {"error": {"statusCode": 404, "error": "Not Found"}}]
            message = "Error fetching objects to export"
            return 400, json.dumps({"statusCode": 400, "message": message, "attributes": {"objects": objects}})
        exported = {(wanted["type"], wanted["id"]): self._exported(wanted)}
        more = list(exported.values()) if asked["includeReferencesDeep"] else []
        while more:
            for reference in more.pop()["references"]:
                key = reference["type"], reference["id"]
                if key not in exported:
                    exported[key] = self._exported(reference)
                    more.append(exported[key])
        return 200, "\n".join(json.dumps(each, sort_keys=True) for each in exported.values())

    def _exported(self, wanted: dict[str, Any]) -> dict[str, Any]:
        """As a newer Kibana has it, which has migrated what it was given, and orders references its own way."""
        found = self.objects[wanted["type"], wanted["id"]]
        own = {"updated_at": "2026-01-01T00:00:00Z", "version": "WzEsMV0=", "typeMigrationVersion": "10.9.0"}
        return found | own | {"references": found["references"][::-1]}


@contextmanager
def running(kibana: FakeKibana) -> Iterator[FakeKibana]:
    """It answers at its `url` meanwhile."""

    class Handler(BaseHTTPRequestHandler):
        def handle_one_request(self) -> None:
            self.raw_requestline = self.rfile.readline()
            if not self.raw_requestline or not self.parse_request():
                self.close_connection = True
                return
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            status, text = kibana.answer(self.command, self.path, self.headers, body)
            self.send_response(status)
            self.send_header("Content-Length", str(len(text.encode())))
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, format: str, *args: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        kibana.url = f"http://127.0.0.1:{server.server_port}"
        try:
            yield kibana
        finally:
            server.shutdown()
            thread.join()
