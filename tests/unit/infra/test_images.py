"""The two sources of images: where each image is found, and that what is built is named by what goes into it."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from xml.etree import ElementTree

import pytest

from infra import versions
from infra.images import RECIPES, ROOT, Recipe, _digest, _files, network_arguments
from infra.images.source import Source, mirrored
from tests.support.pulumi_program import settings


@pytest.mark.parametrize(
    ("reference", "expected"),
    [
        ("cassandra:5.0.9", "mirror:5000/x/library/cassandra:5.0.9"),
        ("apache/kafka:3.9.1", "mirror:5000/x/apache/kafka:3.9.1"),
        ("docker.elastic.co/kibana/kibana:8", "mirror:5000/x/kibana/kibana:8"),
        ("localhost:5000/a/b:1", "mirror:5000/x/a/b:1"),
    ],
)
def test_a_mirror_serves_the_official_names(reference: str, expected: str) -> None:
    assert mirrored(reference, "mirror:5000/x") == expected
    assert mirrored(reference, "") == reference


def test_an_image_setting_replaces_the_pinned_reference() -> None:
    source = Source("registry", "", settings(images={"kafka": "example.com/kafka:1"}, registryMirror="mirror"))
    assert source.reference("kafka") == "example.com/kafka:1"
    assert source.reference("prometheus") == f"mirror/prom/prometheus:{versions.PROMETHEUS}"


def test_official_images_are_pinned_to_a_full_version() -> None:
    for service, reference in versions.OFFICIAL_IMAGES.items():
        assert re.search(r":v?\d+\.\d+", reference), service


def test_built_images_have_a_recipe_and_an_official_twin() -> None:
    for service in versions.BUILT_IMAGES:
        assert service in RECIPES
        assert service in versions.OFFICIAL_IMAGES


def test_kibana_and_grafana_cannot_be_built_and_the_reason_says_so() -> None:
    source = Source("build", "no registry answers", settings())
    assert not source.has("kibana")
    assert not source.has("grafana")
    assert "none of them has it" in source.why_not("kibana")


def test_a_tag_changes_with_any_file_of_its_context(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("1")
    before = _digest(_files(tmp_path, [""]))
    assert _digest(_files(tmp_path, [""])) == before
    (tmp_path / "a").write_text("2")
    assert _digest(_files(tmp_path, [""])) != before


def test_the_built_versions_are_the_pinned_ones() -> None:
    pins = {"kafka": versions.KAFKA, "elasticsearch": versions.ELASTIC, "cassandra": versions.CASSANDRA}
    for service, version in pins.items():
        context = ROOT / RECIPES[service].context
        texts = [path.read_text() for path in context.rglob("*") if path.suffix in (".xml", "") and path.is_file()]
        assert any(version in text for text in texts), f"images/{service} does not build {version}"


def test_every_context_is_relative_so_that_the_state_fits_any_checkout() -> None:
    for recipe in RECIPES.values():
        assert not Path(recipe.context).is_absolute()
        assert (ROOT / recipe.context / "Dockerfile").is_file()


@pytest.mark.parametrize(("kind", "pulled"), [("registry", {"base", "kafka"}), ("build", set())])
def test_the_source_decides_what_is_pulled(kind: str, pulled: set[str]) -> None:
    source = Source(kind, "", settings())  # type: ignore[arg-type]
    assert {name for name in ("base", "kafka", "spark", "job", "generator") if name in source.official()} == pulled


def test_builds_go_the_hosts_way_out(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in (
        "http_proxy",
        "HTTP_PROXY",
        "https_proxy",
        "no_proxy",
        "NO_PROXY",
        "PIP_INDEX_URL",
        "PIP_TRUSTED_HOST",
    ):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy:3128")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("PIP_CONFIG_FILE", str(tmp_path / "pip.conf"))
    (tmp_path / "pip.conf").write_text("[global]\nindex-url = https://mirror/simple?a=b\ntrusted-host = one\n    two\n")
    (tmp_path / ".m2").mkdir()
    (tmp_path / ".m2" / "settings.xml").write_text("<settings/>")
    expected = {
        "HTTPS_PROXY": "http://proxy:3128",
        "PIP_INDEX_URL": "https://mirror/simple?a=b",
        "PIP_TRUSTED_HOST": "one\ntwo",
        "MAVEN_SETTINGS": "<settings/>",
    }
    assert network_arguments.__wrapped__() == expected
    monkeypatch.setenv("PIP_INDEX_URL", "https://other/simple")
    assert network_arguments.__wrapped__() == expected | {"PIP_INDEX_URL": "https://other/simple"}


@pytest.mark.parametrize("recipe", RECIPES.values(), ids=list(RECIPES))
def test_each_build_that_fetches_packages_takes_what_it_needs_for_it(recipe: Recipe) -> None:
    dockerfile = (ROOT / recipe.context / "Dockerfile").read_text()
    assert dockerfile.count("RUN mvn") == dockerfile.count("ARG MAVEN_SETTINGS\nRUN mvn")
    if "pip install" in dockerfile:
        assert "ARG PIP_INDEX_URL\nARG PIP_TRUSTED_HOST\n" in dockerfile


def mavens(tmp_path: Path, **environment: str) -> str:
    """The settings.xml that mvn would find."""
    program = f". {ROOT}/infra/images/builder/mavenrc"
    outside = {"HOME": str(tmp_path), "PATH": "/usr/bin:/bin"}
    subprocess.run(["sh", "-euc", program], env=outside | environment, check=True)
    settings = tmp_path / ".m2" / "settings.xml"
    return settings.read_text() if settings.exists() else ""


def test_maven_is_told_of_the_proxy(tmp_path: Path) -> None:
    found = mavens(tmp_path, https_proxy="http://me:secret@proxy:3128/", no_proxy="localhost,.example.com, 10.0.0.1")
    proxy = ElementTree.fromstring(found).find("proxies/proxy")
    assert proxy is not None
    assert {part.tag: (part.text or "").strip() for part in proxy} == {
        "active": "true",
        "protocol": "https",
        "host": "proxy",
        "port": "3128",
        "username": "me",
        "password": "secret",
        "nonProxyHosts": "localhost|*.example.com|10.0.0.1",
    }


def test_maven_keeps_the_hosts_settings(tmp_path: Path) -> None:
    assert mavens(tmp_path, MAVEN_SETTINGS="<settings/>", HTTPS_PROXY="http://proxy:3128") == "<settings/>\n"


def test_maven_has_no_settings_where_there_is_nothing_to_say(tmp_path: Path) -> None:
    assert mavens(tmp_path) == ""
