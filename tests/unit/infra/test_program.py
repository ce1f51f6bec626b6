"""The whole program under Pulumi's mocks: what it declares from either source of images. No engine, no server."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from infra import versions
from infra.images import RECIPES, ROOT
from tests.support.pulumi_program import CONTAINER, IMAGE, Recorder, declare


@pytest.fixture(scope="module")
def declared() -> Iterator[dict[str, Recorder]]:
    with pytest.MonkeyPatch.context() as monkeypatch:
        yield {
            "registry": declare("registry", monkeypatch, generatorEnabled=True),
            "build": declare("build", monkeypatch, generatorEnabled=True),
        }


def test_all_services_are_declared(declared: dict[str, Recorder]) -> None:
    built = {
        *("zookeeper", "kafka", "elasticsearch", "cassandra"),
        *("elasticsearch-exporter", "node-exporter", "prometheus", "alertmanager"),
        *("spark-master", "spark-worker", "spark-job", "archive", "generator"),
    }
    assert set(declared["build"].resources[CONTAINER]) == built
    assert set(declared["registry"].resources[CONTAINER]) == built | {"kibana", "grafana"}


def test_services_do_not_know_the_source_of_their_image(declared: dict[str, Recorder]) -> None:
    """Image and the label that names the source aside, a container is the same from both sources."""
    registry, build = declared["registry"].resources[CONTAINER], declared["build"].resources[CONTAINER]
    for name, container in build.items():
        assert without_source(container) == without_source(registry[name]), name


def without_source(container: dict[str, Any]) -> dict[str, Any]:
    rest = {key: value for key, value in container.items() if key not in ("image", "labels")}
    labels = [label for label in container["labels"] if not label["label"].endswith("image-source")]
    return rest | {"labels": labels}


def test_the_registry_is_asked_for_the_pinned_images(declared: dict[str, Recorder]) -> None:
    pulled = {
        name: image["name"] for name, image in declared["registry"].resources[IMAGE].items() if "build" not in image
    }
    assert pulled == versions.OFFICIAL_IMAGES


def test_the_build_pulls_nothing(declared: dict[str, Recorder]) -> None:
    assert [name for name, image in declared["build"].resources[IMAGE].items() if "build" not in image] == []


def test_the_jmx_exporter_is_added_to_the_image_of_either_source(declared: dict[str, Recorder]) -> None:
    for service in ("kafka", "cassandra"):
        bases = {
            kind: declared[kind].resources[IMAGE][f"{service}-jmx"]["build"]["buildArgs"]["SERVICE_IMAGE"]
            for kind in declared
        }
        assert bases["registry"] == versions.OFFICIAL_IMAGES[service]
        assert bases["build"] == declared["build"].resources[IMAGE][service]["name"]


@pytest.mark.parametrize("kind", ["registry", "build"])
def test_every_container_is_hardened(declared: dict[str, Recorder], kind: str) -> None:
    for name, container in declared[kind].resources[CONTAINER].items():
        assert container["capabilities"] == {"drops": ["ALL"]}, name
        assert container["securityOpts"] == ["no-new-privileges"], name
        assert re.fullmatch(r"[1-9]\d*:\d+", container["user"]), name
        assert container["memory"] > 0, name
        assert {port["ip"] for port in container["ports"]} <= {"127.0.0.1"}, name
        assert container["healthcheck"]["tests"][0] == "CMD", name
        assert container["name"] == f"lolstack-unit-{name}"


def test_a_volume_is_mounted_only_where_the_built_image_makes_the_directory(declared: dict[str, Recorder]) -> None:
    """A path that is not in the image would be root's, and the service could not write there."""
    contexts = {
        "zookeeper": "kafka",
        "spark-worker": "spark",
        "spark-master": "spark",
        "spark-job": "spark",
        "archive": "spark",
    }
    for name, container in declared["build"].resources[CONTAINER].items():
        recipe = RECIPES[contexts.get(name, name)]
        dockerfile = (ROOT / recipe.context / "Dockerfile").read_text()
        for mount in container.get("volumes") or []:
            assert mount["containerPath"] in dockerfile, f"{name}: {mount['containerPath']}"


def test_the_built_image_has_the_user_the_service_declares(declared: dict[str, Recorder]) -> None:
    for service in versions.BUILT_IMAGES:
        dockerfile = (ROOT / RECIPES[service].context / "Dockerfile").read_text()
        uid = declared["build"].resources[CONTAINER][service]["user"].partition(":")[0]
        by_name = "nobody" if uid == "65534" else uid  # the one user that Debian brings
        assert re.search(rf"(--uid|USER) ({uid}|{by_name})\b", dockerfile), service


def test_counts_are_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    containers = declare("build", monkeypatch, sparkWorkers=2).resources[CONTAINER]
    assert {"spark-worker", "spark-worker-2"} <= set(containers)
    assert "generator" not in containers


def test_the_program_reads_as_one_page() -> None:
    assert len((Path(ROOT) / "__main__.py").read_text().splitlines()) < 160


def test_a_providers_module_loads_no_library_that_is_not_loaded_before() -> None:
    """provisioning/loaded.py says what else happens; in a process of its own, as Pulumi runs them."""
    script = """
import sys
import pulumi.dynamic
import infra.provisioning.preload
before = set(sys.modules)
from infra.provisioning import base_image, health_gate, index_template, password, saved_object, topic
found = {name.partition(".")[0] for name in set(sys.modules) - before} - set(sys.stdlib_module_names)
print(sorted(found))
"""
    answer = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "['infra']"


def test_every_dynamic_provider_loads_its_libraries_first() -> None:
    for module in (ROOT / "infra").rglob("*.py"):
        text = module.read_text()
        assert "pulumi.dynamic import" not in text or "import infra.provisioning.preload" in text, module
