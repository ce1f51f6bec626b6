"""One canonical form of an index template, so that drift is a difference in meaning and nothing else."""

from __future__ import annotations

import json
from typing import Any

import pytest

from infra.clients.elasticsearch import canonical, dynamic_settings
from infra.provisioning.index_template import TEMPLATES

DECLARED: dict[str, Any] = {
    "index_patterns": ["a-*"],
    "template": {
        "settings": {"index": {"number_of_shards": 3}, "refresh_interval": "1s"},
        "mappings": {},
        "aliases": {"a": {}},
    },
}
AS_READ_BACK: dict[str, Any] = {
    "index_patterns": ["a-*"],
    "composed_of": [],
    "template": {
        "settings": {"index": {"number_of_shards": "3", "refresh_interval": "1s"}},
        "mappings": {},
        "aliases": {"a": {}},
    },
}


def test_the_declared_template_equals_the_one_read_back() -> None:
    assert canonical(DECLARED) == canonical(AS_READ_BACK)


def test_another_value_is_another_template() -> None:
    changed = json.loads(json.dumps(AS_READ_BACK))
    changed["template"]["settings"]["index"]["number_of_shards"] = "1"
    assert canonical(DECLARED) != canonical(changed)


def test_only_what_an_open_index_can_change_is_applied_to_it() -> None:
    assert dynamic_settings(DECLARED["template"]["settings"]) == {"index.refresh_interval": "1s"}


@pytest.mark.parametrize("path", sorted(TEMPLATES.glob("*.json")), ids=lambda path: path.stem)
def test_each_template_is_strict_and_answers_under_its_own_name(path: Any) -> None:
    body = json.loads(path.read_text())
    assert body["index_patterns"] == [f"{path.stem}-*"]
    assert body["template"]["aliases"] == {path.stem: {}}
    assert body["template"]["mappings"]["dynamic"] == "strict"
