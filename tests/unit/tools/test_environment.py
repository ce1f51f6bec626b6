"""The environment of `tools/env.sh`: DOCKER_HOST from the Docker context, and no proxy for this machine."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
VARIABLES = (
    "DOCKER_HOST",
    "DOCKER_CONTEXT",
    "http_proxy",
    "https_proxy",
    "all_proxy",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "ALL_PROXY",
    "no_proxy",
    "NO_PROXY",
)


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """An environment without this machine's proxies, Docker contexts and locale."""
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    monkeypatch.setenv("LC_ALL", "C")  # bash prints a warning if the locale is not installed


def sourced(variable: str) -> str:
    """The value of an exported variable after sourcing env.sh twice, which must print nothing."""
    program = f"unset BASH_ENV; source tools/env.sh; source tools/env.sh; printenv {variable} || true"
    done = subprocess.run(["bash", "-euc", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert not done.stderr
    return done.stdout.rstrip("\n")


def test_no_proxy_includes_this_machine_if_a_proxy_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    assert sourced("no_proxy") == ""
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy:3128")
    assert sourced("no_proxy") == sourced("NO_PROXY") == "localhost,127.0.0.1"
    monkeypatch.setenv("NO_PROXY", ".example.com")
    assert sourced("no_proxy") == ".example.com,localhost,127.0.0.1"


@pytest.mark.skipif(shutil.which("docker") is None, reason="needs Docker's client, not its engine")
@pytest.mark.parametrize("host", ["unix:///run/user/1000/docker.sock", "ssh://a@b", "tcp://10.0.0.5:2376"])
def test_docker_host_follows_the_docker_context(tmp_path: Path, host: str) -> None:
    """Including a remote engine, which preflight then rejects."""
    assert sourced("DOCKER_HOST") == ""
    subprocess.run(
        ["docker", "context", "create", "other", "--docker", f"host={host}"], check=True, capture_output=True
    )
    assert sourced("DOCKER_HOST") == ""
    subprocess.run(["docker", "context", "use", "other"], check=True, capture_output=True)
    assert json.loads((tmp_path / "config.json").read_text())["currentContext"] == "other"
    assert sourced("DOCKER_HOST") == host


def test_docker_host_takes_precedence_over_the_docker_context(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"currentContext": "other"}))
    monkeypatch.setenv("DOCKER_HOST", "unix:///mine.sock")
    assert sourced("DOCKER_HOST") == "unix:///mine.sock"
