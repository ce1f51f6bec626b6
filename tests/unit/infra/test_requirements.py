"""The locked Python packages: each file has what its source asks for, and pip verifies every package's hash. And the
version of Pulumi."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from infra.names import ROOT

SOURCES = sorted(
    path.relative_to(ROOT) for path in [*ROOT.glob("requirements*.in"), *ROOT.glob("[!.]*/requirements*.in")]
)
PINNED = re.compile(r"^([A-Za-z0-9-]+)==([^\s;]+)", re.MULTILINE)


def pinned(path: Path) -> dict[str, str]:
    """The versions in a file by package name."""
    return {name.lower(): version for name, version in PINNED.findall((ROOT / path).read_text())}


@pytest.mark.parametrize("source", SOURCES, ids=str)
def test_locked_versions_are_those_of_the_source(source: Path) -> None:
    locked = pinned(source.with_suffix(".txt"))
    assert pinned(source).items() <= locked.items(), "run tools/lock.sh"


@pytest.mark.parametrize("source", SOURCES, ids=str)
def test_every_locked_package_has_a_hash(source: Path) -> None:
    """With one hash in a file, pip refuses each package without one."""
    packages = re.split(r"^(?=[a-z])", (ROOT / source.with_suffix(".txt")).read_text(), flags=re.MULTILINE)[1:]
    assert packages
    assert [each.splitlines()[0] for each in packages if "--hash=sha256:" not in each] == []


def test_a_package_has_one_version_in_all_files() -> None:
    everything = pinned(Path("requirements-test.txt"))
    for source in SOURCES:
        assert pinned(source.with_suffix(".txt")).items() <= everything.items(), source


def test_pulumi_itself_refuses_other_minor_versions_than_the_one_that_setup_installs() -> None:
    """For plain `pulumi up`, without set-up."""
    (version,) = re.findall(r"^PULUMI_VERSION=(\S+)", (ROOT / "tools/versions.env").read_text(), re.MULTILINE)
    major, minor, _ = map(int, version.split("."))
    required = yaml.safe_load((ROOT / "Pulumi.yaml").read_text())["requiredPulumiVersion"]
    assert required == f">={version} <{major}.{minor + 1}.0"
