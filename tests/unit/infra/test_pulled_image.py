"""The pulled image: an error in the pull's progress is reported, and the credentials of `docker login` are used."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from infra.provisioning import pulled_image
from infra.provisioning.pulled_image import PullError
from tests.support.pulumi_program import dynamic_provider

PROVIDER = dynamic_provider(pulled_image)
IMAGE_ID = "sha256:0123"


class Engine(ThreadingHTTPServer):
    """The part of the Docker engine's API that a pull uses."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.images: set[str] = set()
        self.status = 200
        self.progress: list[dict[str, Any]] = [{"status": "Pulling"}]
        self.pulled: list[tuple[str, dict[str, str]]] = []
        """What was requested: path with query, and the credentials sent with it."""


class Handler(BaseHTTPRequestHandler):
    server: Engine
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        if self.path.endswith("/version"):
            self._respond(200, [{"ApiVersion": "1.41"}])
        elif any(name in self.path for name in self.server.images):
            self._respond(200, [{"Id": IMAGE_ID}])
        else:
            self._respond(404, [{"message": "No such image"}])

    def do_POST(self) -> None:
        credentials = json.loads(base64.urlsafe_b64decode(self.headers.get("X-Registry-Auth", "e30=")))
        self.server.pulled.append((self.path, credentials))
        if not any("error" in line for line in self.server.progress):
            self.server.images.add("kafka")
        self._respond(self.server.status, self.server.progress)

    def _respond(self, status: int, lines: list[dict[str, Any]]) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for chunk in (*(json.dumps(line).encode() for line in lines), b""):
            self.wfile.write(f"{len(chunk):x}\r\n".encode() + chunk + b"\r\n")

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Engine]:
    """An engine without images, and a person without logins."""
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    with Engine() as server:
        monkeypatch.setenv("DOCKER_HOST", f"tcp://127.0.0.1:{server.server_address[1]}")
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield server
        server.shutdown()


def test_missing_image_is_pulled_and_an_existing_one_is_not(engine: Engine) -> None:
    inputs = {"name": "apache/kafka:3.9.1", "image_id": None}
    created = PROVIDER.create(inputs)
    assert created.outs is not None
    assert created.outs["image_id"] == IMAGE_ID
    assert "fromImage=apache%2Fkafka" in engine.pulled[0][0]
    assert "tag=3.9.1" in engine.pulled[0][0]
    assert PROVIDER.create(inputs).outs == created.outs
    assert len(engine.pulled) == 1


@pytest.mark.parametrize(
    "message",
    [
        "toomanyrequests: You have reached your pull rate limit.",
        "write /var/lib/docker/tmp/GetImageBlob1: no space left on device",
        "unauthorized: authentication required",
    ],
)
def test_error_in_the_progress_of_a_pull_is_reported(engine: Engine, message: str) -> None:
    engine.progress = [{"status": "Downloading"}, {"errorDetail": {"message": message}, "error": message}]
    with pytest.raises(PullError) as error:
        PROVIDER.create({"name": "apache/kafka:3.9.1", "image_id": None})
    assert str(error.value) == f"apache/kafka:3.9.1 cannot be pulled: {message}"


def test_pull_that_the_engine_refuses_is_reported_with_its_text(engine: Engine) -> None:
    engine.status, engine.progress = 404, [{"message": "manifest for apache/kafka:3.9.1 not found", "error": ""}]
    with pytest.raises(PullError) as error:
        PROVIDER.create({"name": "apache/kafka:3.9.1", "image_id": None})
    assert str(error.value) == "apache/kafka:3.9.1 cannot be pulled: manifest for apache/kafka:3.9.1 not found"


@pytest.mark.parametrize(
    ("registry", "reference"),
    [
        ("https://index.docker.io/v1/", "apache/kafka:3.9.1"),
        ("https://index.docker.io/v1/", "kafka"),
        ("docker.elastic.co", "docker.elastic.co/x/kafka:8"),
        ("localhost:5000", "localhost:5000/mirror/kafka:8"),
    ],
)
def test_pull_uses_the_login_of_its_registry(engine: Engine, tmp_path: Path, registry: str, reference: str) -> None:
    """Docker Hub's too."""
    auth = base64.b64encode(b"me:secret").decode()
    (tmp_path / "config.json").write_text(json.dumps({"auths": {registry: {"auth": auth}}}))
    PROVIDER.create({"name": reference, "image_id": None})
    ((_, credentials),) = engine.pulled
    assert (credentials["username"], credentials["password"]) == ("me", "secret")


def test_pull_uses_the_credential_helper_of_docker_login(
    engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    helper = tmp_path / "docker-credential-test"
    helper.write_text('#!/bin/sh\necho \'{"Username": "me", "Secret": "stored"}\'\n')
    helper.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    (tmp_path / "config.json").write_text(json.dumps({"credsStore": "test"}))
    PROVIDER.create({"name": "apache/kafka:3.9.1", "image_id": None})
    ((_, credentials),) = engine.pulled
    assert (credentials["Username"], credentials["Password"]) == ("me", "stored")


def test_deleted_image_is_drift_and_a_new_name_a_replacement(engine: Engine) -> None:
    created = {"name": "apache/kafka:3.9.1", "image_id": IMAGE_ID}
    assert PROVIDER.read("id", created).id is None
    engine.images = {"kafka"}
    read = PROVIDER.read("id", created)
    assert (read.id, read.outs) == ("id", created)
    same = {"name": "apache/kafka:3.9.1", "image_id": None}
    assert not PROVIDER.diff("id", created, same).changes
    assert PROVIDER.diff("id", created, same | {"name": "apache/kafka:3.9.2"}).replaces == ["name"]
