"""The two sources of images: where each image is found, and that what is built is named by what goes into it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import versions
from images import PROGRAM, RECIPES, _digest, _files
from images.source import Source, mirrored
from tests.unit.infra.conftest import settings


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
        context = PROGRAM / RECIPES[service].context
        texts = [path.read_text() for path in context.rglob("*") if path.suffix in (".xml", "") and path.is_file()]
        assert any(version in text for text in texts), f"images/{service} does not build {version}"


def test_every_context_is_relative_so_that_the_state_fits_any_checkout() -> None:
    for recipe in RECIPES.values():
        assert not Path(recipe.context).is_absolute()
        assert (PROGRAM / recipe.context / "Dockerfile").is_file()


@pytest.mark.parametrize(("kind", "pulled"), [("registry", {"base", "kafka"}), ("build", set())])
def test_the_source_decides_what_is_pulled(kind: str, pulled: set[str]) -> None:
    source = Source(kind, "", settings())  # type: ignore[arg-type]
    assert {name for name in ("base", "kafka", "spark", "job", "generator") if name in source.official()} == pulled
