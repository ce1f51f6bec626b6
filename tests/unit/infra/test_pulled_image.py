"""The pulled image: an error in the pull's progress is reported, and the credentials of `docker login` are used."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from werkzeug import Request, Response

from infra.provisioning import pulled_image
from infra.provisioning.pulled_image import PullError
from tests.support.http_server import HTTPServer
from tests.support.pulumi_program import dynamic_provider

PROVIDER = dynamic_provider(pulled_image)
IMAGE_ID = "sha256:0123"


class Engine:
    """The part of the Docker engine's API that a pull uses."""

    def __init__(self) -> None:
        self.images: set[str] = set()
        self.status = 200
        self.progress: list[dict[str, Any]] = [{"status": "Pulling"}]
        self.pulled: list[tuple[dict[str, str], dict[str, str]]] = []
        """What was requested: the query's parameters, and the credentials sent with it."""

    def respond(self, request: Request) -> Response:
        """The response to any request."""
        if request.method == "POST":
            credentials = json.loads(base64.urlsafe_b64decode(request.headers.get("X-Registry-Auth", "e30=")))
            self.pulled.append((dict(request.args), credentials))
            if not any("error" in line for line in self.progress):
                self.images.add("kafka")
            return _response(self.status, self.progress)
        if request.path.endswith("/version"):
            return _response(200, [{"ApiVersion": "1.41"}])
        if any(name in request.path for name in self.images):
            return _response(200, [{"Id": IMAGE_ID}])
        return _response(404, [{"message": "No such image"}])


def _response(status: int, lines: list[dict[str, Any]]) -> Response:
    """A line a chunk, without which docker-py reads the first line only."""
    chunks = (f"{len(each):x}\r\n{each}\r\n" for each in (*map(json.dumps, lines), ""))
    return Response(chunks, status, {"Transfer-Encoding": "chunked"}, content_type="application/json")


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Engine]:
    """An engine without images, and a person without logins."""
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    with HTTPServer(host="127.0.0.1") as server:
        monkeypatch.setenv("DOCKER_HOST", f"tcp://127.0.0.1:{server.port}")
        found = Engine()
        server.expect_request(re.compile("")).respond_with_handler(found.respond)
        yield found
        server.check_assertions()


def test_missing_image_is_pulled_and_an_existing_one_is_not(engine: Engine) -> None:
    inputs = {"name": "apache/kafka:3.9.1", "image_id": None}
    created = PROVIDER.create(inputs)
    assert created.outs is not None
    assert created.outs["image_id"] == IMAGE_ID
    assert engine.pulled == [({"fromImage": "apache/kafka", "tag": "3.9.1"}, {})]
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


@pytest.mark.filterwarnings("ignore:docker-credential-nowhere not installed")
def test_missing_credential_helper_is_named_with_the_file_that_names_it(engine: Engine, tmp_path: Path) -> None:
    """Docker Desktop leaves `credsStore: desktop` in config.json."""
    (tmp_path / "config.json").write_text(json.dumps({"credsStore": "nowhere"}))
    with pytest.raises(PullError, match=r"^the login for the registry of apache/kafka:3\.9\.1 cannot be read") as error:
        PROVIDER.create({"name": "apache/kafka:3.9.1", "image_id": None})
    for part in ("docker-credential-nowhere", f"{tmp_path}/config.json", "set lolstack:imageSource to build"):
        assert part in str(error.value)
    assert engine.pulled == []


def test_deleted_image_is_drift_and_a_new_name_a_replacement(engine: Engine) -> None:
    created = {"name": "apache/kafka:3.9.1", "image_id": IMAGE_ID}
    assert PROVIDER.read("id", created).id is None
    engine.images = {"kafka"}
    read = PROVIDER.read("id", created)
    assert (read.id, read.outs) == ("id", created)
    same = {"name": "apache/kafka:3.9.1", "image_id": None}
    assert not PROVIDER.diff("id", created, same).changes
    assert PROVIDER.diff("id", created, same | {"name": "apache/kafka:3.9.2"}).replaces == ["name"]
