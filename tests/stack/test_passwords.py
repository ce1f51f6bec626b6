"""No generated password is where somebody without the right to it could read it.

They are in files of the containers, and in Pulumi's state and its secret outputs, encrypted.
"""

from __future__ import annotations

import json
import subprocess
from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.stack import Stack
from harness.waiting import eventually
from infra.images import network_arguments
from infra.logins import user_of
from infra.names import CHECKPOINTS, SPARK_JOB_UI_PORT, SPARK_MASTER_UI_PORT, SPARK_WORKER_UI_PORT

PRIVATE_KEY = "PRIVATE KEY-----"


@pytest.fixture(scope="module", params=["stack", pytest.param("second_stack", marks=pytest.mark.disruptive)])
def deployed(request: pytest.FixtureRequest) -> Stack:
    """The stack under test, and the second one, which is strict: some files are in use there only."""
    stack: Stack = request.getfixturevalue(request.param)
    return stack


@pytest.fixture(scope="module")
def secrets(deployed: Stack) -> dict[str, str]:
    """Every generated password by its login, and in the form that HTTP's basic authentication sends."""
    passwords: dict[str, str] = deployed.outputs["credentials"]
    assert len(passwords) > 1
    pairs = {login: f"{user_of(login)}:{password}" for login, password in passwords.items()}
    basic = {f"{login}, base64": b64encode(pair.encode()).decode() for login, pair in pairs.items()}
    return passwords | basic


def leaks(secrets: dict[str, str], places: Iterator[tuple[str, str]]) -> list[str]:
    """The logins whose password is in a place's text, or a private key, with the place. Never the password."""
    searched = 0
    found = []
    for place, text in places:
        searched += len(text)
        found += [f"{login} in {place}" for login, password in secrets.items() if password in text]
        found += [f"a private key in {place}"] if PRIVATE_KEY in text else []
    assert searched, "nothing was searched"
    return found


def test_docker_inspect_shows_no_password(deployed: Stack, secrets: dict[str, str]) -> None:
    texts = ((service, json.dumps(deployed.container(service).attrs)) for service in deployed.services)
    assert leaks(secrets, texts) == []


def test_no_process_has_a_password_on_its_command_line(secrets: dict[str, str]) -> None:
    """Every local user can read the command lines of all processes."""

    def command_lines() -> Iterator[tuple[str, str]]:
        for path in Path("/proc").glob("[0-9]*/cmdline"):
            try:
                yield str(path), path.read_bytes().decode(errors="replace")
            except OSError:  # the process has ended
                continue

    assert leaks(secrets, command_lines()) == []


def test_no_container_has_a_password_in_its_environment(deployed: Stack, secrets: dict[str, str]) -> None:
    """Spark's worker hands its executors the secret of their application in the environment, which only their own user
    can read: there is no other way."""

    def environments() -> Iterator[tuple[str, str]]:
        for service in deployed.services:
            yield service, "\n".join(deployed.container(service).attrs["Config"]["Env"])

    assert leaks(secrets, environments()) == []


def test_logs_show_no_password(deployed: Stack, secrets: dict[str, str]) -> None:
    assert leaks(secrets, ((service, deployed.log(service)) for service in deployed.services)) == []


def test_pulumis_state_has_passwords_only_encrypted(deployed: Stack, secrets: dict[str, str]) -> None:
    export = ["pulumi", "stack", "export", "--stack", deployed.name]
    run = subprocess.run(export, capture_output=True, text=True, check=True)
    assert leaks(secrets, iter([("the state", run.stdout)])) == []


def test_sparks_pages_show_no_password(deployed: Stack, secrets: dict[str, str]) -> None:
    def pages() -> Iterator[tuple[str, str]]:
        for service, port in (("spark-master", SPARK_MASTER_UI_PORT), ("spark-worker", SPARK_WORKER_UI_PORT)):
            for path in ("/", "/json/"):
                yield f"{service}{path}", deployed.get(service, port, path).text
        (job,) = deployed.get("spark-job", SPARK_JOB_UI_PORT, "/api/v1/applications").json()
        api = f"/api/v1/applications/{job['id']}"
        # Without `details`, for which Spark answers 404 if it drops an old query meanwhile.
        plans = f"{api}/sql?details=false&planDescription=true"
        for path in ("/environment/", "/SQL/", "/StreamingQuery/", f"{api}/environment", plans):
            yield f"spark-job{path}", deployed.get("spark-job", SPARK_JOB_UI_PORT, path).text

    assert leaks(secrets, pages()) == []


def test_checkpoints_have_no_password(deployed: Stack, secrets: dict[str, str]) -> None:
    # The patterns come by standard input: on the command line they would be what is tested above.
    search = ["docker", "exec", "-i", deployed.container_name("spark-job"), "grep", "-rlF", "-f", "-", CHECKPOINTS]

    def find(patterns: str, exit_code: int) -> None:
        """Retried, because the search also ends with an error (2) if the job deletes a file meanwhile."""
        run = subprocess.run(search, input=patterns, capture_output=True, text=True, check=False)
        assert run.returncode == exit_code, f"{run.stdout}{run.stderr}"

    eventually(lambda: find("\n".join(secrets.values()), 1))  # 1: searched, and nothing found
    eventually(lambda: find("lol_matches", 0))


def test_history_of_images_has_no_password_and_no_package_index(deployed: Stack, secrets: dict[str, str]) -> None:
    """The URL of a company's package index often contains a password."""
    addresses = {key: value for key, value in network_arguments().items() if key.startswith(("PIP_INDEX", "MAVEN"))}

    def histories() -> Iterator[tuple[str, str]]:
        for service in deployed.services:
            image = deployed.container(service).image
            assert image is not None
            yield service, json.dumps(image.history())

    assert leaks(secrets | addresses, histories()) == []
