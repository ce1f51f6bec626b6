"""`tools/env.sh`: where what runs in its environment finds Docker's engine, and what it reaches without a proxy."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
CLEAN = (
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
def clean(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Nothing of this machine's proxies, Docker contexts and locale."""
    for name in CLEAN:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    monkeypatch.setenv("LC_ALL", "C")  # bash complains of a locale that is not installed


def sourced(variable: str) -> str:
    """The value of an exported variable after env.sh was sourced twice."""
    program = f"unset BASH_ENV; source tools/env.sh; source tools/env.sh; printenv {variable} || true"
    done = subprocess.run(["bash", "-euc", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert not done.stderr
    return done.stdout.rstrip("\n")


def test_this_machine_is_reached_without_the_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    assert sourced("no_proxy") == ""
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy:3128")
    assert sourced("no_proxy") == sourced("NO_PROXY") == "localhost,127.0.0.1"
    monkeypatch.setenv("NO_PROXY", ".example.com")
    assert sourced("no_proxy") == ".example.com,localhost,127.0.0.1"


@pytest.mark.parametrize("host", ["unix:///run/user/1000/docker.sock", "ssh://a@b", "tcp://10.0.0.5:2376"])
def test_the_docker_context_in_use_is_everybodys(tmp_path: Path, host: str) -> None:
    """Also one on another machine, which preflight then refuses."""
    assert sourced("DOCKER_HOST") == ""
    subprocess.run(
        ["docker", "context", "create", "other", "--docker", f"host={host}"], check=True, capture_output=True
    )
    assert sourced("DOCKER_HOST") == ""
    subprocess.run(["docker", "context", "use", "other"], check=True, capture_output=True)
    assert json.loads((tmp_path / "config.json").read_text())["currentContext"] == "other"
    assert sourced("DOCKER_HOST") == host


def test_docker_host_comes_before_the_context(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"currentContext": "other"}))
    monkeypatch.setenv("DOCKER_HOST", "unix:///mine.sock")
    assert sourced("DOCKER_HOST") == "unix:///mine.sock"
